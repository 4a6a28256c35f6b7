//! Messages: cut into parts on one side, put together by number and offset on the other.
//!
//! Messages are numbered from 0 in each direction and go out one at a time. Each number is
//! assembled by itself, so messages of one packet may arrive in any order.

use std::collections::{BTreeMap, BTreeSet};

use rangemap::RangeInclusiveSet;

use crate::protocol::packet::frame::Data;
use crate::protocol::ratchet::skipped::{Position, Skipped};

/// How many messages may be unfinished at once: a sender has one; a peer that opens more only loses
/// its oldest.
pub(crate) const UNFINISHED_MAX: usize = 64;
/// How many separate runs of message numbers are remembered; beyond it the oldest gap is given up,
/// so that a peer, or a relay that drops every second packet, does not grow the state.
pub(crate) const RUNS_MAX: usize = 4096;

/// A message of which something came, but not all.
pub(crate) struct Unfinished {
    /// Bytes that came.
    pub(crate) came: u64,
    /// Where a later message began: once all before it is accounted for, nothing can follow.
    pub(crate) overtaken: Option<Position>,
}

/// What came from the peer.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Everything below is settled: whole, or given up.
    pub(crate) floor: u64,
    /// How many messages below the floor did not come whole.
    pub(crate) missed: u64,
    /// How many messages came whole.
    pub(crate) received: u64,
    /// Messages from the floor on that came whole, and that were given up.
    pub(crate) whole: RangeInclusiveSet<u64>,
    pub(crate) cut: RangeInclusiveSet<u64>,
    pub(crate) unfinished: BTreeMap<u64, Unfinished>,
    /// The newest message that began, and where.
    pub(crate) newest: Option<(u64, Position)>,
    /// How many messages the peer sent in all; CLOSE tells.
    pub(crate) announced: Option<u64>,
}

/// What is to be done with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next part of its message.
    Take,
    /// A part of a message that was given up: accepted and dropped.
    Drop,
    /// A later part that came first: nothing changes, it is to be tried again.
    Hold,
}

/// The part was already here, or goes past the largest offset or message number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartRefused;

/// The first number from `next` on in its chain that is not among `positions`.
fn first_gap(next: Position, positions: &BTreeSet<Position>) -> Option<Position> {
    let mut number = next.number;
    for at in positions.range(next..).take_while(|at| at.chain == next.chain) {
        if at.number != number {
            break;
        }
        number = number.checked_add(1)?;
    }
    Some(Position { number, ..next })
}

impl Inbox {
    pub(crate) fn judge(&self, data: &Data) -> Result<Verdict, PartRefused> {
        let length = data.text.len() as u64;
        data.offset.checked_add(length).ok_or(PartRefused)?;
        if data.message == u64::MAX {
            return Err(PartRefused);
        }
        if data.message < self.floor || self.cut.contains(&data.message) {
            return Ok(Verdict::Drop);
        }
        if self.whole.contains(&data.message) {
            return Err(PartRefused);
        }
        match data.offset.cmp(&self.came(data.message)) {
            core::cmp::Ordering::Less => Err(PartRefused),
            core::cmp::Ordering::Equal => Ok(Verdict::Take),
            core::cmp::Ordering::Greater => Ok(Verdict::Hold),
        }
    }

    fn came(&self, message: u64) -> u64 {
        self.unfinished.get(&message).map_or(0, |message| message.came)
    }

    /// Whether a part is no longer ahead of its message.
    pub(crate) fn is_due(&self, message: u64, offset: u64) -> bool {
        self.is_settled(message) || offset <= self.came(message)
    }

    /// Whether a message is whole or given up.
    fn is_settled(&self, message: u64) -> bool {
        message < self.floor || self.cut.contains(&message) || self.whole.contains(&message)
    }

    /// Takes in a part that was judged [`Verdict::Take`], from the packet at `at`; gives the
    /// messages that had to be given up for it.
    pub(crate) fn take(&mut self, data: &Data, at: Position) -> Vec<u64> {
        if data.offset == 0 {
            self.begin(data.message, at);
        }
        if data.end {
            self.unfinished.remove(&data.message);
            self.whole.insert(data.message..=data.message);
            self.received = self.received.saturating_add(1);
        } else if let Some(message) = self.unfinished.get_mut(&data.message) {
            message.came = message.came.saturating_add(data.text.len() as u64);
        }
        self.bound()
    }

    fn begin(&mut self, number: u64, at: Position) {
        for message in self.unfinished.range_mut(..number).map(|(_, message)| message) {
            message.overtaken = Some(message.overtaken.map_or(at, |before| before.min(at)));
        }
        let overtaken = self.newest.filter(|(newest, _)| *newest > number).map(|(_, at)| at);
        self.unfinished.insert(number, Unfinished { came: 0, overtaken });
        if self.newest.is_none_or(|(newest, _)| newest < number) {
            self.newest = Some((number, at));
        }
    }

