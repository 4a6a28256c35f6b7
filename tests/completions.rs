//! The completions, loaded by a real bash, zsh and fish.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

mod place;

use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use place::{Place, text};

/// A shell answers in a tenth of a second; one that hangs is a failure.
const PATIENCE: Duration = Duration::from_mins(1);

fn home(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Sessions `alice` and `bob`, and in the directory `other` one named `carol`.
fn sessions() -> Place {
    let place = Place::new();
    for name in ["alice", "bob"] {
        place.run(&["-s", name, "init"], b"");
    }
    place.run(&["--dir", "other", "-s", "carol", "init"], b"");
    place
}

/// How a shell completes these arguments, with `otr` on its path.
fn shell(place: &Place, shell: &str, options: &[&str], arguments: &[&str]) -> Vec<String> {
    let binary = Path::new(env!("CARGO_BIN_EXE_otr")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(shell);
    command
        .args(options)
        .arg(home(&format!("tests/shells/complete.{shell}")))
        .args(arguments)
        .current_dir(place.path(""))
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("OTR_DIR", place.path("dir"))
        .env("HOME", place.path(""))
        .env("TERM", "dumb")
        .timeout(PATIENCE);
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{shell} is missing ({error}): apt-get install {shell}"));
    assert_eq!(text(&output.stderr), "", "{shell} {arguments:?}");
    assert!(output.status.success());
    text(&output.stdout).lines().map(str::to_owned).collect()
}

fn assert_some(found: &[String], expected: &[&str]) {
    for one in expected {
        assert!(found.iter().any(|candidate| candidate == one), "no {one} in {found:?}");
    }
}

#[test]
fn bash_completes() {
    let place = sessions();
    let script = home("completions/otr.bash");
    let complete = |words: &[&str]| {
        let arguments = [&[script.to_str().unwrap()], words].concat();
        shell(&place, "bash", &["--norc", "--noprofile"], &arguments)
    };
    let commands = complete(&["otr", ""]);
    assert_some(&commands, &["init", "respond", "send", "recv", "close", "status", "demo"]);
    assert!(!commands.iter().any(|command| command == "complete-sessions"));
    assert_eq!(complete(&["otr", "res"]), ["respond"]);
    assert_some(&complete(&["otr", "send", "-"]), &["--lines", "--raw", "--session", "-s"]);
    assert_eq!(complete(&["otr", "send", "--no-k"]), ["--no-keys"]);
    assert_eq!(complete(&["otr", "completions", "z"]), ["zsh"]);
    for option in ["-s", "--session"] {
        assert_eq!(complete(&["otr", option, ""]), ["alice", "bob"]);
        assert_eq!(complete(&["otr", "send", option, "b"]), ["bob"]);
        assert_eq!(complete(&["otr", "--dir", "other", "send", option, ""]), ["carol"]);
        assert_eq!(complete(&["otr", "--dir", "=", "other", option, ""]), ["carol"]);
    }
    assert_eq!(complete(&["otr", "--session", "=", "a"]), ["alice"]);
    assert_eq!(complete(&["otr", "send", "--session", "=", "b"]), ["bob"]);
}

#[test]
fn zsh_completes() {
    let place = sessions();
    let directory = home("completions");
    let complete =
        |line: &str| shell(&place, "zsh", &["-f"], &[directory.to_str().unwrap(), line]).concat();
    assert_eq!(complete("otr res"), "otr respond ");
    assert_eq!(complete("otr demo"), "otr demo ");
    // Hidden from people: `otr comp` has one completion.
    assert_eq!(complete("otr comp"), "otr completions ");
    assert_eq!(complete("otr send --no-k"), "otr send --no-keys ");
    assert_eq!(complete("otr completions z"), "otr completions zsh ");
    assert_eq!(complete("otr -s al"), "otr -s alice ");
    assert_eq!(complete("otr send -s b"), "otr send -s bob ");
    assert_eq!(complete("otr recv --session b"), "otr recv --session bob ");
    assert_eq!(complete("otr --session=al"), "otr --session=alice ");
    assert_eq!(complete("otr --dir other send -s "), "otr --dir other send -s carol ");
}

#[test]
fn fish_completes() {
    let place = sessions();
    let script = home("completions/otr.fish");
    let complete =
        |line: &str| shell(&place, "fish", &["--no-config"], &[script.to_str().unwrap(), line]);
    let commands = complete("otr ");
    assert_some(&commands, &["init", "respond", "send", "recv", "close", "status", "demo"]);
    assert!(!commands.iter().any(|command| command == "complete-sessions"));
    assert_eq!(complete("otr res"), ["respond"]);
    assert_some(&complete("otr send --"), &["--lines", "--raw", "--session"]);
    assert_eq!(complete("otr send --no-k"), ["--no-keys"]);
    assert_eq!(complete("otr completions z"), ["zsh"]);
    assert_eq!(complete("otr -s "), ["alice", "bob"]);
    assert_eq!(complete("otr send -s b"), ["bob"]);
    assert_eq!(complete("otr send --session "), ["alice", "bob"]);
    assert_eq!(complete("otr send --session=b"), ["--session=bob"]);
    assert_eq!(complete("otr --dir other send -s "), ["carol"]);
}

#[test]
fn the_helper_never_fails_and_never_speaks() {
    let place = sessions();
    for (arguments, names) in [
        (&["complete-sessions"][..], "alice\nbob\n"),
        (&["complete-sessions", "--", "otr", "--dir=other", "-s"], "carol\n"),
        (&["complete-sessions", "--", "--dir", "/no/such", "--bad", ""], ""),
        (&["complete-sessions", "--", "--dir", "/"], ""),
    ] {
        let output = place.otr(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert_eq!(text(&output.stdout), names, "{arguments:?}");
    }
}
