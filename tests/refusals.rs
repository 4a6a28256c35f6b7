//! Bytes that no end made, or that somebody changed: they are refused without a panic, and nothing
//! changes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

mod common;

use std::sync::LazyLock;

use common::{Awake, Seeded, handshake, short_sighted};
use otr::protocol::handshake::invite::Invite;
use otr::protocol::handshake::{Invitation, Inviting, ReplyError, respond};
use otr::protocol::packet::frame::{self, QUESTION_MAX, Step};
use otr::protocol::packet::{K_MAX, K_MIN, Packet, size};
use otr::protocol::session::stored::{Stage, Stored};
use otr::protocol::session::{Outcome, Part, Refusal, nothing_frames};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest, Sha256};

/// A session of R that waits for a packet of its current chain, has a skipped number and one
/// message begun; the packet that it waits for, and the skipped one.
fn waiting() -> (Awake, Vec<u8>, Vec<u8>) {
    let mut random = Seeded::new(b"refusals");
    let [mut inviter, mut responder] = handshake(&mut random);
    let mut ahead = short_sighted();
    let mut numbers = inviter.reserve(3, &mut random).unwrap();
    let skipped = numbers.seal_frames(12, &nothing_frames(), &mut random).unwrap().into();
    let mut parts = [0, 100].map(|offset| {
        let mut packet = vec![b'a'; 4096];
        let part = Part { message: 0, offset, end: offset > 0, length: 100 };
        numbers.seal_part(&mut packet, part, &mut random).unwrap();
        packet
    });
    let outcome = responder.open(&mut ahead, &mut parts[0], None).unwrap();
    let Outcome::Accepted(accepted) = outcome else { panic!("held") };
    responder.accept(&mut ahead, &accepted, 0).unwrap();
    let [_, part] = parts;
    (responder, part, skipped)
}

#[test]
fn every_bit_of_a_packet_counts() {
    let (r, awaited, skipped) = waiting();
    let before = r.state();
    let mut ahead = short_sighted();
    for packet in [&awaited, &skipped] {
        for bit in 0..packet.len() * 8 {
            let mut changed = packet.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refusal = r.open(&mut ahead, &mut changed, None).err();
            assert!(refusal.is_some(), "bit {bit}");
            // Packets are looked up by their whole address.
            assert_eq!(refusal == Some(Refusal::NotOurs), bit < 256, "bit {bit}");
            if bit % 256 == 0 {
                assert_eq!(r.state(), before, "bit {bit}");
            }
        }
        // Refusing takes `&self`; the test still checks that nothing inside changed.
        assert_eq!(r.state(), before);
        assert!(r.open(&mut ahead, &mut packet.clone(), None).is_ok());
    }
}

#[test]
fn a_packet_cut_at_any_byte_or_padded_is_refused() {
    let (r, packet, _) = waiting();
    let before = r.state();
    let mut ahead = short_sighted();
    for length in 0..packet.len() {
        let refusal = r.open(&mut ahead, &mut packet[..length].to_vec(), None).err();
        assert_eq!(refusal, Some(Refusal::Size));
    }
    for k in 13..=K_MAX + 1 {
        let mut longer = packet.clone();
        longer.resize(1 << k, 0);
        assert!(r.open(&mut ahead, &mut longer, None).is_err());
        longer.pop();
        assert_eq!(r.open(&mut ahead, &mut longer, None).err(), Some(Refusal::Size));
    }
    assert_eq!(r.state(), before);
}

#[test]
fn every_byte_of_a_reply_counts() {
    let mut random = Seeded::new(b"replies");
    let mut inviting = Inviting::new(
        Invitation { postbox: Some("https://postbox.example"), ..Invitation::default() },
        0,
        &mut random,
    )
    .unwrap();
    let (_, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    for length in 0..reply.len() {
        assert_eq!(inviting.open(&reply[..length]).err(), Some(ReplyError::Junk));
    }
    for at in 0..reply.len() {
        let mut changed = reply.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(inviting.open(&changed).err(), Some(ReplyError::Junk), "byte {at}");
    }
    let opened = inviting.open(&reply).unwrap();
    assert!(inviting.accept(opened, 0).is_ok());
}

/// Fields with the check value that belongs to them, so that reading goes on behind it.
fn with_check(fields: &[u8]) -> Vec<u8> {
    let check = Sha256::new().chain_update(b"otr/1 state").chain_update(fields).finalize();
    [fields, &check[..]].concat()
}

/// States to start from: an invite, a fresh session, one with skipped numbers and an outbox.
fn states() -> Vec<Vec<u8>> {
    let mut random = Seeded::new(b"states");
    let inviting = Inviting::new(
        Invitation {
            postbox: Some("https://postbox.example"),
            expires: Some(7),
            ..Invitation::default()
        },
        0,
        &mut random,
    )
    .unwrap();
    let (responder, _) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let mut with_packets = waiting().0;
    with_packets.keep([1, 2].map(|byte| Packet::new(vec![byte; size(K_MIN)]).unwrap()).to_vec());
    with_packets.give_up(5);
    let inviting = Stored { frozen: true, stage: Stage::Inviting(Box::new(inviting)) };
    vec![inviting.to_bytes().to_vec(), Awake::new(responder).state(), with_packets.state()]
}

/// What a command may do with a state that was read.
fn use_state(stored: Stored) {
    static PACKETS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
        let (_, awaited, skipped) = waiting();
        [awaited, skipped]
    });
    let bytes = stored.to_bytes();
    let again = Stored::from_bytes(&bytes).unwrap().to_bytes();
    assert_eq!(*again, *bytes, "what was read is written the same");
    let Stage::Session(mut session) = stored.stage else { return };
    let mut random = Seeded::new(b"use");
    let mut ahead = short_sighted();
    let _ = session.open(&mut ahead, &mut random.bytes(4096), None);
    session.missing();
    session.received();
    session.unfinished();
    session.hopeless(&[]);
    session.give_up(3);
    session.expire(1 << 40);
    session.take_published();
    session.take_collected();
    if let Ok(mut numbers) = session.reserve(3, &mut random) {
        assert!(numbers.left() > 0);
        assert!(numbers.seal_frames(12, &nothing_frames(), &mut random).is_ok());
        session.give_back(numbers);
    }
    for mut packet in PACKETS.clone() {
        if let Ok(Outcome::Accepted(accepted)) = session.open(&mut ahead, &mut packet, None) {
            let _ = session.accept(&mut ahead, &accepted, 0);
        }
    }
}

