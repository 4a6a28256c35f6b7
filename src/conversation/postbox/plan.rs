//! Which tokens to ask for in which round of a wait, and for how long. This only computes, and
//! calls nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::postbox::api::{MAX_RECORDS, MAX_WAIT, Token};
use crate::protocol::ratchet::address_index::LOOK_AHEAD;
use crate::protocol::session::Session;

/// How many numbers to ask for in one call: two answers full of the largest packets.
const AHEAD: u32 = 16;
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
/// The same through Tor, where each number takes a circuit: this many at once,
const BEYOND_BY_TOR: u32 = 16;
/// this many in each later round,
const FARTHER_BY_TOR: u32 = 8;
/// and up to this one, then from the beginning.
const LAST_BY_TOR: u32 = 512;
/// A receiver that does not wait asks for one of those rounds at random: the first with a chance of
/// one in this many, one of the next two with the same chance, and so on.
const OCTAVES: u8 = 6;
/// How many skipped numbers to ask for through Tor in one round: each takes a circuit.
const SKIPPED_BY_TOR: usize = 4;

/// The tokens for round `round` of a wait (0: before any wait brought nothing).
pub(super) fn tokens(session: &Session, round: u32, look_ahead: u32, isolates: bool) -> Vec<Token> {
    // Never one that opening would not look for: a packet there would be taken for junk.
    let ahead: Vec<u32> = (0..near(isolates).min(look_ahead)).collect();
    let mut tokens = session.awaited_tokens(&ahead);
    let skipped = session.skipped_tokens();
    if isolates {
        let from = round as usize * SKIPPED_BY_TOR % skipped.len().max(1);
        tokens.extend(skipped.into_iter().skip(from).take(SKIPPED_BY_TOR));
    } else {
        tokens.extend(skipped);
    }
    tokens.truncate(MAX_RECORDS);
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
    let numbers = AHEAD.saturating_add(u32::try_from(found.len()).unwrap_or(AHEAD));
    let ahead: Vec<u32> = (0..numbers.min(look_ahead)).collect();
    let tokens = session.awaited_tokens(&ahead);
    let next: BTreeSet<&Token> = tokens.iter().rev().take(ahead.len()).collect();
    if found.iter().any(|one| !next.contains(&token(one))) {
        found.retain(|one| !next.contains(&token(one)));
    }
}

fn near(isolates: bool) -> u32 {
    if isolates { 1 } else { AHEAD }
}

/// The tokens of numbers beyond those, to ask for when round `round` brought nothing: earlier
/// packets may have been lost.
pub(super) fn beyond(session: &Session, round: u32, look_ahead: u32, isolates: bool) -> Vec<Token> {
    session.awaited_tokens(&numbers_beyond(round, look_ahead, isolates))
}

fn numbers_beyond(round: u32, look_ahead: u32, isolates: bool) -> Vec<u32> {
    let near = near(isolates);
    let first = near + if isolates { BEYOND_BY_TOR } else { BEYOND - near };
    let step = if isolates { FARTHER_BY_TOR } else { FARTHER };
    let end = look_ahead.min(if isolates { LAST_BY_TOR } else { LOOK_AHEAD });
    let steps = end.saturating_sub(first).div_ceil(step);
    let mut numbers = Vec::new();
    if round == 0 || (!isolates && (round <= steps || round.is_multiple_of(SELDOM))) {
        numbers.extend(near..first.min(end));
    }
    if round > 0 && (isolates || round <= steps) {
        let from = (round - 1).checked_rem(steps).map_or(end, |window| first + window * step);
        numbers.extend(from..(from + step).min(end));
    }
    numbers
}

/// Through Tor, the tokens of a few numbers still farther ahead, for a command that does not wait.
/// They are chosen at random, near ones more often, so that asking again and again gets beyond a
/// gap without remembering anything.
pub(super) fn by_chance(session: &Session, look_ahead: u32, chance: [u8; 2]) -> Vec<Token> {
    session.awaited_tokens(&numbers_by_chance(chance, look_ahead))
}

fn numbers_by_chance([octave, within]: [u8; 2], look_ahead: u32) -> Vec<u32> {
    let first = 1 << (octave % OCTAVES);
    numbers_beyond(first + u32::from(within) % first, look_ahead, true)
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
    let numbers = AHEAD.saturating_add(u32::try_from(here.len()).unwrap_or(AHEAD));
    // As above.
    let numbers = numbers.min(look_ahead);
    let mut tokens = session.awaited_tokens(&(0..numbers).collect::<Vec<u32>>());
    tokens.retain(|token| !here.contains(token) && !held_back.contains(token));
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_look_ahead_is_asked_for_in_calls_of_their_size() {
        let mut asked: BTreeSet<u32> = (0..AHEAD).collect();
        for round in 0..=20 {
            let numbers = numbers_beyond(round, LOOK_AHEAD, false);
            assert!(numbers.len() * 2 <= MAX_RECORDS && numbers.is_sorted());
            // An early gap is soon found.
            assert!(round > 18 || numbers.contains(&AHEAD) && numbers.contains(&(BEYOND - 1)));
            asked.extend(numbers);
        }
        assert!(asked.into_iter().eq(0..LOOK_AHEAD));
        assert!(numbers_beyond(21, LOOK_AHEAD, false).is_empty());
        assert!(numbers_beyond(24, LOOK_AHEAD, false).into_iter().eq(AHEAD..BEYOND));
    }

    #[test]
    fn by_tor_few_are_asked_for_at_a_time() {
        let mut asked = BTreeSet::from([0]);
        for round in 0..=62 {
            let numbers = numbers_beyond(round, LOOK_AHEAD, true);
            assert!(numbers.len() <= 16 && (round == 0 || numbers.len() <= 8));
            asked.extend(numbers);
        }
        assert!(asked.into_iter().eq(0..LAST_BY_TOR));
        assert_eq!(numbers_beyond(63, LOOK_AHEAD, true), numbers_beyond(1, LOOK_AHEAD, true));
    }

    #[test]
    fn by_chance_all_of_them_are_asked_for_and_near_ones_more_often() {
        let mut asked: BTreeSet<u32> = (0..=BEYOND_BY_TOR).collect();
        let mut times = [0; 2];
        for octave in 0..=u8::MAX {
            for within in 0..=u8::MAX {
                let numbers = numbers_by_chance([octave, within], LOOK_AHEAD);
                assert!(numbers.len() <= 8);
                times[0] += u32::from(numbers.contains(&20));
                times[1] += u32::from(numbers.contains(&200));
                asked.extend(numbers);
            }
        }
        assert!(asked.into_iter().eq(0..LAST_BY_TOR));
        assert!(times[0] > 10_000 && times[1] > 500, "{times:?}");
        assert!(numbers_by_chance([0, 0], 17).is_empty());
    }

    #[test]
    fn nothing_is_asked_for_beyond_the_look_ahead() {
        for look_ahead in [1, 16, 17, 40, 600] {
            for round in 0..99 {
                for isolates in [true, false] {
                    let numbers = numbers_beyond(round, look_ahead, isolates);
                    assert!(numbers.iter().all(|number| *number < look_ahead));
                }
            }
        }
    }
}
