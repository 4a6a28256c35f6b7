//! A person at a terminal, played by tmux: pastes, types, reads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod support;

use std::process::Command;

use otr::protocol::authentication::words::beginning_with;
use support::{Pair, tool, until};

/// A shell in a terminal of 80 columns, in which `alice` and `bob` are the two.
struct Screen {
    socket: String,
}

impl Screen {
    fn new(pair: &Pair) -> Self {
        let socket = pair.path("tmux").to_str().unwrap().to_owned();
        let screen = Self { socket };
        let mut new =
            screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "40"]);
        let shell = pair.script("PS1='ready> '; export PS1; exec sh -i");
        for (name, value) in shell.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            new.env(name, value);
        }
        new.env("LC_ALL", "C.UTF-8").current_dir(pair.path("")).arg("PS1='ready> ' exec sh");
        assert!(new.status().unwrap().success());
        screen.wait_for("ready>");
        screen.type_line("alice() { OTR_DIR=$PLACE/alice otr \"$@\"; }");
        screen.type_line("bob() { OTR_DIR=$PLACE/bob otr \"$@\"; }");
        screen
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut tmux = tool("tmux", "tmux");
        tmux.env_remove("TMUX").arg("-S").arg(&self.socket).args(args);
        tmux
    }

    fn run(&self, args: &[&str]) -> Vec<u8> {
        let output = self.tmux(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn type_line(&self, line: &str) {
        self.run(&["send-keys", "-l", line]);
        self.run(&["send-keys", "Enter"]);
    }

    /// Types a command on a screen that shows nothing of the one before.
    fn enter(&self, line: &str) {
        self.type_line("clear");
        until("the screen is empty", || self.shown().trim() == "ready>");
        self.type_line(line);
    }

    fn paste(&self, pair: &Pair, text: &[u8]) {
        let file = pair.path("clipboard");
        std::fs::write(&file, text).unwrap();
        self.run(&["load-buffer", file.to_str().unwrap()]);
        self.run(&["paste-buffer"]);
    }

    /// What the person sees, with lines joined that were broken at the edge.
    fn shown(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p", "-J"])).unwrap()
    }

    /// All of it, also what has gone over the edge.
    fn history(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p", "-J", "-S", "-"])).unwrap()
    }

    /// Types a command that prints something to be handed over, and pastes this where it reads; what
    /// it printed, as a person copies it from the screen: the lines that begin with this mark.
    #[track_caller]
    fn handed(&self, pair: &Pair, command: &str, paste: &[u8], mark: &str, said: &str) -> Vec<u8> {
        self.enter(&format!("{command}; echo ended: $?"));
        if !paste.is_empty() {
            self.wait_for("press Enter and Ctrl-D");
            self.paste(pair, paste);
            self.run(&["send-keys", "C-d"]);
        }
        let shown = self.wait_for("ended: 0");
        assert!(shown.contains(said), "{command}: {shown}");
        let all = self.history();
        let at = |text: &str| all.rfind(text).unwrap_or_else(|| panic!("{text}: {all}"));
        let printed = all[at("otr: what follows is")..].split("otr: that was").next().unwrap();
        let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with(mark)).collect();
        assert!(!lines.is_empty(), "{all}");
        lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect::<String>().into_bytes()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        until(&format!("{text:?} is on the screen"), || self.shown().contains(text));
        self.shown()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}

#[test]
fn a_packet_is_pasted() {
    let pair = Pair::new();
    let packet = pair.sealed("", b"pasted and opened");
    assert!(packet.len() > 4096 + 1000);
    let screen = Screen::new(&pair);
    for (form, packet) in [("one line", packet), ("mail", pair.sealed("--wrap 76", b"and wrapped"))]
    {
        screen.enter("bob recv; echo ended: $?");
        screen.wait_for("then press Enter and Ctrl-D");
        screen.paste(&pair, &packet);
        screen.run(&["send-keys", "C-d"]);
        let shown = screen.wait_for("ended: 0");
        let text = if form == "mail" { "and wrapped" } else { "pasted and opened" };
        // The text on a line of its own, and nothing of the packet.
        assert!(shown.lines().any(|line| line == text), "{shown}");
        assert!(!shown.contains("otr1p"), "{shown}");
    }
    // The terminal is as it was: what is typed is seen.
    screen.type_line("true typed");
    screen.wait_for("ready> true typed");
}

/// However much a command has seen by then, it consumes the Ctrl-D that it has asked for, which
/// would otherwise end the shell.
#[test]
fn a_paste_ends_with_ctrl_d_alone() {
    let pair = Pair::new();
    let invite = pair.alice("-s new init", b"").ok();
    let screen = Screen::new(&pair);
    for (args, paste, code) in [
        ("bob -s new respond > reply", &invite[..], 0),
        ("bob recv --strict", b"nothing of ours\n", 4),
        ("bob -s other import", b"nothing of ours\n", 4),
        ("bob inspect", b"nothing of ours\n", 4),
    ] {
        screen.enter(&format!("{args}; echo ended: $?"));
        screen.wait_for("press Enter and Ctrl-D");
        screen.paste(&pair, paste);
        // It goes through the same terminal: the command has read all before it.
        screen.run(&["send-keys", "C-d"]);
        screen.wait_for(&format!("ended: {code}"));
        screen.type_line("echo still $((1 + 1))");
        screen.wait_for("still 2");
    }
    pair.alice("-s new recv", &std::fs::read(pair.path("reply")).unwrap()).ok();
}

#[test]
fn nobody_pastes_or_types_in_vain() {
    let pair = Pair::strangers();
    let screen = Screen::new(&pair);
    let refused = |command: &str, code: u8, said: &str| {
        screen.enter(&format!("{command}; echo ended: $?"));
        let shown = screen.wait_for(&format!("ended: {code}"));
        assert!(shown.contains(said) && !shown.contains("Ctrl-D"), "{command}: {shown}");
    };
    for command in ["recv", "recv --stdin", "send", "send --lines"] {
        refused(&format!("alice {command}"), 3, "no session 'default'");
    }
    pair.alice("init", b"").ok();
    refused("alice send", 14, "no reply to the invite yet");
    for command in ["respond", "import"] {
        refused(&format!("alice {command}"), 13, "otr: ");
    }
    // The reply that waits in a postbox is taken first.
    let postbox = postbox::Postbox::start(&[]);
    let invite = pair.alice(&format!("init --anew --postbox {}", postbox.url), b"").ok();
    refused("alice send --wait 0s", 14, "nobody has answered the invite yet");
    pair.bob("respond --yes", &invite).ok();
    screen.enter("alice send; bob recv; echo ended: $?");
    let shown = screen.wait_for("type the message, then Ctrl-D");
    assert!(shown.contains("looking for the reply to the invite"), "{shown}");
    assert!(shown.contains("the session is open"), "{shown}");
    screen.type_line("not in vain");
    screen.run(&["send-keys", "C-d"]);
    let shown = screen.wait_for("ended: 0");
    assert_eq!(shown.matches("not in vain\n").count(), 2, "{shown}");
    pair.bob("close", b"").ok();
    pair.alice("recv", b"");
    refused("alice send", 7, "the other side has closed");
}

#[test]
fn what_is_to_be_handed_over_says_to_whom_and_how_it_goes_on() {
    let pair = Pair::strangers();
    let screen = Screen::new(&pair);
    let hand = |command: &str, paste: &[u8], mark: &str, said: &str| {
        screen.handed(&pair, command, paste, mark, said)
    };
    let answers = "who answers with 'otr respond'; then give their reply to 'otr recv'";
    let invite = hand("alice init", b"", "otr1i:", answers);
    assert_eq!(hand("alice init --again", b"", "otr1i:", answers), invite);
    let writes =
        "give it to the person who made the invite, for 'otr recv'; then both of you can write";
    let reply = hand("bob respond", &invite, "otr1r:", writes);
    assert_eq!(hand("bob respond --again", b"", "otr1r:", writes), reply);
    pair.alice("recv", &reply).ok();
    let tokens = "post it to the postbox, at /v1/collect";
    hand("alice expect", b"", "", tokens);
    std::fs::write(pair.path("letter"), "hello").unwrap();
    let reads = "give it to the other person, who reads it with 'otr recv'";
    let message = hand("alice send < letter", b"", "otr1p:", reads);
    assert_eq!(hand("alice send --last", b"", "otr1p:", reads), message);
    assert_eq!(pair.bob("recv", &message).ok(), b"hello");
    std::fs::write(pair.path("secret"), "rex").unwrap();
    let comes_back = "what comes back is for 'otr recv' here";
    let question = hand("alice verify --secret-file secret", b"", "otr1p:", comes_back);
    pair.bob("recv", &question).ok();
    let answer = "that was the answer: give it to the other person, for 'otr recv'";
    let answer = hand("bob verify --secret-file secret", b"", "otr1p:", answer);
    pair.alice("recv", &answer).ok();
    let imports = "give it to 'otr import' on the other machine, and to nobody else";
    hand("bob export", b"", "otr1s:", imports);
    pair.bob("export --undo", b"").ok();
    screen.enter("alice words; echo ended: $?");
    assert!(screen.wait_for("ended: 0").contains("then 'otr words --same', or --differ"));
    let farewell = "that was the farewell: give it to the other person, for 'otr recv'";
    let last = hand("alice close", b"", "otr1p:", farewell);
    assert_eq!(pair.bob("recv", &last).code, 7);

    // With a secret, and through a postbox.
    pair.bob("close --silent", b"").ok();
    let invite = pair.alice("init --secret-file secret", b"").ok();
    let waits = "you can write when your own 'otr recv' has taken a first packet of theirs";
    hand("bob respond --secret-file secret", &invite, "otr1r:", waits);
    hand("bob respond --again", b"", "otr1r:", waits);
    let postbox = postbox::Postbox::start(&[]);
    let init = format!("alice init --anew --postbox {}", postbox.url);
    hand(&init, b"", "otr1i:", "then 'otr send' and 'otr recv' find the reply in the postbox");
    screen.enter(&format!("{init} --code; echo ended: $?"));
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("that was the code: tell it to the other person, and to"), "{shown}");

    // Not if a program reads the output, and not if nobody wants to be told.
    for args in ["init --anew -q", "init --anew | cat", "--json init --anew", "init -q --anew >f"] {
        screen.enter(&format!("alice {args}; echo ended: $?"));
        let shown = screen.wait_for("ended: 0");
        assert!(!shown.contains("what follows") && !shown.contains("that was"), "{shown}");
    }
    // What is in a file is not on the screen, and goes on in the same way.
    screen.enter("alice init --anew > invite; echo ended: $?");
    let shown = screen.wait_for("ended: 0");
    assert!(
        !shown.contains("what follows") && shown.contains("that was the invite: give"),
        "{shown}"
    );
}

