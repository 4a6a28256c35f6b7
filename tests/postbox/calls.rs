//! The five calls, as anybody may make them.

use crate::support::*;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_packet_is_posted_collected_and_discarded_in_either_form() {
    let postbox = Postbox::start(&[]);
    for (form, seed) in [(Form::Text, 1), (Form::Raw, 2)] {
        let place = Place::new(seed);
        let packet = place.packet(13, 5);
        let (body, token, address, spent) = match form {
            Form::Text => (
                packet_line(&packet).into_bytes(),
                line(&place.token).into_bytes(),
                line(&place.address()).into_bytes(),
                line(&place.spent(&packet, [7; 32])).into_bytes(),
            ),
            Form::Raw => (
                raw(&packet),
                place.token.to_vec(),
                place.address().to_vec(),
                place.spent(&packet, [7; 32]),
            ),
        };
        let end = if form == Form::Text { "\n" } else { "" };
        let call = |path: &str, body: &[u8]| postbox.call(path, form, body);

        assert_eq!(call("/v1/gone", &address).both(), (200, &*format!("u{end}")));
        assert_eq!(call("/v1/collect", &token).status, 204);
        assert_eq!(call("/v1/post", &body).both(), (201, "1\n"));
        assert_eq!(call("/v1/post", &body).both(), (201, "1\n"), "again is harmless");
        for _ in 0..2 {
            let collected = call("/v1/collect", &token);
            assert_eq!(collected.status, 200);
            assert!(collected.body == body, "and reading takes nothing away");
        }
        assert_eq!(call("/v1/gone", &address).both(), (200, &*format!("h{end}")));
        assert_eq!(call("/v1/revealed", &address).both(), (200, ""));
        assert_eq!(call("/v1/discard", &spent).status, 204);
        assert_eq!(call("/v1/discard", &spent).status, 204);
        assert_eq!(call("/v1/collect", &token).status, 204);
        assert_eq!(call("/v1/gone", &address).both(), (200, &*format!("c{end}")));
        let key = [&place.address()[..], &[7; 32]].concat();
        let revealed = match form {
            Form::Text => format!("otr1k:{}", line(&key)).into_bytes(),
            Form::Raw => [&[0xC0], &key[..]].concat(),
        };
        assert_eq!(call("/v1/revealed", &address).body, revealed);
    }
}

/// A caller who takes an answer more slowly than it comes.
struct Slow(TcpStream);

