//! Files, and messages too long for a screen.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::Meeting;
use crate::support::{Chance, tool};

#[test]
fn a_file_is_saved_where_the_receiver_says_and_replaces_nothing() {
    let meeting = Meeting::new();
    let picture = Chance::new().bytes(3 << 20);
    fs::write(meeting.pair.path("picture"), &picture).unwrap();
    fs::write(meeting.pair.path("there"), "mine").unwrap();
    let (alice, bob) = (meeting.chat("alice", "", (90, 24)), meeting.chat("bob", "", (90, 24)));
    alice.wait_for("NOT CHECKED");
    bob.wait_for("NOT CHECKED");
    alice.enter("/send picture");
    alice.wait_for("you:  [file picture, 3.0 MiB]");
    alice.enter("and a text behind it");
    bob.wait_for("a long message has begun to come");
    bob.wait_for("| /save or /drop");
    assert!(!bob.shown().contains("behind it"));
    bob.enter("/save there");
    bob.wait_for("there is there already; nothing was written: give another name");
    bob.enter("still writing");
    alice.wait_for("they: still writing");
    bob.enter("/save ../x/nowhere/y");
    bob.wait_for("cannot write ../x/nowhere/y");
    bob.enter("/save new picture");
    bob.wait_for("saved: new picture");
    bob.wait_for("they: and a text behind it");
    assert_eq!(fs::read(meeting.pair.path("there")).unwrap(), b"mine");
    let saved = meeting.pair.path("new picture");
    assert!(fs::read(&saved).unwrap() == picture);
    assert_eq!(fs::metadata(&saved).unwrap().permissions().mode() & 0o777, 0o600);
    // The last text, and only into a new file.
    bob.enter("/save there");
    bob.wait_until("refused again", |shown| shown.matches("there is there already").count() == 2);
    bob.enter("/save text");
    bob.wait_for("saved: text");
    assert_eq!(fs::read(meeting.pair.path("text")).unwrap(), b"and a text behind it\n");
    let parts = fs::read_dir(meeting.pair.path("")).unwrap().flatten();
    let parts = parts.filter(|entry| entry.file_name().to_string_lossy().ends_with(".otr-part"));
    assert_eq!(parts.count(), 0);
    // What is no file is not sent.
    alice.enter("/send nothing there");
    alice.wait_for("cannot read nothing there");
    alice.enter("/send .");
    alice.wait_for(". is no file: nothing was sent");
}

#[test]
fn what_waits_is_there_again_after_the_chat_has_ended() {
    let meeting = Meeting::new();
    let bytes = [&b"\0\xff"[..], &Chance::new().bytes(100_000)].concat();
    meeting.pair.bob("send", b"before").ok();
    meeting.pair.bob("send", &bytes).ok();
    meeting.pair.bob("send", b"after").ok();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("they: before");
    alice.wait_for("| /save or /drop");
    alice.signal("KILL");
    alice.code();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("| /save or /drop");
    // What was shown before it is noted as read, although it came with it.
    assert!(!alice.shown().contains("before"));
    alice.enter("/save kept");
    alice.wait_for("they: after");
    assert!(fs::read(meeting.pair.path("kept")).unwrap() == bytes);
    meeting.pair.bob("send", &bytes).ok();
    alice.wait_for("a message of 97.6 KiB that is no text has come");
    alice.wait_for("| /save or /drop");
    alice.enter("/drop");
    alice.wait_for("thrown away");
    meeting.pair.bob("send", b"goes on").ok();
    alice.wait_for("they: goes on");
}

#[test]
fn a_line_of_a_mebibyte_is_read_and_does_not_stall() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    let line = [&vec![b'x'; 1 << 20][..], b" its end"].concat();
    meeting.pair.bob("send", &line).ok();
    alice.wait_for(" its end");
    alice.enter("read it");
    assert_eq!(meeting.received("bob"), b"read it\n");
    alice.press("PPage");
    alice.wait_for("earlier lines: PgDn");
    alice.enter("/save line");
    alice.wait_for("saved: line");
    assert!(fs::read(meeting.pair.path("line")).unwrap() == line);
    // And in the other direction.
    alice.paste(&meeting, &line);
    alice.wait_for("> [paste 1: 1048584 bytes]");
    alice.press("Enter");
    assert!(meeting.received("bob") == [&line[..], b"\n"].concat());
    alice.wait_until("it is out", |shown| !shown.contains("waiting"));
}

#[test]
fn what_is_no_new_file_is_refused_and_nothing_waits_for_it() {
    let meeting = Meeting::new();
    let bytes = [&b"\0\xff"[..], &Chance::new().bytes(1_000)].concat();
    assert!(tool("mkfifo", "coreutils").arg(meeting.pair.path("pipe")).status().unwrap().success());
    symlink("nowhere", meeting.pair.path("dangling")).unwrap();
    meeting.pair.bob("send", b"a text").ok();
    let alice = meeting.chat("alice", "", (90, 24));
    alice.wait_for("they: a text");
    // A text, and then what waits.
    for round in 0..2 {
        for name in ["pipe", "dangling", "/dev/null"] {
            alice.enter(&format!("/save {name}"));
            alice.wait_for(&format!("{name} is there already"));
            assert!(!meeting.pair.path("nowhere").exists());
        }
        alice.enter(&format!("/save kept{round}"));
        alice.wait_for(&format!("saved: kept{round}"));
        if round == 0 {
            alice.run(&["clear-history"]);
            meeting.pair.bob("send", &bytes).ok();
            alice.wait_for("| /save or /drop");
            // The sentences of the first round leave the screen.
            for _ in 0..2 {
                alice.enter("/help");
            }
            alice.wait_until("help", |shown| !shown.contains("is there already"));
        }
    }
    assert_eq!(fs::read(meeting.pair.path("kept0")).unwrap(), b"a text");
    assert!(fs::read(meeting.pair.path("kept1")).unwrap() == bytes);
    meeting.pair.bob("send", b"goes on").ok();
    alice.wait_for("they: goes on");
}
