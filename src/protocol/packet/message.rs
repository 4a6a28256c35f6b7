//! Messages: split into parts on one side, put together by number and offset on the other.
//!
//! Messages are numbered from 0 in each direction and are sent one at a time. Each is assembled by
//! itself, so messages of one packet may arrive in any order.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::packet::frame::Data;
use crate::protocol::packet::runs::Runs;
use crate::protocol::ratchet::skipped::{Position, Skipped};

/// How many messages may be unfinished at once. A sender has one; a peer that opens more only loses
/// its oldest.
pub(crate) const UNFINISHED_MAX: usize = 64;
/// How many separate runs of message numbers are remembered; beyond that the oldest gap is given
/// up, so that neither a peer nor a relay that drops every second packet can grow the state.
pub(crate) const RUNS_MAX: usize = 4096;

/// A message of which some parts have arrived, but not all.
pub(crate) struct Unfinished {
    /// Bytes that have arrived.
    pub(crate) came: u64,
    /// Where a later message began: once everything before that is accounted for, nothing can
    /// follow.
    pub(crate) overtaken: Option<Position>,
}

/// What has arrived from the peer.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Every message below this number is settled: complete, or given up.
    pub(crate) floor: u64,
    /// How many messages below the floor did not arrive complete.
    pub(crate) missed: u64,
    /// How many messages arrived complete.
    pub(crate) received: u64,
    /// Messages from the floor on that arrived complete, and those that were given up.
    pub(crate) complete: Runs,
    pub(crate) given_up: Runs,
    pub(crate) unfinished: BTreeMap<u64, Unfinished>,
    /// The newest message that has begun, and where.
    pub(crate) newest: Option<(u64, Position)>,
    /// How many messages the peer sent in all; its CLOSE says so.
    pub(crate) announced: Option<u64>,
}

/// What to do with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next part of its message.
    Take,
    /// Part of a message that was given up: accept and drop it.
    Drop,
    /// A later part that arrived early: nothing changes, try it again later.
    Hold,
}

/// The part has arrived before, or exceeds the largest offset or message number.
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
        if data.message < self.floor || self.given_up.contains(data.message) {
            return Ok(Verdict::Drop);
        }
        if self.complete.contains(data.message) {
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

    /// Whether the parts before this one have arrived.
    pub(crate) fn is_due(&self, message: u64, offset: u64) -> bool {
        self.is_settled(message) || offset <= self.came(message)
    }

    /// Whether a message is complete or given up.
    fn is_settled(&self, message: u64) -> bool {
        message < self.floor || self.given_up.contains(message) || self.complete.contains(message)
    }

    /// Takes in a part that was judged [`Verdict::Take`], from the packet at `at`; returns the
    /// messages that had to be given up for it.
    pub(crate) fn take(&mut self, data: &Data, at: Position) -> Vec<u64> {
        if data.offset == 0 {
            self.begin(data.message, at);
        }
        if data.end {
            self.unfinished.remove(&data.message);
            self.complete.insert(data.message, data.message);
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

    /// Keeps the memory within its bounds; returns the messages given up for that.
    fn bound(&mut self) -> Vec<u64> {
        let mut given_up = Vec::new();
        while self.unfinished.len() > UNFINISHED_MAX {
            if let Some((number, _)) = self.unfinished.pop_first() {
                self.given_up.insert(number, number);
                given_up.push(number);
            }
        }
        while self.complete.len() > RUNS_MAX || self.given_up.len() > RUNS_MAX {
            let fuller =
                if self.complete.len() > RUNS_MAX { &self.complete } else { &self.given_up };
            let Some((second, _)) = fuller.iter().nth(1) else { break };
            self.raise_floor(second, &mut given_up);
        }
        given_up
    }

    /// Whether each message from the floor on is in at most one set, and none before it in any:
    /// only an import can violate this.
    pub(crate) fn is_consistent(&self) -> bool {
        let first = |runs: &Runs| runs.iter().next().map(|(first, _)| first);
        let lowest = first(&self.complete).into_iter().chain(first(&self.given_up));
        let lowest = lowest.chain(self.unfinished.keys().next().copied()).min();
        let mut unfinished = self.unfinished.keys();
        lowest.is_none_or(|lowest| lowest >= self.floor)
            && self.given_up.iter().all(|(first, last)| !self.complete.overlaps(first, last))
            && unfinished
                .all(|&number| !self.complete.contains(number) && !self.given_up.contains(number))
    }

    /// Settles everything below `floor`.
    fn raise_floor(&mut self, floor: u64, given_up: &mut Vec<u64>) {
        let Some(last) = floor.checked_sub(1).filter(|last| *last >= self.floor) else { return };
        let whole: u64 = self
            .complete
            .iter()
            .take_while(|(first, _)| *first <= last)
            .map(|(first, end)| end.min(last) - first + 1)
            .sum();
        let missed = (floor - self.floor).saturating_sub(whole);
        self.missed = self.missed.saturating_add(missed);
        while let Some(entry) = self.unfinished.first_entry().filter(|entry| *entry.key() < floor) {
            given_up.push(*entry.key());
            entry.remove();
        }
        self.complete.remove_below(floor);
        self.given_up.remove_below(floor);
        self.floor = floor;
    }

    /// Gives up a message: what was delivered of it stays, and further parts are dropped.
    pub(crate) fn give_up(&mut self, number: u64) {
        if number >= self.floor && number != u64::MAX && !self.complete.contains(number) {
            self.unfinished.remove(&number);
            self.given_up.insert(number, number);
            self.bound();
        }
    }

    /// The messages that have begun, or of which only `held` parts have arrived, and that can no
    /// longer be finished: a part of a later message has arrived, held or not, and every packet
    /// number before that is accounted for. `next` is the first number of the peer's current chain
    /// that was not passed. Call this after trying every held part again.
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
        // The first held part of each message: it bounds the messages before.
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

    /// Ranges of numbers, first and last, from the floor on and below the newest known, of messages
    /// that did not arrive or were truncated.
    pub(crate) fn missing(&self) -> Vec<(u64, u64)> {
        let newest = self.newest.map(|(number, _)| number);
        let announced = self.announced.and_then(|count| count.checked_sub(1));
        let Some(last) = newest.max(announced).filter(|last| *last >= self.floor) else {
            return Vec::new();
        };
        let mut here = self.complete.clone();
        for number in self.unfinished.keys() {
            here.insert(*number, *number);
        }
        here.gaps(self.floor, last)
    }
}
