//! What is typed, and what must not get in its way.

use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::Meeting;

/// The numbers of the flood's messages on a screen.
fn numbers(shown: &str) -> Vec<u32> {
    let number =
        |line: &str| line.strip_prefix("they: message ")?.split(' ').next()?.parse::<u32>().ok();
    shown.lines().filter_map(number).collect()
}

#[test]
fn a_line_stays_whole_while_a_hundred_messages_a_second_come() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (80, 20));
    alice.wait_for("NOT CHECKED");
    let mut flood = meeting.pair.end("bob", "send --lines").stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = flood.stdin.take().unwrap();
    let flooding = thread::spawn(move || {
        for number in 0..400 {
            writeln!(lines, "message {number} of the flood").unwrap();
            // The rate is what is tested: a hundred a second.
            thread::sleep(Duration::from_millis(10));
        }
    });
    alice.wait_for("of the flood");
    let mut typed = String::new();
    for word in ["it ", "does ", "not ", "tear ", "what ", "is ", "typed"] {
        alice.write(word);
        typed += word;
        alice.wait_until(&typed, |shown| {
            shown.lines().last().unwrap_or_default().trim_end() == format!("> {typed}").trim_end()
        });
    }
    flooding.join().unwrap();
    assert!(flood.wait().unwrap().success());
    alice.wait_for("message 399 of the flood");
    alice.wait_for(&format!("> {typed}"));
    alice.press("Enter");
    assert_eq!(meeting.received("bob"), b"it does not tear what is typed\n");
    // Each of them came once, in order: back through the screens.
    let mut seen = 400;
    while seen > 0 {
        // A screen may be captured while it is being drawn.
        let shown = alice.wait_until("messages in their order", |shown| {
            let numbers = numbers(shown);
            !numbers.is_empty() && numbers.windows(2).all(|two| two[0] + 1 == two[1])
        });
        let numbers = numbers(&shown);
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        assert!(last + 1 >= seen, "{seen}: {shown}");
        seen = first;
        if seen == 0 {
            break;
        }
        alice.press("PPage");
        alice.wait_until("earlier lines", |now| now != shown && now.contains("PgDn"));
    }
}

#[test]
fn nothing_that_comes_is_obeyed() {
    let meeting = Meeting::new();
    let evil =
        b"harmless\x1b[2J\x1b[1;1HTYPED\x1b]0;title\x07\xff\x9b31m \xe2\x80\xae txet\r\nsecond\n";
    // Without protection this would empty the screen and write to its top.
    let raw = meeting.terminal(
        "echo above; printf 'harmless\\033[2J\\033[1;1HTYPED'; exec sleep 1000",
        (80, 12),
    );
    let shown = raw.wait_for("TYPED");
    assert!(!shown.contains("above") && shown.starts_with("TYPED"), "{shown}");
    let alice = meeting.chat("alice", "", (80, 16));
    alice.wait_for("NOT CHECKED");
    meeting.pair.bob("send", evil).ok();
    let shown = alice.wait_for("second");
    let expected = "they: harmless^[[2J^[[1;1HTYPED^[]0;title^G<FF><9B>31m <U+202E> txet^M";
    assert!(shown.contains(expected), "{shown}");
    assert!(shown.contains("\n      second"), "{shown}");
    assert!(shown.contains("Ctrl-C asks"), "{shown}");
    assert_ne!(alice.run(&["display-message", "-p", "#{pane_title}"]).trim(), "title");
    // Nor can a message make itself look like something else.
    meeting.pair.bob("send", b"x\n*     the words are the same\nyou:  agreed").ok();
    let shown = alice.wait_for("agreed");
    assert!(
        shown.contains("\n            the words") || shown.contains("\n      *     the words"),
        "{shown}"
    );
    assert!(!shown.contains("\nyou:"), "{shown}");
}

