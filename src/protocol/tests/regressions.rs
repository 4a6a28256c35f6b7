//! Bugs that reviews found, each as a sentence that has held since its fix. Every one of these
//! tests failed once.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::handshake::invite::Invite;
use crate::protocol::handshake::{Invitation, Inviting, respond};
use crate::protocol::packet::Packet;
use crate::protocol::packet::frame;
use crate::protocol::packet::message::RUNS_MAX;
use crate::protocol::randomness::{Draw, Randomness};
use crate::protocol::ratchet::RatchetError;
use crate::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use crate::protocol::ratchet::skipped::{SKIPPED_MAX, SKIPPED_SECONDS};
use crate::protocol::session::stored::{Stage, Stored};
use crate::protocol::session::{
    Accepted, OutboxKind, Outcome, Part, Refusal, Reservation, SealError, Session, nothing_frames,
};
use crate::protocol::tests::support::{Seeded, answer, handshake, password};

/// The inviter, the responder, and their source of randomness.
fn pair(seed: u64) -> (Session, Session, Seeded) {
    let mut random = Seeded::numbered(seed);
    let (inviter, responder) = handshake(None, &mut random);
    (inviter, responder, random)
}

fn data(message: u64, offset: u64, end: bool, text: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let length = u32::try_from(text.len()).unwrap();
    frame::put_data_head(&mut frames, message, offset, end, length);
    frames.extend_from_slice(text);
    frames
}

fn seal(session: &mut Session, frames: &[u8], random: &mut Seeded) -> Vec<u8> {
    session.reserve(1, random).unwrap().seal_frames(12, frames, random).unwrap().into()
}

fn open(session: &Session, ahead: &mut AddressIndex, packet: &[u8]) -> Box<Accepted> {
    match session.open(ahead, &mut packet.to_vec(), None).unwrap() {
        Outcome::Accepted(accepted) => accepted,
        Outcome::Held { .. } => panic!("held"),
    }
}