#[test]
fn who_types_no_command_is_shown_around() {
    let pair = Pair::strangers();
    let screen = Screen::new(&pair);
    screen.enter("otr; echo ended: $?");
    let shown = screen.wait_for("ended: 2");
    let tour = shown.split_once("otr: off the record").unwrap().1;
    // Each command that it names is one.
    let words: Vec<&str> = tour.split([' ', '\'', '\n']).collect();
    let verbs = words.windows(2).filter(|two| two[0] == "otr").map(|two| two[1]);
    let verbs: Vec<&str> = verbs.filter(|verb| !["COMMAND", "--help"].contains(verb)).collect();
    assert!(verbs.len() > 10, "{tour}");
    for verb in verbs {
        assert_eq!(pair.alice(&format!("{verb} --help"), b"").code, 0, "{verb}");
    }
    assert!(shown.lines().all(|line| line.chars().count() < 80), "{shown}");
    // A script has made a mistake, and is told so in a line.
    let run = pair.alice("", b"");
    let told = "otr: no command was given; see 'otr --help'\n";
    assert_eq!((run.code, run.out.len(), &run.err[..]), (2, 0, told));
}

#[test]
fn what_to_type_next_works_as_it_stands() {
    let pair = Pair::strangers();
    let postbox = postbox::Postbox::start(&[]);
    let screen = Screen::new(&pair);
    let step = |command: &str, said: &str| {
        screen.enter(&format!("{command}; echo ended: $?"));
        let shown = screen.wait_for("ended: 0").replace('\n', " ");
        assert!(shown.contains(said), "{command}: {shown}");
    };
    std::fs::write(pair.path("letter"), "hello\n").unwrap();
    // With the session that was typed, by hand and through a postbox; the other person has another name.
    step("alice -s work init > invite", "then give their reply to 'otr -s work recv'");
    step("bob respond < invite > reply", "here with 'otr send'");
    step("alice -s work recv < reply", "and 'otr -s work words' checks who that is");
    step("alice -s work send < letter > packet", "what comes back is for 'otr -s work recv' here");
    step("bob recv < packet", "that was for you; 'otr send' answers");
    step("alice -s work words", "then 'otr -s work words --same'");
    step("bob close > last", "that was the farewell: give it to the other person");
    step(
        "alice -s work close --silent",
        "nothing is left of the session here, and the other person",
    );
    let init = format!("alice -s work init --postbox {} > invite", postbox.url);
    step(&init, "then 'otr -s work send' and 'otr -s work recv' find the reply");
    step("bob respond --yes < invite", "the reply is in the postbox; 'otr recv' waits for what");
    step("alice -s work send < letter", "'otr -s work recv' waits for the answer");
    step("bob recv", "that was for you; 'otr send' answers");
    step("bob close", "the other person's next 'otr recv' says so");
    // A name that comes from the environment is known already.
    step("OTR_SESSION=home alice init > invite", "then give their reply to 'otr recv'");
}

