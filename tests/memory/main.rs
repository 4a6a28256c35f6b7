//! Used keys are gone: these tests search all writable memory of the process for them, after
//! finding them there while they were needed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

#[path = "../common/reference.rs"]
mod reference;
mod search;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otr::conversation::{self, Conversation, Event, Files, Until, block_on};
use otr::postbox::client::{Client, Route, Url};
use otr::postbox::server::{Choices, Embedded};
use otr::protocol::authentication::password::Password;
use otr::protocol::crypto::primitives::argon2id;
use otr::protocol::handshake::invite::Invite;
use otr::protocol::handshake::{Invitation, Inviting, respond};
use otr::protocol::packet;
use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use otr::protocol::ratchet::address_index::AddressIndex;
use otr::protocol::session::stored::{Stage, Stored};
use otr::protocol::session::{Outcome, Part, Session, nothing_frames};
use otr::store::{Options, Store};
use reference::{ask, hex};
use search::{Wanted, found};
use serde_json::json;
use zeroize::Zeroize;

/// One search at a time: memory of another test may vanish while it is read.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Randomness that leaves no copy of what it gave: one byte at a time, each noted masked.
struct Traceless {
    state: u64,
    given: Vec<(Draw, Vec<Wanted>)>,
}

impl Traceless {
    fn new(seed: u64) -> Self {
        Self { state: seed, given: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(self.state >> 56).unwrap()
    }

    /// What was given last for this, to be searched for.
    fn last(&mut self, what: Draw) -> Vec<Wanted> {
        let at = self.given.iter().rposition(|(given, _)| *given == what).unwrap();
        self.given.remove(at).1
    }
}

impl Randomness for Traceless {
    fn fill(&mut self, what: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in &mut *out {
            *byte = core::hint::black_box(self.byte());
        }
        let wanted = match what {
            // Clamping changes the first and the last byte.
            Draw::X25519 => vec![Wanted::new("X25519", &out[1..31])],
            Draw::KemSeed => {
                vec![Wanted::new("ML-KEM d", &out[..32]), Wanted::new("ML-KEM z", &out[32..])]
            }
            _ => vec![Wanted::new(&format!("{what:?}"), out)],
        };
        self.given.push((what, wanted));
        Ok(())
    }
}

/// The session, with its state's bytes.
struct End {
    stored: Stored,
    index: AddressIndex,
}

impl End {
    fn new(session: Session) -> Self {
        let stored = Stored { frozen: false, stage: Stage::Session(Box::new(session)) };
        Self { stored, index: AddressIndex::new(64) }
    }

    fn session(&mut self) -> &mut Session {
        match &mut self.stored.stage {
            Stage::Session(session) => session,
            Stage::Inviting(_) => panic!("a session"),
        }
    }

    /// RK, and of the sending chain CK and HC, as hex: `src/protocol/session/stored.rs` has the layout.
    fn keys(&self) -> [String; 3] {
        let state = self.stored.to_bytes();
        assert_eq!(state[45], 1, "there is a sending chain");
        [hex(&state[13..45]), hex(&state[50..82]), hex(&state[82..114])]
    }

    fn send(&mut self, random: &mut Traceless) -> Vec<u8> {
        let mut numbers = self.session().reserve(1, random).unwrap();
        numbers.seal_frames(12, &nothing_frames(), random).unwrap().into()
    }

    fn open(&mut self, packet: &[u8]) -> Option<Outcome> {
        let mut copy = packet.to_vec();
        let Stage::Session(session) = &self.stored.stage else { panic!("a session") };
        let outcome = session.open(&mut self.index, &mut copy, None).ok();
        copy.zeroize();
        outcome
    }

    fn receive(&mut self, packet: &[u8]) {
        let Some(Outcome::Accepted(accepted)) = self.open(packet) else { panic!("refused") };
        let Stage::Session(session) = &mut self.stored.stage else { panic!("a session") };
        session.accept(&mut self.index, &accepted, 0).unwrap();
    }

