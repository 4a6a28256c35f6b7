//! What each fuzz target does with its bytes. `tests/corpus.rs` does the same with the corpus, so
//! that every find, once it lies there, is a test.
//!
//! `cargo +nightly fuzz run packet`, and so on; nothing may panic, and what is refused changes
//! nothing.

#![allow(dead_code, reason = "each target uses one of these functions")]

use std::sync::{LazyLock, Mutex};

use otr::protocol::handshake::invite::Invite;
use otr::protocol::handshake::{Invitation, Inviting, respond};
use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use otr::protocol::ratchet::address_index::AddressIndex;
use otr::protocol::session::stored::{Stage, Stored};
use otr::protocol::session::{Outcome, Session};
use sha2::{Digest, Sha256};

/// The same bytes in every run: replies of the corpus answer an invite that was made with them.
struct Counting(u64);

impl Randomness for Counting {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}

/// The states of both ends after a handshake, and the reply; as bytes, to begin anew each time.
static ENDS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let (mut inviting, responder, reply) = handshake();
    let opened = inviting.open(&reply).unwrap();
    [inviting.accept(opened, 0).unwrap(), responder].map(sleep)
});

fn handshake() -> (Inviting, Session, Vec<u8>) {
    let inviting = Inviting::new(Invitation::default(), 0, &mut Counting(1)).unwrap();
    let (responder, reply) = respond(inviting.invite(), None, 0, &mut Counting(2)).unwrap();
    (inviting, responder, reply)
}

fn sleep(session: Session) -> Vec<u8> {
    Stored { frozen: false, stage: Stage::Session(Box::new(session)) }.to_bytes().to_vec()
}

/// The bytes are rows of frames, each after its length (u16): I seals them, R opens them in order
/// and, where the highest bit of the length is set, out of order. What is refused changes nothing.
pub(crate) fn packet(data: &[u8]) {
    let [mut inviter, mut responder] =
        ENDS.clone().map(|state| Stored::from_bytes(&state).unwrap());
    let (Stage::Session(inviter), Stage::Session(_)) = (&mut inviter.stage, &responder.stage)
    else {
        unreachable!("both are sessions");
    };
    let mut ahead = AddressIndex::new(64);
    let mut random = Counting(3);
    let mut late = Vec::new();
    let mut rest = data;
    for _ in 0..16 {
        let Some((length, after)) = rest.split_first_chunk() else { break };
        let length = u16::from_be_bytes(*length);
        let frames = &after[..usize::from(length & 0x7ff).min(after.len())];
        rest = &after[frames.len()..];
        let mut numbers = inviter.reserve(1, &mut random).unwrap();
        let Ok(packet) = numbers.seal_frames(12, frames, &mut random) else { continue };
        if length & 0x8000 == 0 {
            open(&mut responder, &mut ahead, &packet);
        } else {
            late.push(packet);
        }
    }
    late.reverse();
    for packet in late {
        open(&mut responder, &mut ahead, &packet);
    }
}

fn open(stored: &mut Stored, ahead: &mut AddressIndex, packet: &[u8]) {
    let before = stored.to_bytes();
    let Stage::Session(session) = &mut stored.stage else { return };
    let mut opened = packet.to_vec();
    match session.open(ahead, &mut opened, None) {
        Ok(Outcome::Accepted(accepted)) => {
            session.accept(ahead, &accepted, 0).unwrap();
            assert!(session.open(ahead, &mut packet.to_vec(), None).is_err(), "accepted once");
            for message in session.hopeless(&[]) {
                session.give_up(message);
            }
            session.missing();
        }
        Ok(Outcome::Held { .. }) => assert_eq!(opened, packet, "sealed again as it was"),
        Err(_) => assert_eq!(*stored.to_bytes(), *before, "refused, and nothing changed"),
    }
}

/// The bytes are changes to a good reply: where (u16), and what is changed there (u8); or a reply.
pub(crate) fn reply(data: &[u8]) {
    static HANDSHAKE: LazyLock<(Mutex<Inviting>, Vec<u8>)> = LazyLock::new(|| {
        let (inviting, _, reply) = handshake();
        (Mutex::new(inviting), reply)
    });
    let (inviting, good) = &*HANDSHAKE;
    let mut inviting = inviting.lock().unwrap();
    let mut changed = good.clone();
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
        changed[at] ^= change[2];
    }
    let accepted = inviting.open(&changed).and_then(|opened| inviting.accept(opened, 0));
    assert_eq!(accepted.is_ok(), changed == *good);
    assert!(inviting.open(data).is_err());
}

/// The bytes are an invite; what is read is written the same.
pub(crate) fn invite(data: &[u8]) {
    if let Ok(invite) = Invite::parse(data) {
        assert_eq!(invite.to_bytes(), data);
    }
    let _ = respond(data, None, 0, &mut Counting(4));
}

/// The bytes are a stored state, with or without its check value; what is read is written the same.
pub(crate) fn stored(data: &[u8]) {
    let _ = Stored::from_bytes(data);
    let check = Sha256::new().chain_update(b"otr/1 state").chain_update(data).finalize();
    let Ok(stored) = Stored::from_bytes(&[data, &check[..]].concat()) else { return };
    let written = stored.to_bytes();
    let again = Stored::from_bytes(&written).unwrap();
    assert_eq!(*again.to_bytes(), *written);
    let Stage::Session(mut session) = stored.stage else { return };
    session.missing();
    session.hopeless(&[]);
    session.expire(u64::MAX);
    if let Ok(numbers) = session.reserve(2, &mut Counting(5)) {
        session.give_back(numbers);
    }
    let _ = session.open(&mut AddressIndex::new(64), &mut [7; 4096], None);
}
