//! The bytes of a stream that go out: kept until the other side has taken them.

use std::collections::VecDeque;

use super::chunk::{CHUNK, Chunk, Pool};
use super::{WINDOW_FIRST, WINDOW_MOST};
use crate::protocol::packet::pipe::Taken;

/// More than the largest packet holds.
const LARGEST: u64 = 1 << 20;

/// One direction of a stream, at its sender.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Outgoing {
    /// What was written, from offset `base` on.
    chunks: VecDeque<Chunk>,
    base: u64,
    /// How much was written in all.
    written: u64,
    /// How much the other side has taken.
    taken: u64,
    /// The first byte that is not on its way.
    next: u64,
    /// Up to where the other side lets us send.
    limit: u64,
    /// Whether no more will be written.
    ended: bool,
    /// Whether the end is on its way, and whether the other side has taken it.
    end_sent: bool,
    end_taken: bool,
    /// Whether the end has left, perhaps more than once.
    has_ended: bool,
    /// Whether the stream must still be announced, and whether the other side has shown that it
    /// knows the stream.
    pub(super) unannounced: bool,
    pub(super) known: bool,
}

/// What [`Outgoing::fill`] has written.
pub(super) struct Filled {
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) end: bool,
}

impl Outgoing {
    /// `ours` if this end has opened the stream, and must say so.
    pub(super) fn new(ours: bool) -> Self {
        Self {
            chunks: VecDeque::new(),
            base: 0,
            written: 0,
            taken: 0,
            next: 0,
            limit: WINDOW_FIRST,
            ended: false,
            end_sent: false,
            end_taken: false,
            has_ended: false,
            unannounced: ours,
            known: !ours,
        }
    }

    /// How many bytes are kept.
    pub(super) fn kept(&self) -> u64 {
        self.written - self.taken
    }

    /// Whether more may be written: it is bounded by what the other side lets us send, and what would
    /// not leave with the next packet had better gather where it comes from.
    pub(super) fn has_room(&self) -> bool {
        let waits = self.written - self.next;
        !self.ended && waits < LARGEST && self.written < self.limit && self.kept() < WINDOW_MOST
    }

    /// A full buffer is kept as it is, fewer bytes are gathered.
    pub(super) fn write(&mut self, chunk: Chunk, pool: &mut Pool) {
        self.written += chunk.len() as u64;
        if chunk.len() >= CHUNK / 2 {
            self.chunks.push_back(chunk);
        } else {
            pool.gather(&mut self.chunks, &chunk);
            pool.give_back(chunk);
        }
    }

    /// No more will be written.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// How many bytes may leave now.
    pub(super) fn ready(&self) -> u64 {
        self.written.min(self.limit).saturating_sub(self.next)
    }

    /// Whether anything may leave now.
    pub(super) fn is_due(&self) -> bool {
        self.unannounced || self.ready() > 0 || self.end_is_due()
    }

    /// Whether the end may leave with what is ready.
    fn end_is_due(&self) -> bool {
        self.ended && !self.end_sent && self.written <= self.limit.max(self.next)
    }

    /// Writes what may leave into `out`, as much as fits.
    pub(super) fn fill(&mut self, out: &mut [u8]) -> Filled {
        let offset = self.next;
        let length = usize::try_from(self.ready()).unwrap_or(usize::MAX).min(out.len());
        let mut start = self.base;
        let mut done = 0;
        for chunk in &self.chunks {
            let after = start + chunk.len() as u64;
            if after > self.next && done < length {
                // It is inside of the chunk.
                let from = usize::try_from(self.next - start).unwrap_or(usize::MAX);
                let part = chunk.get(from..).unwrap_or_default();
                let part = part.get(..length - done).unwrap_or(part);
                out[done..done + part.len()].copy_from_slice(part);
                done += part.len();
                self.next += part.len() as u64;
            }
            start = after;
        }
        self.unannounced = false;
        let end = self.end_is_due() && self.next == self.written;
        self.end_sent |= end;
        self.has_ended |= end;
        Filled { offset, length: done, end }
    }

    /// The other side has taken something. Refused if that was never sent.
    pub(super) fn took(&mut self, taken: &Taken, pool: &mut Pool) -> Result<(), ()> {
        if taken.taken > self.written || (taken.end && !(self.ended && taken.taken == self.written))
        {
            return Err(());
        }
        (self.known, self.unannounced) = (true, false);
        self.limit = self.limit.max(taken.limit);
        if taken.taken > self.taken {
            self.taken = taken.taken;
            self.next = self.next.max(self.taken);
            while let Some(first) = self.chunks.front()
                && self.base + first.len() as u64 <= self.taken
            {
                self.base += first.len() as u64;
                if let Some(chunk) = self.chunks.pop_front() {
                    pool.give_back(chunk);
                }
            }
        }
        self.end_taken |= taken.end;
        self.end_sent |= taken.end;
        Ok(())
    }

    /// Whether the other side has taken all, with the end.
    pub(super) fn is_done(&self) -> bool {
        self.end_taken
    }

    /// Whether nothing is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.known && self.next == self.taken && self.end_sent == self.end_taken
    }

    /// Whether the end has left.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What was on its way was lost: it leaves again.
    pub(super) fn lost(&mut self) {
        self.next = self.taken;
        self.end_sent = self.end_taken;
        self.unannounced = !self.known;
    }
}
