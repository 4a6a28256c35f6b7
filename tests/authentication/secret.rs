//! A secret that both have at the start.

use serde_json::json;

use crate::support::{Run, feed, lines};
use crate::world::{UNCHECKED, World};

/// Over pipes or a postbox, with a secret or without, checked later or not.
#[test]
fn each_combination_works_and_says_how_it_was_authenticated() {
    for secret in [None, Some("apple")] {
        for verified in [false, true] {
            for world in World::both() {
                world.meet(secret);
                if verified {
                    world.verify("bob", "alice", "plum", "").ok();
                    world.verify("alice", "bob", "plum", "").ok();
                    world.take_pending("bob", "alice").ok();
                }
                let mut expected = Vec::new();
                expected.extend(secret.map(|_| "secret"));
                expected.extend(verified.then_some("verify"));
                for who in ["alice", "bob"] {
                    assert_eq!(world.authenticated(who), json!(expected));
                }
                let packets = world.otr("alice", "send", b"checked?").ok();
                let all = if world.postbox.is_some() { "--all" } else { "" };
                let out = world.otr("bob", &format!("recv --json {all}"), &packets).ok();
                let message: serde_json::Value = serde_json::from_slice(&out).unwrap();
                assert_eq!(message["authenticated"], json!(expected));
                assert_eq!(message["text"], "checked?");
                let page = world.otr("bob", "status", b"").text();
                assert_eq!(page.contains("not checked"), expected.is_empty(), "{page}");
            }
        }
    }
}

#[test]
fn a_conversation_that_nobody_has_checked_says_so_once() {
    for world in World::both() {
        let invite = world.invite("alice", None);
        world.answer("bob", &invite, None, "alice").ok();
        let take = |packets: &[u8], options: &str| {
            let all = if world.postbox.is_some() { "--all" } else { "" };
            world.said("bob", &format!("recv {all} {options}"), packets)
        };
        let quiet = take(&world.otr("alice", "send", b"one").ok(), "-q");
        assert!(!quiet.err.contains(UNCHECKED), "{}", quiet.err);
        // That has not been said yet, so it is now, and then never again.
        for (text, times) in [("two", 1), ("three", 0)] {
            let run = take(&world.otr("alice", "send", text.as_bytes()).ok(), "");
            assert_eq!(run.err.matches(UNCHECKED).count(), times, "{}", run.err);
            assert_eq!(run.err.lines().count(), times);
            assert_eq!(run.out, text.as_bytes());
        }
    }
    for world in World::both() {
        world.meet(Some("apple"));
        let packets = world.otr("alice", "send", b"one").ok();
        let all = if world.postbox.is_some() { "recv --all" } else { "recv" };
        assert_eq!(world.said("bob", all, &packets).err, "");
    }
}

#[test]
fn with_another_secret_both_learn_of_it_and_no_text_goes() {
    for world in World::both() {
        let invite = world.invite("alice", Some("apple"));
        let run = world.answer("bob", &invite, Some("pear"), "alice");
        assert!(run.fails(5).contains("does not know the secret"));
        assert!(world.is_wiped("alice"));
        assert!(world.otr("bob", "send", b"text").fails(14).contains("knows the secret"));
        let (args, input) = match world.postbox {
            Some(_) => ("recv --wait 1s", Vec::new()),
            None => ("recv", world.otr("bob", "respond --again", b"").ok()),
        };
        let run = world.otr("bob", args, &input);
        assert!(run.err.contains("has not shown yet that it knows the secret"), "{}", run.err);
        assert_eq!(world.status("bob")["stage"], "unconfirmed");
        assert_eq!(world.authenticated("bob"), json!([]));
    }
}

#[test]
fn the_answering_side_sends_no_text_before_the_other_has_confirmed() {
    for world in World::both() {
        let invite = world.invite("alice", Some("apple"));
        world.answer("bob", &invite, Some("apple"), "alice").ok();
        world.otr("bob", "send", b"too early").fails(14);
        match world.postbox {
            // The command that took the reply has posted a packet that says nothing.
            Some(_) => world.otr("bob", "recv --all", b"").ok(),
            None => world.say("alice", "bob", "first").ok(),
        };
        assert_eq!(world.say("bob", "alice", "now").ok(), b"now");
    }
}

/// The state before the secret is tried is what a killed process leaves.
#[test]
fn killing_the_process_gives_no_second_guess() {
    let world = World::of_pipes();
    let (right, wrong) = (world.secret("apple"), world.secret("pear"));
    let state_fd = |state: &[u8], args: &str, input: &[u8]| -> (Run, Vec<Vec<u8>>) {
        std::fs::write(world.pair.path("in"), state).unwrap();
        let script = format!("otr --state-fd 3,4 {args} 3<in 4>out");
        let run = feed(&mut world.pair.script(&script), input);
        (run, lines(&std::fs::read(world.pair.path("out")).unwrap()))
    };
    let (invite, states) = state_fd(b"", &format!("init --secret-file {right}"), b"");
    let invite = invite.ok();
    let replies: Vec<Vec<u8>> = [("m1", &wrong), ("m2", &right)]
        .iter()
        .map(|(who, secret)| {
            world.otr(who, &format!("respond --secret-file {secret}"), &invite).ok()
        })
        .collect();
    for (tried, other) in [(0, 1), (1, 0)] {
        let (run, stored) = state_fd(states.last().unwrap(), "recv", &replies[tried]);
        assert_eq!(run.code, if tried == 0 { 5 } else { 0 }, "{}", run.err);
        assert_eq!(stored.len(), 2, "the spent guess, and then what came of it");
        assert_eq!(stored[1] == b"otr1s:\n", tried == 0, "wiped");
        let spent = &stored[0];
        let (second, after) = state_fd(spent, "recv", &replies[other]);
        assert!(second.fails(4).contains("a second reply to this invite"));
        assert_eq!(after.len(), 0);
        // The same bytes may be tried again.
        let (again, _) = state_fd(spent, "recv", &replies[tried]);
        assert_eq!(again.code, if tried == 0 { 5 } else { 0 });
    }
}

