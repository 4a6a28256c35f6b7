//! Other commands of the session beside a chat.

use std::io::BufRead as _;
use std::process::Stdio;
use std::thread;

use crate::Meeting;
use crate::support::until;

/// How often each of them runs.
const EACH: usize = 20;

fn numbered(what: &str) -> Vec<String> {
    (0..EACH).map(|number| format!("{what} {number}")).collect()
}

#[test]
fn what_may_run_beside_a_chat_takes_nothing_from_it() {
    let meeting = Meeting::new();
    let pair = &meeting.pair;
    let alice = meeting.chat("alice", "", (90, 60));
    alice.wait_for("NOT CHECKED");
    thread::scope(|scope| {
        scope.spawn(|| {
            for text in numbered("beside") {
                pair.alice("-q send", format!("{text}\n").as_bytes()).ok();
            }
        });
        scope.spawn(|| {
            for text in numbered("answer") {
                pair.bob("-q send", text.as_bytes()).ok();
            }
        });
        scope.spawn(|| {
            for _ in 0..EACH {
                pair.alice("status --json", b"").ok();
                pair.alice("words", b"").ok();
            }
        });
        scope.spawn(|| {
            for _ in 0..EACH {
                pair.alice("recv --lock-wait 0s", b"").fails(15);
            }
        });
        for text in numbered("typed") {
            alice.enter(&text);
        }
    });
    let received: Vec<String> = (0..2 * EACH)
        .map(|_| String::from_utf8(meeting.received("bob")).unwrap().trim_end().to_owned())
        .collect();
    for what in ["beside", "typed"] {
        let of_one: Vec<_> =
            received.iter().filter(|text| text.starts_with(what)).cloned().collect();
        assert_eq!(of_one, numbered(what));
    }
    let shown = alice.wait_for(&format!("they: answer {}", EACH - 1));
    let answers = shown.lines().filter_map(|line| line.strip_prefix("they: "));
    let answers: Vec<_> = answers.map(|text| text.trim_end().to_owned()).collect();
    assert_eq!(answers, numbered("answer"));
    alice.wait_until("all is out", |shown| !shown.contains("waiting"));
    for who in ["alice", "bob"] {
        let status = crate::support::feed(&mut pair.end(who, "status --json"), b"").text();
        assert!(status.contains("\"missing\":[]"), "{status}");
    }
    // What ends the session ends the chat, which has lost nothing of it.
    pair.alice("close", b"").ok();
    alice.enter("too late");
    assert_eq!(alice.code(), "3");
    assert_eq!(pair.bob("recv --wait 1m", b"").code, 7);
}

#[test]
fn a_chat_and_a_recv_of_one_session_exclude_each_other() {
    let meeting = Meeting::new();
    let mut follow = meeting.pair.end("alice", "recv --follow").stdout(Stdio::piped()).spawn();
    let follow = follow.as_mut().unwrap();
    meeting.pair.bob("send", b"heard\n").ok();
    let mut heard = String::new();
    std::io::BufReader::new(follow.stdout.take().unwrap()).read_line(&mut heard).unwrap();
    assert_eq!(heard, "heard\n");
    let refused = meeting.chat("alice", "", (90, 20));
    assert_eq!(refused.code(), "15");
    assert!(refused.scrollback().contains("or the 'otr recv' of this session, first"));
    follow.kill().unwrap();
    follow.wait().unwrap();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    until("a chat has it", || meeting.pair.alice("recv --lock-wait 0s", b"").code == 15);
}

/// The clocks that count from the machine's start may differ from chat to chat, as after a move to another
/// machine. (The clock on the wall dates nothing here but what waits for days.)
#[test]
fn no_clock_of_one_chat_is_the_next_ones() {
    let meeting = Meeting::new();
    let mapped = if rustix::process::geteuid().is_root() { "" } else { "-r" };
    let later = "--boottime 86400 --monotonic 86400";
    for apart in [format!("unshare {mapped} -T -f {later}"), String::new()] {
        let alice = format!("OTR_DIR=$PLACE/alice {apart} otr chat");
        let alice = meeting.terminal(&alice, (90, 20));
        alice.wait_for("NOT CHECKED");
        alice.enter("said");
        assert_eq!(meeting.received("bob"), b"said\n");
        alice.wait_until("it is out", |shown| !shown.contains("waiting"));
        meeting.pair.bob("send", b"answered").ok();
        alice.wait_for("they: answered");
        alice.enter("/quit");
        assert_eq!(alice.code(), "0");
    }
}
