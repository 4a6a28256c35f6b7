//! A man in the middle, with the real binary on both sides. Attacks with keys that no binary hands
//! out are in `src/protocol/tests/attacks.rs` and its neighbours.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otr::armor::encode;
use otr::conversation::System;
use otr::protocol::authentication::password::Password;
use otr::protocol::handshake::{Invitation, Inviting};
use otr::protocol::packet::K_MIN;
use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use otr::protocol::session::nothing_frames;
use otr::protocol::session::stored::{Stage, Stored};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{feed, lines};
use crate::world::World;

/// The man in the middle: a session with each side, over pipes or the postbox of both.
fn in_between(world: &World, secrets: [Option<&str>; 2]) -> [crate::support::Run; 2] {
    let [theirs, his] = secrets;
    let alices = world.invite("alice", theirs);
    let first = world.answer("mallory", &alices, his, "alice");
    let own = world.invite("mallory2", his);
    let second = world.answer("bob", &own, theirs, "mallory2");
    [first, second]
}

/// Each side's first packet goes to him.
fn go_on(world: &World) {
    if world.postbox.is_some() {
        for who in ["mallory", "bob"] {
            world.otr(who, "recv --all", b"").ok();
        }
    } else {
        world.say("alice", "mallory", "first").ok();
        world.say("mallory2", "bob", "first").ok();
    }
}

#[test]
fn somebody_who_replaces_invite_and_reply_is_exposed_by_the_words() {
    for world in World::both() {
        for run in in_between(&world, [None, None]) {
            run.ok();
        }
        go_on(&world);
        // He reads along, and both see other words.
        assert_eq!(world.say("bob", "mallory2", "for alice").ok(), b"for alice");
        assert_ne!(world.words("alice"), world.words("bob"));
        assert_eq!(world.words("alice"), world.words("mallory"));
        let run = world.otr("alice", "words --differ", b"");
        assert_eq!(run.code, 5);
        assert!(world.is_wiped("alice"));
    }
}

#[test]
fn somebody_who_replaces_invite_and_reply_is_exposed_by_a_secret_compared_later() {
    for world in World::both() {
        for run in in_between(&world, [None, None]) {
            run.ok();
        }
        go_on(&world);
        // The question is passed on to Bob, but the result of his answer does not reach Alice.
        let asked = world.verify("alice", "mallory", "the cat", "--question where?");
        assert!(asked.err.contains("where?"), "{}", asked.err);
        world.verify("mallory2", "bob", "a guess", "--question where?").ok();
        let told = world.verify("bob", "mallory2", "the cat", "");
        assert!(told.err.contains("the secrets differ (1 of 3 failures)"), "{}", told.err);
        let told = world.verify("mallory", "alice", "a guess", "");
        assert!(told.err.contains("the secrets differ (1 of 3 failures)"), "{}", told.err);
        for who in ["alice", "bob"] {
            assert_eq!(world.authenticated(who), serde_json::json!([]));
            assert_eq!(world.status(who)["verify"]["failures"], 1);
        }
    }
}

#[test]
fn with_a_secret_he_has_one_guess_on_each_side_and_both_learn_of_it() {
    for world in World::both() {
        let [alice, mallory] = in_between(&world, [Some("apple"), Some("guess")]);
        assert!(alice.fails(5).contains("does not know the secret, or somebody is in between"));
        assert!(world.is_wiped("alice"));
        // His own guess at Bob's secret is spent as well; he has nothing to write to Bob with.
        mallory.fails(5);
        assert!(world.is_wiped("mallory2"));
        assert!(world.otr("bob", "send", b"text").fails(14).contains("knows the secret"));
    }
}

/// His packets are passed on unchanged, and the binaries at the ends refuse them.
#[test]
fn what_is_reflected_or_meant_for_another_session_is_refused() {
    let world = World::of_pipes();
    for run in in_between(&world, [None, None]) {
        run.ok();
    }
    go_on(&world);
    let file = world.secret("the cat");
    let question = world.otr("alice", &format!("verify --secret-file {file}"), b"").ok();
    let reply = world.otr("bob", "send", b"text").ok();
    for (who, packets) in
        [("alice", &question), ("bob", &question), ("alice", &reply), ("bob", &reply)]
    {
        let state = world.pair.state(who);
        world.otr(who, "recv", packets).fails(4);
        assert!(world.pair.state(who) == state, "{who} changed");
    }
    let own = world.otr("alice", "-s other init", b"").ok();
    assert!(world.otr("alice", "-s other respond", &own).fails(13).contains("your own session"));
}

