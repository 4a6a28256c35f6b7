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
    for command in &commands {
        for option in ["--help", "-h"] {
            let help = text(&place.run(&[command, option], b""));
            assert!(help.contains(&format!("Usage: otr {command}")), "{command}: {help}");
        }
    }
}

#[test]
fn nothing_at_all_is_answered_with_the_help() {
    let place = Place::new();
    let help = place.run(&["-h"], b"");
    for arguments in [&[][..], &["-q"], &["-s", "alice"]] {
        for session in ["", "bob"] {
            let mut command = place.otr(arguments);
            if !session.is_empty() {
                command.env("OTR_SESSION", session);
            }
            let output = command.output().unwrap();
            assert_eq!((code(&output), text(&output.stdout)), (2, String::new()));
            assert!(text(&output.stderr).contains("Begin a session"));
        }
    }
    let output = place.otr(&[]).output().unwrap();
    assert_eq!(text(&output.stderr), text(&help));
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

#[test]
fn a_file_after_send_gets_the_hint() {
    let place = Place::new();
    let output = place.otr(&["send", "letter.txt"]).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).ends_with("; otr send < letter.txt\n"), "{output:?}");
}