#[test]
fn a_state_cut_or_changed_anywhere_is_refused() {
    for state in states() {
        for length in 0..state.len() {
            assert!(Stored::from_bytes(&state[..length]).is_err());
            // Truncated, but with the right check value.
            let whole = length == state.len() - 32;
            assert_eq!(Stored::from_bytes(&with_check(&state[..length])).is_ok(), whole);
        }
        for at in 0..state.len() {
            let mut changed = state.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(Stored::from_bytes(&changed).is_err(), "byte {at}");
        }
        use_state(Stored::from_bytes(&state).unwrap());
    }
}

/// A row of frames: known and unknown types, some with the right length.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        Just(0usize),
        Just(8),
        Just(17),
        Just(18),
        Just(32),
        Just(38),
        Just(70),
        0..80usize,
    ];
    let kind = prop_oneof![8 => 0..=7u8, 1 => any::<u8>()];
    let frame =
        (kind, length, any::<u64>(), any::<bool>()).prop_map(|(kind, length, seed, zeros)| {
            let mut bytes = vec![kind];
            bytes.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
            let fill = if zeros {
                vec![0; length]
            } else {
                Seeded::new(&seed.to_be_bytes()).bytes(length)
            };
            bytes.extend_from_slice(&fill);
            bytes
        });
    vec(frame, 0..6).prop_map(|frames| frames.concat())
}

/// Some bytes changed.
fn changed(mut bytes: Vec<u8>, edits: &[(Index, u8)]) -> Vec<u8> {
    for (at, value) in edits {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(Index, u8)>> {
    let value = prop_oneof![Just(0u8), Just(1), Just(0xff), Just(0x7f), any::<u8>()];
    vec((any::<Index>(), value), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn frames_of_any_kind_are_read_within_their_bounds(
        bytes in frames(), edits in edits(), padding in 0..70usize,
    ) {
        let mut body = changed(bytes, &edits);
        body.resize(body.len() + padding, 0);
        if let Ok(frames) = frame::parse(&body) {
            if let Some(data) = frames.data {
                prop_assert!(data.text.start <= data.text.end && data.text.end <= body.len());
            }
            for verify in frames.verify {
                if let Step::Ask { question, .. } = verify.step {
                    prop_assert!(question.len() <= QUESTION_MAX);
                }
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_no_frames_that_panic(body in vec(any::<u8>(), 0..200)) {
        let _ = frame::parse(&body);
    }

    #[test]
    fn an_invite_that_is_read_is_written_the_same(
        edits in edits(), cut in any::<Index>(), secret: bool, url in "[a-z:/.é]{0,40}",
    ) {
        let mut invite = Inviting::new(Invitation { postbox: Some(&url), expires: Some(9), ..Invitation::default() }, 0, &mut Seeded::new(b"invite")).unwrap()
            .invite().to_vec();
        if secret {
            invite[1] = 1;
            invite.splice(1290..1290, [7; 32]);
        }
        prop_assert!(Invite::parse(&invite).is_ok());
        let length = invite.len();
        let changed = changed(invite, &edits);
        for bytes in [&changed[..], &changed[..cut.index(length)]] {
            if let Ok(read) = Invite::parse(bytes) {
                prop_assert_eq!(read.to_bytes(), bytes);
            }
            let _ = respond(bytes, None, 0, &mut Seeded::new(b"respond"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_state_of_any_kind_can_be_used(which in any::<Index>(), edits in edits()) {
        static STATES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(states);
        let state = &STATES[which.index(STATES.len())];
        let fields = changed(state[..state.len() - 32].to_vec(), &edits);
        if let Ok(stored) = Stored::from_bytes(&with_check(&fields)) {
            use_state(stored);
        }
    }
}