#[test]
fn a_terminal_is_given_back_after_ctrl_c() {
    let pair = Pair::new();
    let screen = Screen::new(&pair);
    let before = pair.state("bob");
    screen.enter("bob recv; echo ended: $?");
    screen.wait_for("Ctrl-D");
    screen.run(&["send-keys", "C-c"]);
    until("the shell asks again", || screen.shown().matches("ready>").count() == 2);
    let modes = r"$(stty -a | tr ' ;' '\n\n' | grep -c -x -e icanon -e echo)";
    screen.enter(&format!("echo modes: {modes}"));
    screen.wait_for("modes: 2");
    assert!(pair.state("bob") == before, "the state changed");
}

#[test]
fn what_somebody_else_wrote_cannot_touch_the_terminal() {
    let pair = Pair::new();
    let evil = "\x1b[2J\x1b]0;title\x07\x08red\u{202e}".as_bytes();
    std::fs::write(pair.path("packet"), pair.sealed("", evil)).unwrap();
    let screen = Screen::new(&pair);
    screen.enter("echo before; bob recv -q < packet; echo ended: $?");
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("before\n^[[2J^[]0;title^G^Hred<U+202E>\nended: 0"), "{shown}");
}

#[test]
fn a_message_is_typed() {
    let pair = Pair::new();
    let screen = Screen::new(&pair);
    screen.enter("alice send > packet; bob recv < packet; echo ended: $?");
    screen.wait_for("type the message, then Ctrl-D");
    screen.type_line("what I typed");
    screen.run(&["send-keys", "C-d"]);
    let shown = screen.wait_for("ended: 0");
    assert_eq!(shown.matches("what I typed\n").count(), 2, "{shown}");
}

