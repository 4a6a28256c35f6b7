//! `send --exec`: what a producer that fails has written is no whole message.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::people::{fails, ok, otr, pair, spawn};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;
use crate::support::{Pair, until};
use crate::{end_by, read};

#[test]
fn what_a_command_writes_is_sent_if_it_succeeds() {
    let pair = Pair::new();
    let run = pair.sh("
        echo not read | alice send --exec 'cat; echo hello from $OTR_SESSION; exec >&-; sleep 0.1' | bob recv -q
        alice send --exec 'seq 1 400000' | bob recv -q | tail -n 1
        alice send --lines --exec 'echo a; echo b' | bob recv -q --exec 'cat; echo .'
        alice send --exec : | bob recv -q; echo $?
        alice send --exec x --last; echo $?");
    let said =
        "otr: the argument '--exec <CMD>' cannot be used with '--last'; see 'otr send --help'\n";
    assert_eq!((run.code, run.err.as_str()), (0, said));
    assert_eq!(run.out, b"hello from default\n400000\na\n.\nb\n.\n0\n2\n");
}

#[test]
fn what_a_failing_command_has_written_is_not_sent() {
    let pair = Pair::new();
    let before = pair.state("alice");
    for (hook, said) in [
        ("echo part; exit 3", "the command ended with 3"),
        ("echo part; kill -9 $$", "the command was ended by signal 9"),
        ("nosuchcommand", "the command ended with 127"),
        ("head -c 70000 /dev/zero; false", "the command ended with 1"),
    ] {
        let run = pair.sh(&format!(
            "alice send --exec '{hook}' 2> err; code=$?; tail -n 1 err >&2; exit $code"
        ));
        assert_eq!((run.code, run.out.len()), (1, 0), "{hook}: {}", run.err);
        assert_eq!(run.err, format!("otr: {said}; nothing of this message was sent\n"));
        assert!(hook.starts_with("head") || pair.state("alice") == before, "{hook}");
    }
    let run = pair.sh("alice --json send --exec false");
    let error: Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((&error["taken"], &error["code"]), (&false.into(), &1.into()));

    // Cut: both sides say so, and no end of it ever comes.
    let run = pair.sh(
        "{ alice send --raw --exec 'head -c 3000000 /dev/zero; exit 4'; echo $? > send; } > packets
        bob recv < packets > part; echo $? $(wc -c < part); cat send",
    );
    let out = text(&run.out);
    assert!(out.starts_with("6 ") && out.ends_with("\n6\n"), "{out}{}", run.err);
    assert!(run.err.contains("the message is cut: the command ended with 4"), "{}", run.err);
    let run = pair.sh(
        "alice send --lines --exec 'echo one; echo two; printf part; exit 5' > packets; echo $?
        bob recv -q < packets",
    );
    assert_eq!(run.out, b"1\none\ntwo\n");
    assert!(
        run.err.contains("the command ended with 5 after 2 lines, which are sent"),
        "{}",
        run.err
    );
    pair.talk();
}

#[test]
fn a_failing_command_posts_nothing_or_what_is_cut() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    fails(&place, "alice", &["send", "--exec", "echo part; false"], b"", 1);
    fails(&place, "alice", &["send", "--exec", "head -c 700000 /dev/zero; false"], b"", 1);
    assert_eq!(code(&otr(&place, "bob", &["recv", "--all"], b"")), 8);
    let bob = spawn(&place, "bob", &["recv", "--exec", "grep -q next || touch taken"], b"");
    let said =
        fails(&place, "alice", &["send", "--exec", "head -c 3000000 /dev/zero; false"], b"", 6);
    assert!(said.contains("the message is cut: the command ended with 1"), "{said}");
    ok(&place, "alice", &["send"], b"next");
    assert_eq!(code(&bob.wait_with_output().unwrap()), 6);
    assert!(!place.path("taken").exists());
    fails(&place, "bob", &["recv", "--all"], b"", 8);
}

/// A producer that takes its time has not the turn yet.
#[test]
fn a_slow_command_holds_no_other_send_up() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let hook = "touch runs; until [ -e go ]; do sleep 0.01; done; echo slow";
    let slow = spawn(&place, "alice", &["send", "--exec", hook], b"");
    until("it runs", || place.path("runs").exists());
    ok(&place, "alice", &["--lock-wait", "0s", "send", "--exec", "echo quick"], b"");
    fs::write(place.path("go"), "").unwrap();
    assert!(slow.wait_with_output().unwrap().status.success());
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"quick\nslow\n");
}

/// What prevents a message is said before anything is done for it.
#[test]
fn no_command_runs_in_vain() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    fails(&place, "alice", &["send", "--exec", "touch ran"], b"", 3);
    pair(&place, &postbox);
    ok(&place, "bob", &["close"], b"");
    otr(&place, "alice", &["recv", "--all"], b"");
    fails(&place, "alice", &["send", "--exec", "touch ran"], b"", 7);
    assert!(!place.path("ran").exists());
}

/// `tail -F` never ends by itself.
#[test]
fn what_ends_send_ends_its_command() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let hook = "trap 'echo told > said; exit 0' TERM; echo line; head -c $SIZE /dev/zero; touch runs; sleep 60 > /dev/null 2>&1 & wait";
    for (size, options) in [("0", &["--lines"][..]), ("0", &[]), ("3000000", &[])] {
        for file in ["said", "runs"] {
            fs::remove_file(place.path(file)).unwrap_or_default();
        }
        let hook = hook.replace("$SIZE", size);
        let alice = spawn(&place, "alice", &[&["send", "--exec", &hook], options].concat(), b"");
        until("it runs", || place.path("runs").exists());
        assert_eq!(end_by(alice, Signal::TERM).signal(), Some(15));
        assert_eq!(read(&place, "said"), "told\n", "{size} {options:?}");
    }
    // It ends, too, where send gives up.
    drop(postbox);
    let hook = "trap 'echo gone > said; exit 0' TERM; head -c 9000000 /dev/zero; sleep 60 > /dev/null 2>&1 & wait";
    let said = otr(&place, "alice", &["send", "--retry", "0s", "--exec", hook], b"");
    assert_eq!(code(&said), 6, "{}", text(&said.stderr));
    assert_eq!(read(&place, "said"), "gone\n");
}
