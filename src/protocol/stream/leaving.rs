//! What leaves: when, and what of it goes into the next packet.

use std::time::Duration;

use super::outgoing::Outgoing;
use super::{Streams, WINDOW_ALL, WINDOW_FIRST, WINDOW_MOST};
use crate::protocol::packet::pipe::{
    Head, PARTS_MAX, PIPE_FRAME, STREAM_HEAD, StreamPart, TAKEN_FRAME, Taken, put_pipe,
    put_stream_head, put_taken,
};

/// When a packet should leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// As soon as possible.
    Now,
    /// At this time, unless something else leaves before.
    At(Duration),
    /// Not until something changes.
    Never,
}

impl Streams {
    /// When a packet should leave.
    pub fn due(&self, now: Duration) -> Due {
        if self.over_said {
            return Due::Never;
        }
        if self.hello_due || self.over {
            return Due::Now;
        }
        if self.peer.is_none() {
            return Due::Never;
        }
        if !self.gone.is_empty() {
            return Due::Now;
        }
        let mut soonest = None;
        for stream in self.live.values() {
            if stream.broken == Some(false) || (stream.broken.is_none() && stream.out.is_due()) {
                return Due::Now;
            }
            if stream.broken.is_some() {
                continue;
            }
            soonest = soonest.into_iter().chain(stream.into.due()).min();
        }
        match soonest {
            Some(at) if at <= now => Due::Now,
            Some(at) => Due::At(at),
            None => Due::Never,
        }
    }

    /// Bytes of the frames that could leave now, or more.
    pub fn wanted(&self) -> usize {
        if self.peer.is_none() || self.over {
            return PIPE_FRAME + PARTS_MAX * TAKEN_FRAME;
        }
        let streams = self.live.len().min(PARTS_MAX);
        let ready: u64 = self.live.values().map(|stream| stream.out.ready()).sum();
        let ready = usize::try_from(ready).unwrap_or(usize::MAX);
        let heads = PIPE_FRAME
            + streams * (STREAM_HEAD + TAKEN_FRAME)
            + self.gone.len().min(PARTS_MAX) * TAKEN_FRAME;
        ready.saturating_add(heads)
    }

    /// Writes the frames of one packet into `out`; returns how many bytes that are.
    pub fn fill(&mut self, out: &mut [u8]) -> usize {
        let mut room = Room { out, used: 0 };
        let to = self.peer.as_ref().map_or(0, |peer| peer.run);
        let known = self.live.values().all(|stream| stream.out.known);
        let last = if self.over { self.orderly } else { self.last && known };
        let head = Head { from: self.own, to, last, over: self.over };
        room.head(|frame| put_pipe(frame, &head));
        self.hello_due = false;
        self.asked |= !self.is_met();
        self.over_said |= self.over;
        if to != 0 {
            self.fill_taken(&mut room);
            if !self.over {
                self.fill_parts(&mut room);
            }
            // Those that have just said their last word.
            self.sweep();
        }
        room.used
    }

    fn fill_taken(&mut self, room: &mut Room<'_>) {
        let granted: u64 = self.live.values().map(|stream| stream.into.granted()).sum();
        let first = WINDOW_FIRST * self.live.len() as u64;
        let mut left = (WINDOW_ALL + first).saturating_sub(granted);
        let mut count = 0;
        while let Some(stream) = self.gone.front().copied()
            && count < PARTS_MAX
            && room.left() >= TAKEN_FRAME
        {
            self.gone.pop_front();
            let taken = Taken { stream, taken: 0, limit: 0, end: false, gone: true };
            room.head(|frame| put_taken(frame, &taken));
            count += 1;
        }
        for (number, stream) in &mut self.live {
            let due = stream.into.due().is_some() && stream.broken.is_none();
            if due && count < PARTS_MAX && room.left() >= TAKEN_FRAME {
                let before = stream.into.granted();
                let window = (before + left / 2).clamp(WINDOW_FIRST, WINDOW_MOST);
                let taken = stream.into.tell(*number, window);
                left = left.saturating_sub(stream.into.granted().saturating_sub(before));
                room.head(|frame| put_taken(frame, &taken));
                count += 1;
            }
        }
    }

    /// Each stream in its turn, as much of it as fits.
    fn fill_parts(&mut self, room: &mut Room<'_>) {
        let turn = self.turn;
        let (before, after): (Vec<u64>, Vec<u64>) =
            self.live.keys().partition(|number| **number <= turn);
        let mut count = 0;
        for number in after.into_iter().chain(before) {
            let Some(stream) = self.live.get_mut(&number) else { continue };
            if count == PARTS_MAX || room.left() <= STREAM_HEAD {
                break;
            }
            if stream.broken == Some(false) {
                stream.broken = Some(true);
                let abort = StreamPart { abort: true, ..part(number, 0, 0) };
                room.head(|frame| put_stream_head(frame, &abort));
            } else if stream.broken.is_none() && stream.out.is_due() {
                room.part(number, &mut stream.out);
            } else {
                continue;
            }
            self.turn = number;
            count += 1;
        }
    }
}

fn part(stream: u64, offset: u64, length: usize) -> StreamPart {
    StreamPart { stream, offset, end: false, abort: false, bytes: 0..length }
}

/// The body that is being filled.
struct Room<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl Room<'_> {
    fn left(&self) -> usize {
        self.out.len() - self.used
    }

    /// A frame without bytes, or the head of one; the caller knows that it fits.
    fn head(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::with_capacity(TAKEN_FRAME);
        put(&mut frame);
        if let Some(place) = self.out.get_mut(self.used..self.used + frame.len()) {
            place.copy_from_slice(&frame);
            self.used += frame.len();
        }
    }

    /// What may leave of a stream, as much of it as fits.
    fn part(&mut self, number: u64, from: &mut Outgoing) {
        let start = self.used + STREAM_HEAD;
        let Some(place) = self.out.get_mut(start..) else { return };
        let filled = from.fill(place);
        let part = StreamPart { end: filled.end, ..part(number, filled.offset, filled.length) };
        self.head(|frame| put_stream_head(frame, &part));
        self.used += filled.length;
    }
}
