//! How the postbox handles input that is too large, too slow, or not what it should be.

use crate::support::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Room for everything in a postbox that its cap does not count.
const BESIDE_THE_CAP: usize = 32 << 20;

/// Posts packets of 2^k bytes, each under an address of its own, until one is refused; how many
/// went in. By many connections: one alone leaves as much as it takes.
fn fill(postbox: &Postbox, k: u32, first: u32) -> u32 {
    let mut stream = postbox.connect();
    for n in first.. {
        if n % 8 == 0 {
            stream = postbox.connect();
        }
        let answer = call(&mut stream, "/v1/post", Form::Raw, &raw(&Place::new(n).packet(k, 1)));
        match answer.status {
            201 => {}
            507 => return n - first,
            other => panic!("{other}"),
        }
    }
    unreachable!()
}

#[test]
fn a_full_postbox_refuses_and_keeps_what_it_has() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0"]);
    let held = fill(&postbox, 12, 0);
    assert!((2100..2300).contains(&held), "{held} packets of 4 KiB in 16 MiB");
    assert!(resident(postbox.child.id()) < (16 << 20) + BESIDE_THE_CAP);
    for n in [0, held / 2, held - 1] {
        let place = Place::new(n);
        assert_eq!(postbox.call("/v1/collect", Form::Raw, &place.token).status, 200);
    }
    let spent: Vec<u8> = (0..200)
        .map(Place::new)
        .flat_map(|place| place.spent(&place.packet(12, 1), [1; 32]))
        .collect();
    postbox.call("/v1/discard", Form::Raw, &spent);
    let more = fill(&postbox, 12, 1_000_000);
    assert!((150..=200).contains(&more), "what was discarded makes room: {more}");
}

#[test]
fn memory_stays_under_the_cap_through_packets_of_all_sizes() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0"]);
    for (round, k) in [(1, 12), (2, 20), (3, 15), (4, 12), (5, 17)] {
        let first = round * 1_000_000;
        let held = fill(&postbox, k, first);
        let now = resident(postbox.child.id());
        assert!(now < (16 << 20) + BESIDE_THE_CAP, "{now} bytes with {held} of 2^{k}");
        let spent: Vec<u8> = (first..first + held)
            .map(Place::new)
            .flat_map(|place| place.spent(&place.packet(k, 1), [1; 32]))
            .collect();
        for some in spent.chunks(96 * 4096) {
            assert_eq!(postbox.call("/v1/discard", Form::Raw, some).status, 204);
        }
    }
}

#[test]
fn an_endless_body_is_taken_until_it_is_full_and_then_refused() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0"]);
    let mut stream = postbox.connect();
    stream.write_all(head("/v1/post", Form::Raw, 2 << 30).as_bytes()).unwrap();
    let mut n = 0;
    // It reads on behind its answer only so far; then the connection ends.
    while n < 600 && stream.write_all(&raw(&Place::new(n).packet(20, 1))).is_ok() {
        n += 1;
    }
    assert!(n < 600, "it took all of it");
    assert!(resident(postbox.child.id()) < (16 << 20) + BESIDE_THE_CAP);
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &Place::new(0).token).status, 200);
}

#[test]
fn a_caller_who_writes_everything_before_reading_still_finds_the_refusal() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0"]);
    let body: Vec<u8> = (0..30).flat_map(|n| raw(&Place::new(n).packet(20, 1))).collect();
    let mut stream = postbox.connect();
    stream.write_all(head("/v1/post", Form::Raw, body.len()).as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!(answer.status, 507);
    assert_eq!(answer.text(), "4\n", "no more than is left for others");
    // And the connection still works.
    assert_eq!(call(&mut stream, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
}

#[test]
fn thousands_of_tokens_are_taken_and_more_are_refused() {
    let postbox = Postbox::start(&[]);
    let mut tokens: Vec<u8> = (0..8192).flat_map(|n| Place::new(n).token).collect();
    postbox.post(&raw(&Place::new(8000).packet(12, 1)));
    assert_eq!(postbox.call("/v1/collect?wait=5", Form::Raw, &tokens).body.len(), 4097);
    tokens.extend_from_slice(&[0; 32]);
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &tokens).status, 413);
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &tokens.repeat(8)).status, 413);
}

