//! The files in `completions/` and `man/` are what the binary writes, and the pages are clean.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod place;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use place::{Place, text};
use serde_json::Value;

const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "otr.bash"), ("zsh", "_otr"), ("fish", "otr.fish")];

/// Set to bring the files up to date instead of comparing them.
const UPDATE: &str = "OTR_UPDATE";

fn home(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.map(|(name, path)| (name, fs::read_to_string(path).unwrap())).collect()
}

fn assert_current(directory: &Path, written: &BTreeMap<String, String>) {
    if std::env::var_os(UPDATE).is_some() {
        for (name, text) in written {
            fs::write(directory.join(name), text).unwrap();
        }
        for name in files(directory).into_keys().filter(|name| !written.contains_key(name)) {
            fs::remove_file(directory.join(name)).unwrap();
        }
    }
    let kept = files(directory);
    let update = format!("bring it up to date: {UPDATE}=1 cargo test --test generated");
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(written), "{}: {update}", directory.display());
    for (name, text) in written {
        assert!(kept[name] == *text, "{}/{name} is old; {update}", directory.display());
    }
}

#[test]
fn the_completions_are_current() {
    let place = Place::new();
    let written = COMPLETIONS
        .map(|(shell, file)| (file.to_owned(), text(&place.run(&["completions", shell], b""))));
    assert_current(&home("completions"), &written.into());
}

#[test]
fn the_manual_is_current() {
    let place = Place::new();
    // The environment shows up nowhere in it.
    let mut man = place.otr(&["man", "made/man"]);
    // A hint where the pages are is for a terminal.
    man.env("OTR_SESSION", "somebody").assert().success().stdout("").stderr("");
    let written = files(&place.path("made/man"));
    assert_eq!(text(&place.run(&["man"], b"")), written["otr.1"]);
    assert_current(&home("man"), &written);
}

/// A table of parameters or of what a result has; empty if there are none.
fn rows<'a>(heading: &str, fields: impl Iterator<Item = (&'a Value, &'a str, bool)>) -> String {
    let mut table = String::new();
    for (schema, name, must) in fields {
        if table.is_empty() {
            table = format!("\n| {heading} | | |\n|---|---|---|\n");
        }
        let kind = match (schema["type"].as_str().unwrap(), schema["items"]["type"].as_str()) {
            ("string", _) if schema["contentEncoding"] == "base64" => "base64".to_owned(),
            ("array", Some(items)) => format!("array of {items}s"),
            (kind, _) => kind.to_owned(),
        };
        let must = if must { "" } else { ", optional" };
        let about = schema["description"].as_str().unwrap();
        writeln!(table, "| `{name}` | {kind}{must} | {about} |").unwrap();
    }
    table
}

/// What `rpc.discover` says, for people.
fn page(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let about = text(&document["info"]["description"]);
    let mut page = format!(
        "# The interface of `otr rpc`\n\nMade from the answer of `rpc.discover`, by \
         `{UPDATE}=1 cargo test --test generated`.\n\n{about}\n\n## Methods\n"
    );
    for method in document["methods"].as_array().unwrap() {
        write!(page, "\n### {}\n\n{}\n", text(&method["name"]), text(&method["description"]))
            .unwrap();
        let params = method["params"].as_array().unwrap().iter().map(|param| {
            (&param["schema"], param["name"].as_str().unwrap(), param["required"] == true)
        });
        page += &rows("parameter", params);
        let result = &method["result"]["schema"];
        let required = result["required"].as_array().unwrap();
        let gives = result["properties"].as_object().unwrap().iter();
        page += &rows(
            "result",
            gives.map(|(name, schema)| {
                (schema, name.as_str(), required.contains(&name.as_str().into()))
            }),
        );
    }
    page
}

#[test]
fn the_description_of_the_interface_is_current() {
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}"#;
    let told = Place::new().run(&["rpc"], call);
    let answer: Value = serde_json::from_slice(&told).unwrap();
    let page = page(&answer["result"]);
    let kept = home("docs/rpc.md");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&kept, &page).unwrap();
    }
    let update = format!("bring it up to date: {UPDATE}=1 cargo test --test generated");
    assert!(fs::read_to_string(kept).unwrap_or_default() == page, "docs/rpc.md is old; {update}");
}

#[test]
fn the_manual_is_clean() {
    let pages: Vec<PathBuf> =
        files(&home("man")).keys().map(|name| home("man").join(name)).collect();
    assert!(pages.len() > 5);
    let mut mandoc = Command::new("mandoc");
    mandoc.args(["-T", "lint", "-W", "warning"]).args(pages);
    let output = mandoc.output().expect("mandoc is missing: apt-get install mandoc");
    assert_eq!(text(&output.stdout), "");
    assert!(output.status.success());
}

#[test]
fn every_page_says_what_scripts_and_people_look_for() {
    for (name, page) in files(&home("man")) {
        for heading in ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
            let quoted = format!(".SH \"{heading}\"\n");
            assert!(page.contains(&format!(".SH {heading}\n")) || page.contains(&quoted), "{name}");
        }
        assert!(page.contains("unsafe_state"), "{name}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    fs::create_dir_all(place.path("taken/otr.1")).unwrap();
    for dir in ["file", "file/below", "taken"] {
        let output = place.otr(&["man", dir]).output().unwrap();
        assert_eq!(place::code(&output), 1);
        let said = text(&output.stderr);
        assert!(said.contains("name a directory that you can write to"), "{said}");
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let place = Place::new();
    for arguments in ["man", "completions bash", "completions zsh", "completions fish"] {
        let output = place.shell(&format!("\"$0\" {arguments} > /dev/full"));
        assert_eq!(place::code(&output), 1, "{arguments}");
        assert!(text(&output.stderr).starts_with("otr: "), "{arguments}");
    }
}

#[test]
fn defaults_are_written_as_they_are_typed() {
    let help = |command: &str| text(&Place::new().run(&[command, "--help"], b""));
    assert!(help("simulate").contains("[default: 4K]"), "{}", help("simulate"));
}
