//! What may happen in the middle of a chat.

use std::process::Stdio;

use crate::postbox::{Postbox, otr};
use crate::support::{feed, free_ports, own_address, until};
use crate::{Meeting, lives};

/// A postbox at this address, as often as one is needed there.
fn postbox(address: &str) -> Postbox {
    Postbox::run(otr().args(["postbox", "--listen", address]))
}

/// Two who share a session through a postbox that comes and goes, and where that is.
fn by_a_fickle_postbox() -> (Meeting, String, Postbox) {
    let meeting = Meeting::strangers();
    let host = own_address();
    let address = format!("{host}:{}", free_ports(host, 1)[0]);
    let postbox = postbox(&address);
    meeting.meet(&postbox.url);
    (meeting, address, postbox)
}

#[test]
fn the_postbox_goes_and_comes_back() {
    let (meeting, address, first) = by_a_fickle_postbox();
    let (alice, bob) = (meeting.chat("alice", "", (90, 20)), meeting.chat("bob", "", (90, 20)));
    alice.wait_for("NOT CHECKED");
    bob.wait_for("NOT CHECKED");
    drop(first);
    alice.enter("said while it is away");
    alice.enter("and more");
    let shown = alice.wait_for("| postbox away");
    assert!(shown.contains("you:  said while it is away (waiting)"), "{shown}");
    alice.wait_for("| 2 waiting");
    // More than the session's queue takes.
    for number in 3..90 {
        alice.enter(&format!("line {number}"));
    }
    alice.wait_for("| 89 waiting");
    let _second = postbox(&address);
    bob.wait_for("they: line 89");
    alice.wait_until("all is well", |shown| {
        !shown.contains("waiting") && !shown.contains("postbox away")
    });
    for page in [
        &["line 72", "line 89"][..],
        &["line 55"],
        &["line 38"],
        &["line 21"],
        &["line 4"],
        &["said while it is away", "and more"],
    ] {
        for text in page {
            bob.wait_for(&format!("they: {text}\n"));
        }
        bob.press("PPage");
    }
    bob.enter("heard");
    alice.wait_for("they: heard");
}

#[test]
fn who_was_stopped_goes_on() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    alice.signal("STOP");
    for text in ["one", "two", "three"] {
        meeting.pair.bob("send", text.as_bytes()).ok();
    }
    alice.signal("CONT");
    alice.wait_for("they: three");
    alice.enter("awake");
    assert_eq!(meeting.received("bob"), b"awake\n");
}

#[test]
fn ctrl_z_gives_the_terminal_back_for_a_while() {
    let meeting = Meeting::new();
    let shell = meeting.terminal("PS1='ready> ' OTR_DIR=$PLACE/alice bash --norc -i", (90, 20));
    shell.wait_for("ready>");
    shell.enter("otr chat");
    shell.wait_for("NOT CHECKED");
    shell.write("half a ");
    shell.wait_for("> half a");
    shell.press("C-z");
    shell.wait_for("Stopped");
    assert!(!shell.is_alternate());
    shell.enter("echo typed $((1 + 1))");
    shell.wait_for("ready> echo typed");
    shell.wait_for("typed 2");
    meeting.pair.bob("send", b"meanwhile").ok();
    // In the background it receives, and shows nothing: what nobody has seen is not noted as read.
    shell.enter("bg");
    shell.wait_for("otr chat &");
    // What is typed for the shell does not stop it.
    shell.enter("jobs");
    shell.wait_for("Running");
    shell.enter("fg");
    shell.wait_for("they: meanwhile");
    shell.write("line");
    shell.wait_for("> half a line");
    shell.press("Enter");
    assert_eq!(meeting.received("bob"), b"half a line\n");
    shell.enter("/quit");
    shell.wait_for("ready>");
    assert!(!shell.is_alternate());
}

#[test]
fn the_shell_brings_a_chat_to_the_front_that_was_not_stopped_meanwhile() {
    let meeting = Meeting::new();
    // No key wakes the chat while it is in the background, where it would be stopped; and a shell says nothing
    // to a job that runs.
    let shell = "OTR_DIR=$PLACE/alice bash --norc -ic \
        'otr chat; bg; until [ -e go ]; do sleep 0.05; done; fg; echo over'";
    let shell = meeting.terminal(shell, (90, 20));
    shell.wait_for("NOT CHECKED");
    shell.write("half a ");
    shell.wait_for("> half a");
    shell.press("C-z");
    shell.wait_for("otr chat &");
    assert!(!shell.is_alternate());
    std::fs::write(meeting.pair.path("go"), "").unwrap();
    shell.wait_for("> half a");
    shell.enter("line");
    assert_eq!(meeting.received("bob"), b"half a line\n");
    shell.enter("/quit");
    shell.wait_for("over");
}