#[test]
fn what_is_not_a_call_is_refused_without_repeating_a_byte_of_it() {
    let postbox = Postbox::start(&[]);
    let secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U";
    for (path, body, status) in [
        ("/v1/collect", secret.repeat(2), 400),
        ("/v1/discard", secret.to_owned(), 400),
        ("/v1/gone", String::new(), 400),
        ("/v1/revealed", format!("{secret}!"), 400),
        ("/v1/post", format!("otr1p:{secret}"), 400),
        (&format!("/v1/collect?token={secret}"), secret.to_owned(), 400),
        (&format!("/{secret}"), secret.to_owned(), 404),
    ] {
        let answer = postbox.call(path, Form::Text, body.as_bytes());
        assert_eq!(answer.status, status, "{path}");
        assert!(!format!("{answer:?}").contains(&secret[..8]), "{answer:?}");
    }
    let mut stream = postbox.connect();
    let answer = get(&mut stream, "/v1/post", "*/*");
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("allow: post"), "{}", answer.head);
    postbox.signal("TERM");
    let (_, said) = postbox.end();
    assert!(!said.contains(&secret[..8]) && said.lines().count() == 1, "{said}");
}

#[test]
fn garbage_instead_of_http_ends_the_connection_and_nothing_else() {
    let postbox = Postbox::start(&[]);
    for garbage in [&[0; 4096][..], &[0xFF; 100], b"GET\r\n\r\n", &vec![b'A'; 100_000]] {
        let mut stream = postbox.connect();
        let _ = stream.write_all(garbage);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"));
    }
    assert_eq!(postbox.call("/v1/collect", Form::Raw, &[1; 32]).status, 204);
}

