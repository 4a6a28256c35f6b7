//! Numbers that never arrive: packets beyond them are found.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin};
use std::time::Duration;

use otr::protocol::session::Search;
use otr::protocol::session::stored::{Stage, Stored};
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest as _, Sha256};

use crate::people::{fails, ok, otr, pair, restart, running};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;
use crate::socks::Socks;
use crate::support::{start, tool, until};

/// alice's `send`, which signals end even if the test's parent process ignores them.
fn interruptible(place: &Place) -> (Child, ChildStdin) {
    let mut command = tool("env", "coreutils");
    command.args(["--default-signal=INT,HUP", env!("CARGO_BIN_EXE_otr"), "-s", "alice", "send"]);
    command.env("OTR_DIR", place.path("dir")).current_dir(place.path(""));
    let mut child = start(&mut command);
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

/// alice and bob, after losing this many messages together with their postbox.
fn after_losing(lost: usize) -> (Place, Postbox) {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "alice", &["send", "--lines"], "lost\n".repeat(lost).as_bytes());
    (place, restart(postbox))
}

#[test]
fn a_message_after_many_lost_ones_is_found() {
    for wanted in [&["recv", "--all"][..], &["recv", "--wait", "20s"], &["recv"]] {
        let (place, _postbox) = after_losing(40);
        ok(&place, "alice", &["send"], b"after");
        let came = otr(&place, "bob", wanted, b"");
        assert_eq!((code(&came), &came.stdout[..]), (0, &b"after"[..]), "{}", text(&came.stderr));
        assert!(text(&came.stderr).contains("not here (yet)"), "{}", text(&came.stderr));
        // And then everything continues as usual, in both directions.
        ok(&place, "alice", &["send"], b"next");
        assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"next");
        ok(&place, "bob", &["send"], b"back");
        assert_eq!(ok(&place, "alice", &["recv", "--all"], b""), b"back");
    }
}

/// The first numbers of a new chain are lost as easily.
#[test]
fn the_beginning_of_the_next_chain_may_be_lost() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "bob", &["send"], b"turn");
    ok(&place, "alice", &["recv"], b"");
    ok(&place, "alice", &["send", "--lines"], "lost\n".repeat(40).as_bytes());
    let _again = restart(postbox);
    ok(&place, "alice", &["send"], b"after");
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"after");
}

/// Farther than one call asks for: a `recv` that waits gets there.
#[test]
fn a_long_gap_takes_some_rounds() {
    let (place, _postbox) = after_losing(700);
    ok(&place, "alice", &["send"], b"after");
    fails(&place, "bob", &["recv", "--all"], b"", 8);
    assert_eq!(ok(&place, "bob", &["recv", "--wait", "40s"], b""), b"after");
}

/// The numbers that an interrupted message had taken lay between it and the next one.
#[test]
fn a_message_after_an_interrupted_one_is_found() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::KILL] {
        for wanted in [&["recv", "--all"][..], &["recv", "--wait", "20s"]] {
            let (place, postbox) = (Place::new(), Postbox::start(&[]));
            pair(&place, &postbox);
            let (mut alice, mut stdin) = interruptible(&place);
            stdin.write_all(&vec![b'A'; 2 << 20]).unwrap();
            std::thread::sleep(Duration::from_secs(1));
            kill_process(Pid::from_child(&alice), signal).unwrap();
            let ended = alice.wait().unwrap();
            assert!(ended.code().is_none(), "{signal:?} ends it: {ended}");
            ok(&place, "alice", &["send"], b"after");
            let mut came = Vec::new();
            for _ in 0..2 {
                came = otr(&place, "bob", wanted, b"").stdout;
                if came.ends_with(b"after") {
                    break;
                }
            }
            assert!(came.ends_with(b"after"), "{signal:?}");
        }
    }
}

/// Numbers that an interrupted message has not used are not missing: the next message uses them.
#[test]
fn an_interrupted_message_gives_its_numbers_back() {
    let place = Place::new();
    let invite = ok(&place, "alice", &["init"], b"");
    let reply = ok(&place, "bob", &["respond"], &invite);
    ok(&place, "alice", &["recv"], &reply);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let awaited = ok(&place, "bob", &["expect", "--raw"], b"");
        let (mut alice, mut stdin) = interruptible(&place);
        stdin.write_all(&vec![b'A'; 100 << 10]).unwrap();
        // It has taken numbers.
        std::thread::sleep(Duration::from_secs(1));
        kill_process(Pid::from_child(&alice), signal).unwrap();
        assert!(alice.wait().unwrap().code().is_none());
        let next = ok(&place, "alice", &["send", "--raw"], b"next");
        let packet = &next[next.len() - 4096..];
        let address: [u8; 32] = Sha256::new()
            .chain_update(b"otr/1 address")
            .chain_update(&awaited[..32])
            .finalize()
            .into();
        assert_eq!(packet[..32], address, "{signal:?}: the very next number");
        assert_eq!(ok(&place, "bob", &["recv"], &next), b"next");
    }
}

