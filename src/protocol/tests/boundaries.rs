//! Boundaries that no test can reach from outside in reasonable time: the last number of a chain,
//! and stored states that no session ever wrote.

use crate::protocol::crypto::{labels, primitives};
use crate::protocol::packet::message::Unfinished;
use crate::protocol::ratchet::chain::LAST_NUMBER;
use crate::protocol::ratchet::skipped::{Position, SkippedNumber};
use crate::protocol::ratchet::{RESPONDERS_FIRST, StepError};
use crate::protocol::session::stored::{Stage, Stored, StoredError};
use crate::protocol::session::{SealError, Search, Session, nothing_frames};
use crate::protocol::tests::support::{Seeded, handshake};

/// Inviter and responder.
fn ends() -> [Session; 2] {
    handshake(None, &mut Seeded::numbered(0)).into()
}

#[test]
fn a_sender_stops_after_the_last_number() {
    for (before, asked, got) in [(2, 5, 3), (0, 1, 1)] {
        let [_, mut responder] = ends();
        responder.ratchet.sending.as_mut().unwrap().chain.next = LAST_NUMBER - before;
        let mut random = Seeded::numbered(2000);
        let mut numbers = responder.reserve(asked, &mut random).unwrap();
        assert_eq!(numbers.left(), got);
        for _ in 0..got {
            numbers.seal_frames(12, &nothing_frames(), &mut random).unwrap();
        }
        let error = numbers.seal_frames(12, &nothing_frames(), &mut random).err();
        assert_eq!(error, Some(SealError::UsedUp));
        responder.give_back(numbers);
        let state = responder.to_stored_bytes();
        assert_eq!(responder.reserve(1, &mut random).err(), Some(StepError::Exhausted));
        assert_eq!(*responder.to_stored_bytes(), *state);
    }
}

fn read_again(session: Session) -> Result<(), StoredError> {
    let stored = Stored { frozen: false, stage: Stage::Session(Box::new(session)) };
    Stored::from_bytes(&stored.to_bytes()).map(|_| ())
}

/// A session that has never searched is stored as before there was anything to say of it.
#[test]
fn a_state_may_say_nothing_of_searches() {
    let [inviter, _] = ends();
    let mut stage = Stage::Session(Box::new(inviter));
    let silent = stage.to_bytes(false);
    assert_eq!(*Stored::from_bytes(&silent).unwrap().to_bytes(), *silent);
    let search = Search { places: 7, at: 1_800_000_000 };
    if let Stage::Session(session) = &mut stage {
        session.note_search(search);
    }
    let telling = stage.to_bytes(false);
    assert_eq!(telling.len(), silent.len() + 16);
    let stored = Stored::from_bytes(&telling).unwrap();
    assert_eq!(stored.stage.session().map(Session::search), Some(search));
    assert_eq!(*stored.to_bytes(), *telling);
    // Cut in the middle of that, and with a check that fits.
    let mut cut = telling[..telling.len() - 32 - 3].to_vec();
    let check = primitives::sha256(&[labels::STATE, &cut]);
    cut.extend_from_slice(&check);
    assert!(matches!(Stored::from_bytes(&cut), Err(StoredError::Damaged)));
}

/// Otherwise a packet under its address would make this end derive numbers without end.
#[test]
fn a_stored_number_that_was_never_passed_is_damage() {
    for (chain, number, accepted) in
        [(0, 0, true), (0, 1, false), (0, 1 << 24, false), (2, 0, false)]
    {
        let [mut inviter, _] = ends();
        assert!(inviter.ratchet.receiving.as_ref().unwrap().index == RESPONDERS_FIRST);
        let keys = inviter.ratchet.receiving.as_mut().unwrap().chain.duplicate().advance().unwrap();
        let at = Position { chain, number };
        inviter.ratchet.skipped.numbers.insert(at, SkippedNumber { keys, since: 0 });
        assert_eq!(read_again(inviter).is_ok(), accepted, "{at:?}");
    }
}

/// Message numbers end at 2^64 − 2: the set of numbers cannot hold the one above.
#[test]
fn a_stored_message_that_cannot_be_is_damage() {
    for (number, accepted) in [(u64::MAX - 1, true), (u64::MAX, false)] {
        let [mut inviter, _] = ends();
        inviter.inbox.unfinished.insert(number, Unfinished { came: 0, overtaken: None });
        inviter.inbox.announced = Some(7);
        if accepted {
            assert_eq!(inviter.missing(), [(0, 6)]);
        }
        assert_eq!(read_again(inviter).is_ok(), accepted);
    }
}

/// A machine's clock may be years ahead at one command and years behind at the next: that affects
/// only the age of skipped packets.
#[test]
fn a_clock_that_jumps_does_no_harm() {
    use crate::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
    use crate::protocol::tests::support::{open, seal};
    const YEAR: u64 = 31_556_952;
    let random = &mut Seeded::numbered(41);
    let (mut inviter, mut responder) = handshake(None, random);
    let clocks = [0, 20 * YEAR, 5, u64::MAX, YEAR / 52, 1, u64::MAX / 2];
    for (round, now) in clocks.into_iter().cycle().take(50).enumerate() {
        let (from, to) = if round % 3 == 0 {
            (&mut responder, &mut inviter)
        } else {
            (&mut inviter, &mut responder)
        };
        if round % 5 == 0 {
            // Lost on its way.
            seal(from, &nothing_frames(), random);
        }
        to.expire(now);
        let packet = seal(from, &nothing_frames(), random);
        let accepted = open(to, &packet);
        to.accept(&mut AddressIndex::new(LOOK_AHEAD), &accepted, now).unwrap();
    }
    assert!(inviter.skipped() + responder.skipped() <= 10);
}
