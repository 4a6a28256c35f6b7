//! How many crates a user builds who needs only the library, without the command.

#![allow(clippy::unwrap_used, reason = "tests fail so")]

use std::collections::BTreeSet;
use std::process::Command;

/// Counts everything that is built for the program itself, including macros and their trees, but
/// without build scripts.
const CRATES_BELOW: usize = 45;

#[test]
fn the_library_alone_is_built_from_few_crates() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--no-default-features"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let crates = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<&str> = crates.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    println!("{} crates, the library's own among them", crates.len());
    assert!(crates.len() > 10 && crates.iter().any(|name| name.starts_with("otr ")), "{crates:#?}");
    assert!(crates.len() < CRATES_BELOW, "{} crates: {crates:#?}", crates.len());
}
