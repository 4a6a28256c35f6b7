//! Callers who ask for much and read nothing, and what a body counts for.

use crate::support::*;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const CAP: usize = 32 << 20;
/// Room for everything in a postbox that its cap does not count.
const BESIDE_THE_CAP: usize = 32 << 20;

/// Asks, and takes none of the answer but its first byte.
fn deaf(door: &Path, number: usize, path: &str, form: Form, body: &[u8]) -> Vec<UnixStream> {
    let mut all: Vec<UnixStream> = (0..number)
        .map(|_| {
            let mut stream = reach(door);
            // Who is refused may find the connection closed.
            let _ = stream.write_all(head(path, form, body.len()).as_bytes());
            let _ = stream.write_all(body);
            stream
        })
        .collect();
    for stream in &mut all {
        // An answer has begun, or the connection has ended.
        let _ = stream.read(&mut [0]);
    }
    all
}

fn reach(door: &Path) -> UnixStream {
    let stream = UnixStream::connect(door).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// By a Unix socket: the system's own buffers for TCP hold a whole answer.
#[test]
fn three_hundred_deaf_callers_of_each_call_stay_below_the_cap() {
    let cap = CAP.to_string();
    let directory = tempfile::tempdir().unwrap();
    let door = directory.path().join("box");
    let listen = format!("unix:{}", door.display());
    let postbox = Postbox::run(otr().args(["postbox", "--listen", &listen, "--memory", &cap]));
    let ask = |path: &str, form, body: &[u8]| call(&mut reach(&door), path, form, body);
    let places: Vec<Place> = (0..1000).map(Place::new).collect();
    let post = |fill| {
        let packets: Vec<u8> =
            places.iter().flat_map(|place| raw(&place.packet(12, fill))).collect();
        assert_eq!(ask("/v1/post", Form::Raw, &packets).both(), (201, "1000\n"));
    };
    for fill in 1..=5 {
        post(fill);
        let spent: Vec<u8> = places
            .iter()
            .flat_map(|place| place.spent(&place.packet(12, fill), [fill; 32]))
            .collect();
        assert_eq!(ask("/v1/discard", Form::Raw, &spent).status, 204);
    }
    post(6);
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    let addresses: Vec<u8> = places.iter().flat_map(Place::address).collect();
    let lines = |records: &[u8]| -> Vec<u8> { records.chunks(32).flat_map(line_bytes).collect() };
    let (token_lines, address_lines) = (lines(&tokens), lines(&addresses));
    let packet = raw(&places[0].packet(12, 6));
    let spent = places[0].spent(&places[0].packet(12, 9), [0; 32]);
    for (path, form, body) in [
        ("/v1/revealed", Form::Raw, &addresses),
        ("/v1/revealed", Form::Text, &address_lines),
        ("/v1/gone", Form::Raw, &addresses),
        ("/v1/gone", Form::Text, &address_lines),
        ("/v1/collect", Form::Raw, &tokens),
        ("/v1/collect", Form::Text, &token_lines),
        ("/v1/post", Form::Raw, &packet),
        ("/v1/discard", Form::Raw, &spent),
    ] {
        let deaf = deaf(&door, 300, path, form, body);
        let now = resident(postbox.child.id());
        assert!(now < CAP + BESIDE_THE_CAP, "{path}: {now} bytes");
        drop(deaf);
    }
    // And who reads gets it all: longer than a window, and than any queue of them.
    let all = ask("/v1/revealed", Form::Raw, &addresses).body;
    assert_eq!(all.len(), 65 * 5 * places.len());
    let all = ask("/v1/revealed", Form::Text, &address_lines).body;
    assert_eq!(all.split(|byte| *byte == b'\n').count(), 5 * places.len() + 1);
}

fn line_bytes(record: &[u8]) -> Vec<u8> {
    line(record).into_bytes()
}

/// A collect of 262 KB asked for 34 GB.
#[test]
fn what_is_named_twice_is_given_once() {
    let postbox = Postbox::start(&[]);
    let (place, kept) = (Place::new(1), Place::new(2));
    let packet = place.packet(12, 1);
    postbox.post(&[raw(&packet), raw(&kept.packet(12, 1))].concat());
    let spent = place.spent(&packet, [7; 32]);
    assert_eq!(postbox.call("/v1/discard", Form::Raw, &spent.repeat(3)).status, 204);
    for (form, all, key) in [(Form::Raw, 4097, 65), (Form::Text, 5469, 93)] {
        let records = |record: &[u8]| match form {
            Form::Raw => record.repeat(8192),
            Form::Text => line_bytes(record).repeat(8192),
        };
        let call = |path, body: &[u8]| postbox.call(path, form, body).body.len();
        assert_eq!(call("/v1/collect", &records(&kept.token)), all);
        assert_eq!(call("/v1/revealed", &records(&place.address())), key);
    }
    // Of what is asked here each has its place in the answer.
    let asked = [place.address(), kept.address(), place.address()].concat();
    assert_eq!(postbox.call("/v1/gone", Form::Raw, &asked).both(), (200, "chc"));
}

/// 134 MB of newlines filled a postbox.
#[test]
fn a_body_is_charged_for_what_is_kept_of_it_as_long_as_it_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", path.display())]);
    let place = Place::new(1);
    postbox.post(&raw(&place.packet(12, 1)));
    let waits = |call: &str, form, body: &[u8]| {
        let before = metric(&path, "memory_used_bytes");
        let mut stream = postbox.connect();
        stream.write_all(head(call, form, body.len()).as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while metric(&path, "waiting") == 0 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(20));
        }
        let charged = metric(&path, "memory_used_bytes") - before;
        drop(stream);
        while metric(&path, "waiting") > 0 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(20));
        }
        charged
    };
    let blank = [vec![b'\n'; 600_000], line_bytes(&place.address())].concat();
    let charged = waits("/v1/gone?wait=60", Form::Text, &blank);
    // The connection itself, and room for large reads.
    assert!(charged < 200_000, "{charged} bytes for a record and blank lines");
    let tokens: Vec<u8> = (10..8202).flat_map(|n| Place::new(n).token).collect();
    let charged = waits("/v1/collect?wait=60", Form::Raw, &tokens);
    assert!(charged > 8192 * (32 + 48), "{charged} bytes for 8,192 tokens");

    let mut stream = postbox.connect();
    stream.write_all(head("/v1/collect", Form::Text, 8 << 20).as_bytes()).unwrap();
    stream.write_all(&vec![b'\n'; 8 << 20]).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 413);
}

