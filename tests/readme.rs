//! The README's own command lines, run unchanged.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs;

use support::Pair;

/// Often enough for a recording that loses the head of the reply in one run of a hundred to show it
/// most of the time; and each run is a look at everything else.
const RUNS: usize = 60;

/// The lines of shell in a section of the README.
fn shell(heading: &str) -> String {
    let readme = include_str!("../README.md");
    let from = readme.find(heading).unwrap();
    let section = &readme[from + heading.len()..];
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    lines.fold(String::new(), |script, line| script + line + "\n")
}

#[test]
fn deniability_in_your_hand_does_what_it_says() {
    let script = shell("## Deniability in your hand");
    assert!(script.contains("otr forge") && script.contains("otr simulate"), "{script}");
    let pair = Pair::strangers();
    for run in 0..RUNS {
        let here = format!("run{run}");
        let all = pair.sh(&format!(
            "mkdir {here} && cd {here} && export OTR_DIR=$PLACE/{here}/sessions\n{script}"
        ));
        let (out, err) = (String::from_utf8(all.out).unwrap(), all.err);
        assert_eq!(all.code, 0, "{err}");
        // The message, read; then the forgery, read.
        assert!(out.starts_with("I owe you 10\n") && out.contains("\nI owe you 99\n"), "{out}");
        assert!(out.contains("at least one is forged, and nothing tells which"), "{out}");
        // Whole: the invite, the reply and two packets in the tape, one more that is forged.
        let total = "invites 1, replies 1, packets 3, keys 1, damaged 0";
        assert_eq!(out.matches(total).count(), 1, "{out}");
        fs::remove_dir_all(pair.path(&here)).unwrap();
    }
}
