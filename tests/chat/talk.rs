//! Two people talk.

use crate::Meeting;

/// The word of the screen behind this.
fn behind<'a>(shown: &'a str, what: &str) -> &'a str {
    let at = shown.find(what).unwrap_or_else(|| panic!("{what}: {shown}"));
    shown[at + what.len()..].lines().next().unwrap().trim()
}

#[test]
fn two_meet_by_a_code_talk_compare_words_and_close() {
    let meeting = Meeting::strangers();
    let url = &meeting.postbox.url;
    let alice = meeting.chat("alice", &format!("--postbox {url}"), (120, 30));
    let shown = alice.wait_for("who types: otr chat");
    assert!(shown.contains("default | waiting for the other side"), "{shown}");
    let code = behind(&shown, "the code: ").to_owned();
    alice.enter("too early");
    alice.wait_for("this stays in the line until you press Enter again");
    let bob = format!("OTR_POSTBOX=http://127.0.0.1:1 OTR_DIR=$PLACE/bob otr chat {code}");
    let bob = meeting.terminal(&bob, (120, 30));
    let words = behind(&alice.wait_for("the four words: "), "the four words: ").to_owned();
    assert_eq!(behind(&bob.wait_for("the four words: "), "the four words: "), words);
    bob.wait_for("default | checked by secret | /words");
    alice.press("Enter");
    bob.wait_for("they: too early");
    bob.enter("hi alice");
    alice.wait_for("they: hi alice");
    alice.wait_for("you:  too early\n");
    alice.enter("/words same");
    alice.wait_for("default | checked by secret and words");
    bob.enter("/close");
    assert_eq!(bob.code(), "0");
    assert!(!meeting.pair.state_path("bob").exists());
    let shown = alice.wait_for("default | CLOSED by the other side");
    assert!(shown.contains("nothing can be sent"), "{shown}");
    // What nothing can take any more leaves the line to commands, and comes back with an arrow.
    alice.enter("in vain");
    alice.wait_for("nothing can be sent; /close wipes it here");
    alice.press("Up");
    alice.wait_for("> in vain");
    alice.press("Enter");
    alice.enter("/quit");
    assert_eq!(alice.code(), "0");
    alice.wait_for("the other side has closed the session: 'otr close -s default' wipes it here");
    let again = meeting.chat("alice", "", (120, 30));
    again.wait_for("CLOSED by the other side");
    again.enter("/close");
    assert_eq!(again.code(), "0");
    assert!(!meeting.pair.state_path("alice").exists());
}

#[test]
fn the_screen_fits_forty_columns_and_a_hundred_and_twenty() {
    let meeting = Meeting::new();
    let narrow = meeting.chat("alice", "-q", (40, 20));
    let wide = meeting.chat("bob", "-q", (120, 12));
    for terminal in [&narrow, &wide] {
        terminal.wait_for("NOT CHECKED: /words");
    }
    narrow.enter("a line of some length that fits into one row of the other screen only");
    wide.wait_for("screen only");
    wide.enter("日本語 e\u{301}");
    narrow.wait_for("they: 日本語 e\u{301}");
    narrow.wait_until("all is out", |shown| !shown.contains("waiting"));
    wide.wait_until("all is out", |shown| !shown.contains("waiting"));
    narrow.write("half a line");
    narrow.wait_for("> half a line");
    let words = behind(&wide.shown(), "the four words: ").to_owned();
    let expected = [
        "*     /help shows the commands; Ctrl-C asks whether to leave or to close",
        "*     the session is open",
        &format!("*     the four words: {words}"),
        "*     compare them where you know the voice: '/words same' if the other person has the same, '/words differ' if not",
        "they: a line of some length that fits into one row of the other screen only",
        "you:  日本語 e\u{301}",
        "",
        "",
        "",
        "",
        " default | NOT CHECKED: /words",
        ">",
    ];
    assert_eq!(wide.rows(), expected);
    let rows = narrow.rows();
    let from = rows.iter().position(|row| row.starts_with("you:")).unwrap();
    let expected = [
        "you:  a line of some length that fits",
        "      into one row of the other screen",
        "      only",
        "they: 日本語 e\u{301}",
    ];
    assert_eq!(rows[from..from + 4], expected);
    assert_eq!(rows[18..], [" default | NOT CHECKED: /words", "> half a line"]);
    assert!(rows.iter().all(|row| row.chars().count() <= 40), "{rows:#?}");
}