impl Read for Slow {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let some = out.len().min(50_000);
        if some > 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.read(&mut out[..some])
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn many_packets_come_whole_to_one_who_reads_slowly() {
    let postbox = Postbox::start(&[]);
    let places: Vec<Place> = (0..160).map(Place::new).collect();
    // Many, so that there is a pause in each part of some; small ones, too, wait behind large ones.
    let packets: Vec<Vec<u8>> = places
        .iter()
        .zip([16, 17, 12, 17, 13].into_iter().cycle())
        .map(|(place, k)| {
            let mut packet: Vec<u8> = (0..=250).cycle().take(1 << k).collect();
            packet[..32].copy_from_slice(&place.address());
            packet
        })
        .collect();
    let posted: Vec<u8> = packets.iter().flat_map(|packet| raw(packet)).collect();
    assert_eq!(postbox.call("/v1/post", Form::Raw, &posted).both(), (201, "160\n"));
    for form in [Form::Text, Form::Raw] {
        let wish = places.iter().flat_map(|place| match form {
            Form::Text => line(&place.token).into_bytes(),
            Form::Raw => place.token.to_vec(),
        });
        let answer = call(
            &mut Slow(postbox.connect()),
            "/v1/collect?max=33554432",
            form,
            &wish.collect::<Vec<u8>>(),
        );
        let expected = packets.iter().flat_map(|packet| match form {
            Form::Text => packet_line(packet).into_bytes(),
            Form::Raw => raw(packet),
        });
        assert!(answer.body == expected.collect::<Vec<u8>>());
    }
}

#[test]
fn the_answer_counts_what_was_stored_before_the_first_that_was_not() {
    let postbox = Postbox::start(&["--max-packet", "8K"]);
    let place = Place::new(1);
    let good: String = (0..2).map(|n| packet_line(&Place::new(10 + n).packet(12, 1))).collect();
    let with = |last: &str| postbox.post(format!("{good}{last}").as_bytes());
    assert_eq!(with("From: someone\n").both(), (400, "2\n"));
    assert_eq!(with("otr1k:AAAA\n").both(), (400, "2\n"));
    assert_eq!(with(&packet_line(&place.packet(14, 1))).both(), (413, "2\n"));
    assert_eq!(with("").both(), (201, "2\n"));
    assert_eq!(postbox.post(b"").both(), (400, "0\n"));
    for fill in 0..4 {
        assert_eq!(postbox.post(packet_line(&place.packet(12, fill)).as_bytes()).status, 201);
    }
    let fifth = with(&packet_line(&place.packet(12, 9)));
    assert_eq!(fifth.both(), (429, "2\n"));
    assert!(fifth.head.contains("retry-after:"), "{}", fifth.head);
    let fourth = with(&packet_line(&place.packet(12, 3)));
    assert_eq!(fourth.both(), (201, "3\n"), "the same bytes again count as stored");
}

#[test]
fn packets_are_stored_as_they_come_in_not_when_the_body_ends() {
    let postbox = Postbox::start(&[]);
    let (first, second) = (Place::new(1), Place::new(2));
    let body = [raw(&first.packet(12, 1)), raw(&second.packet(12, 1))].concat();
    let mut stream = postbox.connect();
    stream.write_all(head("/v1/post", Form::Raw, body.len()).as_bytes()).unwrap();
    stream.write_all(&body[..5000]).unwrap();
    assert_eq!(postbox.call("/v1/collect?wait=10", Form::Raw, &first.token).status, 200);
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &second.token).status, 204);
    stream.write_all(&body[5000..]).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().both(), (201, "2\n"));
}

#[test]
fn a_collector_who_waits_is_woken_by_the_packet_and_not_by_others() {
    let postbox = Postbox::start(&[]);
    let (place, other) = (Place::new(1), Place::new(2));
    let mut waiting = postbox.connect();
    let tokens = [Place::new(3).token, place.token].concat();
    waiting.write_all(head("/v1/collect?wait=15", Form::Raw, 64).as_bytes()).unwrap();
    waiting.write_all(&tokens).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    postbox.post(&raw(&other.packet(12, 1)));
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.peek(&mut [0]).is_err(), "that packet was for somebody else");
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    let posted = Instant::now();
    postbox.post(&raw(&place.packet(12, 1)));
    let answer = read_answer(&mut waiting).unwrap();
    assert!(answer.status == 200 && answer.body == raw(&place.packet(12, 1)));
    assert!(posted.elapsed() < Duration::from_secs(2));
}

/// As `nc -N` does at the end of its input. A caller who is gone for good would look the same.
#[test]
fn a_caller_who_has_said_all_gets_his_answer_and_does_not_wait() {
    let postbox = Postbox::start(&[]);
    let (place, big) = (Place::new(1), Place::new(2));
    let packets = [raw(&place.packet(12, 1)), raw(&big.packet(20, 1))];
    postbox.post(&packets.concat());
    let (address, part) = (place.address(), &packets[1][..500_000]);
    for pause in [0, 200] {
        for (path, length, body, expected) in [
            ("/v1/collect?wait=60", 32, &[1; 32][..], (204, &b""[..])),
            ("/v1/gone?wait=60", 32, &address, (200, b"h")),
            ("/v1/collect?wait=60", 32, &big.token, (200, &packets[1])),
            ("/v1/post", packets[0].len(), &packets[0], (201, b"1\n")),
            ("/v1/post", packets[1].len(), part, (400, b"0\n")),
            ("/v1/discard", 96, &[1; 95], (400, b"")),
        ] {
            let begun = Instant::now();
            let mut stream = postbox.connect();
            stream.write_all(head(path, Form::Raw, length).as_bytes()).unwrap();
            stream.write_all(body).unwrap();
            std::thread::sleep(Duration::from_millis(pause));
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let answer = read_answer(&mut stream).expect(path);
            assert_eq!(answer.status, expected.0, "{path} {pause}");
            assert!(expected.1.is_empty() || answer.body == expected.1, "{path} {pause}");
            assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and that is all");
            assert!(begun.elapsed() < PATIENCE, "{path}");
        }
    }
}

