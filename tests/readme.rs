//! The pages: the command lines of docs/deniability.md, run unchanged, and what they link to.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::Pair;

/// Often enough for a recording that loses the head of the reply in one run of a hundred to show it
/// most of the time; and each run is a look at everything else.
const RUNS: usize = 60;

/// The lines of shell in a section of the page.
fn shell(heading: &str) -> String {
    let page = include_str!("../docs/deniability.md");
    let from = page.find(heading).unwrap();
    let section = &page[from + heading.len()..];
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

/// The pages of the project, with the directory that each lies in.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for directory in [root.to_owned(), root.join("docs")] {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                pages.push((directory.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    pages
}

/// The links of a page that lead nowhere, from `directory`.
fn broken(directory: &Path, page: &str) -> Vec<String> {
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
    let leads = |link: &&str| directory.join(link.split('#').next().unwrap()).exists();
    inside.filter(|link| !leads(link)).map(str::to_owned).collect()
}

#[test]
fn no_link_leads_nowhere() {
    let pages = pages();
    assert!(pages.len() > 10);
    for (directory, page) in pages {
        assert_eq!(broken(&directory, &page), [""; 0]);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(broken(root, "[here](README.md#otr) and [there](docs/none.md)"), ["docs/none.md"]);
}