/// Randomness with a chosen nonce.
struct Chosen {
    nonce: [u8; 32],
}

impl Randomness for Chosen {
    fn fill(&mut self, draw: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        match draw {
            Draw::Nonce => out.copy_from_slice(&self.nonce),
            _ => System.fill(draw, out)?,
        }
        Ok(())
    }
}

/// He makes the invite, and then opens the commitment with another nonce.
#[test]
fn a_commitment_that_is_opened_with_another_nonce_ends_the_session() {
    let world = World::of_pipes();
    for (shown, code) in [([7; 32], 0), ([8; 32], 5)] {
        let random = &mut Chosen { nonce: [7; 32] };
        let mut his = Inviting::new(Invitation::default(), 0, random).unwrap();
        let mut invite = Vec::new();
        encode::invite(&mut invite, his.invite(), None);
        let line = world.otr("bob", "respond", &invite).ok();
        let line = line.trim_ascii_end().strip_prefix(b"otr1r:").unwrap();
        let reply = URL_SAFE_NO_PAD.decode(line).unwrap();
        let opened = his.open(&reply).unwrap();
        let session = his.accept(opened, 0).unwrap();
        let mut state = Stage::Session(Box::new(session)).to_bytes(false).to_vec();
        replace_nonce(&mut state, &random.nonce, &shown);
        let Stage::Session(mut session) = Stored::from_bytes(&state).unwrap().stage else {
            panic!("it was a session");
        };
        let mut reservation = session.reserve(1, random).unwrap();
        let packet = reservation.seal_frames(K_MIN, &nothing_frames(), random).unwrap();
        let mut line = Vec::new();
        encode::packet(&mut line, &packet, None);
        let run = world.otr("bob", "recv", &line);
        assert_eq!(run.code, code, "{}", run.err);
        assert_eq!(run.err.contains("somebody is in between"), code == 5, "{}", run.err);
        assert_eq!(world.is_wiped("bob"), code == 5);
        world.otr("bob", "close --silent", b"");
    }
}

/// Changes the bytes of a state, as its owner can.
fn replace_nonce(state: &mut [u8], old: &[u8], new: &[u8]) {
    let places: Vec<usize> =
        (0..state.len() - 32).filter(|at| state[*at..*at + 32] == *old).collect();
    assert_eq!(places.len(), 1);
    state[places[0]..places[0] + 32].copy_from_slice(new);
    let fields = state.len() - 32;
    let check = Sha256::new().chain_update("otr/1 state").chain_update(&state[..fields]).finalize();
    state[fields..].copy_from_slice(&check);
}

/// An invite whose public values were replaced by ones that would reveal the peer's secret.
#[test]
fn bad_points_in_an_invite_are_refused() {
    /// Their position in the invite's bytes.
    const DH: usize = 2;
    const SHARE: usize = 2 + 32 + 1184 + 32 + 32 + 8;
    let world = World::of_pipes();
    let secret = world.secret("apple");
    let good = world.invite("alice", Some("apple"));
    let bytes = URL_SAFE_NO_PAD.decode(&good.trim_ascii_end()[b"otr1i:".len()..]).unwrap();
    let low_order: [u8; 32] = {
        // u = 1, of order 4 on the curve.
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    for (at, point, what) in [
        (DH, [0; 32], "X25519: zero"),
        (DH, low_order, "X25519: small order"),
        (SHARE, [0; 32], "CPace: the neutral element"),
        (SHARE, [0xff; 32], "CPace: not canonical"),
        (SHARE, low_order, "CPace: negative, so no encoding"),
    ] {
        let mut bad = bytes[..bytes.len() - 4].to_vec();
        bad[at..at + 32].copy_from_slice(&point);
        let mut line = Vec::new();
        encode::invite(&mut line, &bad, None);
        let run = world.otr("bob", &format!("respond --secret-file {secret}"), &line);
        assert_eq!(run.code, 4, "{what}: {}", run.err);
        assert!(world.is_wiped("bob"), "{what}");
    }
    world.otr("bob", &format!("respond --secret-file {secret}"), &good).ok();
}

/// The draws of a vector, by name.
struct Named<'a>(&'a Value);