#[test]
fn a_secret_is_typed_twice_and_is_not_seen() {
    let pair = Pair::strangers();
    let screen = Screen::new(&pair);
    screen.enter("alice init --ask-secret > invite; echo ended: $?");
    screen.wait_for("the secret that you both know:");
    screen.type_line("apple pie");
    screen.wait_for("the same again:");
    screen.type_line("apple pie");
    screen.wait_for("ended: 0");
    screen.enter("bob respond --ask-secret < invite > reply; alice recv < reply; echo ended: $?");
    screen.wait_for("the secret that you both know:");
    screen.type_line("apple pie");
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("the other side knows the secret"), "{shown}");
    assert!(!shown.contains("apple"), "{shown}");

    screen.enter("alice verify --question 'and the dog?' > packet; echo ended: $?");
    for question in ["the secret to compare:", "the same again:"] {
        screen.wait_for(question);
        screen.type_line("rex");
    }
    screen.wait_for("ended: 0");
    screen.enter("bob recv < packet; bob verify > packet; alice recv < packet; echo ended: $?");
    screen.wait_for("asks \"and the dog?\"; your answer:");
    screen.type_line("rex");
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("the secrets are equal"), "{shown}");
    assert!(!shown.contains("rex"), "{shown}");
}

#[test]
fn a_code_is_typed_with_completion_and_asked_for_again() {
    let pair = Pair::strangers();
    let postbox = postbox::Postbox::start(&[]);
    let code = pair.alice(&format!("init --postbox {} --code", postbox.url), b"").text();
    let (code, _) = code.split_once('@').unwrap();
    let [number, first, second] = code.split('-').collect::<Vec<_>>()[..] else {
        panic!("{code} is no code");
    };
    let screen = Screen::new(&pair);
    screen.enter(&format!("bob respond --code --postbox {}; echo ended: $?", postbox.url));
    screen.wait_for("the code (TAB completes words):");
    screen.type_line(&format!("{number}-{first}-xyz"));
    screen.wait_for("the second word is not one that codes are made of; try again");
    screen.run(&["send-keys", "-l", &format!("{number}-")]);
    for (word, after) in [(first, "-"), (second, "")] {
        let start = &word[..word.len().min(4)];
        if beginning_with(start).count() == 1 {
            screen.run(&["send-keys", "-l", start]);
            screen.run(&["send-keys", "Tab"]);
        } else {
            // A word that others begin with as well.
            screen.run(&["send-keys", "-l", &format!("{word}{after}")]);
        }
        let whole = if word == first { format!("{number}-{first}-") } else { code.to_owned() };
        screen.wait_for(&whole);
    }
    screen.run(&["send-keys", "Enter"]);
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("the reply is in the postbox; 'otr recv' waits"), "{shown}");
}

