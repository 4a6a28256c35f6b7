//! What reviews found, each as the sentence that holds since. Every one of these failed once.

use super::frame;
use super::handshake::{Inviting, respond};
use super::invite::Invite;
use super::lookahead::{LOOK_AHEAD, Lookahead};
use super::message::RUNS_MAX;
use super::randomness::{Draw, NoRandomness, Randomness};
use super::ratchet::RatchetError;
use super::session::{Accepted, OutboxKind, Outcome, Session, nothing_frames};
use super::skipped::SKIPPED_MAX;

/// Reproducible and good enough for tests: a linear congruential generator.
struct Seeded(u64);

impl Randomness for Seeded {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = self.0.to_be_bytes()[1];
        }
        Ok(())
    }
}

/// The inviter, the responder, and what they draw from.
fn pair(seed: u64) -> (Session, Session, Seeded) {
    let mut random = Seeded(seed);
    let mut inviting = Inviting::new("", 0, None, 0, &mut random).unwrap();
    let (responder, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let opened = inviting.open(&reply).unwrap();
    (inviting.accept(opened, 0).unwrap(), responder, random)
}

fn data(message: u64, offset: u64, end: bool, text: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let length = u32::try_from(text.len()).unwrap();
    frame::put_data_head(&mut frames, message, offset, end, length);
    frames.extend_from_slice(text);
    frames
}

fn seal(session: &mut Session, frames: &[u8], random: &mut Seeded) -> Vec<u8> {
    session.reserve(1, random).unwrap().seal_frames(12, frames, random).unwrap()
}

fn open(session: &Session, ahead: &mut Lookahead, packet: &[u8]) -> Box<Accepted> {
    match session.open(ahead, &mut packet.to_vec(), None).unwrap() {
        Outcome::Accepted(accepted) => accepted,
        Outcome::Held { .. } => panic!("held"),
    }
}

fn ahead() -> Lookahead {
    Lookahead::new(LOOK_AHEAD)
}

#[test]
fn a_packet_opened_in_one_conversation_is_not_accepted_in_another() {
    let (mut alice, bob_with_alice, mut random) = pair(2);
    let (_carol, mut bob_with_carol, _) = pair(3);
    let packet = seal(&mut alice, &data(0, 0, true, b"from alice"), &mut random);
    let accepted = open(&bob_with_alice, &mut ahead(), &packet);
    let before = bob_with_carol.to_stored_bytes();
    let applied = bob_with_carol.accept(&mut ahead(), &accepted, 0);
    assert_eq!(applied, Err(RatchetError::Spent));
    assert_eq!(*bob_with_carol.to_stored_bytes(), *before);
}

#[test]
fn numbers_are_given_back_only_to_their_own_conversation() {
    let (_alice, mut bob_with_alice, mut random) = pair(4);
    let (_carol, mut bob_with_carol, _) = pair(5);
    let foreign = bob_with_alice.reserve(256, &mut random).unwrap();
    bob_with_carol.reserve(256, &mut random).unwrap();
    let before = bob_with_carol.to_stored_bytes();
    bob_with_carol.give_back(foreign);
    assert_eq!(*bob_with_carol.to_stored_bytes(), *before);
}

#[test]
fn confirmation_forgets_the_reply_and_not_a_message_on_its_way() {
    let (mut inviter, mut responder, mut random) = pair(6);
    let message = seal(&mut responder, &data(0, 0, true, b"hi"), &mut random);
    responder.keep(vec![message]);
    assert!(responder.reply().is_some(), "a message does not take the reply's place");
    let packet = seal(&mut inviter, &nothing_frames(), &mut random);
    let mut ahead = ahead();
    let accepted = open(&responder, &mut ahead, &packet);
    responder.accept(&mut ahead, &accepted, 0).unwrap();
    assert_eq!(responder.outbox().kind, OutboxKind::Message);
    assert!(responder.reply().is_none());
}

#[test]
fn every_second_message_lost_is_counted_as_missed_and_leaves_nothing_stuck() {
    let (mut inviter, mut responder, mut random) = pair(7);
    let mut ahead = ahead();
    let mut go = |frames: Vec<u8>, responder: &mut Session| {
        let packet = seal(&mut inviter, &frames, &mut random);
        let accepted = open(responder, &mut ahead, &packet);
        responder.accept(&mut ahead, &accepted, 0).unwrap().cut
    };
    go(data(0, 0, true, b"a"), &mut responder);
    go(data(1, 0, false, b"begun"), &mut responder);
    let whole = RUNS_MAX as u64 + 4;
    let mut cut = Vec::new();
    for number in 1..whole {
        cut.extend(go(data(2 * number, 0, true, b"x"), &mut responder));
    }
    assert_eq!(responder.received(), whole);
    assert_eq!(cut, [1], "the unfinished one was given up, and told");
    assert!(responder.unfinished().is_empty());
    assert!(responder.hopeless(&[]).is_empty());
    let listed: u64 = responder.missing().iter().map(|(first, last)| last - first + 1).sum();
    assert_eq!(listed + responder.missed(), whole - 1, "each gap is listed or counted");
    let late = data(1, 5, true, b"late");
    assert!(go(late, &mut responder).is_empty(), "accepted and dropped");
}

#[test]
fn of_two_opened_packets_with_one_part_only_one_is_accepted() {
    let (mut inviter, mut responder, mut random) = pair(8);
    let mut ahead = ahead();
    let first = seal(&mut inviter, &data(0, 0, false, b"aaaa"), &mut random);
    let again = seal(&mut inviter, &data(0, 0, false, b"bbbb"), &mut random);
    let later = seal(&mut inviter, &nothing_frames(), &mut random);
    let accepted = open(&responder, &mut ahead, &later);
    responder.accept(&mut ahead, &accepted, 0).unwrap();
    let (first, again) =
        (open(&responder, &mut ahead, &first), open(&responder, &mut ahead, &again));
    responder.accept(&mut ahead, &first, 0).unwrap();
    assert_eq!(responder.accept(&mut ahead, &again, 0), Err(RatchetError::Spent));
}

#[test]
fn a_part_of_a_message_given_up_since_it_was_opened_is_dropped() {
    let (mut inviter, mut responder, mut random) = pair(9);
    let mut ahead = ahead();
    let packet = seal(&mut inviter, &data(0, 0, false, b"aaaa"), &mut random);
    let accepted = open(&responder, &mut ahead, &packet);
    responder.give_up(0);
    responder.accept(&mut ahead, &accepted, 0).unwrap();
    assert!(responder.unfinished().is_empty());
}

#[test]
fn no_key_is_printed_once_packets_lie_in_a_postbox() {
    let (mut inviter, mut responder, mut random) = pair(12);
    let mut ahead = ahead();
    let queued = seal(&mut inviter, &nothing_frames(), &mut random);
    let opened = seal(&mut inviter, &nothing_frames(), &mut random);
    let accepted = open(&responder, &mut ahead, &queued);
    responder.accept(&mut ahead, &accepted, 0).unwrap();
    let accepted = open(&responder, &mut ahead, &opened);
    responder.collect_from_postbox();
    responder.accept(&mut ahead, &accepted, 0).unwrap();
    assert!(responder.take_published().is_empty());
    assert!(responder.take_collected().is_empty());
    assert_eq!(responder.unpublished(), (0, 2), "counted as never published");
}

#[test]
fn a_lookahead_that_did_not_see_a_jump_finds_what_it_skipped() {
    let (mut inviter, mut responder, mut random) = pair(13);
    let packets: Vec<_> =
        (0..6).map(|_| seal(&mut inviter, &nothing_frames(), &mut random)).collect();
    let mut old = ahead();
    let accepted = open(&responder, &mut old, &packets[0]);
    responder.accept(&mut old, &accepted, 0).unwrap();
    // Looks once in vain, so that all skipped numbers count as known.
    let mut little = Lookahead::new(1);
    assert!(responder.open(&mut little, &mut packets[0].clone(), None).is_err());
    let mut other = ahead();
    let accepted = open(&responder, &mut other, &packets[4]);
    responder.accept(&mut other, &accepted, 0).unwrap();
    assert!(responder.open(&mut little, &mut packets[2].clone(), None).is_ok());
}

#[test]
fn jumps_without_end_do_not_grow_the_lookahead_without_end() {
    const LIMIT: u32 = 1024;
    let (mut inviter, mut responder, mut random) = pair(20);
    let mut ahead = Lookahead::new(LIMIT);
    for _ in 0..40 {
        let mut numbers = inviter.reserve(LIMIT, &mut random).unwrap();
        let packet = numbers.seal_frames(12, &nothing_frames(), &mut random).unwrap();
        let accepted = open(&responder, &mut ahead, &packet);
        responder.accept(&mut ahead, &accepted, 0).unwrap();
    }
    assert!(ahead.known_addresses() <= 3 * (2 * LIMIT as usize + SKIPPED_MAX));
}

#[test]
fn an_invite_that_asks_for_a_secret_is_not_answered_without_one() {
    let mut random = Seeded(40);
    let mut inviting = Inviting::new("", 0, None, 0, &mut random).unwrap();
    let (_, plain) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let opened = inviting.open(&plain).unwrap();
    assert!(inviting.accept(opened, 0).is_ok());
    let mut invite = Invite::parse(&inviting.invite).unwrap();
    invite.cpace_share = Some([9; 32]);
    inviting.invite = invite.to_bytes();
    assert!(respond(inviting.invite(), None, 0, &mut random).is_err());
}