impl Randomness for Named<'_> {
    fn fill(&mut self, draw: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        let value = self.0.get(draw.name()).ok_or(NoRandomness)?;
        out.copy_from_slice(&unhex(value));
        Ok(())
    }
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Replies made by somebody who holds the invite and does not keep to the protocol: points of low
/// order, neutral, not canonical; another secret; packet 0 under an address of other keys, as it
/// would be if one reply were to test two secrets.
#[test]
fn crafted_replies_are_refused_and_with_a_secret_they_are_the_one_guess() {
    let world = World::of_pipes();
    let vectors: Value = serde_json::from_str(include_str!("../vectors/refused.json")).unwrap();
    for (handshake, replies, with_secret) in
        [("handshake", "replies", false), ("handshake_secret", "replies_secret", true)]
    {
        let handshake = &vectors[handshake];
        let secret = handshake["secret"].as_str().filter(|_| with_secret);
        let secret = secret.map(|text| Password::from_text(text).unwrap());
        let mut random = Named(&handshake["randomness"]["I"]);
        let inviting = Inviting::new(
            Invitation {
                postbox: Some(handshake["postbox"].as_str().unwrap()),
                expires: Some(handshake["expires"].as_u64().unwrap()),
                secret: secret.as_ref(),
            },
            0,
            &mut random,
        );
        let inviting = inviting.unwrap();
        assert_eq!(inviting.invite(), unhex(&handshake["invite"]["bytes"]));
        let state = Stage::Inviting(Box::new(inviting)).to_bytes(false);
        let state = format!("otr1s:{}\n", URL_SAFE_NO_PAD.encode(&*state));
        let take = |reply: &Value| {
            let mut line = Vec::new();
            encode::reply(&mut line, &unhex(reply), None);
            fs::write(world.pair.path("in"), &state).unwrap();
            let run =
                feed(&mut world.pair.script("otr --state-fd 3,4 recv --stdin 3<in 4>out"), &line);
            (run, lines(&fs::read(world.pair.path("out")).unwrap()))
        };
        let bad = vectors[replies].as_array().unwrap().iter().filter(|case| case["kind"] == "bad");
        let mut tried = 0;
        for case in bad {
            let (run, stored) = take(&case["reply"]);
            let name = &case["name"];
            assert_eq!(run.code, if with_secret { 5 } else { 4 }, "{name}: {}", run.err);
            let wiped = stored.last().is_some_and(|last| last == b"otr1s:\n");
            assert_eq!((stored.len(), wiped), if with_secret { (2, true) } else { (0, false) });
            tried += 1;
        }
        assert!(tried >= 5);
        assert_eq!(take(&handshake["reply"]["bytes"]).0.code, 0);
    }
}

/// A recording of a handshake whose secret is one word, tried with every word there is: none of
/// them makes a visible difference. Anyone who has the invite can open the reply with any word, or
/// none, and finds points and packets that look the same.
#[test]
fn a_recorded_handshake_shows_nothing_to_check_a_guess_against() {
    let world = World::of_pipes();
    let recorded: Vec<[Vec<u8>; 2]> = ["zebra", "apple", "x"]
        .iter()
        .enumerate()
        .map(|(at, secret)| {
            let file = world.secret(secret);
            let (alice, bob) = (format!("alice{at}"), format!("bob{at}"));
            let invite = world.otr(&alice, &format!("init --secret-file {file}"), b"").ok();
            let reply = world.otr(&bob, &format!("respond --secret-file {file}"), &invite).ok();
            let files = [&alice, &bob].map(|who| world.pair.path(who).join("default.state"));
            for state in files {
                let state = fs::read(state).unwrap();
                let holds = state.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!holds || secret.len() < 3, "neither side keeps the secret");
            }
            [invite, reply]
        })
        .collect();
    for pair in recorded.windows(2) {
        assert_eq!(pair[0][0].len(), pair[1][0].len());
        assert_eq!(pair[0][1].len(), pair[1][1].len());
    }
    // The only test is to answer in person, once: that uses up the invite of "zebra".
    let wrong = world.secret("apple");
    let guess =
        world.otr("mallory", &format!("respond --secret-file {wrong}"), &recorded[0][0]).ok();
    assert_eq!(world.otr("alice0", "recv", &guess).code, 5);
    assert_eq!(world.otr("alice0", "recv", &recorded[0][1]).code, 3);
}