fn ahead() -> AddressIndex {
    AddressIndex::new(LOOK_AHEAD)
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
fn confirmation_forgets_the_reply_but_not_a_message_on_its_way() {
    let (mut inviter, mut responder, mut random) = pair(6);
    let message = seal(&mut responder, &data(0, 0, true, b"hi"), &mut random);
    responder.keep(vec![Packet::new(message).unwrap()]);
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
        responder.accept(&mut ahead, &accepted, 0).unwrap().truncated
    };
    go(data(0, 0, true, b"a"), &mut responder);
    go(data(1, 0, false, b"begun"), &mut responder);
    let whole = RUNS_MAX as u64 + 4;
    let mut cut = Vec::new();
    for number in 1..whole {
        cut.extend(go(data(2 * number, 0, true, b"x"), &mut responder));
    }
    assert_eq!(responder.received(), whole);
    assert_eq!(cut, [1], "the unfinished one was given up and reported");
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
fn an_address_index_that_did_not_see_a_jump_finds_what_it_skipped() {
    let (mut inviter, mut responder, mut random) = pair(13);
    let packets: Vec<_> =
        (0..6).map(|_| seal(&mut inviter, &nothing_frames(), &mut random)).collect();
    let mut old = ahead();
    let accepted = open(&responder, &mut old, &packets[0]);
    responder.accept(&mut old, &accepted, 0).unwrap();
    // A search that finds nothing, after which all skipped numbers count as known.
    let mut little = AddressIndex::new(1);
    assert!(responder.open(&mut little, &mut packets[0].clone(), None).is_err());
    let mut other = ahead();
    let accepted = open(&responder, &mut other, &packets[4]);
    responder.accept(&mut other, &accepted, 0).unwrap();
    assert!(responder.open(&mut little, &mut packets[2].clone(), None).is_ok());
}

#[test]
fn jumps_without_end_do_not_grow_the_address_index_without_end() {
    const LIMIT: u32 = 1024;
    let (mut inviter, mut responder, mut random) = pair(20);
    let mut ahead = AddressIndex::new(LIMIT);
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
    let mut random = Seeded::numbered(40);
    let mut inviting = Inviting::new(Invitation::default(), 0, &mut random).unwrap();
    let (_, plain) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let opened = inviting.open(&plain).unwrap();
    assert!(inviting.accept(opened, 0).is_ok());
    let mut invite = Invite::parse(&inviting.invite).unwrap();
    invite.cpace_share = Some([9; 32]);
    inviting.invite = invite.to_bytes();
    assert!(respond(inviting.invite(), None, 0, &mut random).is_err());
}

fn take(session: &mut Session, ahead: &mut AddressIndex, packet: &[u8], now: u64) -> bool {
    match session.open(ahead, &mut packet.to_vec(), None) {
        Ok(Outcome::Accepted(accepted)) => session.accept(ahead, &accepted, now).is_ok(),
        _ => false,
    }
}

/// The situation of a `recv` that runs for more than a week, with and without a concurrent `send`.
#[test]
fn a_skipped_number_is_kept_for_seven_days_by_a_recv_that_runs_longer() {
    let (mut inviter, mut responder, mut random) = pair(1);
    let mut ahead = AddressIndex::new(LOOK_AHEAD);
    let late = seal(&mut inviter, &data(0, 0, true, b"late"), &mut random);
    let next = seal(&mut inviter, &nothing_frames(), &mut random);
    assert!(take(&mut responder, &mut ahead, &next, 0));
    let packet = late.clone();
    let opened = responder.open(&mut ahead, &mut packet.clone(), None).unwrap();
    let Outcome::Accepted(accepted) = opened else { panic!("held") };
    // As the receiver does: it applies the changes again, and then drops what is too old.
    let again = responder.accept(&mut ahead, &accepted, SKIPPED_SECONDS + 1);
    responder.expire(SKIPPED_SECONDS + 1);
    assert!(again.is_ok(), "text is out by now, and the change cannot be stored: {again:?}");
}

/// A later message of which only a held part has come does not count as begun.
#[test]
fn a_message_whose_numbers_all_came_is_hopeless_when_a_later_one_is_held() {
    let (mut inviter, mut responder, mut random) = pair(2);
    let mut ahead = AddressIndex::new(LOOK_AHEAD);
    let first = seal(&mut inviter, &data(0, 0, false, b"begun"), &mut random);
    assert!(take(&mut responder, &mut ahead, &first, 0));
    // The sender gave up message 0; every number before this one is accounted for.
    let mut later = seal(&mut inviter, &data(1, 0, true, b"later"), &mut random);
    let held = responder.open(&mut ahead, &mut later, Some(0)).unwrap();
    let Outcome::Held { message, at, .. } = held else { panic!("taken") };
    assert_eq!(responder.hopeless(&[(message, at)]), [0]);
}

/// An imported state is not trusted to be consistent.
#[test]
fn a_state_whose_runs_lie_below_the_floor_is_refused_or_harmless() {
    let (mut inviter, mut responder, mut random) = pair(3);
    responder.inbox.floor = 1000;
    responder.inbox.complete.insert(0, 1000);
    for run in 1..4096_u64 {
        responder.inbox.complete.insert(1000 + 2 * run, 1000 + 2 * run);
    }
    responder.reveals.fell_out = u64::MAX;
    let bytes = Stage::Session(Box::new(responder)).to_bytes(false);
    let Ok(Stored { stage: Stage::Session(mut read), .. }) = Stored::from_bytes(&bytes) else {
        return;
    };
    let mut ahead = AddressIndex::new(LOOK_AHEAD);
    let packet = seal(&mut inviter, &data(100_000, 0, true, b"x"), &mut random);
    assert!(take(&mut read, &mut ahead, &packet, 0));
    assert!(read.missed() < 10_000, "{}", read.missed());
}

/// One end as its processes see it: the stored state, one running `send`, one running `recv`.
struct End {
    stored: Vec<u8>,
    sending: Option<Reservation>,
    receiving: Option<Receiving>,
    sealed: BTreeSet<(u32, u32)>,
    /// Addresses whose acceptance is stored.
    accepted: BTreeMap<[u8; 32], u32>,
}

struct Receiving {
    base: Vec<u8>,
    working: Session,
    ahead: AddressIndex,
    changes: Vec<([u8; 32], Box<Accepted>)>,
}

fn load(bytes: &[u8]) -> Session {
    match Stored::from_bytes(bytes).unwrap().stage {
        Stage::Session(session) => *session,
        Stage::Inviting(_) => panic!(),
    }
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            stored: Stage::Session(Box::new(session)).to_bytes(false).to_vec(),
            sending: None,
            receiving: None,
            sealed: BTreeSet::new(),
            accepted: BTreeMap::new(),
        }
    }

    fn keep(&mut self, session: Session) {
        self.stored = Stage::Session(Box::new(session)).to_bytes(false).to_vec();
    }

    fn reserve(&mut self, count: u32, random: &mut Seeded) {
        let mut session = load(&self.stored);
        let reservation = session.reserve(count, random).unwrap();
        self.keep(session);
        self.sending = Some(reservation);
    }

    fn seal(&mut self, random: &mut Seeded) -> Option<Vec<u8>> {
        let reservation = self.sending.as_mut()?;
        if reservation.left() == 0 {
            return None;
        }
        let at = reservation.position();
        assert!(self.sealed.insert((at.chain, at.number)), "a number sealed twice: {at:?}");
        Some(reservation.seal_frames(12, &nothing_frames(), random).unwrap().into())
    }

    fn give_back(&mut self) {
        let Some(reservation) = self.sending.take() else { return };
        let mut session = load(&self.stored);
        session.give_back(reservation);
        self.keep(session);
    }

    fn begin_receiving(&mut self) {
        let working = load(&self.stored);
        let ahead = AddressIndex::new(256);
        let base = self.stored.clone();
        self.receiving = Some(Receiving { base, working, ahead, changes: Vec::new() });
    }

    /// Opens a packet; an error if it is refused.
    fn take(&mut self, packet: &[u8]) -> Result<(), Refusal> {
        let Some(receiving) = &mut self.receiving else { return Err(Refusal::NotOurs) };
        let mut copy = packet.to_vec();
        match receiving.working.open(&mut receiving.ahead, &mut copy, None)? {
            Outcome::Accepted(accepted) => {
                receiving.working.accept(&mut receiving.ahead, &accepted, 0).unwrap();
                receiving.changes.push((packet[..32].try_into().unwrap(), accepted));
                Ok(())
            }
            Outcome::Held { .. } => panic!("held"),
        }
    }

    /// Stores the changes as the receiver does.
    fn store(&mut self) {
        let Some(mut receiving) = self.receiving.take() else { return };
        if receiving.base != self.stored {
            let mut session = load(&self.stored);
            receiving.ahead = AddressIndex::new(256);
            for (_, accepted) in &receiving.changes {
                session.accept(&mut receiving.ahead, accepted, 0).expect("applied again");
            }
            receiving.working = session;
        }
        for (address, _) in receiving.changes.drain(..) {
            *self.accepted.entry(address).or_default() += 1;
        }
        let stage = Stage::Session(Box::new(receiving.working));
        self.stored = stage.to_bytes(false).to_vec();
        let Stage::Session(working) = stage else { return };
        let base = self.stored.clone();
        self.receiving = Some(Receiving { base, working: *working, ..receiving });
    }
}

