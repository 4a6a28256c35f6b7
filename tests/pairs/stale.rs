//! A state that was loaded before another process stored is never stored: the test forces this with
//! a lock that it holds while the commands wait.

use std::fs::{self, File};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde_json::json;

use crate::crowd::{status, waiting};
use crate::people::{ok, otr, pair, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Form, PATIENCE, Postbox, raw};

/// Being the one sender of `who`, as long as this lives.
fn hold_sender(place: &Place, who: &str) -> File {
    let path = place.path(&format!("dir/{who}.send"));
    let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    file
}

/// Waits until the process has the state of `who` open, which it keeps once it has read it.
fn has_loaded(place: &Place, who: &str, child: &Child) {
    let state = place.state(who);
    let descriptors = format!("/proc/{}/fd", child.id());
    let begun = Instant::now();
    loop {
        let entries = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        let mut paths = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        if paths.any(|path| path == state) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it never loaded");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Ends with the code 0.
#[track_caller]
fn succeeds(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn two_sends_that_wait_for_a_third_send_both() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let held = hold_sender(&place, "alice");
    let sends = ["A", "B"].map(|text| {
        let child = spawn(&place, "alice", &["send"], format!("{text}\n").as_bytes());
        has_loaded(&place, "alice", &child);
        child
    });
    drop(held);
    sends.into_iter().for_each(succeeds);
    assert_eq!(waiting(&place, &postbox, "bob", 8).len(), 2);
    let shown = text(&ok(&place, "bob", &["recv", "--all"], b""));
    assert!(["A\nB\n", "B\nA\n"].contains(&shown.as_str()), "{shown:?}");
    assert_eq!(status(&place, "alice")["sent"], json!(3));
}

/// A `recv` that stored while a `send` waited has published the key of what it took: forgotten
/// again, it would take what anybody makes with that key.
#[test]
fn a_send_that_waits_does_not_undo_a_recv() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "bob", &["send"], b"hi");
    assert_eq!(ok(&place, "alice", &["recv"], b""), b"hi");

    let held = hold_sender(&place, "bob");
    let send = spawn(&place, "bob", &["send"], b"from bob");
    has_loaded(&place, "bob", &send);
    ok(&place, "alice", &["send"], b"I owe you 10");
    // The relay keeps what it saw, and the key that was published for it.
    let [seen] = <[_; 1]>::try_from(waiting(&place, &postbox, "bob", 3)).unwrap();
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"I owe you 10");
    drop(held);
    succeeds(send);

    let key = postbox.call("/v1/revealed", Form::Raw, &seen[..32]).body;
    assert!(!key.is_empty());
    fs::write(place.path("tape"), [raw(&seen), key].concat()).unwrap();
    let says = ["forge", "--raw", "--was", "I owe you 10", "--says", "I owe you 99", "tape"];
    let forged = ok(&place, "eve", &says, b"");
    assert!(forged.len() >= seen.len() && forged[1..] != seen[..]);
    assert_eq!(postbox.call("/v1/post", Form::Raw, &forged[..=seen.len()]).status, 201);
    let again = otr(&place, "bob", &["recv", "--all"], b"");
    assert_eq!((code(&again), text(&again.stdout).as_str()), (8, ""), "{}", text(&again.stderr));

    assert_eq!(status(&place, "bob")["received"], json!(2));
    assert_eq!(ok(&place, "alice", &["recv"], b""), b"from bob");
    ok(&place, "alice", &["send"], b"next");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"next");
    assert_eq!(status(&place, "bob")["missing"], json!([]));
}