#[test]
fn a_secret_taken_off_the_invite_is_noticed_and_one_that_is_asked_for_must_be_given() {
    let world = World::of_pipes();
    let secret = world.secret("apple");
    let without = world.invite("alice", None);
    let with = world.invite("carol", Some("apple"));
    let refused = world.otr("bob", &format!("respond --secret-file {secret}"), &without).fails(5);
    assert!(refused.contains("somebody removed that"), "{refused}");
    let refused = world.otr("bob", "respond", &with).fails(4);
    assert!(refused.contains("asks for a secret"), "{refused}");
    assert!(world.is_wiped("bob"));
}

#[test]
fn a_secret_is_text_from_a_file_or_a_descriptor() {
    let world = World::of_pipes();
    // Composed and decomposed, with the newlines of two systems.
    let composed = world.secret("caf\u{e9} noir\n");
    let decomposed = world.secret("cafe\u{301} noir\r\n");
    let invite = world.otr("alice", &format!("init --secret-file {composed}"), b"").ok();
    std::fs::write(world.pair.path("invite"), &invite).unwrap();
    let script = format!("bob respond --secret-fd 3 < invite 3< {decomposed}");
    let reply = world.pair.sh(&script).ok();
    world.otr("alice", "recv", &reply).ok();

    let long = world.secret(&"x".repeat(100));
    std::fs::write(world.pair.path(&long), "x".repeat(1025)).unwrap();
    std::fs::write(world.pair.path("latin-1"), b"caf\xe9").unwrap();
    for (file, told) in [
        (world.secret("\n"), "empty"),
        (world.secret(""), "empty"),
        (long, "longer than"),
        ("latin-1".to_owned(), "not UTF-8"),
        ("nowhere".to_owned(), "cannot read"),
    ] {
        let failed = world.otr("carol", &format!("init --secret-file {file}"), b"").fails(2);
        assert!(failed.contains(told), "{failed}");
        assert!(world.is_wiped("carol"));
    }
    assert_eq!(world.otr("carol", "init --ask-secret --secret-fd 3", b"").code, 2);
}

/// Notepad puts a byte order mark in front of what it saves; a person who types the secret does
/// not.
#[test]
fn a_byte_order_mark_before_a_secret_does_not_count() {
    let world = World::of_pipes();
    let (plain, marked) = (world.secret("apple"), world.secret("\u{feff}apple\r\n"));
    for (inviter, responder) in [(&plain, &marked), (&marked, &plain)] {
        let invite = world.otr("alice", &format!("init --secret-file {inviter}"), b"").ok();
        std::fs::write(world.pair.path("invite"), &invite).unwrap();
        let script = format!("bob respond --secret-fd 3 < invite 3< {responder}");
        let reply = world.pair.sh(&script).ok();
        world.otr("alice", "recv", &reply).ok();
        world.say("alice", "bob", "hello").ok();
        let asked = world.otr("bob", &format!("verify --secret-file {inviter}"), b"").ok();
        world.otr("alice", "recv", &asked).ok();
        let answer = world.otr("alice", &format!("verify --secret-file {responder}"), b"").ok();
        let run = world.otr("bob", "recv", &answer);
        assert!(run.err.contains("equal"), "{}", run.err);
        run.ok();
        for who in ["alice", "bob"] {
            world.otr(who, "close", b"").ok();
        }
    }
    let nothing = world.secret("\u{feff}\n");
    world.otr("alice", &format!("init --secret-file {nothing}"), b"").fails(2);
}

/// Stretching a secret takes 64 MiB; if they are not available, nothing changes.
#[test]
fn without_memory_for_a_secret_nothing_happens() {
    let world = World::of_pipes();
    let secret = world.secret("apple");
    let invite = world.invite("alice", Some("apple"));
    std::fs::write(world.pair.path("invite"), invite).unwrap();
    for command in ["carol init", "bob respond <invite"] {
        let (who, command) = command.split_once(' ').unwrap();
        let script = format!(
            "ulimit -v 60000; OTR_DIR=$PLACE/{who} otr {} --secret-file {secret} {}",
            command.split(' ').next().unwrap(),
            command.split_once(' ').map_or("", |(_, input)| input),
        );
        let failed = world.pair.sh(&script).fails(1);
        assert!(failed.contains("not enough memory"), "{failed}");
        assert!(world.is_wiped(who));
    }
}

#[test]
fn each_answer_with_a_secret_is_counted_for_a_day() {
    let world = World::of_pipes();
    for (time, warned) in [(1, false), (2, true), (3, true)] {
        let invite = world.invite(&format!("inviter{time}"), Some("apple"));
        let secret = world.secret("apple");
        let args = format!("-s number{time} respond --secret-file {secret}");
        let run = world.otr("bob", &args, &invite);
        let told = format!("this is invite {time} answered with a secret within a day");
        assert_eq!(run.err.contains(&told), warned, "{}", run.err);
        run.ok();
    }
    world.otr("bob", "close --all", b"").ok();
    let left: Vec<_> = std::fs::read_dir(world.pair.path("bob")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