/// `send` and `recv` run concurrently and are killed at any time, numbers are given back or not,
/// and packets are delayed, doubled and reordered.
#[test]
fn whatever_two_processes_of_an_end_do_no_number_serves_twice_and_no_packet_is_lost() {
    let mut turns = 0;
    for seed in 0..400 {
        let (inviter, responder, mut random) = pair(1000 + seed);
        let mut ends = [End::new(inviter), End::new(responder)];
        // What was sent to each end.
        let mut network: [Vec<Vec<u8>>; 2] = Default::default();
        let mut chance = Seeded::numbered(seed);
        let mut draw = |below: usize| {
            let mut bytes = [0; 8];
            chance.fill(Draw::Code, &mut bytes).unwrap();
            usize::try_from(u64::from_be_bytes(bytes) % below as u64).unwrap()
        };
        for _ in 0..120 {
            let who = draw(2);
            let end = &mut ends[who];
            match draw(12) {
                0 | 1 if end.sending.is_none() => {
                    end.reserve(u32::try_from(1 + draw(5)).unwrap(), &mut random);
                }
                0..=3 => network[1 - who].extend(end.seal(&mut random)),
                4 => end.give_back(),
                5 => end.sending = None,
                6 if end.receiving.is_none() => end.begin_receiving(),
                6..=8 if !network[who].is_empty() => {
                    let packet = network[who][draw(network[who].len())].clone();
                    let _ = end.take(&packet);
                }
                9 | 10 => end.store(),
                11 if draw(3) == 0 => end.receiving = None,
                _ => {}
            }
        }
        for who in [0, 1, 0, 1] {
            let end = &mut ends[who];
            end.store();
            end.begin_receiving();
            for _ in 0..3 {
                for packet in &network[who] {
                    let _ = end.take(packet);
                }
            }
            end.store();
        }
        for who in 0..2 {
            for packet in &network[who] {
                let address: [u8; 32] = packet[..32].try_into().unwrap();
                assert_eq!(ends[who].accepted.get(&address), Some(&1), "seed {seed}");
            }
        }
        turns += ends[0].sealed.last().map_or(0, |last| last.0);
    }
    assert!(turns > 400, "{turns}: too few turns to mean anything");
}

