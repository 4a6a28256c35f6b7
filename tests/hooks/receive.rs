//! `recv --exec`: the exit code decides what is taken, one message after another.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::people::{fails, ok, otr, pair, restart, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;
use crate::support::{Pair, lines, until};
use crate::{end_by, read};

/// Appends what it gets, and a line, to `got`; fails while `bad` holds what it got.
const HOOK: &str =
    "t=$(cat; echo .); [ \"$t\" = \"$(cat bad 2> /dev/null)\" ] && exit 7; echo \"$t\" >> got";

#[test]
fn what_a_command_refuses_comes_again_and_what_it_took_does_not() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for text in ["one", "two", "three", "four"] {
        ok(&place, "alice", &["send"], text.as_bytes());
    }
    fs::write(place.path("bad"), "three.").unwrap();
    for arguments in [&["recv", "--follow", "--exec", HOOK][..], &["recv", "--all", "--exec", HOOK]]
    {
        let said = fails(&place, "bob", arguments, b"", 1);
        let told = "otr: message 3 is not taken: the command ended with 7; it stays in the postbox \
                    for another try\n";
        assert!(said.ends_with(told), "{said}");
        assert_eq!(read(&place, "got"), "one.\ntwo.\n");
    }
    // Told to a program; by a signal; by what is not there.
    let said = otr(&place, "bob", &["--json", "recv", "--exec", "kill -9 $$"], b"");
    let said: Value = serde_json::from_str(text(&said.stderr).lines().last().unwrap()).unwrap();
    assert_eq!(said["error"], "failed");
    let missing = otr(&place, "bob", &["recv", "--exec", "/nowhere/x"], b"");
    assert!(text(&missing.stderr).contains("the command ended with 127"));

    fs::remove_file(place.path("bad")).unwrap();
    assert_eq!(ok(&place, "bob", &["recv", "--count", "2", "--exec", HOOK], b""), b"");
    assert_eq!(read(&place, "got"), "one.\ntwo.\nthree.\nfour.\n");
    assert_eq!(code(&otr(&place, "bob", &["recv", "--all", "--exec", HOOK], b"")), 8);
}

/// The sender learns that a message was taken before the command of the next one has ended.
#[test]
fn each_message_is_discarded_when_its_command_has_ended() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let first = running(&place, "alice", &["send", "--confirm"]);
    drop(first.1);
    until("it is posted", || {
        let told = ok(&place, "alice", &["status", "--json"], b"");
        serde_json::from_slice::<Value>(&told).unwrap()["sessions"][0]["sent"] == 2
    });
    ok(&place, "alice", &["send"], b"two");
    let hook = "[ $OTR_MESSAGE = 1 ] || sleep 60";
    let bob = spawn(&place, "bob", &["recv", "--follow", "--exec", hook], b"");
    assert_eq!(code(&first.0.wait_with_output().unwrap()), 0);
    assert_eq!(end_by(bob, Signal::TERM).signal(), Some(15));
}

#[test]
fn a_command_learns_what_it_needs_and_no_secret() {
    let pair = Pair::new();
    fs::write(pair.path("secret"), "the cat").unwrap();
    let run = pair.sh("set -e
        alice send < /dev/null | bob recv
        for who in alice bob; do $who words > words; $who words --same; done 2> /dev/null
        echo lost | alice send > /dev/null
        printf 'caf\\303\\251' | alice send > packet
        umask 022; cd alice
        otr --dir ../bob recv --exec 'cat; echo; env | grep ^OTR_ | sort; umask; cd /; otr status' < ../packet 2> err
        cat err");
    let out = String::from_utf8(run.out).unwrap();
    let own = format!("OTR_DIR={}/alice/../bob", pair.path("").display()).replace("//", "/");
    let told = [
        "café",
        "OTR_AUTHENTICATED=words",
        &own,
        "OTR_MESSAGE=2",
        "OTR_MISSING=1",
        "OTR_SESSION=default",
        "OTR_SIZE=5",
        "0022",
    ];
    assert_eq!(out.lines().take(8).collect::<Vec<_>>(), told, "{out}{}", run.err);
    assert!(out.contains("session 'default'") || out.contains("default"), "{out}");
}

/// A hook that answers: the same session, while its `recv` runs.
#[test]
fn a_command_may_send() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let hook = format!("tr a-z A-Z | {} send", env!("CARGO_BIN_EXE_otr"));
    let bob = spawn(&place, "bob", &["recv", "--follow", "--exec", &hook], b"");
    for turn in ["ping", "again"] {
        ok(&place, "alice", &["send"], turn.as_bytes());
        let answer = ok(&place, "alice", &["recv", "--wait", "20s"], b"");
        assert_eq!(text(&answer), turn.to_uppercase());
    }
    ok(&place, "alice", &["close"], b"");
    assert_eq!(code(&bob.wait_with_output().unwrap()), 0);
}

