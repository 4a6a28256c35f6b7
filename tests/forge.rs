//! `otr forge`: a stranger who has a capture rewrites it, and no receiver accepts the result.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

mod place;
#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod support;

use std::fs;
use std::process::Output;

use place::{Place, code, text};
use support::Postbox;

/// A conversation of alice and bob over pipes, all of it recorded: Alice's first turn of two
/// packets, Bob's answer, Alice's second turn. A copy of each receiver's state from before the
/// packet came lies under the names in `before`.
struct Recorded {
    place: Place,
    capture: Vec<u8>,
}

const LINES: [(&str, &str); 4] = [
    ("alice", "shall we meet at noon?\n"),
    ("alice", "or later?\n"),
    ("bob", "noon is fine\n"),
    ("alice", "at the usual place\n"),
];

/// The numbers of those packets in the capture.
const ITEMS: [&str; 4] = ["3", "4", "7", "9"];

fn other(who: &str) -> &'static str {
    if who == "alice" { "bob" } else { "alice" }
}

fn record() -> Recorded {
    let place = Place::new();
    let invite = place.run(&["-s", "alice", "init"], b"");
    let reply = place.run(&["-s", "bob", "respond"], &invite);
    place.run(&["-s", "alice", "recv"], &reply);
    let mut capture = [invite, reply].concat();
    for (number, (who, line)) in LINES.iter().enumerate() {
        let packet = place.run(&["-s", who, "send"], line.as_bytes());
        fs::copy(place.state(other(who)), place.state(&format!("before{number}"))).unwrap();
        let came = place.run(&["-s", other(who), "recv"], &packet);
        assert_eq!(text(&came), *line);
        capture.extend(packet);
    }
    capture.extend(place.run(&["-s", "bob", "close"], b""));
    Recorded { place, capture }
}

impl Recorded {
    fn forge(&self, arguments: &[&str]) -> Output {
        let arguments = [&["forge"], arguments].concat();
        self.place.otr(&arguments).write_stdin(self.capture.clone()).output().unwrap()
    }

