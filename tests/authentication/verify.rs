//! A secret that is compared inside the session.

use serde_json::{Value, json};

use crate::support::lines;
use crate::world::World;

#[test]
fn equal_secrets_are_found_equal_by_both() {
    for world in World::both() {
        world.meet(None);
        let asked = world.verify("alice", "bob", "the cat", "--question where?");
        assert!(asked.err.contains("the other side asks \"where?\""), "{}", asked.err);
        asked.ok();
        assert_eq!(
            world.status("bob")["verify"],
            json!({ "asked": "where?", "waits": false, "failures": 0 })
        );
        assert_eq!(world.status("alice")["verify"]["waits"], true);
        let answered = world.verify("bob", "alice", "the cat\n", "");
        assert!(answered.err.contains("the secrets are equal"), "{}", answered.err);
        // Counted until the last step takes it back.
        assert_eq!(world.status("bob")["verify"]["failures"], 1);
        let told = world.take_pending("alice", "bob");
        assert!(told.err.contains("the secrets are equal"), "{}", told.err);
        for who in ["alice", "bob"] {
            assert_eq!(world.authenticated(who), json!(["verify"]));
            assert_eq!(world.status(who)["verify"]["failures"], 0);
        }
    }
}

#[test]
fn the_third_failure_ends_the_session_on_both_sides() {
    for world in World::both() {
        world.meet(None);
        for failures in 1..=2 {
            world.verify("alice", "bob", "cat", "").ok();
            let answered = world.verify("bob", "alice", "dog", "");
            let told = format!("the secrets differ ({failures} of 3 failures)");
            assert!(answered.err.contains(&told), "{}", answered.err);
            answered.ok();
            let stopped = world.take_pending("alice", "bob");
            assert!(stopped.err.contains(&told), "{}", stopped.err);
            stopped.ok();
        }
        world.verify("alice", "bob", "cat", "").ok();
        let answered = world.verify("bob", "alice", "dog", "");
        assert!(answered.fails(5).contains("the secrets differ (3 of 3 failures)"));
        // Through a postbox, `recv` has told the other side, and wiped.
        let mut last = Vec::new();
        if world.postbox.is_none() {
            for args in ["words", "words --same", "recv", "send --last", "expect"] {
                let expected = if args == "recv" { 8 } else { 5 };
                world.otr("alice", args, b"").fails(expected);
            }
            // The next one tells the other side, and no text goes.
            let run = world.otr("alice", "send", b"text");
            assert_eq!(run.code, 5, "{}", run.err);
            assert_eq!(lines(&run.out).len(), 1);
            last = run.out;
        }
        assert!(world.is_wiped("alice"));
        assert!(world.take("bob", &last).fails(5).contains("the secrets differ (3 of 3 failures)"));
        assert!(world.is_wiped("bob"));
    }
}

/// The same by `close`, which is no failure then.
#[test]
fn close_tells_what_is_owed_as_well() {
    let world = World::of_pipes();
    world.meet(None);
    world.verify("alice", "bob", "cat", "").ok();
    world.verify("bob", "alice", "cat", "").ok();
    let last = world.otr("alice", "close", b"").ok();
    let told = world.otr("bob", "recv", &last);
    assert_eq!(told.code, 7);
    assert!(told.err.contains("the secrets are equal"), "{}", told.err);
}

#[test]
fn a_pending_step_goes_first_and_only_once() {
    let world = World::of_pipes();
    world.meet(None);
    let packets = |who: &str, args: &str| -> Vec<Vec<u8>> {
        let out = world.otr(who, args, b"text").ok();
        lines(&out).into_iter().filter(|line| line.starts_with(b"otr1p:")).collect()
    };
    world.verify("alice", "bob", "cat", "").ok();
    world.verify("bob", "alice", "cat", "").ok();
    let sent = packets("alice", "send");
    assert_eq!(sent.len(), 2);
    assert!(world.otr("bob", "recv", &sent[0]).err.contains("the secrets are equal"));
    assert_eq!(world.otr("bob", "recv", &sent[1]).ok(), b"text");
    assert_eq!(packets("alice", "send").len(), 1);
    // A question carries it in its own packet.
    world.verify("bob", "alice", "cat", "").ok();
    world.verify("alice", "bob", "cat", "").ok();
    let file = world.secret("cat");
    let sent = packets("bob", &format!("verify --secret-file {file}"));
    assert_eq!(sent.len(), 1);
    let told = world.otr("alice", "recv", &sent[0]).err;
    assert!(told.contains("are equal") && told.contains("the other side asks"), "{told}");
}

