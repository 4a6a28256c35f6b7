//! Unfinished requests and answers make room for complete requests: heads, bodies, connections that
//! say nothing, answers that nobody takes.

use crate::renewal::{renew, trusts};
use crate::support::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Connections that said this, and then nothing.
fn begun(postbox: &Postbox, number: usize, words: &[u8]) -> Vec<TcpStream> {
    (0..number)
        .map(|_| {
            let mut stream = postbox.connect();
            // Who is refused may find the connection closed.
            let _ = stream.write_all(words);
            stream
        })
        .collect()
}

/// Until the postbox says this to one who comes whole.
fn until(postbox: &Postbox, path: &str, body: &[u8], status: u16) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = postbox.call(path, Form::Raw, body);
        if answer.status == status {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        sleep(Duration::from_millis(100));
    }
}

/// 2,730 of them closed the new requests of all others for twenty seconds.
#[test]
fn heads_that_do_not_end_make_room_for_one_that_does() {
    let postbox = Postbox::start(&["--memory", "8M"]);
    let packet = raw(&Place::new(1).packet(12, 1));
    let mut kept = postbox.connect();
    assert_eq!(call(&mut kept, "/v1/post", Form::Raw, &packet).status, 201);
    let mut unfinished = begun(&postbox, 120, b"POST /v1/post HTTP/1.1\r\nhost: x\r\n");
    for _ in 0..5 {
        assert_eq!(postbox.call("/v1/post", Form::Raw, &packet).status, 201);
        assert_eq!(call(&mut kept, "/v1/post", Form::Raw, &packet).status, 201);
    }
    assert_eq!(unfinished[0].read(&mut [0]).unwrap_or(0), 0, "the oldest is closed");
    let last = unfinished.last_mut().unwrap();
    last.write_all(b"content-length: 0\r\n\r\n").unwrap();
    assert_eq!(read_answer(last).unwrap().status, 400, "the last is not: an empty body");
}

/// Who was connected and said nothing took the place of others.
#[test]
fn connections_that_say_nothing_make_room_for_one_that_does() {
    let postbox = Postbox::start(&["--memory", "8M"]);
    let packet = raw(&Place::new(1).packet(12, 1));
    for words in [&b""[..], b"POST /v1/post HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"] {
        let silent = begun(&postbox, 400, words);
        for _ in 0..5 {
            assert_eq!(postbox.call("/v1/post", Form::Raw, &packet).status, 201);
        }
        drop(silent);
    }
}

/// Callers who took nothing of their answers did, too.
#[test]
fn who_takes_no_answer_makes_room_for_who_does() {
    let postbox = Postbox::start(&["--memory", "16M"]);
    let place = Place::new(1);
    assert_eq!(postbox.post(&raw(&place.packet(20, 1))).status, 201);
    let ask = [head("/v1/collect", Form::Raw, 32).into_bytes(), place.token.to_vec()].concat();
    let mut deaf = Vec::new();
    for _ in 0..420 {
        let mut stream = postbox.connect();
        let _ = stream.write_all(&ask);
        // The first byte: the answer is on its way.
        let _ = stream.read(&mut [0]);
        deaf.push(stream);
    }
    for n in 2..7 {
        let answer = postbox.call("/v1/post", Form::Raw, &raw(&Place::new(n).packet(12, 1)));
        assert_eq!(answer.status, 201);
    }
}

/// 150 connections, each with a packet of 1 MiB that stopped before its end, kept all posts out for two
/// minutes, raised the price for others, and shortened the life of their packets.
#[test]
fn packets_that_stand_still_make_room_for_one_that_comes() {
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("admin");
    let door = format!("unix:{}", admin.display());
    let postbox = Postbox::start(&["--memory", "16M", "--admin", &door]);
    let packet = raw(&Place::new(1).packet(20, 1));
    let mut still = Vec::new();
    // Nobody is let take more than is left: the last of each find no room.
    for bytes in [900_000, 300_000, 100_000, 30_000, 8_000] {
        let head = head("/v1/post", Form::Raw, packet.len());
        still.extend(begun(&postbox, 12, &[head.as_bytes(), &packet[..bytes]].concat()));
    }
    // Until all of it has come.
    let (deadline, mut before) = (Instant::now() + PATIENCE, 0);
    loop {
        let now = metric(&admin, "memory_used_bytes");
        if now == before && now > 9 << 20 {
            break;
        }
        assert!(Instant::now() < deadline, "{now} bytes");
        before = now;
        sleep(Duration::from_millis(300));
    }
    for n in 2..8 {
        let answer = until(&postbox, "/v1/post", &raw(&Place::new(n).packet(18, 1)), 201);
        assert!(answer.head.contains("otr-keeps: 86400"), "{}", answer.head);
        assert!(Price::told(&answer).is_none(), "{}", answer.head);
    }
    let answers: Vec<u16> = still
        .iter_mut()
        .filter_map(|stream| {
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            stream.peek(&mut [0]).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            read_answer(stream).map(|answer| answer.status)
        })
        .collect();
    assert!(answers.contains(&503) && answers.len() < still.len(), "{answers:?}");
}

/// Tokens that came but for the last byte of their body.
#[test]
fn calls_that_stand_still_make_room_for_one_that_comes() {
    let postbox = Postbox::start(&["--memory", "8M"]);
    let tokens = |count: u32| (0..count).flat_map(|n| Place::new(n).token).collect::<Vec<u8>>();
    for count in [8192, 4096, 1024, 256] {
        let body = tokens(count);
        let words = head("/v1/collect", Form::Raw, body.len());
        let words = [words.as_bytes(), &body[..body.len() - 1]].concat();
        // They are there until the end.
        std::mem::forget(begun(&postbox, 8, &words));
    }
    until(&postbox, "/v1/collect", &tokens(4096), 204);
}

/// A TLS handshake takes more memory than an open connection, and can stop before its end.
#[test]
fn handshakes_that_do_not_end_make_room_for_one_that_does() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = renew(directory.path());
    let [cert, key] = ["cert", "key"].map(|name| directory.path().join(name).display().to_string());
    let postbox = Postbox::start(&["--memory", "8M", "--tls-cert", &cert, "--tls-key", &key]);
    // The first bytes of a hello; some say nothing at all. Half of 8 MiB is for connections, 68 KiB
    // of it for each.
    let port: u16 = postbox.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let words: [&[u8]; 2] = [b"\x16\x03\x01\x02\x00\x01", b""];
    let stalled = (0..100).map(|n| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(words[n % 2]).unwrap();
        stream
    });
    let stalled: Vec<TcpStream> = stalled.collect();
    for _ in 0..3 {
        assert!(trusts(&postbox, directory.path(), &certificate));
    }
    let is_open = |stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        stream.peek(&mut [0]).is_err_and(|why| why.kind() == std::io::ErrorKind::WouldBlock)
    };
    let open = stalled.iter().filter(|stream| is_open(stream)).count();
    assert!((20..60).contains(&open), "{open}");
}
