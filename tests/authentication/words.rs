//! Four words that two people compare by voice.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::world::World;

#[test]
fn both_have_the_same_words_and_record_it() {
    for world in World::both() {
        let invite = world.invite("alice", None);
        assert!(world.otr("alice", "words", b"").fails(14).contains("no reply"));
        world.answer("bob", &invite, None, "alice").ok();
        // R sees none before the commitment was opened.
        for args in ["words", "words --same"] {
            let waits = world.otr("bob", args, b"").fails(14);
            assert!(waits.contains("other side's first packet"), "{waits}");
        }
        match world.postbox {
            Some(_) => world.otr("bob", "recv --all", b"").ok(),
            None => world.say("alice", "bob", "first").ok(),
        };
        let words = world.words("alice");
        assert_eq!(words, world.words("bob"));
        assert_eq!(words.split_whitespace().count(), 4);
        let json: Value =
            serde_json::from_slice(&world.otr("bob", "words --json", b"").ok()).unwrap();
        let list: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(json, json!({ "session": "default", "words": list }));

        assert_eq!(world.otr("bob", "words --same", b"").ok(), b"");
        assert_eq!(world.authenticated("bob"), json!(["words"]));
        assert_eq!(world.authenticated("alice"), json!([]));
        assert_eq!(world.say("bob", "alice", "go on").ok(), b"go on");
    }
}

#[test]
fn words_that_differ_end_the_session_and_the_other_side_is_told() {
    for world in World::both() {
        world.meet(None);
        let run = world.otr("bob", "words --differ", b"");
        assert_eq!(run.code, 5, "{}", run.err);
        assert!(run.err.contains("the words differ: somebody is in between"), "{}", run.err);
        assert!(world.is_wiped("bob"));
        assert!(world.take("alice", &run.out).fails(7).contains("has closed"));
    }
}

#[test]
fn there_is_nothing_to_compare_without_a_session() {
    let world = World::of_pipes();
    for args in ["words", "words --same", "words --differ", "verify --secret-file x"] {
        world.otr("alice", args, b"").fails(3);
    }
    assert_eq!(world.otr("alice", "words --same --differ", b"").code, 2);
}

/// A state that `words --differ` may not open stays, and the command says so.
#[test]
fn words_that_differ_do_not_claim_an_end_that_did_not_come() {
    let world = World::of_pipes();
    let private = Permissions::from_mode(0o700);
    let disk =
        tempfile::Builder::new().permissions(private).tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let disk = disk.unwrap();
    let at = format!("--dir {}", disk.path().display());
    world.otr("alice", &format!("{at} --allow-disk init"), b"").ok();
    let said = world.otr("alice", &format!("{at} words --differ"), b"").fails(11);
    assert!(said.contains("NOT ended") && !said.contains("has been ended"), "{said}");
    assert!(disk.path().join("default.state").exists());
    world.otr("alice", &format!("{at} --allow-disk words --differ"), b"").fails(5);
    assert!(!disk.path().join("default.state").exists());
}
