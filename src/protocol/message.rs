//! Messages: cut into parts on one side, put together by number and offset on the other.
//!
//! Messages are numbered from 0 in each direction and go out one at a time. Each number is
//! assembled by itself, so messages of one packet may arrive in any order.

use std::collections::BTreeMap;

use rangemap::RangeInclusiveSet;

use super::frame::Data;
use super::skipped::{Position, Skipped};

/// How many messages may be unfinished at once: a sender has one; a peer that opens more only loses
/// its oldest.
const UNFINISHED_MAX: usize = 64;
/// How many separate runs of message numbers are remembered; beyond it the oldest gap is given up,
/// so that a peer that leaves gaps on purpose does not grow the state.
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

impl Inbox {
    pub(crate) fn judge(&self, data: &Data) -> Result<Verdict, PartRefused> {
        let length = data.text.len() as u64;
        data.offset.checked_add(length).ok_or(PartRefused)?;
        if data.message == u64::MAX {
            return Err(PartRefused);
        }
        if self.cut.contains(&data.message) {
            return Ok(Verdict::Drop);
        }
        if self.whole.contains(&data.message) {
            return Err(PartRefused);
        }
        let came = self.unfinished.get(&data.message).map_or(0, |message| message.came);
        match data.offset.cmp(&came) {
            core::cmp::Ordering::Less => Err(PartRefused),
            core::cmp::Ordering::Equal => Ok(Verdict::Take),
            core::cmp::Ordering::Greater => Ok(Verdict::Hold),
        }
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
        } else if let Some(message) = self.unfinished.get_mut(&data.message) {
            message.came += data.text.len() as u64;
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
        for runs in [&mut self.whole, &mut self.cut] {
            while runs.len() > RUNS_MAX {
                let mut first = runs.iter();
                let (Some(a), Some(b)) = (first.next(), first.next()) else { break };
                let gap = *a.start()..=*b.end();
                runs.insert(gap);
            }
        }
        given_up
    }

    /// Gives up a message: what came of it stays as it is, its parts are dropped from now on.
    pub(crate) fn give_up(&mut self, number: u64) {
        if !self.whole.contains(&number) {
            self.unfinished.remove(&number);
            self.cut.insert(number..=number);
            self.bound();
        }
    }

    /// The messages that began, or of which only parts at the positions `held` came, and that can
    /// no longer be finished: a later one began, and every number before that is accounted for.
    /// To be asked after every held part was tried again.
    pub(crate) fn hopeless(&self, skipped: &Skipped, held: &[(u64, Position)]) -> Vec<u64> {
        let positions: Vec<Position> = held.iter().map(|(_, at)| *at).collect();
        let begun = self.unfinished.iter().filter(|(_, message)| {
            message.overtaken.is_some_and(|at| !skipped.expects_before(at, &positions))
        });
        let mut hopeless: Vec<u64> = begun.map(|(number, _)| *number).collect();
        let only_held = held.iter().map(|(number, _)| *number).filter(|number| {
            !self.unfinished.contains_key(number)
                && self.newest.is_some_and(|(newest, at)| {
                    newest > *number && !skipped.expects_before(at, &positions)
                })
        });
        hopeless.extend(only_held);
        hopeless.sort_unstable();
        hopeless.dedup();
        hopeless
    }

    /// Numbers below the newest known that did not come: never began, or were cut.
    pub(crate) fn missing(&self) -> Vec<(u64, u64)> {
        let newest = self.newest.map(|(number, _)| number);
        let announced = self.announced.and_then(|count| count.checked_sub(1));
        let Some(last) = newest.max(announced) else { return Vec::new() };
        let mut here = self.whole.clone();
        for number in self.unfinished.keys() {
            here.insert(*number..=*number);
        }
        here.gaps(&(0..=last)).map(|gap| (*gap.start(), *gap.end())).collect()
    }

    /// How many messages came whole.
    pub(crate) fn whole_count(&self) -> u64 {
        self.whole.iter().map(|run| run.end() - run.start() + 1).fold(0, u64::saturating_add)
    }
}
