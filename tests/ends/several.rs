//! A session with several postboxes: each has a part of the packets, and the loss of one costs no more than
//! what lay there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::people::{fails, ok, otr, restart, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Postbox, otr as program};
use crate::socks::Socks;
use crate::support::{tool, until};

/// Some postboxes, with a file in which each counts.
fn boxes(place: &Place, count: usize) -> Vec<Postbox> {
    let admin = |nth| format!("unix:{}", place.path(&format!("admin{nth}")).display());
    (0..count).map(|nth| Postbox::start(&["--admin", &admin(nth)])).collect()
}

/// How many packets this one has taken.
fn stored(place: &Place, nth: usize) -> u64 {
    let admin = place.path(&format!("admin{nth}")).display().to_string();
    let mut curl = tool("curl", "curl");
    let told = curl.args(["-sf", "--unix-socket", &admin, "http://postbox/metrics"]).output();
    let told = text(&told.unwrap().stdout);
    let line = told.lines().find_map(|line| line.strip_prefix("otr_postbox_stored_total "));
    line.unwrap_or_else(|| panic!("{told}")).parse().unwrap()
}

/// alice and bob, who have all of these.
fn pair(place: &Place, boxes: &[Postbox]) {
    let named = boxes.iter().flat_map(|one| ["--postbox", &one.url]);
    let init: Vec<&str> = ["init"].into_iter().chain(named).collect();
    let invite = ok(place, "alice", &init, b"");
    ok(place, "bob", &["respond", "--yes"], &invite);
    ok(place, "alice", &["send"], b"one");
    assert_eq!(ok(place, "bob", &["recv"], b""), b"one");
}

/// The lines of these numbers.
fn numbers(of: std::ops::Range<u32>) -> Vec<u8> {
    of.flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

#[test]
fn each_has_a_part_of_the_packets_and_what_is_sent_arrives_in_order() {
    let place = Place::new();
    let boxes = boxes(&place, 4);
    pair(&place, &boxes);
    ok(&place, "alice", &["send", "--lines"], &numbers(0..64));
    let parts: Vec<u64> = (0..4).map(|nth| stored(&place, nth)).collect();
    // 67 packets; with a chance of three in ten thousand one has fewer than five, or more than 32.
    assert!(parts.iter().all(|part| (5..33).contains(part)), "{parts:?}");
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), numbers(0..64));
    // Whoever waits, waits at all of them, also while the turn changes.
    let bob = spawn(&place, "bob", &["recv", "--follow"], b"");
    for nth in 0..12 {
        ok(&place, "alice", &["send"], format!("{nth}\n").as_bytes());
        ok(&place, "bob", &["send"], b"turn");
        assert_eq!(ok(&place, "alice", &["recv"], b""), b"turn");
    }
    ok(&place, "alice", &["close"], b"");
    let followed = bob.wait_with_output().unwrap();
    assert_eq!(text(&followed.stdout), text(&numbers(0..12)));
}

#[test]
fn long_messages_and_confirmations_take_several_as_one() {
    let place = Place::new();
    let boxes = boxes(&place, 3);
    pair(&place, &boxes);
    let long: Vec<u8> = (0..9 << 20).map(|nth: u32| (nth / 7).to_le_bytes()[0]).collect();
    let alice = spawn(&place, "alice", &["send", "--confirm"], &long);
    assert!(ok(&place, "bob", &["recv"], b"") == long);
    let confirmed = alice.wait_with_output().unwrap();
    assert_eq!(code(&confirmed), 0, "{}", text(&confirmed.stderr));
    // The reply, two packets and nine blocks: all by one postbox would be a chance of one in 100,000.
    assert!((0..3).filter(|nth| stored(&place, *nth) >= 1).count() >= 2);
    let told = ok(&place, "alice", &["status", "--json", "--ask"], b"");
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let named = boxes.iter().map(|one| one.url.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(told["sessions"][0]["postbox"], named, "{told}");
}

/// While one is away, all goes on by the others; when it is back, what lies elsewhere is found all the same.
#[test]
fn one_that_is_away_costs_nothing() {
    let place = Place::new();
    let mut boxes = boxes(&place, 3);
    pair(&place, &boxes);
    let url = boxes.remove(1).url.clone();
    let sent = otr(&place, "alice", &["send", "--lines"], &numbers(0..24));
    assert_eq!(code(&sent), 0);
    let said = text(&sent.stderr);
    assert_eq!(said.matches("another one is used meanwhile").count(), 1, "{said}");
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), numbers(0..24));
    ok(&place, "alice", &["send", "--lines"], &numbers(24..48));
    // What lies elsewhere is found by who could not know that it was away.
    let listen = url.strip_prefix("http://").unwrap();
    let _again = Postbox::run(program().args(["postbox", "--listen", listen]));
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), numbers(24..48));
    // And by who waits already.
    let bob = spawn(&place, "bob", &["recv", "--follow"], b"");
    ok(&place, "alice", &["send", "--lines"], &numbers(0..24));
    ok(&place, "alice", &["close"], b"");
    assert_eq!(text(&bob.wait_with_output().unwrap().stdout), text(&numbers(0..24)));
}

