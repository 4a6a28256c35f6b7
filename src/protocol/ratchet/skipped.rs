//! Skipped numbers: the keys of packets that have not arrived yet although later ones have.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::ratchet::chain::NumberKeys;

/// How many skipped numbers are kept in all: a relay or a peer that skips on purpose must not grow
/// the state without end (4,096 take 0.5 MB).
pub const SKIPPED_MAX: usize = 4096;
/// How long a skipped number is kept, in seconds: a packet that is a week late is lost.
pub const SKIPPED_SECONDS: u64 = 7 * 24 * 3600;
/// The most numbers of an old chain that are derived when the next chain begins: a peer that claims
/// a huge previous length must not keep this end computing.
pub const OLD_NUMBERS_MAX: u32 = 65_536;

/// Which packet: its chain (counted over both sides: the answering side's first is 0, the inviting
/// side's first is 1, and so on in turns) and its number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The chain.
    pub chain: u32,
    /// The packet's number in its chain.
    pub number: u32,
}

/// What remains of a chain that has skipped numbers but is no longer current.
#[derive(Clone, Copy)]
pub(crate) struct OldChain {
    pub(crate) header_hash: [u8; 32],
    pub(crate) transcript: [u8; 32],
}

pub(crate) struct SkippedNumber {
    pub(crate) keys: NumberKeys,
    /// When it was skipped, in Unix seconds.
    pub(crate) since: u64,
}

/// The numbers that one jump passes: the highest [`SKIPPED_MAX`], and how many more there were.
#[derive(Default)]
pub(crate) struct Passed {
    pub(crate) numbers: VecDeque<(Position, NumberKeys)>,
    pub(crate) fell_out: u64,
}

impl Passed {
    pub(crate) fn push(&mut self, at: Position, keys: NumberKeys) {
        if self.numbers.len() == SKIPPED_MAX {
            self.numbers.pop_front();
            self.fell_out += 1;
        }
        self.numbers.push_back((at, keys));
    }
}

/// How the passing of time has changed the skipped numbers.
#[derive(Clone, Copy)]
pub(crate) struct Aged {
    /// How many were too old and have been dropped.
    pub(crate) dropped: u64,
    /// Whether others were dated in the future.
    pub(crate) redated: bool,
}

/// The skipped numbers of all chains.
#[derive(Default)]
pub(crate) struct Skipped {
    pub(crate) numbers: BTreeMap<Position, SkippedNumber>,
    pub(crate) chains: BTreeMap<u32, OldChain>,
}

impl Skipped {
    pub(crate) fn get(&self, at: Position) -> Option<&SkippedNumber> {
        self.numbers.get(&at)
    }

    pub(crate) fn remove(&mut self, at: Position) {
        self.numbers.remove(&at);
        self.forget_chains();
    }

    /// Takes in what a jump passed; returns how many numbers fell out.
    pub(crate) fn add(&mut self, passed: &Passed, now: u64) -> u64 {
        for (at, keys) in &passed.numbers {
            self.numbers.insert(*at, SkippedNumber { keys: keys.duplicate(), since: now });
        }
        passed.fell_out + self.drop_oldest()
    }

    fn drop_oldest(&mut self) -> u64 {
        let excess = self.numbers.len().saturating_sub(SKIPPED_MAX);
        if excess == 0 {
            return 0;
        }
        let mut by_age: Vec<_> = self.numbers.iter().map(|(at, n)| (n.since, *at)).collect();
        by_age.sort_unstable();
        for (_, at) in by_age.into_iter().take(excess) {
            self.numbers.remove(&at);
        }
        self.forget_chains();
        excess as u64
    }

    /// Drops what is older than [`SKIPPED_SECONDS`]. A number that was skipped while the clock was
    /// ahead is dated `now` instead; otherwise it would be kept longer by as much as the clock was
    /// wrong.
    pub(crate) fn expire(&mut self, now: u64) -> Aged {
        let (before, mut redated) = (self.numbers.len(), false);
        self.numbers.retain(|_, number| {
            redated |= number.since > now;
            number.since = number.since.min(now);
            now - number.since <= SKIPPED_SECONDS
        });
        self.forget_chains();
        Aged { dropped: (before - self.numbers.len()) as u64, redated }
    }

    /// Forgets the old chains that no skipped number needs.
    fn forget_chains(&mut self) {
        let numbers = &self.numbers;
        self.chains.retain(|&chain, _| {
            let first = Position { chain, number: 0 };
            let last = Position { chain, number: u32::MAX };
            numbers.range(first..=last).next().is_some()
        });
    }
}