/// A relay delays R's question until I's own question, which crossed it, is finished.
#[test]
fn a_question_that_gave_way_costs_no_failure_when_it_comes_late() {
    let secret = || password("the same");
    let (mut inviter, mut responder, mut random) = pair(5);
    let (mut at_inviter, mut at_responder) =
        (AddressIndex::new(LOOK_AHEAD), AddressIndex::new(LOOK_AHEAD));
    let hello = seal(&mut inviter, &nothing_frames(), &mut random);
    assert!(take(&mut responder, &mut at_responder, &hello, 0));
    let late = responder.start_verify(&secret(), "", &mut random).unwrap();
    let step_1 = inviter.start_verify(&secret(), "", &mut random).unwrap();
    assert!(take(&mut responder, &mut at_responder, &step_1, 0), "gives way");
    let step_2 = answer(&mut responder, "the same", &mut random).unwrap();
    assert!(take(&mut inviter, &mut at_inviter, &step_2, 0), "equal");
    let step_3 = inviter.seal_pending(&mut random).unwrap().unwrap();
    assert!(take(&mut responder, &mut at_responder, &step_3, 0), "equal");
    // Now the relay lets the first question through.
    assert!(take(&mut inviter, &mut at_inviter, &late, 0));
    if inviter.question().is_some() {
        let answer = answer(&mut inviter, "the same", &mut random).unwrap();
        assert!(take(&mut responder, &mut at_responder, &answer, 0));
        while let Some(owed) = responder.seal_pending(&mut random).unwrap() {
            assert!(take(&mut inviter, &mut at_inviter, &owed, 0));
        }
    }
    assert_eq!((inviter.verify_failures(), responder.verify_failures()), (0, 0));
}