/// A step that was stored but could not be written (a full disk, a kill) stays pending. Once it got
/// lost with the next `send`, and one side believed that it was verified.
#[test]
fn a_step_that_was_not_written_out_stays_owed() {
    for (who, other) in [("alice", "bob"), ("bob", "alice")] {
        for then in ["send", "verify", "close"] {
            let world = World::of_pipes();
            world.meet(None);
            world.verify(other, who, "cat", "").ok();
            let file = world.secret("cat");
            let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
            let mut answer = world.pair.end(who, &format!("verify --secret-file {file}"));
            assert_eq!(answer.stdout(full).status().unwrap().code(), Some(1));
            let args = if then == "verify" {
                format!("verify --secret-file {file}")
            } else {
                then.to_owned()
            };
            let sent = world.otr(who, &args, if then == "send" { b"text" } else { b"" }).ok();
            let told = world.otr(other, "recv", &sent);
            assert!(told.err.contains("the secrets are equal"), "{then}: {}", told.err);
            if then == "send" {
                assert_eq!(told.out, b"text");
            }
            if then != "close" {
                let end = world.take_pending(other, who);
                assert!(end.err.contains("the secrets are equal"), "{}", end.err);
                assert_eq!(world.authenticated(who), json!(["verify"]));
            }
        }
    }
}

#[test]
fn a_state_without_a_file_owes_as_well() {
    let world = World::of_pipes();
    world.meet(None);
    world.verify("alice", "bob", "cat", "").ok();
    world.verify("bob", "alice", "cat", "").ok();
    let script =
        "alice export > state; otr --state-fd 3,4 send < state 3<state 4>new; tail -1 new > state
        otr --state-fd 3,4 status --json 3<state 4>/dev/null >&2";
    let run = world.pair.sh(script);
    assert!(run.err.contains("\"authenticated\":[\"verify\"]"), "{}", run.err);
    let packets: Vec<_> =
        lines(&run.out).into_iter().filter(|line| line.starts_with(b"otr1p:")).collect();
    assert_eq!(packets.len(), 2);
    assert!(world.otr("bob", "recv", &packets[0]).err.contains("the secrets are equal"));
}

