//! While the postbox cannot be reached, messages wait in the session, in order and as many as fit,
//! and what is said about each is true. Waiting messages are never dropped silently.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::faulty::{Fault, Faulty};
use crate::people::{fails, ok, otr, pair, restart, spawn};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;

/// The last object on stderr.
fn object(output: &Output) -> Value {
    let said = text(&output.stderr);
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// Sends while the postbox cannot be reached; returns the exit code, and whether the message was
/// taken.
fn sent(place: &Place, arguments: &[&str], input: &[u8]) -> (i32, bool) {
    let output =
        otr(place, "alice", &[&["--json", "send", "--retry", "0s"], arguments].concat(), input);
    (code(&output), object(&output)["taken"].as_bool().unwrap())
}

fn unposted(place: &Place) -> u64 {
    let told: Value =
        serde_json::from_slice(&ok(place, "alice", &["status", "--json"], b"")).unwrap();
    told["sessions"][0]["unposted"].as_u64().unwrap()
}

/// alice and bob, and their postbox's address, where nobody listens any more.
fn left_alone() -> (Place, Postbox) {
    let (place, mut postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    postbox.child.kill().unwrap();
    postbox.child.wait().unwrap();
    (place, postbox)
}

#[test]
fn messages_wait_in_order_while_the_postbox_is_away() {
    let (place, postbox) = left_alone();
    for text in ["1\n", "2\n", "3\n"] {
        assert_eq!(sent(&place, &[], text.as_bytes()), (9, true));
    }
    assert_eq!(unposted(&place), 3);
    let page = text(&ok(&place, "alice", &["status"], b""));
    assert!(page.contains("3 to be posted, by the next send or recv"), "{page}");
    // What was said is true: neither is sent again.
    let _postbox = restart(postbox);
    ok(&place, "alice", &["send"], b"4\n");
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"1\n2\n3\n4\n");
    assert_eq!(unposted(&place), 0);
}

#[test]
fn lines_wait_as_well() {
    let (place, postbox) = left_alone();
    let lines = (1..=40).fold(String::new(), |all, number| all + &format!("line {number}\n"));
    assert_eq!(sent(&place, &["--lines"], lines.as_bytes()), (9, true));
    assert_eq!(unposted(&place), 40);
    let _postbox = restart(postbox);
    // A receiving command posts, too.
    fails(&place, "alice", &["recv", "--all"], b"", 8);
    assert_eq!(text(&ok(&place, "bob", &["recv", "--all"], b"")), lines);
}

#[test]
fn what_does_not_fit_is_refused_and_can_be_given_again() {
    let (place, postbox) = left_alone();
    let large = vec![b'A'; 60_000];
    let mut taken = 0;
    let last = loop {
        match sent(&place, &[], &large) {
            (9, true) => taken += 1,
            other => break other,
        }
        assert!(taken < 20, "the queue has no end");
    };
    assert_eq!((taken, last), (4, (10, false)));
    // A small one does not fit either, and nothing has changed.
    assert_eq!(sent(&place, &[], b"small"), (10, false));
    assert_eq!(unposted(&place), 4);
    // For lines, the first one that was not taken is named.
    let said = fails(&place, "alice", &["send", "--lines", "--retry", "0s"], b"a\nb\n", 10);
    assert!(said.contains("line 1 was not taken"), "{said}");
    let _postbox = restart(postbox);
    ok(&place, "alice", &["send"], b"small");
    let came = ok(&place, "bob", &["recv", "--all"], b"");
    assert_eq!(came, [&large.repeat(4)[..], b"small"].concat());
}

#[test]
fn a_long_message_is_not_taken_and_9_never_says_so() {
    let (place, _postbox) = left_alone();
    let long = vec![b'A'; 3 << 20];
    // Nothing waits: it begins, and is truncated.
    let (code, taken) = sent(&place, &[], &long);
    assert!(!taken && [6, 14].contains(&code), "{code}");
    assert_eq!(sent(&place, &[], b"short"), (9, true));
    // Something waits: it does not begin.
    assert_eq!(sent(&place, &[], &long), (14, false));
}

#[test]
fn what_is_dropped_with_a_session_is_told() {
    for arguments in
        [&["close", "--silent"][..], &["close", "--all"], &["close"], &["init", "--anew"]]
    {
        let (place, _postbox) = left_alone();
        for _ in 0..2 {
            assert_eq!(sent(&place, &[], b"promised"), (9, true));
        }
        let output = otr(&place, "alice", arguments, b"");
        let said = text(&output.stderr);
        assert!(said.contains("2 packets that waited to be handed out are dropped"), "{said}");
        assert_eq!(code(&output), if arguments == ["close"] { 9 } else { 0 }, "{said}");
    }
    // The same if another session answers anew.
    let (place, _postbox) = left_alone();
    assert_eq!(sent(&place, &[], b"promised"), (9, true));
    let invite = ok(&place, "carol", &["init"], b"");
    let output = otr(&place, "alice", &["respond", "--anew"], &invite);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("a packet that waited"), "{said}");
    // And if nothing waits, nothing is said.
    let output = otr(&place, "alice", &["close", "--silent"], b"");
    assert!(!text(&output.stderr).contains("waited"), "{}", text(&output.stderr));
}