#[test]
fn a_line_of_any_length_is_typed() {
    let pair = Pair::new();
    let screen = Screen::new(&pair);
    let line = (0..2_500).fold(String::new(), |line, number| line + &format!("{number:07} "));
    assert_eq!(line.len(), 20_000);
    for args in ["", "--lines"] {
        screen.enter(&format!(
            "alice send {args} > packet; bob recv < packet > text; echo ended: $?"
        ));
        screen.wait_for("type the message, then Ctrl-D");
        screen.paste(&pair, format!("{line}\n").as_bytes());
        screen.wait_for("0002499 ");
        screen.run(&["send-keys", "C-d"]);
        screen.wait_for("ended: 0");
        let text = std::fs::read_to_string(pair.path("text")).unwrap();
        assert!(text == format!("{line}\n"), "{args}: {} bytes", text.len());
    }
}

#[test]
fn what_is_typed_can_be_edited_and_goes_on_after_a_stop() {
    let pair = Pair::new();
    let screen = Screen::new(&pair);
    screen.enter("OTR_DIR=$PLACE/alice otr send > packet");
    screen.wait_for("type the message, then Ctrl-D");
    screen.run(&["send-keys", "-l", "green and blueX"]);
    screen.wait_for("blueX");
    screen.run(&["send-keys", "BSpace", "C-w"]);
    until("the last word is gone", || !screen.shown().contains("blue"));
    screen.run(&["send-keys", "-l", "red"]);
    screen.wait_for("green and red");
    screen.run(&["send-keys", "C-z"]);
    screen.wait_for("Stopped");
    assert_modes(&screen, "stopped");
    screen.type_line("fg");
    until("it goes on", || screen.shown().trim_end().ends_with("packet"));
    screen.type_line(" and more");
    screen.wait_for("and more");
    screen.run(&["send-keys", "C-d"]);
    until("the shell asks again", || screen.shown().trim_end().ends_with("ready>"));
    screen.enter("bob recv < packet; echo ended: $?");
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("green and red and more\n"), "{shown}");
}

/// The terminal has its own modes: what is typed is seen, and lines are edited.
#[track_caller]
fn assert_modes(screen: &Screen, when: &str) {
    let modes = r"$(stty -a | tr ' ;' '\n\n' | grep -c -x -e icanon -e echo -e isig -e icrnl)";
    screen.type_line(&format!("echo modes {when}: {modes}"));
    screen.wait_for(&format!("modes {when}: 4"));
}

#[test]
fn whatever_ends_a_command_the_terminal_is_given_back() {
    let pair = Pair::new();
    let screen = Screen::new(&pair);
    for (args, waits) in [
        ("recv", "Enter and Ctrl-D"),
        ("send", "then Ctrl-D"),
        ("import -s other", "Enter and Ctrl-D"),
        ("verify", "the secret to compare:"),
        ("init -s other --ask-secret", "that you both know:"),
        ("respond -s other --code --postbox http://127.0.0.1:1", "completes words):"),
        ("respond -s other --code - --postbox http://127.0.0.1:1", "completes words):"),
        ("simulate", "type the script"),
        ("export --ask-passphrase", "passphrase"),
    ] {
        for signal in ["TERM", "HUP", "INT", "QUIT"] {
            screen.enter(&format!("sh -c 'echo $$ > pid; OTR_DIR=$PLACE/alice exec otr {args}'"));
            screen.wait_for(waits);
            screen_kill(&pair, signal);
            until("the shell asks again", || screen.shown().trim_end().ends_with("ready>"));
            assert_modes(&screen, signal);
        }
    }
    // A parent that has switched it off, as nohup does, means it.
    std::fs::write(pair.path("clip"), pair.sealed("", b"still alive")).unwrap();
    screen.enter("sh -c 'trap \"\" HUP; echo $$ > pid; OTR_DIR=$PLACE/bob exec otr recv'");
    screen.wait_for("Enter and Ctrl-D");
    screen_kill(&pair, "HUP");
    screen.paste(&pair, &std::fs::read(pair.path("clip")).unwrap());
    screen.run(&["send-keys", "C-d"]);
    screen.wait_for("still alive");
}

