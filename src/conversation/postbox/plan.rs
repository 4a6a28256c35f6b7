//! Which tokens to ask for in which round of a wait, and for how long. This only computes, and
//! calls nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::postbox::api::{MAX_WAIT, Token};
use crate::protocol::ratchet::address_index::LOOK_AHEAD;
use crate::protocol::session::Session;

/// How many numbers of each chain to ask for in one call.
pub(super) const NEAR: u32 = 8;
/// The same while much comes: two answers full of the largest packets.
pub(super) const LONG: u32 = 16;
/// How many skipped numbers to ask for in one call; the others in the next ones.
const SKIPPED: usize = 64;
/// The first wait; after each wait without an answer the next is twice as long, up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How many numbers of each chain to ask for, once, after a wait that brought nothing: a call of 32
/// KiB. As many as the expired messages of a weekend.
const BEYOND: u32 = 512;
/// How many further numbers of each chain to ask for in the next rounds, as many as fit into one
/// call with those, until the whole look-ahead has been asked for.
const FARTHER: u32 = 3_584;
/// After that, the first ones again every this many rounds: somebody may follow for weeks.
const SELDOM: u32 = 8;
/// Where each number takes a call of its own, numbers are searched for up to this power of two.
const OCTAVES: u32 = 9;

/// The tokens of `near` numbers of each chain, and of skipped ones, for round `round` of a wait (0: before
/// any wait brought nothing). No more than opening looks for: a packet beyond would be taken for junk.
pub(super) fn tokens(session: &Session, round: u32, near: u32) -> Vec<Token> {
    let mut tokens = session.awaited_tokens(&(0..near).collect::<Vec<u32>>());
    let skipped = session.skipped_tokens();
    let from = round as usize * SKIPPED % skipped.len().max(1);
    tokens.extend(skipped.into_iter().skip(from).take(SKIPPED));
    tokens
}

/// Drops packets of the peer's next chain while any that was posted before is here: a chain is
/// received whole before the next, even if more of it lies there than was asked for.
pub(super) fn one_chain<F>(
    session: &Session,
    look_ahead: u32,
    found: &mut Vec<F>,
    token: impl Fn(&F) -> Token,
) {
    if found.len() < 2 {
        return;
    }
    let numbers = LONG.saturating_add(u32::try_from(found.len()).unwrap_or(LONG));
    let ahead: Vec<u32> = (0..numbers.min(look_ahead)).collect();
    let tokens = session.awaited_tokens(&ahead);
    let next: BTreeSet<&Token> = tokens.iter().rev().take(ahead.len()).collect();
    if found.iter().any(|one| !next.contains(&token(one))) {
        found.retain(|one| !next.contains(&token(one)));
    }
}

/// The tokens of numbers beyond those, to ask for when round `round` brought nothing: earlier
/// packets may have been lost.
pub(super) fn beyond(session: &Session, round: u32, look_ahead: u32) -> Vec<Token> {
    session.awaited_tokens(&numbers_beyond(round, look_ahead))
}

fn numbers_beyond(round: u32, look_ahead: u32) -> Vec<u32> {
    let end = look_ahead.min(LOOK_AHEAD);
    let steps = end.saturating_sub(BEYOND).div_ceil(FARTHER);
    let mut numbers = Vec::new();
    if round <= steps || round.is_multiple_of(SELDOM) {
        numbers.extend(NEAR..BEYOND.min(end));
    }
    if round > 0 && round <= steps {
        let from = BEYOND + (round - 1) * FARTHER;
        numbers.extend(from..(from + FARTHER).min(end));
    }
    numbers
}

/// Where each number takes a call of its own: the token to search for in this place, which may be there although
/// nothing comes under the next ones. Of every eight places five are for the numbers of the current chain, in order, two
/// for those of the peer's next chain, and one for a number by chance, near ones more often, or one that was skipped.
/// `None` if there is none to search for.
pub(super) fn searched(
    session: &Session,
    look_ahead: u32,
    place: u32,
    random: u64,
) -> Option<Token> {
    let (number, among) = place_searched(place, look_ahead, random)?;
    let awaited = session.awaited_tokens(&[number]);
    if among == Among::Skipped {
        let skipped = session.skipped_tokens();
        let by_chance =
            usize::try_from(random >> 40).unwrap_or_default().checked_rem(skipped.len());
        return by_chance.and_then(|at| skipped.get(at)).or(awaited.last()).copied();
    }
    if among == Among::Next { awaited.last() } else { awaited.first() }.copied()
}

/// Where to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Among {
    /// The peer's current chain.
    Current,
    /// Its next chain.
    Next,
    /// The numbers that were skipped; if there are none, its next chain.
    Skipped,
}