/// `recv` waits on both sides while people ask and answer: each event is reported once, as it
/// happened in the stored state.
#[test]
fn two_who_wait_are_told_each_step_once() {
    let world = World::of_postbox();
    world.meet(None);
    let follow = |who: &str| {
        let mut command = world.pair.end(who, "recv --follow --json");
        crate::support::start(&mut command)
    };
    let followers = [follow("alice"), follow("bob")];
    let (cat, dog) = (world.secret("cat"), world.secret("dog"));
    let until = |who: &str, is_so: &dyn Fn(&Value) -> bool| {
        crate::support::until("the step has come", || is_so(&world.status(who)));
    };
    for (turn, (asks, answers)) in [("alice", "bob"), ("bob", "alice")].into_iter().enumerate() {
        let file = if turn == 0 { &cat } else { &dog };
        world.otr(asks, &format!("verify --secret-file {file} --question q"), b"").ok();
        until(answers, &|status| status["verify"]["asked"] == "q");
        world.otr(answers, &format!("verify --secret-file {cat}"), b"").ok();
        for who in [asks, answers] {
            until(who, &|status| status["verify"]["waits"] == false);
        }
    }
    for who in ["alice", "bob"] {
        assert_eq!(world.status(who)["verify"]["failures"], 1);
        assert_eq!(world.authenticated(who), json!(["verify"]));
    }
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        world.otr(from, "send", to.as_bytes()).ok();
    }
    world.otr("alice", "close", b"").ok();
    world.otr("bob", "close", b"").ok();
    for (follower, events) in followers
        .into_iter()
        .zip([["equal", "asked", "different"], ["asked", "equal", "different"]])
    {
        let output = follower.wait_with_output().unwrap();
        let all: Vec<Value> = lines(&output.stdout)
            .iter()
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let told: Vec<&str> = all.iter().filter_map(|line| line["verify"].as_str()).collect();
        assert_eq!(told, events, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn programs_get_objects() {
    for world in World::both() {
        world.meet(None);
        let all = if world.postbox.is_some() { "--all" } else { "" };
        let take = |who: &str, packets: &[u8]| -> Vec<Value> {
            let out = world.otr(who, &format!("recv --json {all}"), packets).ok();
            lines(&out).iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
        };
        let (cat, dog) = (world.secret("cat"), world.secret("dog"));
        let asked =
            world.otr("alice", &format!("verify --secret-file {cat} --question q"), b"").ok();
        let common = |verify: Value| -> Value {
            let mut all = json!({ "session": "default", "authenticated": [] });
            all.as_object_mut().unwrap().extend(verify.as_object().unwrap().clone());
            all
        };
        assert_eq!(take("bob", &asked), [common(json!({ "verify": "asked", "question": "q" }))]);
        let answer = world.otr("bob", &format!("verify --secret-file {dog}"), b"").ok();
        let different = common(json!({ "verify": "different", "failures": 1 }));
        assert_eq!(take("alice", &answer), [different]);
    }
}

#[test]
fn a_question_cannot_touch_the_terminal() {
    let world = World::of_pipes();
    world.meet(None);
    let file = world.secret("cat");
    let mut command = world.pair.end("alice", "verify --secret-file");
    command.arg(&file).args(["--question", "\u{1b}[2Jred\u{202e}\nsecond line"]);
    let packets = crate::support::feed(&mut command, b"").ok();
    let asked = world.otr("bob", "recv", &packets).err;
    assert!(!asked.contains('\u{1b}') && !asked.contains('\u{202e}'), "{asked:?}");
    assert!(asked.contains("^[[2Jred<U+202E>"), "{asked}");
    assert_eq!(asked.lines().count(), 1);
    let page = world.otr("bob", "status", b"").text();
    assert!(!page.contains('\u{1b}'), "{page:?}");
}

#[test]
fn of_two_that_cross_the_inviting_sides_question_stands() {
    let world = World::of_pipes();
    world.meet(None);
    let file = world.secret("cat");
    let ask = |who: &str| {
        world.otr(who, &format!("verify --secret-file {file} --question of-{who}"), b"").ok()
    };
    let (alices, bobs) = (ask("alice"), ask("bob"));
    let told = world.otr("alice", "recv", &bobs).err;
    assert!(told.contains("your question goes on"), "{told}");
    let told = world.otr("bob", "recv", &alices).err;
    assert!(told.contains("of-alice"), "{told}");
    let refused =
        world.otr("bob", &format!("verify --secret-file {file} --question mine"), b"").fails(14);
    assert!(refused.contains("has asked already"), "{refused}");
    let answer = world.otr("bob", &format!("verify --secret-file {file}"), b"").ok();
    // He has answered and waits.
    let waits = world.otr("bob", &format!("verify --secret-file {file}"), b"").fails(14);
    assert!(waits.contains("last step has not arrived"), "{waits}");
    assert!(world.otr("alice", "recv", &answer).err.contains("are equal"));
}

/// An answer gives away one guess: it is counted before it is sent, and written again if it was
/// not.
#[test]
fn the_failure_is_stored_before_the_answer_leaves() {
    let world = World::of_pipes();
    world.meet(None);
    world.verify("alice", "bob", "cat", "").ok();
    let file = world.secret("cat");
    let run = world.pair.sh(&format!("bob verify --secret-file {file} > /dev/full"));
    assert_eq!(run.code, 1, "{}", run.err);
    assert_eq!(world.status("bob")["verify"]["failures"], 1);
    let answer = world.otr("bob", "send --last", b"").ok();
    assert!(world.otr("alice", "recv", &answer).err.contains("are equal"));
    world.take_pending("alice", "bob").ok();
    assert_eq!(world.status("bob")["verify"]["failures"], 0);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let world = World::of_pipes();
    let file = world.secret("cat");
    let invite = world.invite("alice", None);
    world.otr("alice", &format!("verify --secret-file {file}"), b"").fails(14);
    world.answer("bob", &invite, None, "alice").ok();
    let question = "q".repeat(1025);
    let long =
        world.otr("alice", &format!("verify --secret-file {file} --question {question}"), b"");
    assert!(long.fails(2).contains("longer than 1,024 bytes"));
    let empty = world.secret("");
    world.otr("alice", &format!("verify --secret-file {empty}"), b"").fails(2);
    assert_eq!(world.status("alice")["verify"]["waits"], false);
}