    fn forged(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.forge(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        output.stdout
    }
}

/// A restored state accepts it, which shows that the packet says what was asked for.
#[test]
fn every_packet_is_rewritten_to_what_was_asked_for() {
    let recorded = record();
    for (number, item) in ITEMS.iter().enumerate() {
        let (_, was) = LINES[number];
        let says = "nothing\n";
        let forged = recorded.forged(&["--was", was, "--says", says, "--packet", item]);
        let before = format!("before{number}");
        fs::copy(recorded.place.state(&before), recorded.place.state("judge")).unwrap();
        let read = recorded.place.run(&["-s", "judge", "recv"], &forged);
        assert_eq!(text(&read), format!("{:<width$}\n", "nothing", width = was.len() - 1));
        let told = [&recorded.capture[..], &forged].concat();
        let told = text(&recorded.place.run(&["inspect", "--keys"], &told));
        assert!(told.contains(&format!("packet {item} verifies under key")), "{told}");
        assert!(told.contains("packet 12 verifies under key"), "{told}");
        assert_eq!(told.matches("nothing tells which").count(), 1, "{told}");
    }
}

#[test]
fn a_part_by_place_address_files_and_bytes() {
    let recorded = record();
    let place = &recorded.place;
    fs::write(place.path("was"), "noon").unwrap();
    fs::write(place.path("says"), "nine").unwrap();
    fs::write(place.path("capture"), &recorded.capture).unwrap();
    let told = text(&place.run(&["inspect", "capture"], b""));
    let address = told.lines().find(|line| line.starts_with("    3  packet")).unwrap();
    let address = address.split_whitespace().nth(3).unwrap();
    let files = ["--was-file", "was", "--says-file", "says", "--at", "17", "--raw"];
    let arguments = [&["forge", "--packet", address], &files[..], &["capture"]].concat();
    let forged = place.run(&arguments, b"");
    assert_eq!(forged.len(), 4097);
    assert_eq!(text(&place.run(&["-s", "before0", "recv"], &forged)), "shall we meet at nine?\n");
}

#[test]
fn keys_may_come_apart_from_the_packets() {
    let recorded = record();
    let (keys, rest): (Vec<&str>, Vec<&str>) = std::str::from_utf8(&recorded.capture)
        .unwrap()
        .split_inclusive('\n')
        .partition(|line| line.starts_with("otr1k:"));
    fs::write(recorded.place.path("keys"), keys.concat()).unwrap();
    let recorded = Recorded { capture: rest.concat().into_bytes(), ..recorded };
    let texts = ["--was", "noon is fine", "--says", "noon is late"];
    assert_eq!(code(&recorded.forge(&texts)), 4, "no key, no forgery");
    let choice = ["--packet", "5", "--keys", "keys", "--first-turn", "no"];
    let forged = recorded.forged(&[&texts[..], &choice].concat());
    let read = recorded.place.run(&["-s", "before2", "recv"], &forged);
    assert_eq!(text(&read), "noon is late\n");
}

#[test]
fn what_cannot_be_forged_is_refused() {
    let recorded = record();
    let long = "x".repeat(4096);
    for (arguments, expected, said) in [
        (&["--was", "a", "--says", "longer", "--packet", "3"][..], 2, "use at most as many"),
        (&["--was", "", "--says", "", "--packet", "3"], 2, "empty"),
        (&["--was", "a", "--says", "b"], 2, "choose one with --packet: 3 4 7 9\n"),
        (&["--was", "a", "--says", "b", "--packet", "x"], 2, "names no packet"),
        (&["--was", "a", "--says", "b", "--packet", "10"], 4, "no such packet"),
        (&["--was", "a", "--says", "b", "--packet", "00000000"], 4, "no such packet"),
        (&["--was", "a", "--says", "b", "--packet", "11"], 4, "no published key"),
        (&["--was", &long, "--says", &long, "--packet", "3"], 4, "has room for only"),
        (&["--was", "a", "--says", "b", "--packet", "3", "--at", "4000"], 4, "has room for only"),
        (&["--was", "a", "--packet", "3"], 2, "--says"),
    ] {
        let output = recorded.forge(arguments);
        let err = text(&output.stderr);
        assert!(code(&output) == expected && err.contains(said), "{arguments:?}: {err}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn no_live_receiver_takes_a_forgery() {
    let recorded = record();
    let place = &recorded.place;
    for (number, item) in ITEMS.iter().enumerate() {
        let (from, was) = LINES[number];
        let says = was.to_uppercase();
        let forged = recorded.forged(&["--was", was, "--says", &says, "--packet", item]);
        let to = other(from);
        // bob has closed; alice is alive, and so is every state of bob's after the packet.
        let later = ["before3", "before3", "alice", "before3"][number];
        if number == 3 {
            place.run(&["-s", later, "recv"], &original(&recorded, item));
        }
        let before = fs::read(place.state(later)).unwrap();
        let output =
            place.otr(&["-s", later, "recv"]).write_stdin(forged.clone()).output().unwrap();
        assert_eq!((code(&output), &output.stdout[..]), (4, &b""[..]), "{to}");
        assert!(fs::read(place.state(later)).unwrap() == before, "nothing changed");
    }
}

/// The line of the capture that is that item.
fn original(recorded: &Recorded, item: &str) -> Vec<u8> {
    let at = item.parse::<usize>().unwrap() - 1;
    recorded.capture.split_inclusive(|&byte| byte == b'\n').nth(at).unwrap().to_vec()
}

#[test]
fn over_a_postbox_too() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let run = |arguments: &[&str], input: &[u8]| place.run(arguments, input);
    let invite = run(&["-s", "alice", "init", "--postbox", &postbox.url], b"");
    run(&["-s", "bob", "respond", "--yes"], &invite);
    run(&["-s", "alice", "send"], b"hello");
    assert_eq!(run(&["-s", "bob", "recv"], b""), b"hello");
    // Somebody on the way records what Bob posts.
    let packet = run(&["-s", "bob", "send", "--stdout"], b"I owe you 10\n");
    assert_eq!(postbox.post(&packet).status, 201);
    let texts = ["--was", "I owe you 10", "--says", "I owe you 99", "--postbox", &postbox.url];
    let forge = [&["forge"], &texts[..]].concat();
    let early = place.otr(&forge).write_stdin(packet.clone()).output().unwrap();
    assert_eq!(code(&early), 4, "not received yet: {}", text(&early.stderr));
    fs::copy(place.state("alice"), place.state("before")).unwrap();
    assert_eq!(run(&["-s", "alice", "recv"], b""), b"I owe you 10\n");

    let forged = run(&forge, &packet);
    assert_eq!(run(&["-s", "before", "recv", "--stdin"], &forged), b"I owe you 99\n");
    assert_eq!(postbox.post(&forged).status, 201, "the relay cannot know");
    let before = fs::read(place.state("alice")).unwrap();
    for (arguments, expected) in
        [(&["-s", "alice", "recv", "--all"][..], 8), (&["-s", "alice", "recv", "--stdin"], 4)]
    {
        let output = place.otr(arguments).write_stdin(forged.clone()).output().unwrap();
        assert_eq!((code(&output), &output.stdout[..]), (expected, &b""[..]));
        assert!(fs::read(place.state("alice")).unwrap() == before, "nothing changed");
    }
    // The postbox's key alone shows what verifies.
    let both = [&packet[..], &forged].concat();
    let inspect = ["inspect", "--postbox", &postbox.url];
    let told = text(&run(&inspect, &both));
    assert_eq!(told.matches("verifies under postbox key 1").count(), 2, "{told}");
    assert!(told.contains("at least one is forged"), "{told}");
    let json = text(&run(&[&inspect[..], &["--json"]].concat(), &both));
    assert!(json.contains("\"two_texts\":1"), "{json}");

    let unreachable = ["forge", "--was", "a", "--says", "b", "--postbox", "http://127.0.0.1:1"];
    assert_eq!(code(&place.otr(&unreachable).write_stdin(packet.clone()).output().unwrap()), 9);
    let plain = ["forge", "--was", "a", "--says", "b", "--postbox", "http://box.example"];
    assert_eq!(code(&place.otr(&plain).write_stdin(packet).output().unwrap()), 2);
}

#[test]
fn it_says_which_packet_and_where_in_a_long_message_a_text_lies() {
    let place = Place::new();
    let run = |arguments: &[&str], input: &[u8]| place.run(arguments, input);
    let invite = run(&["-s", "alice", "init"], b"");
    let reply = run(&["-s", "bob", "respond"], &invite);
    run(&["-s", "alice", "recv"], &reply);
    // A packet of the inviting side's first turn.
    let room = (1 << 20) - 2404 - 22 - 37;
    let mut message = vec![b'.'; room + 1000];
    message[room - 4..room + 4].copy_from_slice(b"ten euro");
    let packets = run(&["-s", "alice", "send"], &message);
    assert!(run(&["-s", "bob", "recv"], &packets) == message);
    let keys = run(&["-s", "bob", "close"], b"");
    let capture = [&invite[..], &reply, &packets, &keys].concat();
    let forge = |options: &[&str]| {
        let arguments = [&["forge"], options].concat();
        place.otr(&arguments).write_stdin(capture.clone()).output().unwrap()
    };

    let at = (room - 4).to_string();
    let spans = forge(&["--packet", "3", "--was", "ten euro", "--says", "six euro", "--at", &at]);
    let said = text(&spans.stderr);
    assert_eq!(code(&spans), 4, "{said}");
    assert!(said.contains("only 4 of these 8 bytes lie in packet 3"), "{said}");
    let at_later = (room + 1).to_string();
    let beyond = forge(&["--packet", "3", "--was", "euro", "--says", "cent", "--at", &at_later]);
    let said = text(&beyond.stderr);
    assert!(said.contains("1 after its first: choose that with --packet, and --at 1"), "{said}");

    // As the hint says: one half here, one half there.
    let first = forge(&["--packet", "3", "--was", "ten ", "--says", "six ", "--at", &at]);
    let said = text(&first.stderr);
    assert_eq!(code(&first), 0, "{said}");
    let where_it_is = format!("bytes {at} to {} of its text", room - 1);
    assert!(said.contains("rewritten: packet 3 (") && said.contains(&where_it_is), "{said}");
    let second = forge(&["--packet", "4", "--was", "euro", "--says", "cent", "--at", "0"]);
    assert_eq!(code(&second), 0, "{}", text(&second.stderr));
}
