//! A message too large to wait: the command reads it while it comes, and never takes a part for the
//! whole.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;

use rustix::process::Signal;

use crate::people::{fails, ok, otr, pair, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;
use crate::support::until;
use crate::{end_by, read};

const MIB: usize = 1 << 20;

/// Counts what it reads; says so if it ends as the message does, or is told that it is cut.
const HOOK: &str =
    "trap 'echo cut $OTR_MESSAGE >> said; exit 0' TERM; echo \"${OTR_SIZE-unknown}\" > size
    exec 3<&0; wc -c <&3 > count & wait $!; echo whole $OTR_MESSAGE >> said";

/// Alice has sent more than waits, and not the end.
fn begun(place: &Place, mib: usize) -> (Child, std::process::ChildStdin) {
    let (alice, mut stdin) = running(place, "alice", &["send"]);
    stdin.write_all(&vec![b'x'; mib * MIB]).unwrap();
    (alice, stdin)
}

#[test]
fn a_long_message_flows_and_its_end_is_the_end() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let hook = "head -c 1 > begun; wc -c > count; echo \"${OTR_SIZE-unknown}\" > size";
    let bob = spawn(&place, "bob", &["recv", "--exec", hook], b"");
    let (alice, mut stdin) = begun(&place, 24);
    until("the command has begun", || read(&place, "begun") == "x");
    assert!(!place.path("size").exists());
    stdin.write_all(&vec![b'x'; 24 * MIB]).unwrap();
    drop(stdin);
    assert!(alice.wait_with_output().unwrap().status.success());
    assert_eq!(code(&bob.wait_with_output().unwrap()), 0);
    assert_eq!(read(&place, "count").trim(), (48 * MIB - 1).to_string());
    assert_eq!(read(&place, "size"), "unknown\n");
}

/// The partner vanishes in the middle, and comes back with another message.
#[test]
fn a_command_is_told_that_its_message_is_cut() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let bob = spawn(&place, "bob", &["recv", "--exec", HOOK], b"");
    let (alice, stdin) = begun(&place, 20);
    until("the command has begun", || place.path("size").exists());
    end_by(alice, Signal::TERM);
    drop(stdin);
    ok(&place, "alice", &["send"], b"next");
    let ended = bob.wait_with_output().unwrap();
    assert_eq!(code(&ended), 6, "{}", text(&ended.stderr));
    assert_eq!(read(&place, "said"), "cut 1\nwhole 2\n");
}

/// Even by force.
#[test]
fn whatever_ends_recv_the_command_is_told() {
    for signal in [Signal::TERM, Signal::KILL] {
        let (place, postbox) = (Place::new(), Postbox::start(&[]));
        pair(&place, &postbox);
        let before = fs::read(place.state("bob")).unwrap();
        let mut bob = spawn(&place, "bob", &["recv", "--exec", HOOK], b"");
        // The shell says there how its wc ended: were it shut, that would kill the shell first.
        let _stderr = bob.stderr.take();
        let (alice, mut stdin) = begun(&place, 20);
        until("the command has begun", || place.path("size").exists());
        until("what it has is noted", || fs::read(place.state("bob")).unwrap() != before);
        assert_eq!(end_by(bob, signal).signal(), Some(signal.as_raw()));
        until("the command has heard of it", || !read(&place, "said").is_empty());
        assert_eq!(read(&place, "said"), "cut 1\n", "{signal:?}");
        // The rest is nobody's message; the next one is somebody's.
        stdin.write_all(b"the end").unwrap();
        drop(stdin);
        let bob = spawn(&place, "bob", &["recv", "--follow", "--exec", "cat"], b"");
        assert!(alice.wait_with_output().unwrap().status.success());
        ok(&place, "alice", &["send"], b"next");
        ok(&place, "alice", &["close"], b"");
        let ended = bob.wait_with_output().unwrap();
        assert_eq!((code(&ended), text(&ended.stdout).as_str()), (6, "next"));
        assert!(text(&ended.stderr).contains("the rest of message 1 was passed over"));
    }
}

#[test]
fn a_command_that_fails_in_the_middle_has_lost_the_message() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let sent = vec![b'x'; 20 * MIB];
    // Before anything of it was noted it is kept.
    ok(&place, "alice", &["send"], &sent);
    let said = fails(&place, "bob", &["recv", "--exec", "exit 3"], b"", 1);
    assert!(said.contains("message 1 is not taken: the command ended with 3"), "{said}");
    let refused = otr(&place, "bob", &["recv", "--exec", "wc -c; false"], b"");
    let said = text(&refused.stderr);
    assert_eq!((code(&refused), text(&refused.stdout).trim()), (6, "20971520"));
    assert!(said.contains("message 1 is lost: the command ended with 1"), "{said}");
    ok(&place, "alice", &["send"], b"next");
    let next = otr(&place, "bob", &["recv", "--all", "--exec", "cat"], b"");
    assert_eq!((code(&next), text(&next.stdout).as_str()), (6, "next"));

    // One that has seen enough has taken it.
    ok(&place, "alice", &["send"], &sent);
    assert_eq!(ok(&place, "bob", &["recv", "--exec", "head -c 3"], b""), b"xxx");
    fails(&place, "bob", &["recv", "--all", "--exec", "cat"], b"", 8);
}

/// A command that reads slowly is waited for: nothing grows.
#[test]
fn a_command_that_stops_reading_holds_the_sender_up() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let hook =
        "head -c 20000000 > /dev/null; touch half; until [ -e go ]; do sleep 0.01; done; wc -c";
    let mut bob = spawn(&place, "bob", &["recv", "--exec", hook], b"");
    let (alice, mut stdin) = running(&place, "alice", &["send"]);
    let writing = std::thread::spawn(move || stdin.write_all(&vec![b'x'; 150 * MIB]).unwrap());
    until("the command has stopped", || place.path("half").exists());
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(!writing.is_finished(), "the sender waits");
    assert!(crate::support::peak_memory(bob.id()) < 64 * MIB);
    fs::write(place.path("go"), "").unwrap();
    writing.join().unwrap();
    assert!(alice.wait_with_output().unwrap().status.success());
    let mut count = String::new();
    bob.stdout.take().unwrap().read_to_string(&mut count).unwrap();
    assert_eq!(count.trim(), (150 * MIB - 20_000_000).to_string());
    assert!(bob.wait().unwrap().success());
}