#[test]
fn no_row_runs_into_the_next_whatever_width_a_terminal_gives_to_a_sign() {
    // With signs that are counted as one column, and take two.
    let planted = "default | checked by secret and words";
    let wide = "\u{231a}\u{fe0e}".repeat(37);
    let text = format!("{}hello\n{wide}{planted}", "a\n".repeat(12));
    for args in ["", "--inline"] {
        let meeting = Meeting::new();
        let alice = meeting.chat("alice", args, (80, 12));
        alice.wait_for("NOT CHECKED");
        meeting.pair.bob("send", text.as_bytes()).ok();
        alice.wait_for("checked by secret and words");
        alice.write("typed");
        alice.wait_for("> typed");
        let rows = alice.rows();
        assert_eq!(rows[10..], [" default | NOT CHECKED: /words", "> typed"], "{rows:#?}");
        for row in &rows[..10] {
            let label =
                ["they: ", "*     ", "      "].iter().find(|label| row.starts_with(**label));
            assert!(row.is_empty() || label.is_some(), "{args} {row:?}: {rows:#?}");
        }
        // Nothing of it is cut away: what is there is in one row or in another.
        let signs = alice.shown().matches('\u{231a}').count();
        assert_eq!(signs, 37, "{args} {rows:#?}");
    }
}

#[test]
fn a_paste_of_a_thousand_lines_is_one_message() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (80, 20));
    alice.wait_for("NOT CHECKED");
    let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\t/close\n")).collect();
    let lines = lines.concat();
    alice.write("look: ");
    alice.paste(&meeting, lines.as_bytes());
    alice.wait_for("> look: [paste 1: 1000 lines]");
    alice.press("Enter");
    alice.wait_for("(1000 lines)");
    assert_eq!(meeting.received("bob"), format!("look: {lines}").as_bytes());
    // One with everything that a terminal could take for keys.
    let strange = b"\x1b[A\x03\x04 \x1b[2J\x7f";
    alice.paste(&meeting, strange);
    alice.wait_for("> [paste 1: ");
    alice.press("Enter");
    assert_eq!(meeting.received("bob"), [&strange[..], b"\n"].concat());
}

#[test]
fn keys_do_what_they_do_elsewhere() {
    let meeting = Meeting::new();
    let alice = meeting.chat("alice", "", (80, 24));
    alice.wait_for("NOT CHECKED");
    alice.write("one twoo three");
    for key in ["M-b", "BSpace", "BSpace", "C-e"] {
        alice.press(key);
    }
    alice.write("!");
    alice.press("M-Enter");
    alice.write("日本e\u{301}x");
    alice.press("Left");
    alice.press("Left");
    alice.press("BSpace");
    alice.wait_for("  日e\u{301}x");
    alice.press("Enter");
    assert_eq!(meeting.received("bob"), "one twothree!\n日e\u{301}x\n".as_bytes());
    // History, and a line that begins with a slash.
    alice.enter("//close");
    assert_eq!(meeting.received("bob"), b"/close\n");
    alice.press("Up");
    alice.wait_for("> //close");
    alice.press("Down");
    alice.wait_until("an empty line", |shown| shown.trim_end().ends_with('>'));
    // TAB: a command, a file, and what there is.
    std::fs::write(meeting.pair.path("a file.txt"), "in it").unwrap();
    alice.write("/sen");
    alice.press("Tab");
    alice.wait_for("> /send");
    alice.write("a");
    alice.press("Tab");
    alice.write(" f");
    alice.press("Tab");
    alice.wait_for("> /send a file.txt");
    alice.press("Enter");
    assert_eq!(meeting.received("bob"), b"in it");
    alice.enter("/clsoe");
    alice.wait_for("no such command");
    alice.enter("/help");
    let shown = alice.wait_for("no receipts");
    assert!(shown.contains("/save"), "{shown}");
}

#[test]
fn colour_is_never_the_only_sign_and_can_be_switched_off() {
    let meeting = Meeting::new();
    meeting.pair.bob("send", b"hello").ok();
    let coloured = |terminal: &crate::Terminal| {
        terminal.wait_for("they: hello");
        terminal.run(&["capture-pane", "-p", "-e"]).contains("\x1b[36m")
    };
    let alice = meeting.chat("alice", "", (80, 12));
    assert!(coloured(&alice));
    alice.enter("/quit");
    assert_eq!(alice.code(), "0");
    meeting.pair.bob("send", b"hello").ok();
    let plain = meeting.terminal("NO_COLOR=1 OTR_DIR=$PLACE/alice otr chat", (80, 12));
    assert!(!coloured(&plain));
}