#[test]
fn a_part_that_is_held_gives_nothing_up_while_an_earlier_number_may_come() {
    let (mut inviter, mut responder, mut random) = pair(6);
    let mut ahead = ahead();
    let first = seal(&mut inviter, &data(0, 0, false, b"be"), &mut random);
    let mut hold = |message, offset, responder: &Session, ahead: &mut AddressIndex| {
        let mut packet = seal(&mut inviter, &data(message, offset, true, b"gun"), &mut random);
        match responder.open(ahead, &mut packet, Some(7)).unwrap() {
            Outcome::Held { message, at, .. } => (message, at),
            Outcome::Accepted(_) => panic!("taken"),
        }
    };
    // Before anything has arrived from the other side.
    let rest = hold(0, 2, &responder, &mut ahead);
    let later = hold(1, 0, &responder, &mut ahead);
    assert!(responder.hopeless(&[rest, later]).is_empty());
    assert!(take(&mut responder, &mut ahead, &first, 0));
    // The rest is no longer held and has not arrived: now its number is missing.
    assert!(responder.hopeless(&[later]).is_empty());
}

#[test]
fn no_text_is_sealed_as_frames_before_the_other_side_has_shown_the_secret() {
    let mut random = Seeded::numbered(41);
    let secret = || password("the same");
    let inviting = Inviting::new(
        Invitation { secret: Some(&secret()), ..Invitation::default() },
        0,
        &mut random,
    )
    .unwrap();
    let (mut responder, _) = respond(inviting.invite(), Some(&secret()), 0, &mut random).unwrap();
    let mut numbers = responder.reserve(2, &mut random).unwrap();
    let text = numbers.seal_frames(12, &data(0, 0, true, b"hi"), &mut random);
    assert_eq!(text, Err(SealError::Unconfirmed));
    assert!(numbers.seal_frames(12, &nothing_frames(), &mut random).is_ok());
}

/// RECEIPT stands behind the text; who does not know it skips it, and without it a packet is as it was before there was one.
#[test]
fn a_part_says_whether_its_sender_waits_to_hear_of_it() {
    let text = data(7, 9, false, b"text");
    let behind = |frame: &[u8]| frame::parse(&[&text, frame].concat()).unwrap();
    assert!(behind(&[0x80, 0, 0, 0, 0]).receipt && behind(&[0x80, 0, 0, 0, 0]).data.is_some());
    assert!(!behind(&[]).receipt && !behind(&[0x81, 0, 0, 0, 0]).receipt);
    assert!(!behind(&[0x80, 0, 0, 0, 1, 7]).receipt);
    let (mut alice, bob, mut random) = pair(44);
    for asks in [false, true] {
        let mut numbers = alice.reserve(2, &mut random).unwrap();
        let before = numbers.room(12);
        if asks {
            numbers.ask_for_receipts();
        }
        assert_eq!(before - numbers.room(12), if asks { 5 } else { 0 });
        let longest = vec![b'x'; numbers.room(12)];
        let length = longest.len();
        let part = Part { message: alice.begin_message(), offset: 0, end: true, length };
        let longer = Part { length: length + 1, ..part };
        let too_long = numbers.seal_text(12, &[&longest[..], b"x"].concat(), longer, &mut random);
        assert_eq!(too_long.err(), Some(SealError::Size));
        let (packet, _) = numbers.seal_text(12, &longest, part, &mut random).unwrap();
        let frames = open(&bob, &mut ahead(), &packet).frames;
        assert_eq!((frames.receipt, frames.data.unwrap().text.len()), (asks, length));
    }
}

#[test]
fn an_invite_knows_the_session_it_became_from_any_other() {
    let mut random = Seeded::numbered(42);
    let mut inviting = Inviting::new(Invitation::default(), 0, &mut random).unwrap();
    let (responder, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let opened = inviting.open(&reply).unwrap();
    let (another, ..) = pair(43);
    assert!(inviting.became(&inviting.accept(opened, 0).unwrap()));
    assert!(!inviting.became(&another) && !inviting.became(&responder));
}