    /// Takes a step if one is due, without using a number.
    fn step(&mut self, random: &mut Traceless) {
        let numbers = self.session().reserve(1, random).unwrap();
        self.session().give_back(numbers);
    }
}

fn pair(random: &mut Traceless) -> [End; 2] {
    let mut inviting = Inviting::new(Invitation::default(), 0, random).unwrap();
    let (responder, reply) = respond(inviting.invite(), None, 0, random).unwrap();
    let opened = inviting.open(&reply).unwrap();
    [inviting.accept(opened, 0).unwrap(), responder].map(End::new)
}

/// The keys of the number with these CK and HC, made by another process.
fn keys_of_number(chain_key: &str, header_chain_key: &str, salt: &[u8]) -> Vec<Wanted> {
    let answer = ask(&json!({
        "do": "keys", "CK": chain_key, "HC": header_chain_key, "salt": hex(salt),
    }));
    ["MK", "HK", "token", "salt_key", "header_key", "body_key", "poly1305_key"]
        .iter()
        .map(|name| Wanted::from_hex(name, answer[name].as_str().unwrap()))
        .collect()
}

fn all_but(name: &str, wanted: Vec<Wanted>) -> Vec<Wanted> {
    wanted.into_iter().filter(|one| one.name != name).collect()
}

#[track_caller]
fn assert_gone(wanted: &[Wanted]) {
    assert_eq!(found(wanted), [], "left in memory");
}

#[track_caller]
fn assert_all_there(wanted: &[Wanted]) {
    let found = found(wanted);
    for one in wanted {
        assert!(found.iter().any(|(name, _)| *name == one.name), "{} is not found", one.name);
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let _alone = alone();
    let wanted = [Wanted::from_hex("planted", &"c0ffee5eed".repeat(6))];
    assert_gone(&wanted);
    let mut heap = wanted[0].plant();
    assert_all_there(&wanted);
    heap.zeroize();
    assert_gone(&wanted);
    let mut stack = [0u8; 30];
    for (to, from) in stack.iter_mut().zip(wanted[0].plant().iter()) {
        *to = *from;
    }
    core::hint::black_box(&mut stack);
    assert_all_there(&wanted);
}

#[test]
fn nothing_of_a_sealed_packet_is_left() {
    let _alone = alone();
    for k in [12, 17, 20] {
        let mut random = Traceless::new(1 + u64::from(k));
        let [mut i, mut r] = pair(&mut random);
        i.step(&mut random);
        let [_, chain_key, header_chain_key] = i.keys();
        let chain = [Wanted::from_hex("CK", &chain_key)];
        assert_all_there(&chain);
        let mut numbers = i.session().reserve(1, &mut random).unwrap();
        let mut packet = vec![0; packet::size(k)];
        let part = Part { message: 0, offset: 0, end: true, length: 100 };
        numbers.seal_part(&mut packet, part, &mut random).unwrap();
        drop(numbers);
        assert_gone(&chain);
        let wanted = keys_of_number(&chain_key, &header_chain_key, &packet[32..64]);
        // Numbers are published by the receiver alone, so the sender keeps none of this.
        assert_gone(&wanted);

        let Some(Outcome::Accepted(accepted)) = r.open(&packet) else { panic!("refused") };
        // Its Poly1305 key waits to be published.
        let secret = all_but("poly1305_key", wanted);
        assert_gone(&secret);
        let Stage::Session(session) = &mut r.stored.stage else { panic!("a session") };
        session.accept(&mut r.index, &accepted, 0).unwrap();
        drop(accepted);
        assert_gone(&secret);
        assert_gone(&chain);
        assert_gone(&[Wanted::from_hex("HC", &header_chain_key)]);
    }
}

/// Through a postbox, packets of several sizes: the buffers of some are used again.
#[test]
fn nothing_of_a_text_that_was_delivered_is_left() {
    let _alone = alone();
    let relay = Embedded::start("127.0.0.1:0", Choices::default()).unwrap();
    let client = Client::new(Url::parse(relay.url()).unwrap(), &Route::default()).unwrap();
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let files = |name: &str| {
        let options = Options { named: Some(directory.path().join(name)), ..Options::default() };
        let store = Store::prepare(&options, &name.parse().unwrap()).unwrap();
        Files::new(store, Duration::from_secs(10), |_| {})
    };
    let with = conversation::Invitation { postbox: Some(relay.url()), ..Default::default() };
    let (mut alice, invite) = block_on(Conversation::invite(files("alice"), with)).unwrap();
    let (mut bob, reply) = block_on(Conversation::respond(files("bob"), &invite, None)).unwrap();
    client.post(&[reply]).unwrap();
    for length in [50, 5_000, 1_200_000] {
        let wanted = [Wanted::from_hex(&length.to_string(), &"decade0fbadface7".repeat(5))];
        let mut text = wanted[0].plant();
        text.resize(length.max(text.len()), b' ');
        for _ in 0..8 {
            block_on(bob.send(&mut client.clone(), &text)).unwrap();
        }
        text.zeroize();
        assert_gone(&wanted);
        let mut seen = false;
        let soon = Some(Duration::from_secs(30));
        block_on(alice.collect(&client, Until::Messages(8), soon, |event| {
            if let Event::Part { offset: 0, .. } = event {
                assert_all_there(&wanted);
                seen = true;
            }
            Ok(())
        }))
        .unwrap();
        assert!(seen);
        assert_gone(&wanted);
    }
    relay.stop();
}

#[test]
fn nothing_of_a_packet_that_was_refused_or_held_is_left() {
    let _alone = alone();
    let mut random = Traceless::new(2);
    let [mut i, mut r] = pair(&mut random);
    i.step(&mut random);
    let [_, chain_key, header_chain_key] = i.keys();
    let mut numbers = i.session().reserve(1, &mut random).unwrap();
    let mut later = vec![0; 4096];
    let part = Part { message: 0, offset: 100, end: true, length: 100 };
    numbers.seal_part(&mut later, part, &mut random).unwrap();
    drop(numbers);
    let mut changed = later.clone();
    changed[3000] ^= 1;
    let wanted = keys_of_number(&chain_key, &header_chain_key, &later[32..64]);
    let wanted = all_but("token", wanted);
    assert!(r.open(&changed).is_none());
    assert_gone(&wanted);
    assert!(matches!(r.open(&later), Some(Outcome::Held { .. })));
    assert_gone(&wanted);
}

#[test]
fn keys_of_a_skipped_number_are_there_until_it_comes_or_expires() {
    let _alone = alone();
    for comes in [true, false] {
        let mut random = Traceless::new(3 + u64::from(comes));
        let [mut i, mut r] = pair(&mut random);
        i.step(&mut random);
        let [_, chain_key, header_chain_key] = i.keys();
        let late = i.send(&mut random);
        let next = i.send(&mut random);
        let wanted = keys_of_number(&chain_key, &header_chain_key, &late[32..64]);
        assert_gone(&wanted);
        r.receive(&next);
        let kept: Vec<Wanted> =
            wanted.into_iter().filter(|one| ["MK", "HK", "token"].contains(&&*one.name)).collect();
        assert_all_there(&kept);
        if comes {
            r.receive(&late);
        } else {
            assert!(r.session().expire(u64::MAX));
        }
        assert_gone(&kept);
    }
}

#[test]
fn private_keys_are_gone_once_their_step_is_done() {
    let _alone = alone();
    let mut random = Traceless::new(5);
    let mut inviting = Inviting::new(Invitation::default(), 0, &mut random).unwrap();
    let mut of_invite = random.last(Draw::X25519);
    of_invite.extend(random.last(Draw::KemSeed));
    assert_all_there(&of_invite);
    let (responder, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let mut of_reply = random.last(Draw::X25519);
    of_reply.extend(random.last(Draw::KemSeed));
    let encapsulated = random.last(Draw::KemMessage);
    assert_gone(&encapsulated);
    let opened = inviting.open(&reply).unwrap();
    let mut i = End::new(inviting.accept(opened, 0).unwrap());
    let mut r = End::new(responder);
    drop(inviting);
    assert_gone(&of_invite);

    // The first packet of the other side's next chain uses up each side's key.
    for _ in 0..2 {
        assert_all_there(&of_reply);
        let [root, _, _] = r.keys();
        let root = [Wanted::from_hex("RK", &root)];
        assert_all_there(&root);
        let packet = i.send(&mut random);
        let mut of_step = random.last(Draw::X25519);
        of_step.extend(random.last(Draw::KemSeed));
        assert_gone(&random.last(Draw::KemMessage));
        r.receive(&packet);
        assert_gone(&of_reply);
        assert_gone(&root);
        assert_all_there(&of_step);
        let packet = r.send(&mut random);
        of_reply = random.last(Draw::X25519);
        of_reply.extend(random.last(Draw::KemSeed));
        i.receive(&packet);
        assert_gone(&of_step);
    }
}

#[test]
fn nothing_of_a_session_is_left() {
    let _alone = alone();
    let mut random = Traceless::new(6);
    let [mut i, mut r] = pair(&mut random);
    let packet = i.send(&mut random);
    r.receive(&packet);
    let state = r.stored.to_bytes();
    let mut again =
        End { stored: Stored::from_bytes(&state).unwrap(), index: AddressIndex::new(64) };
    drop(state);
    r.step(&mut random);
    again.step(&mut random);
    let mut wanted = Vec::new();
    for end in [&i, &r, &again] {
        let names = ["RK", "CK", "HC"];
        wanted.extend(names.iter().zip(end.keys()).map(|(name, key)| Wanted::from_hex(name, &key)));
    }
    for what in [Draw::X25519, Draw::KemSeed, Draw::X25519, Draw::KemSeed] {
        wanted.extend(random.last(what));
    }
    assert_all_there(&wanted);
    drop((i, r, again));
    assert_gone(&wanted);
}

/// A password that a person typed, half of which is searched for as well.
fn typed() -> (Password, [Wanted; 2]) {
    let wanted =
        ["636f727265637420686f727365206261747465727920737461706c6521", "626174746572792073"]
            .map(|hex| Wanted::from_hex("password", hex));
    let mut text = wanted[0].plant();
    let password = Password::from_text(core::str::from_utf8(&text).unwrap()).unwrap();
    text.zeroize();
    (password, wanted)
}

/// What the secret gives with this salt, searched for while it is there, and then gone.
fn stretched(secret: &Password, salt: &[u8; 32]) -> Wanted {
    let prs = argon2id(secret.bytes(), salt).unwrap();
    let wanted = Wanted::new("PRS", prs.bytes());
    assert_all_there(core::slice::from_ref(&wanted));
    drop(prs);
    wanted
}

#[test]
fn nothing_of_a_secret_is_left() {
    let _alone = alone();
    let mut random = Traceless::new(7);
    let (secret, password) = typed();
    let mut inviting = Inviting::new(
        Invitation { secret: Some(&secret), ..Invitation::default() },
        0,
        &mut random,
    )
    .unwrap();
    let scalar = random.last(Draw::CpaceScalar);
    let commitment = Invite::parse(inviting.invite()).unwrap().commitment;
    let mut wanted = vec![stretched(&secret, &commitment)];
    assert_gone(&wanted);
    let (responder, reply) = respond(inviting.invite(), Some(&secret), 0, &mut random).unwrap();
    wanted.extend(random.last(Draw::CpaceScalar));
    assert_gone(&wanted);
    assert_all_there(&scalar);
    assert_all_there(&password);
    drop(secret);
    assert_gone(&password);
    let opened = inviting.open(&reply).unwrap();
    let mut i = End::new(inviting.accept(opened, 0).unwrap());
    drop(inviting);
    assert_gone(&scalar);
    let mut r = End::new(responder);
    r.receive(&i.send(&mut random));

    let (secret, _) = typed();
    let question = i.session().start_verify(&secret, "", &mut random).unwrap();
    let scalar = random.last(Draw::CpaceScalar);
    r.receive(&question);
    let run = *r.session().question_run().unwrap();
    wanted.push(stretched(&secret, &run));
    let prs = secret.stretch(&run).unwrap();
    drop(secret);
    let answer = r.session().answer_verify(&prs, &mut random).unwrap();
    drop(prs);
    wanted.extend(random.last(Draw::CpaceScalar));
    assert_all_there(&scalar);
    i.receive(&answer);
    wanted.extend(scalar);
    wanted.extend(password);
    assert_gone(&wanted);
}