    /// Keeps what is remembered within its bounds.
    fn bound(&mut self) -> Vec<u64> {
        let mut given_up = Vec::new();
        while self.unfinished.len() > UNFINISHED_MAX {
            if let Some((number, _)) = self.unfinished.pop_first() {
                self.cut.insert(number..=number);
                given_up.push(number);
            }
        }
        while self.whole.len() > RUNS_MAX || self.cut.len() > RUNS_MAX {
            let fuller = if self.whole.len() > RUNS_MAX { &self.whole } else { &self.cut };
            let Some(second) = fuller.iter().nth(1) else { break };
            self.raise_floor(*second.start(), &mut given_up);
        }
        given_up
    }

    /// Whether each message from the floor on, and none before it, is in one place at most: only
    /// an import can bring anything else.
    pub(crate) fn is_consistent(&self) -> bool {
        let first = |runs: &RangeInclusiveSet<u64>| runs.iter().next().map(|run| *run.start());
        let lowest = first(&self.whole).into_iter().chain(first(&self.cut));
        let lowest = lowest.chain(self.unfinished.keys().next().copied()).min();
        let mut unfinished = self.unfinished.keys();
        lowest.is_none_or(|lowest| lowest >= self.floor)
            && self.cut.iter().all(|run| !self.whole.overlaps(run))
            && unfinished.all(|number| !self.whole.contains(number) && !self.cut.contains(number))
    }

    /// Settles everything below `floor`.
    fn raise_floor(&mut self, floor: u64, given_up: &mut Vec<u64>) {
        let Some(last) = floor.checked_sub(1).filter(|last| *last >= self.floor) else { return };
        let whole: u64 = self
            .whole
            .iter()
            .take_while(|run| *run.start() <= last)
            .map(|run| (*run.end()).min(last) - run.start() + 1)
            .sum();
        let missed = (floor - self.floor).saturating_sub(whole);
        self.missed = self.missed.saturating_add(missed);
        while let Some(entry) = self.unfinished.first_entry().filter(|entry| *entry.key() < floor) {
            given_up.push(*entry.key());
            entry.remove();
        }
        self.whole.remove(0..=last);
        self.cut.remove(0..=last);
        self.floor = floor;
    }

    /// Gives up a message: what came of it stays as it is, its parts are dropped from now on.
    pub(crate) fn give_up(&mut self, number: u64) {
        if number >= self.floor && number != u64::MAX && !self.whole.contains(&number) {
            self.unfinished.remove(&number);
            self.cut.insert(number..=number);
            self.bound();
        }
    }

    /// The messages that began, or of which only parts at the positions `held` came, and that can
    /// no longer be finished: something of a later one came, held or not, and every number before
    /// that is accounted for. `next` is the first number of the peer's current chain that was not
    /// passed. To be asked after every held part was tried again.
    pub(crate) fn hopeless(
        &self,
        skipped: &Skipped,
        next: Position,
        held: &[(u64, Position)],
    ) -> Vec<u64> {
        if self.unfinished.is_empty() && held.is_empty() {
            return Vec::new();
        }
        let positions: BTreeSet<Position> = held.iter().map(|(_, at)| *at).collect();
        let skipped = skipped.numbers.keys().find(|at| !positions.contains(at)).copied();
        let first_expected = skipped.or_else(|| first_gap(next, &positions));
        let accounted = |at: Position| first_expected.is_none_or(|first| first >= at);
        // The first held part of each message: later ones' bound the ones before.
        let mut first_held = BTreeMap::new();
        for (number, at) in held {
            first_held
                .entry(*number)
                .and_modify(|first: &mut Position| *first = (*first).min(*at))
                .or_insert(*at);
        }
        let mut hopeless = BTreeSet::new();
        let mut overtaken: Option<Position> = None;
        let numbers: BTreeSet<u64> =
            self.unfinished.keys().chain(first_held.keys()).copied().collect();
        for number in numbers.into_iter().rev() {
            let begun = match self.unfinished.get(&number) {
                Some(message) => message.overtaken,
                None => self.newest.filter(|(newest, _)| *newest > number).map(|(_, at)| at),
            };
            let is_over = [begun, overtaken].into_iter().flatten().any(accounted);
            if is_over && !self.is_settled(number) {
                hopeless.insert(number);
            }
            overtaken = first_held.get(&number).copied().into_iter().chain(overtaken).min();
        }
        hopeless.into_iter().collect()
    }

    /// Runs of numbers, first and last, from the floor on, below the newest known, of which nothing
    /// came or that were cut.
    pub(crate) fn missing(&self) -> Vec<(u64, u64)> {
        let newest = self.newest.map(|(number, _)| number);
        let announced = self.announced.and_then(|count| count.checked_sub(1));
        let Some(last) = newest.max(announced).filter(|last| *last >= self.floor) else {
            return Vec::new();
        };
        let mut here = self.whole.clone();
        for number in self.unfinished.keys() {
            here.insert(*number..=*number);
        }
        here.gaps(&(self.floor..=last)).map(|gap| (*gap.start(), *gap.end())).collect()
    }
}
