//! Checks the layers of docs/architecture.md against the `use` lines of src/: no two files import
//! each other, directly or through others, and no layer imports one above it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers: each may import only itself and earlier ones.
const LAYERS: [&[&str]; 15] = [
    &["kind"],
    &["protocol"],
    &["armor"],
    &["store"],
    &["postbox"],
    &["conversation"],
    &["failure", "closed", "process", "randomness"],
    &["worker", "ending", "program"],
    &["ui"],
    &["route"],
    &["options", "origins", "story"],
    &["context"],
    &["commands"],
    &["cli", "usage"],
    &["arguments", "dispatch"],
];

/// A file by the path of its module, such as `["state", "lock"]`.
type Module = Vec<String>;
type Arrows = BTreeMap<Module, BTreeSet<Module>>;

fn files(directory: &Path, above: &[String], found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            match &*stem {
                // Tests, and lists of words.
                "tests" => {}
                // The command is a separate crate: its modules are listed next to those of the
                // library.
                "bin" => files(&path.join("otr"), &[], found),
                _ => files(&path, &[above, &[stem]].concat(), found),
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") && stem != "tests" {
            let module = match &*stem {
                "mod" => above.to_vec(),
                "lib" | "main" => continue,
                _ => [above, &[stem]].concat(),
            };
            found.insert(module, fs::read_to_string(&path).unwrap());
        }
    }
}

/// The source without comments and without its tests, which stand at its end.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = source.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` without its braces: `a::{b, c::{d, e}}` names three.
fn expand(tree: &str, paths: &mut Vec<String>) {
    let Some((before, inside)) = tree.split_once('{') else {
        paths.push(tree.split(" as ").next().unwrap().trim().to_owned());
        return;
    };
    // A `use` without an end is not an import but other text.
    let Some(end) = inside.rfind('}') else { return };
    let inside = &inside[..end];
    let (mut depth, mut from) = (0, 0);
    for (at, character) in inside.char_indices().chain([(inside.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = inside[from..at].trim();
                if !branch.is_empty() {
                    expand(&format!("{}{branch}", before.trim()), paths);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

/// Every path that begins at the crate, at this library, or at the module above.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for statement in code.split(';') {
        if let Some(at) = statement.rfind("use ")
            && (at == 0 || statement[..at].ends_with(char::is_whitespace))
        {
            expand(&statement[at + 4..].replace('\n', " "), &mut paths);
        }
    }
    let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    paths.extend(code.split(|character| !is_path(character)).map(str::to_owned));
    paths.retain(|path| path.contains("::"));
    paths
}

/// The file that a path in `module` means, if it is one of ours.
fn target(module: &Module, path: &str, all: &BTreeSet<Module>) -> Option<Module> {
    let mut segments: Vec<&str> = path.split("::").collect();
    let mut base = match segments.remove(0) {
        "crate" | "otr" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    while segments.first() == Some(&"super") {
        base.pop();
        segments.remove(0);
    }
    let deepest = (0..=segments.len()).rev().map(|count| {
        [base.clone(), segments[..count].iter().map(|&name| name.to_owned()).collect()].concat()
    });
    deepest.into_iter().find(|module| all.contains(module))
}

fn arrows(files: &BTreeMap<Module, String>) -> Arrows {
    let all: BTreeSet<Module> = files.keys().cloned().collect();
    let from = |(module, source): (&Module, &String)| {
        let mut to: BTreeSet<Module> =
            paths(&code(source)).iter().filter_map(|path| target(module, path, &all)).collect();
        to.remove(module);
        (module.clone(), to)
    };
    files.iter().map(from).collect()
}

/// What remains after repeatedly removing every file that imports none of the remaining files, or
/// that none of them imports.
fn circle(arrows: &Arrows) -> Vec<String> {
    let mut left = arrows.clone();
    loop {
        let free: BTreeSet<Module> = left
            .iter()
            .filter(|(module, to)| {
                to.iter().all(|module| !left.contains_key(module))
                    || left.values().all(|to| !to.contains(*module))
            })
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            return left.keys().map(|module| module.join("/")).collect();
        }
        left.retain(|module, _| !free.contains(module));
    }
}

fn upward(arrows: &Arrows) -> Vec<String> {
    let layer = |module: &Module| {
        let of = |names: &&[&str]| names.contains(&module[0].as_str());
        LAYERS.iter().position(of).unwrap_or_else(|| panic!("{module:?} is in no layer"))
    };
    let mut upward = Vec::new();
    for (from, all) in arrows {
        for to in all.iter().filter(|to| layer(to) > layer(from)) {
            upward.push(format!("{} -> {}", from.join("/"), to.join("/")));
        }
    }
    upward
}

fn of(sources: &[(&str, &str)]) -> Arrows {
    let file = |(module, source): &(&str, &str)| {
        (module.split('/').map(str::to_owned).collect(), (*source).to_owned())
    };
    arrows(&sources.iter().map(file).collect())
}

#[test]
fn the_judge_finds_a_circle_and_an_arrow_upward() {
    let planted = of(&[
        ("store/lock", "use super::{name::Name,\n    place::{self, Place}};"),
        ("store/name", "/// use crate::ui::x;\nfn f() { crate::store::place::g() }"),
        ("store/place", "use crate::store::lock;\n#[cfg(test)]\nmod tests { use crate::ui::x; }"),
        ("ui", "use otr::protocol::wire as _; pub use crate::commands::send;"),
        ("commands/send", "use crate::ui;"),
        ("protocol/wire", ""),
    ]);
    assert_eq!(
        circle(&planted),
        ["commands/send", "store/lock", "store/name", "store/place", "ui"]
    );
    assert_eq!(upward(&planted), ["ui -> commands/send"]);
}

/// What is the command's alone: it speaks, ends, and looks at what it was called with.
const OF_THE_COMMAND: [&str; 12] = [
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "stdin()",
    "stdout()",
    "stderr()",
    "process::exit",
    "env::var",
    "env::args",
    "temp_dir",
    "clap",
];

/// The words of these that stand in the code of a file.
fn of_the_command(source: &str) -> Vec<&'static str> {
    let code = code(source);
    OF_THE_COMMAND.into_iter().filter(|word| code.contains(word)).collect()
}

#[test]
fn the_library_prints_nothing_and_reads_no_environment() {
    let planted =
        "fn f() { std::env::var(\"A\"); } // clap\n#[cfg(test)]\nmod tests { println!() }";
    assert_eq!(of_the_command(planted), ["env::var"]);
    let mut found = BTreeMap::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    let library = LAYERS.iter().take_while(|names| !names.contains(&"failure")).copied().flatten();
    let library: BTreeSet<&str> = library.copied().collect();
    let (mut seen, mut faults) = (0, Vec::new());
    for (module, source) in found.iter().filter(|(module, _)| library.contains(&*module[0])) {
        seen += 1;
        faults.extend(of_the_command(source).iter().map(|word| format!("{module:?}: {word}")));
    }
    assert!(seen > 80, "{seen} files");
    assert_eq!(faults, [""; 0]);
}

#[test]
fn no_circle_and_no_arrow_upward() {
    let mut found = BTreeMap::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    let arrows = arrows(&found);
    assert!(arrows.len() > 100, "{} files", arrows.len());
    assert!(arrows[&["commands", "close"].map(str::to_owned).to_vec()].len() > 5, "they are read");
    assert_eq!(circle(&arrows), [""; 0]);
    assert_eq!(upward(&arrows), [""; 0]);
}