#[test]
fn a_connection_that_breaks_in_a_packet_leaves_nothing_of_it() {
    let postbox = Postbox::start(&["--memory", "16M", "--work", "0"]);
    let body = raw(&Place::new(1).packet(20, 1));
    // Far more than fits, if any of it stayed.
    for _ in 0..60 {
        let mut stream = postbox.connect();
        stream.write_all(head("/v1/post", Form::Raw, body.len()).as_bytes()).unwrap();
        stream.write_all(&body[..1_000_000]).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while postbox.post(&body).status != 201 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn slow_heads_are_cut_off_and_a_conversation_goes_on_beside_them() {
    let postbox = Postbox::start(&[]);
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> = (0..1000).map(|_| postbox.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /v1/post HTTP/1.1\r\nx-slow: ").unwrap();
    }
    let mut stream = postbox.connect();
    for n in 0..200 {
        let (place, asked) = (Place::new(n), Instant::now());
        call(&mut stream, "/v1/post", Form::Raw, &raw(&place.packet(12, 1)));
        assert_eq!(call(&mut stream, "/v1/collect", Form::Raw, &place.token).status, 200);
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
    for stream in &mut slow {
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        let mut rest = Vec::new();
        // Ended, in whatever way; not by our own impatience.
        if let Err(why) = stream.read_to_end(&mut rest) {
            assert_ne!(why.kind(), std::io::ErrorKind::WouldBlock);
        }
    }
    assert!((15..40).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[test]
fn connections_above_the_memory_for_them_close_those_that_say_nothing_and_no_others() {
    let postbox = Postbox::start(&["--memory", "8M"]);
    let place = Place::new(1);
    let mut waiting = postbox.connect();
    waiting.write_all(head("/v1/collect?wait=60", Form::Raw, 32).as_bytes()).unwrap();
    waiting.write_all(&place.token).unwrap();
    let mut more: Vec<TcpStream> = (0..600).map(|_| postbox.connect()).collect();
    let last = more.last_mut().unwrap();
    assert_eq!(call(last, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
    assert_eq!(more[0].read(&mut [0]).unwrap_or(0), 0, "the first is closed");
    assert_eq!(postbox.post(&raw(&place.packet(12, 1))).status, 201);
    assert_eq!(read_answer(&mut waiting).unwrap().status, 200);
    drop(more);
    assert_eq!(get(&mut postbox.connect(), "/", "*/*").status, 200);
}

/// What the operator is told of a number.
fn told(admin: &std::path::Path, name: &str) -> usize {
    let mut stream = std::os::unix::net::UnixStream::connect(admin).unwrap();
    let metrics = get(&mut stream, "/metrics", "*/*");
    let line = metrics.text().lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_connection_is_charged_for_a_head_that_does_not_end() {
    let directory = tempfile::tempdir().unwrap();
    let admin = directory.path().join("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    for length in [0, 1, 4000, 8000, 12_000] {
        let mut begin = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(length)).into_bytes();
        begin.truncate(length);
        let open = |number: u32| -> Vec<TcpStream> {
            let all = (0..number).map(|_| {
                let mut stream = postbox.connect();
                stream.write_all(&begin).unwrap();
                stream
            });
            all.collect()
        };
        // Room that the first callers free is available to any later caller.
        let few = open(50);
        let look = || (resident(postbox.child.id()), told(&admin, "otr_postbox_memory_used_bytes"));
        settle(&admin, 50);
        let before = look();
        let many = open(600);
        settle(&admin, 650);
        let after = look();
        let taken = after.0.saturating_sub(before.0) / many.len();
        let charged = after.1.saturating_sub(before.1) / many.len();
        assert!(taken <= charged + 512, "{length}: {taken} bytes for {charged}");
        drop((few, many));
        settle(&admin, 0);
    }
}

/// Waits until all of so many connections were taken in and heard, or refused.
fn settle(admin: &std::path::Path, most: usize) {
    let deadline = Instant::now() + PATIENCE;
    let look = || {
        let names = ["otr_postbox_connections", "otr_postbox_memory_used_bytes"];
        names.map(|name| told(admin, name))
    };
    let (mut last, mut same) = (look(), 0);
    while same < 3 || last[0] > most {
        assert!(Instant::now() < deadline, "{last:?}");
        std::thread::sleep(Duration::from_millis(50));
        let now = look();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
}

/// Each change at an address that many watch had all of them look at all of theirs: at eight
/// thousand of them 0.4 s of the only thread.
#[test]
fn a_change_at_one_address_costs_those_who_watch_many_one_step() {
    let postbox = Postbox::start(&["--memory", "1G"]);
    let (place, others) = (Place::new(1), Place::new(2));
    postbox.post(&raw(&place.packet(12, 0)));
    postbox.post(&raw(&others.packet(12, 0)));
    let mut addresses = [place.address(), others.address()].concat();
    addresses.extend((3..8193).flat_map(|n| Place::new(n).address()));
    let begun = spent(&postbox);
    let mut watching: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = postbox.connect();
            let head = head("/v1/gone?wait=60", Form::Raw, addresses.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&addresses).unwrap();
            stream
        })
        .collect();
    let seen = || {
        watching.iter().any(|stream| {
            stream.set_nonblocking(true).unwrap();
            let seen = stream.peek(&mut [0]).is_ok();
            stream.set_nonblocking(false).unwrap();
            seen
        })
    };
    postbox.call("/v1/gone", Form::Raw, &addresses);
    let asking = spent(&postbox) - begun;
    let mut stream = postbox.connect();
    for fill in 1..=60 {
        let packet = place.packet(12, fill);
        assert_eq!(call(&mut stream, "/v1/post", Form::Raw, &raw(&packet)).status, 201);
        let record = place.spent(&packet, [0; 32]);
        assert_eq!(call(&mut stream, "/v1/discard", Form::Raw, &record).status, 204);
    }
    let ringing = spent(&postbox) - begun - asking;
    // It was a hundred times as much.
    assert!(ringing < 8 * asking, "{ringing} ticks beside {asking}");
    assert!(!seen(), "both lie there still");
    for other in [&place, &others] {
        postbox.call("/v1/discard", Form::Raw, &other.spent(&other.packet(12, 0), [0; 32]));
    }
    for stream in &mut watching {
        let answer = read_answer(stream).unwrap();
        assert!(answer.body.starts_with(b"ccu") && answer.body.len() == 8192);
    }
}

/// Processor time that a postbox has taken, in ticks.
fn spent(postbox: &Postbox) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", postbox.child.id())).unwrap();
    let words = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    words.map(|word| word.parse::<u64>().unwrap()).sum()
}

#[test]
fn what_is_discarded_while_somebody_reads_it_is_not_told_as_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (admin, door) = (directory.path().join("admin"), directory.path().join("box"));
    let unix = |path: &std::path::Path| format!("unix:{}", path.display());
    let _postbox =
        Postbox::run(otr().args(["postbox", "--listen", &unix(&door), "--admin", &unix(&admin)]));
    let ask = |path: &str, body: &[u8]| {
        let mut stream = std::os::unix::net::UnixStream::connect(&door).unwrap();
        call(&mut stream, path, Form::Raw, body)
    };
    let places: Vec<Place> = (0..4).map(Place::new).collect();
    for place in &places {
        assert_eq!(ask("/v1/post", &raw(&place.packet(20, 1))).status, 201);
    }
    let tokens: Vec<u8> = places.iter().flat_map(|place| place.token).collect();
    let mut deaf = std::os::unix::net::UnixStream::connect(&door).unwrap();
    deaf.write_all(head("/v1/collect", Form::Raw, tokens.len()).as_bytes()).unwrap();
    deaf.write_all(&tokens).unwrap();
    deaf.read_exact(&mut [0]).unwrap();
    let records: Vec<u8> =
        places.iter().flat_map(|place| place.spent(&place.packet(20, 1), [0; 32])).collect();
    assert_eq!(ask("/v1/discard", &records).status, 204);
    assert_eq!(told(&admin, "otr_postbox_packets"), 0);
    let (left, bytes) = ("otr_postbox_leaving", "otr_postbox_leaving_bytes");
    assert!((3..=4).contains(&told(&admin, left)), "{}", told(&admin, left));
    assert_eq!(told(&admin, bytes), told(&admin, left) << 20);
    assert!(told(&admin, "otr_postbox_memory_used_bytes") > 3 << 20);
    drop(deaf);
    let deadline = Instant::now() + PATIENCE;
    while told(&admin, left) > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A caller who asked for small packets as text and read nothing took a hundred KiB that the cap
/// did not count.
#[test]
fn callers_who_read_nothing_take_no_more_than_they_are_charged_for() {
    let postbox = Postbox::start(&["--memory", "64M"]);
    // Four under each address: a short question, and an answer that no socket's buffer holds.
    let places: Vec<Place> = (0..180).map(Place::new).collect();
    let posted =
        places.iter().flat_map(|place| (1..=4).flat_map(|fill| raw(&place.packet(13, fill))));
    let posted = postbox.call("/v1/post", Form::Raw, &posted.collect::<Vec<u8>>());
    assert_eq!(posted.both(), (201, "720\n"));
    let tokens: String = places.iter().map(|place| line(&place.token)).collect();
    let before = resident(postbox.child.id());
    let mut deaf: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = postbox.connect();
            rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).unwrap();
            let head = head("/v1/collect?max=33554432", Form::Text, tokens.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(tokens.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Each has its answer begun.
    for stream in &mut deaf {
        assert_eq!(stream.read(&mut [0]).unwrap(), 1);
    }
    std::thread::sleep(Duration::from_secs(1));
    let each = (resident(postbox.child.id()) - before) / deaf.len();
    assert!(each < 40 << 10, "{each} bytes");
}