#[test]
fn one_that_loses_all_costs_its_part_and_that_is_told() {
    let place = Place::new();
    let mut boxes = boxes(&place, 2);
    pair(&place, &boxes);
    ok(&place, "alice", &["send", "--lines"], &numbers(0..32));
    let lost = boxes.remove(0);
    let _again = restart(lost);
    let came = otr(&place, "bob", &["recv", "--all"], b"");
    let came: Vec<u32> = text(&came.stdout).lines().map(|line| line.parse().unwrap()).collect();
    assert!((3..30).contains(&came.len()) && came.is_sorted(), "{came:?}");
    ok(&place, "alice", &["send"], b"after");
    let after = otr(&place, "bob", &["recv", "--all"], b"");
    assert!(after.stdout.ends_with(b"after"), "{}", text(&after.stderr));
    let status = ok(&place, "bob", &["status"], b"");
    assert!(text(&status).contains("not here: "), "{}", text(&status));
}

/// Through a proxy each token is asked for by itself, at its own postbox, and a moment later elsewhere.
#[test]
fn by_tor_several_are_one_and_what_lies_elsewhere_is_found() {
    let place = Place::new();
    let mut boxes = boxes(&place, 3);
    pair(&place, &boxes);
    let socks = Socks::to_this_machine();
    let tor = ["--tor", "--proxy", &socks.url];
    let all = [&["recv", "--all"][..], &tor].concat();
    ok(&place, "alice", &["send", "--lines"], &numbers(0..3));
    assert_eq!(ok(&place, "bob", &all, b""), numbers(0..3));
    let away = boxes.remove(2);
    let listen = away.url.strip_prefix("http://").unwrap().to_owned();
    drop(away);
    // With a chance of one in a hundred none of them would lie there.
    ok(&place, "alice", &["send", "--lines"], &numbers(3..14));
    let _again = Postbox::run(program().args(["postbox", "--listen", &listen]));
    assert_eq!(ok(&place, "bob", &all, b""), numbers(3..14));
    let before = socks.connections();
    fails(&place, "bob", &all, b"", 8);
    let asked = socks.connections() - before;
    // Two tokens at two postboxes each, and the searches.
    assert!(asked >= 4, "{asked}");
}

#[test]
fn a_code_leads_to_all_of_them() {
    let place = Place::new();
    let boxes = boxes(&place, 2);
    let urls = format!("{} {}", boxes[0].url, boxes[1].url);
    let mut init = Command::new(env!("CARGO_BIN_EXE_otr"));
    init.args(["-s", "alice", "init", "--code"]).env("OTR_DIR", place.path("dir"));
    let init = init.env("OTR_POSTBOX", &urls).output().unwrap();
    let spoken = text(&init.stdout);
    assert!(spoken.trim_end().ends_with(&format!("@{}", boxes[0].url)), "{spoken}");
    let (mut alice, _stdin) = running(&place, "alice", &["recv"]);
    // Whoever knows the number could lay an invite there that names others.
    let said = fails(&place, "bob", &["respond", "--code", spoken.trim_end()], b"", 4);
    assert!(said.contains(&urls), "{said}");
    let agree = ["--postbox", &boxes[0].url, "--postbox", &boxes[1].url];
    ok(&place, "bob", &[&["respond", "--code", spoken.trim_end()][..], &agree].concat(), b"");
    // The invite is gone, wherever its address would lie.
    let other = place
        .otr(&["-s", "eve", "respond", "--yes", "--code", spoken.trim_end()])
        .output()
        .unwrap();
    assert_eq!(code(&other), 8, "{}", text(&other.stderr));
    until("the session is open", || {
        let told = otr(&place, "bob", &["recv", "--all"], b"");
        code(&told) == 8 || code(&told) == 0
    });
    ok(&place, "bob", &["send"], b"hello");
    assert!(alice.wait().unwrap().success());
    for nth in 0..12 {
        ok(&place, "alice", &["send"], format!("{nth}").as_bytes());
    }
    assert!((0..2).all(|nth| stored(&place, nth) >= 1));
}