/// Bytes in the queue of the postbox's connection that has most, as the system tells.
fn queued(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let own = format!(":{port:04X}");
    let queues = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next().filter(|local| local.ends_with(&own))?;
        let (queued, _) = fields.nth(2)?.split_once(':')?;
        usize::from_str_radix(queued, 16).ok()
    });
    queues.max().unwrap()
}

/// 300 of them made the system keep 1.1 GiB, and all of its connections slow.
#[test]
fn what_nobody_takes_does_not_lie_in_the_system_either() {
    let postbox = Postbox::start(&[]);
    let port = postbox.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let tokens: Vec<u8> = (1..9).flat_map(|n| Place::new(n).token).collect();
    for n in 1..9 {
        assert_eq!(postbox.post(&raw(&Place::new(n).packet(20, 1))).status, 201);
    }
    let mut deaf = postbox.connect();
    deaf.write_all(head("/v1/collect", Form::Raw, tokens.len()).as_bytes()).unwrap();
    deaf.write_all(&tokens).unwrap();
    let (deadline, mut before) = (Instant::now() + PATIENCE, 0);
    // Until it grows no more.
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = queued(port);
        if now > 0 && now == before {
            break;
        }
        assert!(Instant::now() < deadline);
        before = now;
    }
    assert!(before < 1 << 20, "{before} bytes");
    // He still gets it when he reads.
    let answer = read_answer(&mut deaf).unwrap();
    assert_eq!(answer.body.len(), 8 * ((1 << 20) + 1));
    assert!(answer.body.ends_with(&Place::new(8).packet(20, 1)[32..]));
}