#[test]
fn ctrl_z_does_nothing_where_nobody_could_make_it_go_on() {
    let meeting = Meeting::new();
    // The terminal's own program: its process group has no shell that controls jobs.
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    alice.press("C-z");
    alice.enter("still here");
    alice.wait_for("you:  still here");
    assert_eq!(meeting.received("bob"), b"still here\n");
}

#[test]
fn the_terminal_has_its_old_mode_at_the_end() {
    let meeting = Meeting::new();
    for (args, ends) in [("", "/quit"), ("", "TERM"), ("--inline", "/quit"), ("--inline", "INT")] {
        let chat = format!("OTR_DIR=$PLACE/alice otr chat {args}");
        let script = format!(
            "stty -g >a; trap : INT; {chat}; stty -g >b; cmp a b && echo unchanged; cat -v"
        );
        let terminal = meeting.terminal(&script, (90, 20));
        terminal.wait_for("NOT CHECKED");
        assert!(!terminal.has_flag("wrap"));
        if ends.starts_with('/') {
            terminal.enter(ends);
        } else {
            terminal.signal(ends);
        }
        terminal.wait_for("unchanged");
        assert!(terminal.has_flag("cursor") && terminal.has_flag("wrap"), "{args} {ends}");
        // Without marks around it.
        terminal.paste(&meeting, b"pasted\n");
        terminal.wait_for("\npasted");
        assert!(!terminal.shown().contains("200~"), "{}", terminal.shown());
    }
}

#[test]
fn who_looks_at_earlier_lines_has_not_read_the_new_ones() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (90, 12));
    alice.wait_for("NOT CHECKED");
    alice.enter("/help");
    alice.wait_for("no receipts");
    alice.press("PPage");
    alice.wait_for("| earlier lines: PgDn");
    meeting.pair.bob("send", b"not seen yet").ok();
    let shown = alice.wait_for("| 1 new below: PgDn");
    assert!(!shown.contains("not seen yet"), "{shown}");
    alice.signal("KILL");
    alice.code();
    let alice = meeting.chat("alice", "", (90, 12));
    alice.wait_for("they: not seen yet");
    // What follows comes once it is on the screen.
    alice.enter("/help");
    alice.wait_for("no receipts");
    alice.press("PPage");
    alice.wait_for("| earlier lines: PgDn");
    meeting.pair.bob("send", b"and more").ok();
    alice.wait_for("| 1 new below: PgDn");
    alice.press("NPage");
    let shown = alice.wait_for("they: and more");
    assert!(!shown.contains("new below"), "{shown}");
    alice.enter("/quit");
    assert_eq!(alice.code(), "0");
    meeting.pair.bob("send", b"the next").ok();
    assert_eq!(meeting.received("alice"), b"the next");
}

#[test]
fn whatever_signal_ends_it_the_terminal_is_given_back() {
    let meeting = Meeting::new();
    for (signal, code) in [("TERM", 143), ("INT", 130), ("QUIT", 131), ("HUP", 129)] {
        let shell = meeting.terminal("PS1='ready> ' OTR_DIR=$PLACE/alice bash --norc -i", (90, 20));
        shell.wait_for("ready>");
        shell.enter("otr chat");
        shell.wait_for("NOT CHECKED");
        crate::signal(&shell.child(), signal);
        shell.wait_until("the shell", |shown| shown.trim_end().ends_with("ready>"));
        assert!(!shell.is_alternate());
        shell.enter("echo ended with $?");
        shell.wait_for("ready> echo ended with");
        shell.wait_for(&format!("ended with {code}"));
    }
    meeting.pair.bob("send", b"still open").ok();
    assert_eq!(meeting.received("alice"), b"still open");
}

#[test]
fn who_is_ended_says_what_is_not_out() {
    let (meeting, address, first) = by_a_fickle_postbox();
    let shell = "PS1='ready> ' OTR_DIR=$PLACE/alice bash --norc -i";
    let shell = meeting.terminal(shell, (90, 20));
    shell.wait_for("ready>");
    shell.enter("otr chat");
    shell.wait_for("NOT CHECKED");
    drop(first);
    shell.enter("entered before the end");
    shell.wait_for("entered before the end (waiting)");
    crate::signal(&shell.child(), "TERM");
    shell.wait_for("otr: not posted yet: 1 of your messages; the next otr command");
    let _second = postbox(&address);
    shell.wait_until("the shell", |shown| shown.trim_end().ends_with("ready>"));
    meeting.pair.alice("send", b"the next").ok();
    assert_eq!(meeting.received("bob"), b"entered before the end\n");
    assert_eq!(meeting.received("bob"), b"the next");
}

