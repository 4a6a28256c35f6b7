//! The bytes of a stream that come in: put in order, and kept until the program here has taken them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use zeroize::Zeroizing;

use super::chunk::{Chunk, Part, Pool};
use super::{Breach, TOLD_LATER, WINDOW_FIRST};
use crate::protocol::packet::pipe::Taken;

/// How many separate pieces may wait for what is missing before them: a network that brings more out of
/// order than this brings nothing in order.
const AHEAD_MAX: usize = 4096;

/// One direction of a stream, at its receiver.
pub(super) struct Incoming {
    /// What has come and was not given out, in order, up to `came`.
    ready: VecDeque<Chunk>,
    came: u64,
    /// What came before something that has not come, by offset.
    ahead: BTreeMap<u64, Zeroizing<Vec<u8>>>,
    /// How much the program has taken.
    taken: u64,
    /// The stream's length, once known.
    length: Option<u64>,
    end_taken: bool,
    /// Up to where the other side may send, as it was told.
    limit: u64,
    /// How much the other side knows to be taken.
    told: u64,
    end_told: bool,
    /// When the other side must be told, at the latest.
    tell_at: Option<Duration>,
}

/// What a program gets.
pub enum Given {
    /// The next bytes.
    Bytes(Chunk),
    /// The stream has ended.
    End,
    /// Nothing yet.
    Nothing,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            came: 0,
            ahead: BTreeMap::new(),
            taken: 0,
            length: None,
            end_taken: false,
            limit: WINDOW_FIRST,
            told: 0,
            end_told: false,
            tell_at: None,
        }
    }

    /// A part has come, perhaps once more, perhaps too early.
    pub(super) fn came(
        &mut self,
        offset: u64,
        part: Part<'_>,
        end: bool,
        now: Duration,
        pool: &mut Pool,
    ) -> Result<(), Breach> {
        let length = part.bytes().len() as u64;
        let after = offset.checked_add(length).ok_or(Breach)?;
        if after > self.limit || self.length.is_some_and(|length| after > length) {
            return Err(Breach);
        }
        let is_new_end = end && self.length.is_none();
        if end {
            let largest = self.ahead.iter().next_back();
            let largest = largest.map_or(self.came, |(at, bytes)| at + bytes.len() as u64);
            if self.length.is_some_and(|length| length != after) || largest > after {
                return Err(Breach);
            }
            self.length = Some(after);
        }
        if after <= self.came {
            if !is_new_end {
                // It was here before: what we said of it may have been lost.
                self.tell_at = Some(now);
            }
            return Ok(());
        }
        if offset > self.came {
            self.keep_ahead(offset, part.bytes());
            return Ok(());
        }
        if offset == self.came && part.fills_packet() {
            self.came = after;
            self.ready.push_back(part.take());
        } else {
            self.append(offset, part.bytes(), pool);
        }
        while let Some(first) = self.ahead.first_entry().filter(|first| *first.key() <= self.came) {
            let (offset, bytes) = first.remove_entry();
            self.append(offset, &bytes, pool);
        }
        Ok(())
    }

    /// Keeps what is new of bytes that came too early; no two of those that are kept overlap.
    fn keep_ahead(&mut self, offset: u64, bytes: &[u8]) {
        let after = offset + bytes.len() as u64;
        let mut at = offset;
        while at < after && self.ahead.len() < AHEAD_MAX {
            let before = self.ahead.range(..=at).next_back();
            let known = before.map_or(0, |(start, known)| start + known.len() as u64);
            if known > at {
                at = known;
                continue;
            }
            let next = self.ahead.range(at..).next().map_or(after, |(start, _)| *start);
            let piece = within(bytes, at - offset, next.min(after) - offset);
            self.ahead.insert(at, Zeroizing::new(piece.to_vec()));
            at = next.min(after);
        }
    }

    /// Adds what is new of bytes that begin no later than at `came`.
    fn append(&mut self, offset: u64, bytes: &[u8], pool: &mut Pool) {
        let new = within(bytes, self.came - offset, u64::MAX);
        self.came += new.len() as u64;
        pool.gather(&mut self.ready, new);
    }

    pub(super) fn give(&mut self) -> Given {
        match self.ready.pop_front() {
            Some(bytes) => Given::Bytes(bytes),
            None if self.length == Some(self.came) && !self.end_taken => Given::End,
            None => Given::Nothing,
        }
    }

    /// The program has `bytes` more at their place, and perhaps the end.
    pub(super) fn took(&mut self, bytes: u64, end: bool, now: Duration) {
        self.taken = self.taken.saturating_add(bytes);
        self.end_taken |= end;
        // Before the other side has used up what it may send.
        let soon = self.end_taken || self.taken - self.told >= (self.limit - self.told) / 4;
        let at = if soon { now } else { now + TOLD_LATER };
        self.tell_at = Some(self.tell_at.map_or(at, |before| before.min(at)));
    }

    /// The other side must be told how things are.
    pub(super) fn tell_now(&mut self, now: Duration) {
        self.tell_at = Some(now);
    }

    /// When the other side must be told.
    pub(super) fn due(&self) -> Option<Duration> {
        self.tell_at
    }

    /// How many bytes the other side may send that are not taken here.
    pub(super) fn granted(&self) -> u64 {
        self.limit.saturating_sub(self.taken)
    }

    /// What to tell the other side, which may then send `window` bytes beyond what was taken.
    pub(super) fn tell(&mut self, stream: u64, window: u64) -> Taken {
        self.limit = self.limit.max(self.taken.saturating_add(window));
        (self.told, self.end_told, self.tell_at) = (self.taken, self.end_taken, None);
        Taken { stream, taken: self.taken, limit: self.limit, end: self.end_taken, gone: false }
    }

    /// Whether all has been taken, with the end.
    pub(super) fn is_done(&self) -> bool {
        self.end_taken
    }

    /// Whether the other side was told so.
    pub(super) fn is_told(&self) -> bool {
        self.end_told
    }
}

/// The bytes from one index to another, as far as there are any.
fn within(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let index = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(index(from)..index(to)).unwrap_or_default()
}