/// The number, from 1, and where it is.
fn place_searched(place: u32, look_ahead: u32, random: u64) -> Option<(u32, Among)> {
    let most = look_ahead.min(1 << OCTAVES);
    let numbers = most.checked_sub(1).filter(|numbers| *numbers > 0)?;
    let (round, place) = (place / 8, place % 8);
    match place {
        7 => {
            let number = by_chance(random);
            let among = if round.is_multiple_of(2) { Among::Current } else { Among::Skipped };
            (number < most).then_some((number, among))
        }
        2 | 5 => Some((1 + (2 * (round % numbers) + place / 3) % numbers, Among::Next)),
        _ => Some((1 + (5 * (round % numbers) + place - place / 3) % numbers, Among::Current)),
    }
}

/// A number by chance: half of them are evenly among the octaves, the others mostly in the first ones.
fn by_chance(random: u64) -> u32 {
    let [octave, low, high, ..] = random.to_le_bytes();
    let octave = match octave >> 7 {
        0 => u32::from(octave) % OCTAVES,
        _ => octave.trailing_zeros(),
    };
    let first = 1 << octave;
    first + u32::from(u16::from_le_bytes([low, high])) % first
}

/// How long to wait in this round.
pub(super) fn wait(round: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << round.min(4)).min(MAX_WAIT)
}

/// The tokens of packets that may follow those found under `here`.
pub(super) fn following(
    session: &Session,
    here: &BTreeSet<Token>,
    held_back: &BTreeSet<Token>,
    look_ahead: u32,
) -> Vec<Token> {
    let numbers = LONG.saturating_add(u32::try_from(here.len()).unwrap_or(LONG));
    // As above.
    let numbers = numbers.min(look_ahead);
    let mut tokens = session.awaited_tokens(&(0..numbers).collect::<Vec<u32>>());
    tokens.retain(|token| !here.contains(token) && !held_back.contains(token));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::api::MAX_RECORDS;

    #[test]
    fn every_number_of_the_look_ahead_is_asked_for_in_calls_of_their_size() {
        let mut asked: BTreeSet<u32> = (0..NEAR).collect();
        for round in 0..=20 {
            let numbers = numbers_beyond(round, LOOK_AHEAD);
            assert!(numbers.len() * 2 <= MAX_RECORDS && numbers.is_sorted());
            // An early gap is soon found.
            assert!(round > 18 || numbers.contains(&NEAR) && numbers.contains(&(BEYOND - 1)));
            asked.extend(numbers);
        }
        assert!(asked.into_iter().eq(0..LOOK_AHEAD));
        assert!(numbers_beyond(21, LOOK_AHEAD).is_empty());
        assert!(numbers_beyond(24, LOOK_AHEAD).into_iter().eq(NEAR..BEYOND));
    }

    #[test]
    fn place_by_place_all_are_searched_for() {
        let places = |among| {
            let all = (0..8 * 511).map(|place| place_searched(place, LOOK_AHEAD, 1));
            let of = all.flatten().filter(move |(_, of)| *of == among);
            of.map(|(number, _)| number).collect::<Vec<u32>>()
        };
        // By chance it is number 2 here.
        let current: Vec<u32> = places(Among::Current).into_iter().filter(|at| *at != 2).collect();
        assert!(
            current[..509].iter().copied().eq((1..512).filter(|number| *number != 2).take(509))
        );
        assert!(places(Among::Next)[..511].iter().copied().eq(1..512));
        assert_eq!(places(Among::Skipped).len(), 255);
        // Sixteen places reach beyond ten lost numbers.
        let near = (0..16).filter_map(|place| place_searched(place, LOOK_AHEAD, 1));
        let near: BTreeSet<u32> = near.filter(|of| of.1 == Among::Current).map(|of| of.0).collect();
        assert!((1..=10).all(|number| near.contains(&number)));
    }

    #[test]
    fn by_chance_all_are_searched_for_and_near_ones_more_often() {
        let (mut asked, mut first, mut all) = (BTreeSet::new(), 0, 0);
        for random in (0..u64::from(u32::MAX)).step_by(509) {
            let number = by_chance(random);
            asked.insert(number);
            first += u32::from(number == 1);
            all += 1;
        }
        assert!(asked.into_iter().eq(1..512));
        assert!((all / 4..all / 3).contains(&first), "{first} of {all}");
    }

    #[test]
    fn nothing_is_asked_for_beyond_the_look_ahead() {
        for look_ahead in [1, 2, 16, 17, 40, 600] {
            for round in 0..99 {
                let beyond = numbers_beyond(round, look_ahead);
                let searched = place_searched(round, look_ahead, u64::from(round) << 5 | 8);
                let searched = searched.map(|(number, _)| number);
                assert!(beyond.into_iter().chain(searched).all(|number| number < look_ahead));
            }
        }
    }
}
