//! The corpus of the fuzz targets, replayed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

#[path = "../fuzz/drive.rs"]
mod drive;

fn replay(target: &str, run: fn(&[u8])) {
    let directory = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 2, "a corpus");
    for file in files {
        run(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn packets() {
    replay("packet", drive::packet);
}

#[test]
fn replies() {
    replay("reply", drive::reply);
}

#[test]
fn invites() {
    replay("invite", drive::invite);
}

#[test]
fn stored_states() {
    replay("stored", drive::stored);
}