#[test]
fn another_size_in_the_middle_of_a_line_changes_nothing_in_it() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (100, 24));
    alice.wait_for("NOT CHECKED");
    alice.write("begun wide, ");
    alice.wait_for("> begun wide,");
    for (width, height) in [("37", "9"), ("120", "30"), ("20", "4"), ("90", "20")] {
        alice.run(&["resize-window", "-x", width, "-y", height]);
        alice.write("on ");
        alice.wait_until("the line's end", |shown| shown.trim_end().ends_with("on"));
    }
    alice.write("and ended");
    alice.wait_for("> begun wide, on on on on and ended");
    alice.press("Enter");
    assert_eq!(meeting.received("bob"), b"begun wide, on on on on and ended\n");
}

#[test]
fn a_secret_is_compared_and_never_shown() {
    let meeting = Meeting::new();
    let (alice, bob) = (meeting.chat("alice", "", (100, 30)), meeting.chat("bob", "", (100, 30)));
    alice.wait_for("NOT CHECKED");
    bob.wait_for("NOT CHECKED");
    alice.enter("/verify what did we eat?");
    alice.wait_for("the secret to compare (it is not shown");
    alice.enter("hidden rice");
    alice.wait_for("the same again:");
    alice.enter("hidden rice");
    alice.wait_for("asked; the other side answers with /verify");
    bob.wait_for("the other side asks \"what did we eat?\"; answer: /verify");
    bob.enter("/verify");
    bob.wait_for("your answer (it is not shown");
    bob.enter("hidden rice");
    alice.wait_for("the secrets are equal: nobody is in between");
    alice.wait_for("default | checked by verify");
    bob.wait_for("default | checked by verify");
    for terminal in [&alice, &bob] {
        assert!(!terminal.scrollback().contains("hidden"), "{}", terminal.scrollback());
    }
}

#[test]
fn who_has_other_words_ends_it() {
    let meeting = Meeting::new();
    let (alice, bob) = (meeting.chat("alice", "", (100, 20)), meeting.chat("bob", "", (100, 20)));
    bob.wait_for("the four words");
    alice.wait_for("the four words");
    alice.enter("/words differ");
    assert_eq!(alice.code(), "5");
    assert!(alice.scrollback().contains("somebody is in between; the session has been ended"));
    assert!(!meeting.pair.state_path("alice").exists());
    bob.wait_for("CLOSED by the other side");
}

#[test]
fn leaving_is_asked_for_and_the_session_stays() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (100, 24));
    alice.wait_for("NOT CHECKED");
    for key in ["C-c", "C-d"] {
        alice.press(key);
        alice.wait_for("leave? [l]eave the session open, [c]lose it for both, [g]o on:");
        alice.press("g");
        alice.wait_until("the prompt", |shown| shown.trim_end().ends_with('>'));
    }
    alice.enter("still here");
    assert_eq!(meeting.received("bob"), b"still here\n");
    alice.press("C-c");
    alice.wait_for("leave?");
    alice.press("Enter");
    assert_eq!(alice.code(), "0");
    assert!(meeting.pair.state_path("alice").exists());
    let again = meeting.chat("alice", "", (100, 24));
    meeting.pair.bob("send", b"welcome back").ok();
    again.wait_for("they: welcome back");
    again.press("C-d");
    again.wait_for("leave?");
    // One key that was meant for the line closes nothing, and nothing else is dead meanwhile.
    again.press("c");
    again.wait_for("close the session on both sides, and wipe it here? Enter closes it");
    again.press("x");
    again.wait_until("the prompt", |shown| shown.trim_end().ends_with('>'));
    again.press("C-c");
    again.wait_for("leave?");
    again.press("c");
    again.wait_for("Enter closes it");
    again.press("Enter");
    assert_eq!(again.code(), "0");
    assert!(!meeting.pair.state_path("alice").exists());
    let run = meeting.pair.bob("recv --wait 1m", b"");
    assert_eq!(run.code, 7, "{}", run.err);
}