/// The reader's key is the sender's receipt: without it a message that was read counts as lost.
#[test]
fn a_close_that_cannot_be_posted_still_discards_what_was_read() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let faulty = Faulty::before(&postbox);
    let invite = ok(&place, "alice", &["init", "--postbox", &faulty.url], b"");
    ok(&place, "bob", &["respond", "--yes"], &invite);
    ok(&place, "alice", &["send"], b"0\n");
    ok(&place, "bob", &["recv"], b"");
    let sender = spawn(&place, "alice", &["send", "--confirm", "--wait", "50s"], b"1\n");
    let answer = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    // It was read, but its discard does not get through.
    faulty.set(Fault::Answer("discard", answer.to_vec()));
    let output = otr(&place, "bob", &["recv", "--wait", "30s"], b"");
    assert_eq!((text(&output.stdout).as_str(), code(&output)), ("1\n", 9));
    faulty.set(Fault::Answer("post", answer.to_vec()));
    fails(&place, "bob", &["close"], b"", 9);
    let ended = sender.wait_with_output().unwrap();
    assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
}

/// Sent to stdout after packets that were promised to be posted: a broken output loses neither.
#[test]
fn what_could_not_be_written_out_is_written_by_the_next_command() {
    let (place, _postbox) = left_alone();
    assert_eq!(sent(&place, &[], b"1\n"), (9, true));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_otr"));
    command.args(["-s", "alice", "send", "--stdout"]).env("OTR_DIR", place.path("dir"));
    let mut child = command.stdin(Stdio::piped()).stdout(full).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"2\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let packets = ok(&place, "alice", &["send", "--stdout"], b"3\n");
    assert_eq!(ok(&place, "bob", &["recv", "--stdin"], &packets), b"1\n2\n3\n");
}

/// A message that is held is in nobody's hands but the command's: it is posted at a random moment, or dropped by a
/// signal, and the session goes on as if it had not been written.
#[test]
fn a_message_that_is_held_is_posted_later_or_not_at_all() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut held = spawn(&place, "alice", &["send", "--hold", "1h"], b"never");
    std::thread::sleep(Duration::from_millis(500));
    assert!(held.try_wait().unwrap().is_none(), "one chance in 7,200");
    fails(&place, "bob", &["recv", "--all"], b"", 8);
    // The session is not locked meanwhile.
    ok(&place, "alice", &["send"], b"one");
    held.kill().unwrap();
    held.wait().unwrap();
    ok(&place, "alice", &["send", "--hold", "1s"], b"two");
    assert_eq!(ok(&place, "bob", &["recv", "--all", "--null"], b""), b"one\0two\0");
    let bare = Place::new();
    let invite = ok(&bare, "alice", &["init"], b"");
    let reply = ok(&bare, "bob", &["respond"], &invite);
    ok(&bare, "alice", &["recv"], &reply);
    fails(&bare, "alice", &["send", "--hold", "1s"], b"x", 2);
}
