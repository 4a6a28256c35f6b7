//! `otr demo`: the tour is complete and readable, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod place;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use place::{Place, code, text};
use rustix::process::{Pid, Signal, kill_process};

fn is_empty(place: &Place) -> bool {
    fs::read_dir(place.path("dir")).unwrap().next().is_none()
}

#[test]
fn the_tour_is_whole_and_leaves_nothing_behind() {
    let place = Place::new();
    // The person's own setup is left alone.
    let output = place.otr(&["demo"]).env("OTR_SESSION", "alice").output().unwrap();
    let shown = text(&output.stdout);
    assert_eq!((code(&output), text(&output.stderr)), (0, String::new()), "{shown}");
    for expected in [
        "$ otr postbox --listen 127.0.0.1:",
        "$ otr -s alice init --postbox http://127.0.0.1:",
        "$ echo 'hello, bob' | otr -s alice send\n",
        "$ otr -s bob recv\n  hello, bob\n",
        "$ otr -s alice recv\n  hello, alice\n",
        "$ otr -s bob recv > copy &\n$ otr -s alice send --confirm < ",
        "$ wait %2\n  (copy is the same, byte for byte)\n",
        "$ otr -s carol init | otr -s dave respond | otr -s carol recv\n",
        "$ kill %1\n  otr: the postbox ends; 0 packets are lost with it\n",
        "$ otr -s bob status\n",
        "(exit code 7, closed)\n",
        "packet 3 verifies under key 4\n",
        "packet 6 verifies under key 4\n",
        "All of it held",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(is_empty(&place));
}

/// A place where directory names are short.
#[test]
fn the_tour_fits_80_columns() {
    let place = Place::new();
    let (binary, directory) = (env!("CARGO_BIN_EXE_otr"), place.path("dir"));
    let shown = text(&place.run(&["demo"], b""));
    let shown = shown.replace(binary, "/usr/bin/otr");
    let shown = shown.replace(directory.to_str().unwrap(), "/run/user/1000/otr");
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn what_is_shown_can_be_typed() {
    let place = Place::new();
    let shown = text(&place.run(&["demo"], b""));
    let shown = shown.replace(" |\n    ", " | ");
    let typed: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(typed.len() > 5, "{shown}");
    let binary = env!("CARGO_BIN_EXE_otr");
    let typed = typed[1..].join("\n");
    let script = format!("trap 'kill $(jobs -p)' EXIT\n{typed}\ncmp '{binary}' copy && echo done");
    let old = std::env::var_os("PATH").unwrap_or_default();
    let own = Path::new(binary).parent().unwrap().to_owned();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&old))).unwrap();
    // It ends, with everything that it started, whatever goes wrong.
    let mut shell = Command::new("timeout");
    shell.args(["60", "bash", "-c", &script]).env("PATH", path);
    shell.current_dir(place.path("dir")).env("OTR_DIR", place.path("dir"));
    let output = shell.output().unwrap();
    let out = text(&output.stdout);
    assert!(
        out.starts_with("hello, bob\nhello, alice\n")
            && out.contains("hello, dave\n")
            && out.ends_with("done\n"),
        "{output:?}"
    );
}

/// Whether anything listens at the postbox's address.
fn serves(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn a_signal_leaves_nothing_behind() {
    let place = Place::new();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_otr"));
    demo.arg("demo").env("OTR_DIR", place.path("dir")).stdout(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut shown = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address =
        shown.find_map(|line| Some(line.trim().split_once("OTR_POSTBOX=http://")?.1.to_owned()));
    let address = address.unwrap();
    assert!(!is_empty(&place) && serves(&address));
    kill_process(Pid::from_child(&demo), Signal::TERM).unwrap();
    assert_eq!(demo.wait().unwrap().signal(), Some(15));
    assert!(is_empty(&place) && !serves(&address));
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let place = Place::new();
    let mut demo = Command::new("sh");
    demo.args(["-c", "trap '' HUP INT; exec \"$0\" demo", env!("CARGO_BIN_EXE_otr")]);
    demo.env("OTR_DIR", place.path("dir")).stdout(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut shown = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(shown.any(|line| line.contains("OTR_POSTBOX=")));
    for signal in [Signal::HUP, Signal::INT] {
        kill_process(Pid::from_child(&demo), signal).unwrap();
    }
    shown.for_each(drop);
    assert_eq!(demo.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_place_in_memory_it_says_so() {
    let place = Place::new();
    let output = place.otr(&["--dir", "/proc/otr", "demo"]).output().unwrap();
    assert_eq!(code(&output), 11);
    assert!(output.stdout.is_empty());
}