/// Sends this signal to the process whose number the last command has written.
fn screen_kill(pair: &Pair, signal: &str) {
    let pid = std::fs::read_to_string(pair.path("pid")).unwrap();
    assert!(
        tool("kill", "procps")
            .arg(format!("-{signal}"))
            .arg(pid.trim())
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_nul_between_messages_is_seen_and_nothing_is_obeyed() {
    let pair = Pair::new();
    let packets = [pair.sealed("", b"\x1b[2Jone"), pair.sealed("", b"two\n")].concat();
    std::fs::write(pair.path("packets"), packets).unwrap();
    let screen = Screen::new(&pair);
    screen.enter("echo before; bob recv -q --null < packets; echo ended: $?");
    let shown = screen.wait_for("ended: 0");
    assert!(shown.contains("before\n^[[2Jone^@\ntwo\n^@\nended: 0"), "{shown}");
}

#[test]
fn bash_completes_names_with_blanks_and_sessions_behind_an_equals_sign() {
    let pair = Pair::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/completions/otr.bash");
    for name in ["my file", "star*"] {
        std::fs::write(pair.path(name), "").unwrap();
    }
    std::fs::create_dir(pair.path("x dir")).unwrap();
    let screen = Screen::new(&pair);
    screen.type_line("PS1='ready> ' exec bash --norc --noprofile");
    screen.enter(&format!("cd $PLACE; source {script}; export OTR_DIR=$PLACE/alice; echo sourced"));
    screen.wait_for("\nsourced");
    let complete = |typed: &str, completed: &str| {
        screen.type_line("clear");
        until("the screen is empty", || screen.shown().trim() == "ready>");
        screen.run(&["send-keys", "-l", typed]);
        screen.run(&["send-keys", "Tab"]);
        screen.wait_for(completed);
        screen.run(&["send-keys", "C-u"]);
    };
    complete("otr recv -o my", "otr recv -o my\\ file ");
    complete("otr recv --reveal my\\ f", "otr recv --reveal my\\ file ");
    complete("otr recv --reveal \"my f", "otr recv --reveal \"my file\" ");
    complete("otr postbox --tls-cert=my", "otr postbox --tls-cert=my\\ file ");
    complete("otr postbox --tls-cert st", "otr postbox --tls-cert star\\* ");
    complete("otr init --ca-file my", "otr init --ca-file my\\ file ");
    complete("otr init --dir x", "otr init --dir x\\ dir/");
    complete("otr inspect my", "otr inspect my\\ file ");
    complete("otr --session=def", "otr --session=default ");
    complete("otr send --session=d", "otr send --session=default ");
}

#[test]
fn completions_and_the_manual_say_where_they_go() {
    let pair = Pair::new();
    let screen = Screen::new(&pair);
    for (command, hint) in [
        (
            "completions bash",
            "otr completions bash > ~/.local/share/bash-completion/completions/otr",
        ),
        ("completions zsh", "otr completions zsh > DIR/_otr, where DIR is one of $fpath"),
        ("completions fish", "otr completions fish > ~/.config/fish/completions/otr.fish"),
        ("man", "otr man | man -l -"),
        ("man pages", "man -l pages/otr.1"),
    ] {
        screen.enter(&format!("otr {command}; echo ended: $?"));
        let shown = screen.wait_for("ended: 0");
        assert!(shown.contains(hint), "{shown}");
        // Not if the output goes elsewhere, and not if nobody wants to be told.
        screen.enter(&format!("otr {command} | wc -l; otr {command} -q | wc -l; echo ended: $?"));
        assert!(!screen.wait_for("ended: 0").contains("otr: "), "{command}");
    }
    screen.enter("otr man -q; echo ended: $?");
    assert!(!screen.wait_for("ended: 0").contains("man -l"));
}