#[test]
fn by_stdin_a_refused_message_is_given_again() {
    let pair = Pair::new();
    let packets =
        ["one\n", "two\n", "three\n"].map(|text| pair.sealed("", text.as_bytes())).concat();
    fs::write(pair.path("packets"), packets).unwrap();
    let run = pair.sh("
        bob recv -q --exec 'read -r t && [ $t != two ] && echo $t' < packets; echo $?
        bob recv -q --exec 'cat; :' < packets; echo $?
        bob recv -q --exec 'cat; :' < packets; echo $?
        bob recv --exec '' < packets; echo $?
        alice send --exec ' '; echo $?
        bob recv --exec cat -o file; echo $?
        bob recv --exec cat --null; echo $?
        bob recv --exec cat --state-fd 3,4; echo $?");
    assert_eq!(run.out, b"one\n1\ntwo\nthree\n0\n4\n2\n2\n2\n2\n2\n");
    assert!(run.err.contains("message 1 is not taken"), "{}", run.err);
    assert!(run.err.contains("give its packets once more"), "{}", run.err);
}

/// What never becomes whole starts nothing.
#[test]
fn a_message_that_is_cut_starts_no_command() {
    let pair = Pair::new();
    let long = lines(&pair.sealed("", &vec![b'x'; 3 << 20]));
    let cut = [&long[0][..], &long[1], &pair.sealed("", b"next\n")].concat();
    fs::write(pair.path("cut"), cut).unwrap();
    let run = pair.sh("bob recv --exec 'cat; :' < cut");
    assert_eq!((run.code, &run.out[..]), (6, &b"next\n"[..]), "{}", run.err);
    // Without a packet that is damaged, too.
    fs::write(pair.path("cut"), &pair.sealed("--raw", &vec![b'x'; 3 << 20])[..1_048_577]).unwrap();
    let run = pair.sh("bob recv --exec 'cat; :' < cut");
    assert_eq!((run.code, run.out.len()), (6, 0), "{}", run.err);
}

/// A hook that hangs: others say 15 and do not hang; what ends `recv` ends both; nothing is lost.
#[test]
fn a_command_that_hangs_holds_nobody_else_and_ends_with_recv() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "alice", &["send"], b"kept");
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::KILL] {
        fs::remove_file(place.path("pid")).unwrap_or_default();
        let hook = "echo $$ > pid.new; mv pid.new pid; cat > text; exec sleep 60";
        let mut command = std::process::Command::new("env");
        // Even if the test's parent process ignores them.
        command.args(["--default-signal=INT,HUP", env!("CARGO_BIN_EXE_otr"), "-s", "bob"]);
        command.args(["recv", "--follow", "--exec", hook]).env("OTR_DIR", place.path("dir"));
        let bob = command.current_dir(place.path("")).spawn().unwrap();
        until("the command runs", || read(&place, "text") == "kept");
        let hanging = Pid::from_raw(read(&place, "pid").trim().parse().unwrap()).unwrap();
        if signal == Signal::TERM {
            fails(&place, "bob", &["--lock-wait", "0s", "recv", "--all"], b"", 15);
            for command in [&["status"][..], &["words"], &["send"]] {
                ok(&place, "bob", command, b"meanwhile");
            }
            assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"meanwhile");
        }
        let ended = end_by(bob, signal);
        assert_eq!(ended.signal(), Some(signal.as_raw()));
        if signal == Signal::KILL {
            // Nobody could end it; it has all of the message.
            kill_process(hanging, Signal::KILL).unwrap();
        }
        until("the command ends", || test_kill_process(hanging).is_err() || is_zombie(hanging));
        fs::remove_file(place.path("text")).unwrap();
    }
    assert_eq!(ok(&place, "bob", &["recv", "--exec", "cat"], b""), b"kept");
}

/// In a container nobody may be there to bury it.
fn is_zombie(pid: Pid) -> bool {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    fs::read_to_string(path).is_ok_and(|stat| stat.contains(") Z "))
}

/// A command that ignores SIGTERM is ended all the same.
#[test]
fn a_command_that_does_not_listen_is_killed() {
    let pair = Pair::new();
    fs::write(pair.path("packet"), pair.sealed("", b"x")).unwrap();
    let hook = "trap '' TERM; echo $$ > new; mv new pid; while :; do sleep 0.1; done";
    let mut command = pair.end("bob", "recv --exec");
    let packet = fs::File::open(pair.path("packet")).unwrap();
    let bob = command.arg(hook).stdin(packet).spawn().unwrap();
    until("it runs", || pair.path("pid").exists());
    assert_eq!(end_by(bob, Signal::TERM).signal(), Some(15));
    let pid = fs::read_to_string(pair.path("pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    until("it ends", || test_kill_process(pid).is_err() || is_zombie(pid));
}

#[test]
fn a_postbox_that_restarts_ends_nobody_who_follows() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let bob = spawn(
        &place,
        "bob",
        &["recv", "--follow", "--exec", "cat >> got; [ -e go ] || sleep 2"],
        b"",
    );
    ok(&place, "alice", &["send"], b"one\n");
    until("the first one is here", || read(&place, "got") == "one\n");
    // While the command runs: what it took cannot be discarded.
    let postbox = restart(postbox);
    fs::write(place.path("go"), "").unwrap();
    ok(&place, "alice", &["send"], b"two\n");
    until("the second one is here", || read(&place, "got") == "one\ntwo\n");
    drop(restart(postbox));
    assert_eq!(end_by(bob, Signal::TERM).signal(), Some(15));
}

/// The other side ends the session while a command runs: the message is not lost by that.
#[test]
fn a_partner_who_closes_takes_no_message_back() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "alice", &["send"], b"last words\n");
    let hook = "[ -e closed ] || { touch running; until [ -e closed ]; do sleep 0.01; done; }; cat";
    let bob = spawn(&place, "bob", &["recv", "--follow", "--exec", hook], b"");
    until("the command runs", || place.path("running").exists());
    ok(&place, "alice", &["close"], b"");
    fs::write(place.path("closed"), "").unwrap();
    let ended = bob.wait_with_output().unwrap();
    assert_eq!((code(&ended), text(&ended.stdout).as_str()), (0, "last words\n"));
}