#[test]
fn the_terminal_keeps_nothing_unless_it_is_told_to() {
    let meeting = Meeting::new();
    for (args, keeps) in [("", false), ("--inline", true)] {
        let alice = meeting
            .terminal(&format!("echo before; OTR_DIR=$PLACE/alice otr chat {args}"), (100, 10));
        alice.wait_for("NOT CHECKED");
        for number in 0..12 {
            meeting.pair.bob("send", format!("unforgotten {number}").as_bytes()).ok();
        }
        alice.wait_for("they: unforgotten 11");
        alice.enter("an unforgotten answer");
        meeting.received("bob");
        assert_eq!(alice.is_alternate(), !keeps);
        let said = alice.scrollback().contains("stays in the terminal's scrollback");
        assert_eq!(said, keeps);
        alice.enter("/quit");
        assert_eq!(alice.code(), "0");
        let kept = alice.scrollback();
        assert!(kept.contains("before") && kept.contains("stays open"), "{kept}");
        for text in ["unforgotten 0", "unforgotten 11", "an unforgotten answer"] {
            assert_eq!(kept.contains(text), keeps, "{args} {text}: {kept}");
        }
    }
}

#[test]
fn a_question_is_there_again_after_the_chat_has_ended() {
    let meeting = Meeting::new();
    let (alice, bob) = (meeting.chat("alice", "", (100, 30)), meeting.chat("bob", "", (100, 30)));
    alice.wait_for("NOT CHECKED");
    bob.wait_for("NOT CHECKED");
    bob.enter("/verify what did we eat?");
    bob.wait_for("the secret to compare (it is not shown");
    bob.enter("rice");
    bob.wait_for("the same again:");
    bob.enter("rice");
    alice.wait_for("the other side asks \"what did we eat?\"; answer: /verify");
    alice.enter("/quit");
    assert_eq!(alice.code(), "0");
    let alice = meeting.chat("alice", "", (100, 30));
    alice.wait_for("the other side asks \"what did we eat?\"; answer: /verify");
    alice.enter("/verify");
    alice.wait_for("your answer (it is not shown");
    alice.enter("rice");
    alice.wait_for("default | checked by verify");
    bob.wait_for("default | checked by verify");
    assert!(!alice.shown().contains("| /verify"), "{}", alice.shown());
}

#[test]
fn inline_one_foot_is_on_the_screen_and_none_at_the_end() {
    let meeting = Meeting::new();
    let shell = meeting.terminal("PS1='ready> ' OTR_DIR=$PLACE/alice bash --norc -i", (90, 30));
    let feet = |shown: &str| shown.matches(" default | NOT CHECKED").count();
    shell.wait_for("ready>");
    shell.enter("otr chat --inline");
    shell.wait_for("NOT CHECKED");
    shell.write("half a line");
    shell.wait_for("> half a line");
    for (width, height) in [("60", "30"), ("100", "24")] {
        shell.run(&["resize-window", "-x", width, "-y", height]);
        shell.write(".");
        shell.wait_until("one foot", |shown| feet(shown) == 1 && shown.trim_end().ends_with('.'));
    }
    shell.press("C-l");
    shell.write("!");
    shell.wait_until("one foot", |shown| feet(shown) == 1 && shown.trim_end().ends_with('!'));
    shell.press("C-z");
    shell.wait_for("Stopped");
    assert_eq!(feet(&shell.shown()), 0, "{}", shell.shown());
    shell.enter("fg");
    shell.wait_for("> half a line");
    assert_eq!(feet(&shell.shown()), 1, "{}", shell.shown());
    shell.press("C-c");
    // Also while it is asked.
    shell.wait_for("leave?");
    shell.press("C-z");
    shell.wait_until("another stop", |shown| shown.matches("Stopped").count() == 2);
    shell.enter("fg");
    shell.wait_for("leave?");
    shell.press("l");
    shell.wait_for("the session stays open");
    let left = shell.scrollback();
    assert!(feet(&left) == 0 && left.contains("the session is open"), "{left}");
}