#[test]
fn a_terminal_that_is_closed_loses_nothing() {
    let (meeting, address, first) = by_a_fickle_postbox();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    let pid = alice.pid();
    drop(first);
    alice.enter("entered before the end");
    alice.wait_for("entered before the end (waiting)");
    // tmux closes the terminal: SIGHUP.
    drop(alice);
    until("the chat has ended", || !lives(&pid));
    let _second = postbox(&address);
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    assert_eq!(meeting.received("bob"), b"entered before the end\n");
    meeting.pair.bob("send", b"came while nobody looked").ok();
    alice.wait_for("they: came while nobody looked");
}

#[test]
fn who_is_killed_loses_no_message() {
    let meeting = Meeting::new();
    let mut seen = String::new();
    for round in 0..4 {
        let alice = meeting.chat("alice", "", (90, 40));
        alice.wait_for("NOT CHECKED");
        for number in 0..5 {
            meeting.pair.bob("send", format!("message {round}.{number}.").as_bytes()).ok();
        }
        alice.wait_for(&format!("message {round}."));
        alice.signal("KILL");
        alice.code();
        // As it was left.
        seen += &alice.shown();
    }
    let alice = meeting.chat("alice", "", (90, 40));
    meeting.pair.bob("send", b"the last one").ok();
    seen += &alice.wait_for("the last one");
    for (round, number) in (0..4).flat_map(|round| (0..5).map(move |number| (round, number))) {
        let text = format!("message {round}.{number}.");
        assert!(seen.contains(&text), "{text}: {seen}");
    }
    let status = meeting.pair.alice("status --json", b"").text();
    assert!(status.contains("\"missing\":[]"), "{status}");
}

#[test]
fn one_chat_of_a_session_at_a_time_and_a_send_beside_it() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    let second = meeting.chat("alice", "", (90, 20));
    assert_eq!(second.code(), "15");
    let said = second.scrollback();
    assert!(said.contains("end the other chat"), "{said}");
    meeting.pair.alice("send", b"from beside").ok();
    assert_eq!(meeting.received("bob"), b"from beside");
    alice.enter("from the chat");
    assert_eq!(meeting.received("bob"), b"from the chat\n");
    // A session that another command ends takes the chat with it.
    meeting.pair.alice("close --silent", b"").ok();
    alice.enter("too late");
    assert_eq!(alice.code(), "3");
}

#[test]
fn without_a_terminal_or_a_postbox_it_says_what_to_use() {
    let meeting = Meeting::new();
    let err = feed(&mut meeting.pair.end("alice", "chat"), b"").fails(2);
    assert!(err.contains("otr send"), "{err}");
    let dumb = meeting.terminal("TERM=dumb OTR_DIR=$PLACE/alice otr chat", (90, 20));
    assert_eq!(dumb.code(), "2");
    assert!(dumb.scrollback().contains("use 'otr send' and 'otr recv --follow'"));
    let piped = meeting.terminal("OTR_DIR=$PLACE/alice otr chat | cat", (90, 20));
    piped.wait_for("there is none; use 'otr send'");
    let mut stdin = meeting.pair.end("alice", "chat");
    assert_eq!(stdin.stdin(Stdio::null()).output().unwrap().status.code(), Some(2));
    // A session that carries its packets by hand.
    let other = Meeting::strangers();
    other.pair.shake_hands();
    let by_hand = other.chat("alice", "", (90, 20));
    assert_eq!(by_hand.code(), "2");
    assert!(by_hand.scrollback().contains("the session has no postbox"));
    let nobody = other.chat("carol", "", (90, 20));
    assert_eq!(nobody.code(), "3");
    assert!(nobody.scrollback().contains("name a postbox with --postbox URL"));
    let taken = other.chat("alice", "417-guitar-vanish@http://127.0.0.1:1", (90, 20));
    assert_eq!(taken.code(), "13");
}

#[test]
fn a_chat_that_begins_while_the_postbox_is_away_posts_when_it_is_back() {
    let (meeting, address, first) = by_a_fickle_postbox();
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("NOT CHECKED");
    drop(first);
    alice.enter("left by a chat before");
    alice.wait_for("left by a chat before (waiting)");
    alice.enter("/quit");
    assert_eq!(alice.code(), "0");
    let alice = meeting.chat("alice", "", (90, 20));
    alice.wait_for("| postbox away");
    let _second = postbox(&address);
    assert_eq!(meeting.received("bob"), b"left by a chat before\n");
    alice.wait_until("it is back", |shown| !shown.contains("postbox away"));
}
