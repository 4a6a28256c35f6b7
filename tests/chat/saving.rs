//! What cannot be saved where the person wanted it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::Meeting;
use crate::support::{Chance, until};

/// A message that goes out as far as it was given.
struct Slow {
    send: Child,
    stdin: ChildStdin,
}

impl Slow {
    fn begin(meeting: &Meeting, bytes: &[u8]) -> Self {
        let mut send = meeting.pair.end("bob", "-q send").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = send.stdin.take().unwrap();
        stdin.write_all(bytes).unwrap();
        Self { send, stdin }
    }

    fn end(mut self, bytes: &[u8]) {
        self.stdin.write_all(bytes).unwrap();
        drop(self.stdin);
        assert!(self.send.wait().unwrap().success());
    }
}

/// The part files in a directory.
fn parts(place: &Path) -> usize {
    let all = fs::read_dir(place).unwrap().flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().ends_with(".otr-part")).count()
}

#[test]
fn a_name_that_is_taken_meanwhile_is_chosen_anew_in_any_directory() {
    let meeting = Meeting::new();
    let bytes = Chance::new().bytes(5 << 20);
    // Not on the file system of the others, where a test runs in memory.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other");
    let (here, names) = (meeting.pair.path(""), ["beside", other.to_str().unwrap()]);
    let alice = meeting.chat("alice", "", (90, 22));
    alice.wait_for("NOT CHECKED");
    for name in names {
        let message = Slow::begin(&meeting, &bytes[..4 << 20]);
        alice.wait_for("| /save or /drop");
        alice.enter("/save taken");
        until("a part", || parts(&here) == 1);
        fs::write(meeting.pair.path("taken"), "mine").unwrap();
        message.end(&bytes[4 << 20..]);
        alice.wait_for("taken is there already; nothing was written: give another name");
        alice.wait_for("| /save or /drop");
        alice.enter(&format!("/save {name}"));
        alice.wait_for(&format!("saved: {name}"));
        assert!(fs::read(meeting.pair.path(name)).unwrap() == bytes);
        assert_eq!(fs::read(meeting.pair.path("taken")).unwrap(), b"mine");
        fs::remove_file(meeting.pair.path("taken")).unwrap();
        // Out of the screen with the sentences of this round.
        alice.enter("/help");
        alice.enter("/help");
        alice.wait_until("help", |shown| !shown.contains("give another name"));
    }
    assert_eq!((parts(&here), parts(elsewhere.path())), (0, 0));
}

#[test]
fn a_full_disk_keeps_nothing_and_another_place_is_chosen() {
    let meeting = Meeting::new();
    let bytes = Chance::new().bytes(5 << 20);
    fs::create_dir(meeting.pair.path("full")).unwrap();
    let mapped = if rustix::process::geteuid().is_root() { "" } else { "-r" };
    let alice = meeting.terminal(
        &format!(
            "unshare {mapped} -m sh -c 'mount -t tmpfs -o size=4200k none full
            OTR_DIR=$PLACE/alice exec otr chat'"
        ),
        (90, 30),
    );
    alice.wait_for("NOT CHECKED");
    let full = format!("/proc/{}/root{}", alice.pid(), meeting.pair.path("full").display());
    let full = Path::new(&full);
    // One that is in memory, and one whose beginning is not any more.
    let small = [&b"\0\xff"[..], &bytes[..60_000]].concat();
    fs::write(full.join("fill"), vec![0; 4180 << 10]).unwrap();
    meeting.pair.bob("send", &small).ok();
    alice.wait_for("| /save or /drop");
    alice.enter("/save full/small");
    alice.wait_for("cannot write full/small: No space left on device");
    alice.wait_for("give another name");
    assert_eq!(parts(full), 0);
    alice.enter("/save small");
    alice.wait_for("saved: small");
    assert!(fs::read(meeting.pair.path("small")).unwrap() == small);
    fs::remove_file(full.join("fill")).unwrap();

    let message = Slow::begin(&meeting, &bytes[..4 << 20]);
    alice.wait_for("| /save or /drop");
    alice.enter("/save full/long");
    until("a part", || parts(full) == 1);
    message.end(&bytes[4 << 20..]);
    alice.wait_for("cannot write full/long: No space left on device");
    alice.wait_for("| /save or /drop");
    alice.enter("/save long");
    alice.wait_for("saved: long");
    assert!(fs::read(meeting.pair.path("long")).unwrap() == bytes);
    assert_eq!((parts(full), parts(&meeting.pair.path(""))), (0, 0));
}

#[test]
fn what_is_not_all_here_goes_on_in_the_next_chat_or_leaves_nothing() {
    let meeting = Meeting::new();
    let bytes = Chance::new().bytes(5 << 20);
    let here = meeting.pair.path("");
    for (end, goes_on) in [("/quit", true), ("TERM", true), ("KILL", true), ("/drop", false)] {
        let alice = meeting.chat("alice", "", (90, 30));
        alice.wait_for("NOT CHECKED");
        let message = Slow::begin(&meeting, &bytes[..4 << 20]);
        alice.wait_for("| /save or /drop");
        alice.enter("/save first");
        until("a part", || parts(&here) == 1);
        alice.wait_for("| saving");
        match end {
            "KILL" => alice.signal("KILL"),
            "TERM" => {
                alice.signal("TERM");
                alice.wait_for("otr: first has not all come: what is here is in .first.");
            }
            _ => {
                alice.enter("/quit");
                alice.wait_for("otr: first has not all come: what is here is in .first.");
            }
        }
        alice.code();
        message.end(&bytes[4 << 20..]);
        let alice = meeting.chat("alice", "", (90, 30));
        alice.wait_for("a message goes on that was being saved");
        if goes_on {
            alice.enter("/save full/of/nothing");
            alice.wait_for("cannot write full/of/nothing");
            alice.enter("/save second");
            alice.wait_for("saved: second");
            let second = meeting.pair.path("second");
            assert!(fs::read(&second).unwrap() == bytes);
            fs::remove_file(second).unwrap();
        } else {
            alice.enter(end);
            alice.wait_for("thrown away");
            meeting.pair.bob("send", b"goes on").ok();
            alice.wait_for("they: goes on");
        }
        assert_eq!(parts(&here), 0);
        alice.enter("/quit");
        alice.code();
    }
    // With the session ends what came of a file.
    let alice = meeting.chat("alice", "", (90, 30));
    alice.wait_for("NOT CHECKED");
    let mut message = Slow::begin(&meeting, &bytes[..4 << 20]);
    alice.wait_for("| /save or /drop");
    alice.enter("/save first");
    until("a part", || parts(&here) == 1);
    alice.wait_for("| saving");
    alice.enter("/close");
    assert_eq!(alice.code(), "0");
    assert_eq!(parts(&here), 0);
    message.send.kill().unwrap();
    message.send.wait().unwrap();
}
