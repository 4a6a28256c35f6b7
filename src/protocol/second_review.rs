//! Probes of the second review of the protocol core: each is the sentence that should hold.

use std::collections::{BTreeMap, BTreeSet};

use super::frame;
use super::handshake::{Inviting, respond};
use super::lookahead::{LOOK_AHEAD, Lookahead};
use super::randomness::{Draw, NoRandomness, Randomness};
use super::session::{Accepted, Outcome, Refusal, Reservation, Session, nothing_frames};
use super::skipped::SKIPPED_SECONDS;
use super::stored::{Stage, Stored};

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

fn take(session: &mut Session, ahead: &mut Lookahead, packet: &[u8], now: u64) -> bool {
    match session.open(ahead, &mut packet.to_vec(), None) {
        Ok(Outcome::Accepted(accepted)) => session.accept(ahead, &accepted, now).is_ok(),
        _ => false,
    }
}

/// 9. As a `recv` that runs for more than a week meets it, with and without a `send` beside it.
#[test]
fn a_skipped_number_is_kept_for_seven_days_by_a_recv_that_runs_longer() {
    let (mut inviter, mut responder, mut random) = pair(1);
    let mut ahead = Lookahead::new(LOOK_AHEAD);
    let late = seal(&mut inviter, &data(0, 0, true, b"late"), &mut random);
    let next = seal(&mut inviter, &nothing_frames(), &mut random);
    assert!(take(&mut responder, &mut ahead, &next, 0));
    let packet = late.clone();
    let opened = responder.open(&mut ahead, &mut packet.clone(), None).unwrap();
    let Outcome::Accepted(accepted) = opened else { panic!("held") };
    // `Intake::again`: the changes once more, then what is too old goes.
    let again = responder.accept(&mut ahead, &accepted, SKIPPED_SECONDS + 1);
    responder.expire(SKIPPED_SECONDS + 1);
    assert!(again.is_ok(), "text is out by now, and the change cannot be stored: {again:?}");
}

/// 6, in the core: a later message that is held is not known to have begun.
#[test]
fn a_message_whose_numbers_all_came_is_hopeless_when_a_later_one_is_held() {
    let (mut inviter, mut responder, mut random) = pair(2);
    let mut ahead = Lookahead::new(LOOK_AHEAD);
    let first = seal(&mut inviter, &data(0, 0, false, b"begun"), &mut random);
    assert!(take(&mut responder, &mut ahead, &first, 0));
    // The sender gave message 0 up; every number before this one is accounted for.
    let mut later = seal(&mut inviter, &data(1, 0, true, b"later"), &mut random);
    let held = responder.open(&mut ahead, &mut later, Some(0)).unwrap();
    let Outcome::Held { message, at, .. } = held else { panic!("taken") };
    assert_eq!(responder.hopeless(&[(message, at)]), [0]);
}

/// 11. What an import brings is not trusted to be consistent.
#[test]
fn a_state_whose_runs_lie_below_the_floor_is_refused_or_harmless() {
    let (mut inviter, mut responder, mut random) = pair(3);
    responder.inbox.floor = 1000;
    responder.inbox.whole.insert(0..=1000);
    for run in 1..4096_u64 {
        responder.inbox.whole.insert(1000 + 2 * run..=1000 + 2 * run);
    }
    responder.reveals.fell_out = u64::MAX;
    let bytes = Stage::Session(Box::new(responder)).to_bytes(false);
    let Ok(Stored { stage: Stage::Session(mut read), .. }) = Stored::from_bytes(&bytes) else {
        return;
    };
    let mut ahead = Lookahead::new(LOOK_AHEAD);
    let packet = seal(&mut inviter, &data(100_000, 0, true, b"x"), &mut random);
    assert!(take(&mut read, &mut ahead, &packet, 0));
    assert!(read.missed() < 10_000, "{}", read.missed());
}

/// One end as processes see it: what is stored, one `send` at work, one `recv` at work.
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
    ahead: Lookahead,
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
        Some(reservation.seal_frames(12, &nothing_frames(), random).unwrap())
    }

    fn give_back(&mut self) {
        let Some(reservation) = self.sending.take() else { return };
        let mut session = load(&self.stored);
        session.give_back(reservation);
        self.keep(session);
    }

    fn begin_receiving(&mut self) {
        let working = load(&self.stored);
        let ahead = Lookahead::new(256);
        let base = self.stored.clone();
        self.receiving = Some(Receiving { base, working, ahead, changes: Vec::new() });
    }

    /// Whether it opened.
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

    /// As `Intake::store_changes`.
    fn store(&mut self) {
        let Some(mut receiving) = self.receiving.take() else { return };
        if receiving.base != self.stored {
            let mut session = load(&self.stored);
            receiving.ahead = Lookahead::new(256);
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

/// Right at b64d377: `send` and `recv` beside each other, killed at will, numbers given back or
/// not, packets lost for a while, doubled and in any order.
#[test]
fn whatever_two_processes_an_end_do_no_number_serves_twice_and_no_packet_is_lost() {
    let mut turns = 0;
    for seed in 0..400 {
        let (inviter, responder, mut random) = pair(1000 + seed);
        let mut ends = [End::new(inviter), End::new(responder)];
        // What was sent to each.
        let mut network: [Vec<Vec<u8>>; 2] = Default::default();
        let mut chance = Seeded(seed);
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

/// 10. A relay holds back R's question until I's own, which crossed it, is done.
#[test]
fn a_question_that_gave_way_costs_no_failure_when_it_comes_late() {
    let secret = || super::pake::Prs::from_text("the same").unwrap();
    let (mut inviter, mut responder, mut random) = pair(5);
    let (mut at_inviter, mut at_responder) =
        (Lookahead::new(LOOK_AHEAD), Lookahead::new(LOOK_AHEAD));
    let hello = seal(&mut inviter, &nothing_frames(), &mut random);
    assert!(take(&mut responder, &mut at_responder, &hello, 0));
    let late = responder.start_verify(&secret(), "", &mut random).unwrap();
    let step_1 = inviter.start_verify(&secret(), "", &mut random).unwrap();
    assert!(take(&mut responder, &mut at_responder, &step_1, 0), "gives way");
    let step_2 = responder.answer_verify(&secret(), &mut random).unwrap();
    assert!(take(&mut inviter, &mut at_inviter, &step_2, 0), "equal");
    let step_3 = inviter.seal_owed(&mut random).unwrap().unwrap();
    assert!(take(&mut responder, &mut at_responder, &step_3, 0), "equal");
    // Now the relay lets the first question through.
    assert!(take(&mut inviter, &mut at_inviter, &late, 0));
    if inviter.question().is_some() {
        let answer = inviter.answer_verify(&secret(), &mut random).unwrap();
        assert!(take(&mut responder, &mut at_responder, &answer, 0));
        while let Some(owed) = responder.seal_owed(&mut random).unwrap() {
            assert!(take(&mut inviter, &mut at_inviter, &owed, 0));
        }
    }
    assert_eq!((inviter.verify_failures(), responder.verify_failures()), (0, 0));
}