/// Through Tor each number takes a circuit, and each a moment of its own; but lost packets do not
/// end the conversation.
#[test]
fn by_tor_a_few_lost_messages_hide_nothing() {
    let (place, postbox) = after_losing(3);
    ok(&place, "alice", &["send"], b"after");
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let tor = ["--tor", "--proxy", &socks.url];
    let (mut bob, _stdin) = running(&place, "bob", &[&["recv", "--follow"][..], &tor].concat());
    let mut came = [0; 5];
    bob.stdout.take().unwrap().read_exact(&mut came).unwrap();
    assert_eq!(&came, b"after");
    bob.kill().unwrap();
    bob.wait().unwrap();
    let found = socks.connections();
    // What was opened is discarded by whoever comes later, at once with --now of close.
    fails(&place, "bob", &[&["recv", "--all"][..], &tor].concat(), b"", 8);
    // Two, and two searches.
    let more = socks.connections() - found;
    assert!((4..=5).contains(&more), "{more}");
}

/// Who looks only now and then gets over as many in one look.
#[test]
fn by_tor_one_look_gets_over_ten_lost_messages() {
    let (place, postbox) = after_losing(10);
    ok(&place, "alice", &["send"], b"after");
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let look = ["recv", "--all", "--tor", "--proxy", &socks.url];
    assert_eq!(ok(&place, "bob", &look, b""), b"after");
}

/// As if this person had last looked eight hours before.
fn let_hours_pass(place: &Place, name: &str) -> Search {
    let path = place.state(name);
    let mut stored = Stored::from_bytes(&fs::read(&path).unwrap()).unwrap();
    let Stage::Session(session) = &mut stored.stage else { panic!("a session") };
    let search = session.search();
    session.note_search(Search { at: search.at - 28_800, ..search });
    fs::write(&path, stored.to_bytes()).unwrap();
    search
}

/// Each look goes on where the last one has stopped, and searches the farther the longer ago that was.
#[test]
fn by_tor_who_looks_again_gets_beyond_many_lost_messages() {
    let (place, postbox) = after_losing(20);
    ok(&place, "alice", &["send"], b"after");
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let look = ["recv", "--all", "--tor", "--proxy", &socks.url];
    // Unless a search by chance finds it at once.
    let first = otr(&place, "bob", &look, b"").stdout;
    if first.is_empty() {
        assert_eq!(let_hours_pass(&place, "bob").places, 16);
        assert_eq!(ok(&place, "bob", &look, b""), b"after");
    } else {
        assert_eq!(first, b"after");
    }
    // It does not search for that long again.
    assert!(let_hours_pass(&place, "bob").places < 16);
}

/// What lies there is searched for far ahead, too, and comes in its order all the same; nothing is left, and
/// nothing comes twice.
#[test]
fn by_tor_what_waits_comes_in_order() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let all = ["recv", "--all", "--tor", "--proxy", &socks.url];
    ok(&place, "alice", &["send", "--lines"], b"1\n2\n3\n4\n5\n");
    assert_eq!(ok(&place, "bob", &all, b""), b"1\n2\n3\n4\n5\n");
    ok(&place, "alice", &["send"], b"6");
    ok(&place, "bob", &["send"], b"turn");
    assert_eq!(ok(&place, "alice", &all, b""), b"turn");
    ok(&place, "alice", &["send", "--lines"], b"7\n8\n");
    let follow = ["recv", "--follow", "--tor", "--proxy", &socks.url];
    let (mut bob, _stdin) = running(&place, "bob", &follow);
    let mut came = [0; 5];
    bob.stdout.take().unwrap().read_exact(&mut came).unwrap();
    assert_eq!(text(&came), "67\n8\n");
    bob.kill().unwrap();
    bob.wait().unwrap();
}

/// Commands in a shell, which has no more descriptors open than at a terminal: cargo leaves some to those whom it runs.
fn by_shell(place: &Place, commands: &str) -> Child {
    let script = format!(
        "for fd in /proc/self/fd/*; do fd=${{fd##*/}}; [ $fd -le 2 ] || eval \"exec $fd>&-\"; done
        {commands}"
    );
    let mut bash = tool("bash", "bash");
    bash.args(["-c", &script]).env("OTR_DIR", place.path("dir"));
    start(bash.env("otr", env!("CARGO_BIN_EXE_otr")))
}

/// The calls that still wait when `recv` ends do not all end in that moment: they stay until they are answered.
#[test]
fn by_tor_calls_that_wait_outlive_the_command() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let bob = by_shell(&place, &format!("exec $otr -s bob recv --tor --proxy {}", socks.url));
    until("both next tokens are asked for", || socks.connections() >= 2);
    ok(&place, "alice", &["send"], b"one");
    let ended = bob.wait_with_output().unwrap();
    assert_eq!(text(&ended.stdout), "one");
    // stdout had its end, although another process goes on.
    std::thread::sleep(Duration::from_secs(1));
    let open = socks.open();
    assert!(open >= 1, "{open}");
    // What comes there is for the next command, and ends the call.
    ok(&place, "bob", &["send"], b"turn");
    ok(&place, "alice", &["recv"], b"");
    ok(&place, "alice", &["send"], b"two");
    until("a call has ended", || socks.open() < open);
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"two");
}

/// But what the shell has opened for `recv` has its end with it: whoever reads from there does not wait for those calls.
#[test]
fn by_tor_a_descriptor_of_the_shell_outlives_no_command() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let recv = format!("$otr -s bob recv --tor --proxy {} 3>&1 >/dev/null", socks.url);
    let mut bob = by_shell(&place, &format!("{{ {recv}; echo ended; }} | cat"));
    until("both next tokens are asked for", || socks.connections() >= 2);
    ok(&place, "alice", &["send"], b"one");
    let mut said = [0; 5];
    bob.stdout.take().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"ended");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(socks.open(), 0);
    bob.wait().unwrap();
}
