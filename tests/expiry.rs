//! Any command that loads the state drops expired keys: those of packets that were skipped seven
//! days ago, and those of an invite that nobody answered by a day after it expired.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

mod common;
mod place;
#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Seeded, short_sighted};
use otr::protocol::handshake::{INVITE_GRACE, Invitation, Inviting, respond};
use otr::protocol::ratchet::skipped::SKIPPED_SECONDS;
use otr::protocol::session::stored::{Expired, Stage, Stored};
use otr::protocol::session::{Outcome, Session, nothing_frames};
use place::{Place, code, set_mode, text};
use postbox::Postbox;
use serde_json::Value;

/// Tests may take a while, so everything is too old, or young enough, by a wide margin.
const HOUR: u64 = 3600;
const ALICE: [&str; 2] = ["-s", "alice"];

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn put(place: &Place, stage: &Stage) {
    let path = place.state("alice");
    fs::write(&path, stage.to_bytes(false)).unwrap();
    set_mode(&path, 0o600);
}

/// Alice's session, in which three numbers were skipped this many seconds ago.
fn skipped(place: &Place, ago: u64) {
    put(place, &Stage::Session(Box::new(session_with_skipped(now() - ago))));
}

/// A session in which three numbers were skipped at this time.
fn session_with_skipped(at: u64) -> Session {
    let mut random = Seeded::new(b"expiry");
    let mut inviting = Inviting::new(Invitation::default(), 0, &mut random).unwrap();
    let (mut responder, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let opened = inviting.open(&reply).unwrap();
    let mut inviter = inviting.accept(opened, 0).unwrap();
    let mut numbers = responder.reserve(4, &mut random).unwrap();
    let mut packet = Vec::new();
    for _ in 0..4 {
        packet = numbers.seal_frames(12, &nothing_frames(), &mut random).unwrap().into();
    }
    let mut ahead = short_sighted();
    let Outcome::Accepted(accepted) = inviter.open(&mut ahead, &mut packet, None).unwrap() else {
        panic!("nothing is held")
    };
    inviter.accept(&mut ahead, &accepted, at).unwrap();
    assert_eq!(inviter.skipped(), 3);
    inviter
}

/// How many skipped numbers the state file holds, and how many it says are lost.
fn stored(place: &Place) -> (usize, u64) {
    let stored = Stored::from_bytes(&fs::read(place.state("alice")).unwrap()).unwrap();
    let Stage::Session(session) = stored.stage else { panic!("a session") };
    (session.skipped(), session.lost())
}

#[test]
fn keys_of_packets_skipped_a_week_ago_go_with_any_command() {
    for command in [&["status"][..], &["words"], &["recv"], &["send"], &["expect"], &["export"]] {
        let place = Place::new();
        skipped(&place, SKIPPED_SECONDS + HOUR);
        assert_eq!(stored(&place), (3, 0));
        place.otr(&[&ALICE, command].concat()).write_stdin("").output().unwrap();
        assert_eq!(stored(&place), (0, 3), "{command:?}");
        // Younger ones stay.
        skipped(&place, SKIPPED_SECONDS - HOUR);
        place.otr(&[&ALICE, command].concat()).write_stdin("").output().unwrap();
        assert_eq!(stored(&place), (3, 0), "{command:?}");
    }
}

#[test]
fn keys_go_from_a_frozen_state_too() {
    let place = Place::new();
    skipped(&place, SKIPPED_SECONDS + HOUR);
    let mut stored_ = Stored::from_bytes(&fs::read(place.state("alice")).unwrap()).unwrap();
    stored_.frozen = true;
    fs::write(place.state("alice"), stored_.to_bytes()).unwrap();
    let page = text(&place.run(&["status"], b""));
    assert!(page.contains("frozen by export") && page.contains("3 lost"), "{page}");
    assert_eq!(stored(&place), (0, 3));
    assert!(Stored::from_bytes(&fs::read(place.state("alice")).unwrap()).unwrap().frozen);
}

fn invite(place: &Place, expires: u64) {
    let inviting = Inviting::new(
        Invitation { expires: Some(expires), ..Invitation::default() },
        0,
        &mut Seeded::new(b"invite"),
    )
    .unwrap();
    put(place, &Stage::Inviting(Box::new(inviting)));
}

#[test]
fn an_invite_that_nobody_answered_goes_a_day_after_its_end() {
    for command in
        [&["recv"][..], &["init", "--again"], &["send"], &["words"], &["verify"], &["export"]]
    {
        let place = Place::new();
        invite(&place, now() - INVITE_GRACE - HOUR);
        let output = place.otr(&[&ALICE, command].concat()).write_stdin("x").output().unwrap();
        assert_eq!(code(&output), 12, "{command:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("nobody answered the invite"));
        assert!(!place.state("alice").exists(), "{command:?}");
        // An invite that never expires stays, and so does one whose reply may be on its way.
        for expires in [0, now() + HOUR, now() - INVITE_GRACE + HOUR] {
            invite(&place, expires);
            place.otr(&[&ALICE, command].concat()).write_stdin("x").output().unwrap();
            assert!(place.state("alice").exists(), "{command:?}");
        }
    }
}

#[test]
fn status_says_when_an_invites_keys_go_and_that_they_went() {
    let place = Place::new();
    invite(&place, now() - HOUR);
    let page = text(&place.run(&["status"], b""));
    assert!(page.contains("has expired; its keys are wiped in 2"), "{page}");
    assert!(place.state("alice").exists());
    for json in [false, true] {
        invite(&place, now() - INVITE_GRACE - HOUR);
        if json {
            let told: Value =
                serde_json::from_slice(&place.run(&["status", "--json"], b"")).unwrap();
            assert_eq!(told["sessions"][0]["stage"], "expired");
        } else {
            let page = text(&place.run(&["status"], b""));
            assert!(page.contains("alice: nobody answered the invite"), "{page}");
        }
        assert!(!place.state("alice").exists());
    }
    assert_eq!(code(&place.otr(&["status"]).output().unwrap()), 3);
}

#[test]
fn a_frozen_invite_is_not_thawed_after_its_time() {
    let place = Place::new();
    invite(&place, now() - INVITE_GRACE - HOUR);
    let mut frozen = Stored::from_bytes(&fs::read(place.state("alice")).unwrap()).unwrap();
    frozen.frozen = true;
    fs::write(place.state("alice"), frozen.to_bytes()).unwrap();
    let output = place.otr(&[&ALICE[..], &["export", "--undo"]].concat()).output().unwrap();
    assert_eq!(code(&output), 12, "{}", text(&output.stderr));
    assert!(!place.state("alice").exists());
}

/// A command that waits for the reply ends when the invite expires, and the keys go with it.
#[test]
fn a_recv_that_waits_wipes_an_invite_whose_time_is_up() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let mut random = Seeded::new(b"invite");
    let expires = now() - INVITE_GRACE + 3;
    let inviting = Inviting::new(
        Invitation { postbox: Some(&postbox.url), expires: Some(expires), ..Invitation::default() },
        0,
        &mut random,
    )
    .unwrap();
    put(&place, &Stage::Inviting(Box::new(inviting)));
    let output = place.otr(&[&ALICE[..], &["recv", "--wait", "2m"]].concat()).output().unwrap();
    assert_eq!(code(&output), 12, "{}", text(&output.stderr));
    assert!(!place.state("alice").exists());
}

/// If the clock was ahead when numbers were skipped, their keys are not kept longer for that.
#[test]
fn keys_that_were_skipped_under_a_clock_ahead_age_from_now_on() {
    const YEAR: u64 = 365 * 24 * HOUR;
    let place = Place::new();
    put(&place, &Stage::Session(Box::new(session_with_skipped(now() + 10 * YEAR))));
    place.run(&["status"], b"");
    assert_eq!(stored(&place), (3, 0));
    let mut stored = Stored::from_bytes(&fs::read(place.state("alice")).unwrap()).unwrap();
    assert_eq!(stored.stage.expire(now() + SKIPPED_SECONDS - HOUR), Expired::Nothing);
    assert_eq!(stored.stage.expire(now() + SKIPPED_SECONDS + HOUR), Expired::Numbers);
}