#[test]
fn a_wait_in_vain_ends_when_it_should() {
    let postbox = Postbox::start(&[]);
    let begun = Instant::now();
    assert_eq!(postbox.call("/v1/collect?wait=1", Form::Raw, &[1; 32]).status, 204);
    assert!((1000..5000).contains(&begun.elapsed().as_millis()));
}

#[test]
fn a_sender_who_waits_hears_when_the_last_is_collected() {
    let postbox = Postbox::start(&[]);
    let places = [Place::new(1), Place::new(2)];
    let packets = places.each_ref().map(|place| place.packet(12, 1));
    postbox.post(&packets.each_ref().map(|packet| raw(packet)).concat());
    let mut waiting = postbox.connect();
    waiting.write_all(head("/v1/gone?wait=15", Form::Raw, 64).as_bytes()).unwrap();
    waiting.write_all(&places.each_ref().map(Place::address).concat()).unwrap();
    let discard = |n: usize| {
        postbox.call("/v1/discard", Form::Raw, &places[n].spent(&packets[n], [0; 32]));
    };
    discard(0);
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(waiting.peek(&mut [0]).is_err(), "one of them lies there still");
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    discard(1);
    assert_eq!(read_answer(&mut waiting).unwrap().both(), (200, "cc"));
    let revealed = postbox.call("/v1/revealed", Form::Raw, &places[0].address());
    assert_eq!(revealed.both(), (200, ""), "zeros are no key");
}

#[test]
fn collect_gives_no_more_than_it_was_asked_for_but_always_one() {
    let postbox = Postbox::start(&[]);
    let place = Place::new(1);
    for fill in 1..=3 {
        postbox.post(&raw(&place.packet(12, fill)));
    }
    let collected = |max: u32| {
        let path = format!("/v1/collect?max={max}");
        postbox.call(&path, Form::Raw, &place.token).body.len() / 4096
    };
    assert_eq!([1, 8191, 8192, 1 << 20].map(collected), [1, 1, 2, 3]);
}

#[test]
fn a_packet_lives_as_long_as_its_time_and_no_longer() {
    let postbox = Postbox::start(&["--ttl", "1s"]);
    let (gone, spent) = (Place::new(1), Place::new(2));
    let packet = spent.packet(12, 1);
    postbox.post(&[raw(&gone.packet(12, 1)), raw(&packet)].concat());
    postbox.call("/v1/discard", Form::Raw, &spent.spent(&packet, [7; 32]));
    let both = [gone.address(), spent.address()].concat();
    assert_eq!(postbox.call("/v1/gone", Form::Raw, &both).both(), (200, "hc"));
    let begun = Instant::now();
    let fate = postbox.call("/v1/gone?wait=10", Form::Raw, &both);
    assert_eq!(fate.both(), (200, "uu"), "and who waits for its end hears of it");
    assert!((900..6000).contains(&begun.elapsed().as_millis()));
    assert_eq!(postbox.call("/v1/revealed", Form::Raw, &spent.address()).both(), (200, ""));
}

#[test]
fn curl_alone_posts_and_collects() {
    let postbox = Postbox::start(&[]);
    let place = Place::new(1);
    // Of 1 MiB: curl asks "100-continue" first, and with -T sends chunks.
    let packet = packet_line(&place.packet(20, 1));
    let curl = |options: &[&str], path: &str, body: &str| {
        let mut child = Command::new("curl")
            .args(["-sS", "--max-time", "20"])
            .args(options)
            .arg(format!("{}{path}", postbox.url))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Debian package curl");
        child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert_eq!(curl(&["--data-binary", "@-"], "/v1/post", &packet), "1\n");
    assert_eq!(curl(&["-X", "POST", "-T", "-"], "/v1/post", &packet), "1\n");
    let collected = curl(&["--data-binary", "@-"], "/v1/collect?wait=5", &line(&place.token));
    assert!(collected == packet);
}