#[test]
fn what_cannot_be_several_is_refused() {
    let place = Place::new();
    let refused = |arguments: &[&str], why: &str| {
        let said = fails(&place, "alice", &[&["init"][..], arguments].concat(), b"", 2);
        assert!(said.contains(why), "{said}");
    };
    let urls: Vec<String> = (0..9).map(|nth| format!("https://{nth}.example")).collect();
    let nine: Vec<&str> = urls.iter().flat_map(|url| ["--postbox", url]).collect();
    refused(&nine, "at most eight");
    refused(&["--postbox", "https://a.example", "--postbox", "https://a.example/"], "twice");
    refused(&["--postbox", "https://a.example", "--postbox", "nonsense"], "HOST");
    std::fs::write(place.path("secret"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let secret = place.path("secret").display().to_string();
    let private = ["--postbox", "https://a.example", "--postbox", "https://b.example"];
    refused(&[&private[..], &["--post-secret", &secret]].concat(), "one postbox");
    // Whoever agrees agrees to all of them.
    let two = ["--postbox", "https://a.example", "--postbox", "https://b.example"];
    let invite = ok(
        &place,
        "alice",
        &[&["init", "--tor", "--proxy", "socks5h://127.0.0.1:9"][..], &two].concat(),
        b"",
    );
    let said = fails(&place, "bob", &["respond", "--postbox", "https://a.example"], &invite, 4);
    assert!(said.contains("https://a.example https://b.example"), "{said}");
    let shown = ok(&place, "alice", &["inspect"], &invite);
    assert!(text(&shown).contains("https://b.example\n"), "{}", text(&shown));
}

/// A postbox that takes a connection and says nothing is away, too, and does not hold up the others.
#[test]
fn one_that_hangs_is_passed_over() {
    let place = Place::new();
    let boxes = boxes(&place, 2);
    pair(&place, &boxes);
    let pid = boxes[0].child.id().to_string();
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    signal("-STOP");
    let sent = spawn(&place, "alice", &["send", "--lines"], &numbers(0..10));
    let sent = sent.wait_with_output().unwrap();
    assert_eq!(code(&sent), 0, "{}", text(&sent.stderr));
    let (mut bob, _stdin) = running(&place, "bob", &["recv", "--follow"]);
    let mut came = [0; 20];
    bob.stdout.as_mut().unwrap().read_exact(&mut came).unwrap();
    assert_eq!(came.to_vec(), numbers(0..10));
    signal("-CONT");
    bob.kill().unwrap();
    bob.wait().unwrap();
}

/// One that answers what no postbox answers is passed over, too, and does not keep anybody busy.
#[test]
fn one_that_answers_nonsense_is_passed_over() {
    let place = Place::new();
    let mut boxes = boxes(&place, 2);
    pair(&place, &boxes);
    let gone = boxes.remove(0);
    let address = gone.url.strip_prefix("http://").unwrap().to_owned();
    drop(gone);
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    ok(&place, "alice", &["send", "--lines"], &numbers(0..8));
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), numbers(0..8));
    ok(&place, "alice", &["send"], b"and");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"and");
}

/// Who waits makes a call at each postbox, and no more before something comes; without one of them, too.
#[test]
fn waiting_is_quiet() {
    let place = Place::new();
    let mut boxes = boxes(&place, 3);
    pair(&place, &boxes);
    drop(boxes.remove(2));
    let (mut bob, _stdin) = running(&place, "bob", &["recv", "--follow"]);
    std::thread::sleep(Duration::from_secs(3));
    let spent = std::fs::read_to_string(format!("/proc/{}/stat", bob.id())).unwrap();
    // User and system time, in hundredths of a second.
    let fields: Vec<&str> = spent.rsplit(')').next().unwrap().split_whitespace().collect();
    let spent: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    bob.kill().unwrap();
    bob.wait().unwrap();
    assert!(spent < 30, "{spent} hundredths of a second");
}

/// What lay elsewhere is discarded there, by a later command if need be, and until then it is in the session; a
/// postbox that is away stops nobody who receives from the others.
#[test]
fn what_could_not_be_discarded_waits_and_stops_nothing() {
    let place = Place::new();
    let mut boxes = boxes(&place, 2);
    pair(&place, &boxes);
    let away = boxes.remove(0);
    let listen = away.url.strip_prefix("http://").unwrap().to_owned();
    let pid = away.child.id().to_string();
    ok(&place, "alice", &["send", "--lines"], &numbers(0..8));
    // It gives what it has, and is gone before that can be discarded.
    let hook = format!("cat > /dev/null; kill {pid}; sleep 0.3");
    let (mut bob, _stdin) = running(&place, "bob", &["recv", "--follow", "--exec", &hook]);
    until("one was taken", || {
        let told = ok(&place, "bob", &["status", "--json"], b"");
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        told["sessions"][0]["received"].as_u64().unwrap() >= 3
    });
    bob.kill().unwrap();
    bob.wait().unwrap();
    drop(away);
    // Whoever comes next is not stopped by it.
    let came = otr(&place, "bob", &["recv", "--all"], b"");
    assert!([0, 8].contains(&code(&came)), "{}", text(&came.stderr));
    ok(&place, "alice", &["send", "--lines"], &numbers(8..16));
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), numbers(8..16));
    let _again = Postbox::run(program().args(["postbox", "--listen", &listen]));
    ok(&place, "bob", &["close"], b"");
}
