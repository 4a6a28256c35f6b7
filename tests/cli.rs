//! The command line itself: every command explains itself, every wrong one ends with 2.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod place;

use place::{Place, code, text};

/// The commands that the help lists.
fn commands(place: &Place) -> Vec<String> {
    let help = text(&place.run(&["--help"], b""));
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    names.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_explains_itself() {
    let place = Place::new();
    let commands = commands(&place);
    for expected in ["init", "respond", "send", "recv", "close", "status", "expect", "demo"] {
        assert!(commands.iter().any(|command| command == expected), "{commands:?}");
    }
    for command in commands.iter().filter(|command| *command != "help") {
        for option in ["--help", "-h"] {
            let help = text(&place.run(&[command, option], b""));
            assert!(help.contains(&format!("Usage: otr {command}")), "{command}: {help}");
        }
    }
}

/// What a script is told that names no command; tests/terminal.rs has what a person sees.
const NOTHING: &str = "otr: no command was given; see 'otr --help'\n";

#[test]
fn nothing_at_all_is_a_mistake() {
    let place = Place::new();
    for arguments in [&[][..], &["-q"], &["-s", "alice"]] {
        for session in ["", "bob"] {
            let mut command = place.otr(arguments);
            if !session.is_empty() {
                command.env("OTR_SESSION", session);
            }
            let output = command.output().unwrap();
            assert_eq!((code(&output), text(&output.stdout)), (2, String::new()));
            assert_eq!(text(&output.stderr), NOTHING);
        }
    }
}

#[test]
fn the_version_is_the_crates() {
    let version = format!("otr {}\n", env!("CARGO_PKG_VERSION"));
    for option in ["--version", "-V"] {
        assert_eq!(text(&Place::new().run(&[option], b"")), version);
    }
}

#[test]
fn wrong_arguments_are_code_2_and_change_nothing() {
    let place = Place::new();
    let mut wrong: Vec<Vec<&str>> = vec![
        vec!["nonsense"],
        vec!["--nonsense", "init"],
        vec!["-s", "a/b", "init"],
        vec!["-s", "", "init"],
        vec!["-s"],
        vec!["--lock-wait", "long", "init"],
        vec!["-q", "-v", "init"],
        vec!["--state-fd", "1", "init"],
        vec!["init", "--expires", "never"],
        vec!["init", "--expires", "1h", "--again"],
        vec!["init", "--wrap", "3"],
        vec!["respond", "--raw", "--wrap", "76"],
        vec!["send", "--size", "2M"],
        vec!["send", "--lines", "--last"],
        vec!["recv", "--force"],
        vec!["recv", "-o", "file", "--null"],
        vec!["recv", "--look-ahead", "0"],
        vec!["close", "--all", "--silent"],
        vec!["expect", "--count", "0"],
        vec!["completions"],
        vec!["completions", "tcsh"],
    ];
    let commands = commands(&place);
    wrong.extend(commands.iter().map(|command| vec![command.as_str(), "--nonsense"]));
    // These take files or a directory.
    let no_word = commands.iter().filter(|command| !["inspect", "man"].contains(&command.as_str()));
    wrong.extend(no_word.map(|command| vec![command.as_str(), "extra", "words"]));
    wrong.push(vec!["man", "extra", "words"]);
    for arguments in wrong {
        let output = place.otr(&arguments).write_stdin("x").output().unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.starts_with("otr: ") && said.lines().count() == 1, "{arguments:?}: {said}");
    }
    let output = place.otr(&["--json", "--nonsense"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((code(&output), said["error"].as_str()), (2, Some("usage")), "{said}");
    assert_eq!(std::fs::read_dir(place.path("dir")).unwrap().count(), 0);
}

/// What the one line of a failure with code 2 says.
#[track_caller]
fn told(command: &mut assert_cmd::Command) -> String {
    let output = command.output().unwrap();
    assert_eq!((code(&output), output.stdout.len()), (2, 0), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.starts_with("otr: ") && said.lines().count() == 1, "{said}");
    said
}

#[test]
fn words_after_a_command_that_reads_stdin_get_the_hint() {
    let place = Place::new();
    std::fs::write(place.path("my letter"), "x").unwrap();
    for (arguments, hint) in [
        (&["send", "hello"][..], "; echo hello | otr send\n"),
        (&["send", "hello", "you two!"], "; echo hello 'you two!' | otr send\n"),
        (&["send", "my letter"], "; otr send < 'my letter'\n"),
        (&["-q", "send", "--lines", "my letter"], "; otr send < 'my letter'\n"),
        (&["recv", "packet"], "; otr recv < packet\n"),
        (&["respond", "invite"], "; otr respond < invite\n"),
        (&["import", "session"], "; otr import < session\n"),
        (&["recv", "--nonsense"], "; see 'otr recv --help'\n"),
        (&["-s", "bob", "init", "--expires", "never"], "; see 'otr init --help'\n"),
        (&["nonsense"], "; see 'otr --help'\n"),
    ] {
        let said = told(&mut place.otr(arguments));
        assert!(said.ends_with(hint), "{arguments:?}: {said}");
    }
}

#[test]
fn help_is_a_command() {
    let place = Place::new();
    assert_eq!(place.run(&["help"], b""), place.run(&["--help"], b""));
    for command in commands(&place).iter().filter(|command| *command != "help") {
        let help = place.run(&["help", command], b"");
        assert!(help == place.run(&[command, "--help"], b""), "{command}");
    }
    assert!(told(&mut place.otr(&["help", "nonsense"])).contains("'nonsense'"));
}

#[test]
fn nothing_at_all_is_a_mistake_in_an_empty_environment() {
    let mut bare = assert_cmd::Command::cargo_bin("otr").unwrap();
    let output = bare.env_clear().output().unwrap();
    assert_eq!((code(&output), output.stdout.len()), (2, 0));
    assert_eq!(text(&output.stderr), NOTHING);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let place = Place::new();
    for (name, arguments) in [
        ("OTR_SESSION", &["init"][..]),
        ("OTR_POSTBOX", &["-s", "a", "init"]),
        ("OTR_PROXY", &["-s", "b", "init"]),
        ("OTR_PROXY", &["-s", "a", "status", "--ask"]),
        ("OTR_SESSION", &["send"]),
    ] {
        let output = place.otr(arguments).env(name, "").write_stdin("x").output().unwrap();
        let expected = if arguments == ["send"] { 14 } else { 0 };
        assert_eq!(code(&output), expected, "{name}: {}", text(&output.stderr));
    }
    assert!(place.state("default").exists());
    // The usual places, not the current directory.
    for arguments in [&["status"][..], &["send"]] {
        let mut command = place.otr(arguments);
        command.env("OTR_DIR", "").env("XDG_RUNTIME_DIR", place.path("run")).write_stdin("x");
        let output = command.output().unwrap();
        let searched = place.path("run/otr");
        assert_eq!(code(&output), 3, "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(searched.to_str().unwrap()), "{output:?}");
    }
}

#[test]
fn a_variable_that_an_option_overrides_is_not_looked_at() {
    let place = Place::new();
    for arguments in [
        &["-s", "bob", "init"][..],
        &["init", "-s", "carol"],
        &["init", "--session=dave"],
        &["-s", "nobody", "init", "-s", "eve"],
    ] {
        let output = place.otr(arguments).env("OTR_SESSION", "a/b").output().unwrap();
        assert_eq!(code(&output), 0, "{arguments:?}: {}", text(&output.stderr));
    }
    let names = ["bob", "carol", "dave", "eve"];
    assert!(names.iter().all(|name| place.state(name).exists()));
    let mut send = place.otr(&["send", "-s", "bob", "--proxy", "socks5h://127.0.0.1:9"]);
    let output = send.env("OTR_PROXY", "nonsense").env("OTR_SESSION", "a/b").output().unwrap();
    assert_eq!(code(&output), 14, "{output:?}");
}

#[test]
fn a_wrong_variable_is_named_and_its_value_is_not_shown() {
    let place = Place::new();
    for (name, value, arguments) in [
        ("OTR_SESSION", "a/b", &["init"][..]),
        ("OTR_SESSION", "a/b", &["send"]),
        ("OTR_PROXY", "http://me:hunter2@proxy", &["send"]),
        ("OTR_PROXY", "http://me:hunter2@proxy", &["status", "--ask"]),
        ("OTR_POSTBOX", "ftp://hunter2", &["init"]),
    ] {
        let said = told(place.otr(arguments).env(name, value).write_stdin("x"));
        assert!(said.starts_with(&format!("otr: {name} cannot be used: ")), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("a/b"), "{said}");
        let mut json = place.otr(&["--json"]);
        let output = json.args(arguments).env(name, value).write_stdin("x").output().unwrap();
        let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((code(&output), said["error"].as_str()), (2, Some("usage")), "{said}");
    }
    // What was typed comes first.
    let said = told(place.otr(&["init", "--nonsense"]).env("OTR_SESSION", "a/b"));
    assert!(said.contains("--nonsense"), "{said}");
    place::set_mode(&place.path("dir"), 0o755);
    let output = place.otr(&["init"]).output().unwrap();
    assert_eq!(code(&output), 11);
    assert!(text(&output.stderr).contains("OTR_DIR"), "{output:?}");
    place::set_mode(&place.path("dir"), 0o700);
    let output = place.otr(&["words"]).env("OTR_SESSION", "zoe").output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains("OTR_SESSION names it"), "{output:?}");
}

/// `recv` without a session reads stdin for a reply; what is for a postbox needs a session first.
#[test]
fn who_follows_a_session_that_is_not_there_is_told_so() {
    let place = Place::new();
    for option in ["--follow", "--all", "--wait=1s", "--count=1"] {
        let output = place.otr(&["-s", "gone", "recv", option]).output().unwrap();
        assert_eq!((code(&output), text(&output.stdout).as_str()), (3, ""), "{option}");
        let said = text(&output.stderr);
        assert!(said.contains("gone") && !said.contains("--count are for"), "{said}");
    }
    let output = place.otr(&["recv", "--stdin", "--all"]).output().unwrap();
    assert_eq!(code(&output), 2);
}

#[test]
fn a_flag_given_twice_counts_once_and_the_last_value_wins() {
    let place = Place::new();
    place.run(
        &["-q", "-q", "--json", "init", "-q", "--json", "--expires", "1h", "--expires", "2h"],
        b"",
    );
    place.run(&["-s", "nobody", "-s", "one", "init", "-s", "bob", "-s", "alice"], b"");
    assert!(place.state("alice").exists() && !place.state("bob").exists());
    for arguments in [
        &[
            "-q", "-q", "-s", "alice", "-s", "default", "send", "--raw", "--raw", "--size", "1M",
            "--size", "4K",
        ][..],
        &["-s", "x", "send", "-s", "alice", "--stdout", "-q", "-q", "--stdout"],
    ] {
        let output = place.otr(arguments).write_stdin("x").output().unwrap();
        assert_eq!(code(&output), 14, "{arguments:?}: {output:?}");
    }
    for arguments in [&["recv", "--all", "--all"][..], &["status", "--ask", "--ask"]] {
        let output = place.otr(arguments).write_stdin("").output().unwrap();
        assert!(!text(&output.stderr).contains("multiple"), "{output:?}");
    }
}

#[test]
fn what_cannot_be_written_is_no_success() {
    let place = Place::new();
    for arguments in [
        "--help",
        "-h",
        "--version",
        "send --help",
        "recv -h",
        "help",
        "help send",
        "man",
        "completions bash",
    ] {
        let output = place.shell(&format!("\"$0\" {arguments} > /dev/full"));
        assert_eq!(code(&output), 1, "{arguments}");
        let said = text(&output.stderr);
        assert!(said.starts_with("otr: cannot write to stdout: "), "{arguments}: {said}");
    }
}
