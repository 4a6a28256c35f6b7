//! Long messages through a postbox: what happens meanwhile, and what ends them.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::people::{ok, otr, pair, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;

/// alice and bob, and a mebibyte of short messages to bob: while packets are opened, the next
/// answer is requested, and discards run.
fn with_many_short_ones() -> (Place, Postbox) {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for _ in 0..16 {
        ok(&place, "alice", &["send", "--size", "64K"], b"short");
    }
    (place, postbox)
}

/// bob has all of a message of `length` bytes.
#[track_caller]
fn comes_whole(place: &Place, length: usize) {
    let rest = otr(place, "bob", &["recv"], b"");
    assert_eq!((code(&rest), rest.stdout.len()), (0, length), "{}", text(&rest.stderr));
}

/// The state forgot, and the postbox discarded, what was only in the memory of `recv --json`.
#[test]
fn a_message_too_large_for_json_is_still_there_after_many_short_ones() {
    let (place, _postbox) = with_many_short_ones();
    let long = vec![b'B'; 20 << 20];
    ok(&place, "alice", &["send"], &long);
    let told = otr(&place, "bob", &["recv", "--json", "--all"], b"");
    assert_eq!(code(&told), 10, "{}", text(&told.stderr));
    comes_whole(&place, long.len());
}

/// The same if its process ends in the middle.
#[test]
fn what_json_had_not_told_is_still_there_after_a_kill() {
    let (place, _postbox) = with_many_short_ones();
    let mut bob = spawn(&place, "bob", &["recv", "--json", "--follow"], b"");
    let (mut alice, mut stdin) = running(&place, "alice", &["send"]);
    let long = vec![b'B'; 12 << 20];
    stdin.write_all(&long).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    bob.kill().unwrap();
    bob.wait().unwrap();
    drop(stdin);
    assert!(alice.wait().unwrap().success());
    comes_whole(&place, long.len());
}

/// `send` saw only with its next packet that posting had failed.
#[test]
fn a_postbox_that_is_gone_ends_a_send_whose_input_pauses() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let (mut alice, mut stdin) = running(&place, "alice", &["send", "--retry", "0s"]);
    // What is posted as long as there is a postbox.
    stdin.write_all(&vec![b'A'; 1 << 20]).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    drop(postbox);
    // One that is posted while the next one is waited for.
    stdin.write_all(&vec![b'A'; 1 << 20]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(40);
    while alice.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it waits for more input");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = alice.wait_with_output().unwrap();
    assert_eq!(code(&ended), 6, "{}", text(&ended.stderr));
    drop(stdin);
}

/// The window counted a byte more for each packet than lies in the postbox.
#[test]
fn thirty_two_large_packets_wait_for_nobody() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "alice", &["send"], &vec![b'A'; 33_400_000]);
    assert_eq!(ok(&place, "bob", &["recv"], b"").len(), 33_400_000);
}
