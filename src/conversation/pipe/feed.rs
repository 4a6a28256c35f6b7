//! Where the packets of a pipe are delivered: into its streams.

use std::time::Instant;

use zeroize::Zeroizing;

use super::Pipe;
use crate::conversation::cause::Cause;
use crate::conversation::driver::{Piece, Sink};
use crate::conversation::error::Error;
use crate::kind::ErrorKind;
use crate::protocol::authentication::verify::Event;
use crate::protocol::packet::pipe::PipeFrames;
use crate::protocol::ratchet::skipped::Position;
use crate::protocol::session::{BODY_START, Session, Takes};
use crate::protocol::stream::{Breach, Due, Opened};

/// The sink of a pipe.
pub(super) struct Feed {
    pipe: Pipe,
    /// What was opened and not delivered: the packet's index, its position, its frames.
    line: Vec<(usize, Position, PipeFrames)>,
    /// The newest chain among what was delivered.
    chain: u32,
}

impl Feed {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { pipe, line: Vec::new(), chain: 0 }
    }
}

impl Sink for Feed {
    fn writing(&self) -> Option<u64> {
        None
    }

    /// Somebody waits for each byte.
    fn hurries(&self) -> bool {
        true
    }

    fn takes(&self) -> Takes {
        Takes::Streams
    }

    fn is_done(&self) -> bool {
        let state = self.pipe.state();
        // The other side's last word is still taken, so that it lies nowhere for the next process.
        state.failed || (state.is_over() && state.streams.peer_is_over())
    }

    /// No message is taken here.
    fn add(&mut self, _: Piece) {}

    fn add_streams(&mut self, packet: usize, at: Position, frames: &PipeFrames) {
        self.line.push((packet, at, frames.clone()));
    }

    fn truncated(&mut self, _: u64) {}

    async fn deliver(
        &mut self,
        packets: &mut [Zeroizing<Vec<u8>>],
        _: Option<&Session>,
    ) -> Result<(), Cause> {
        if self.line.is_empty() {
            return Ok(());
        }
        let (now, count) = (self.pipe.now(), self.line.len() as u64);
        let mut state = self.pipe.state();
        for (packet, at, frames) in self.line.drain(..) {
            self.chain = self.chain.max(at.chain);
            let Some(packet) = packets.get_mut(packet) else { continue };
            let came = state.streams.came(at, &frames, &mut Opened::new(packet, BODY_START), now);
            let came = came.map_err(|Breach| Cause::new(ErrorKind::Refused, Error::Breach))?;
            if came.began_anew {
                state.next_era();
            }
            state.opened.extend(came.opened);
            state.note();
        }
        if state.streams.peer_is_over() {
            state.streams.end_all();
        }
        state.heard = Instant::now();
        state.packets += count;
        let opened = !state.opened.is_empty() || state.streams.is_ending();
        let due = state.streams.due(now) == Due::Now;
        drop(state);
        self.pipe.0.changed.notify_all();
        self.pipe.0.room.notify_all();
        if opened {
            self.pipe.0.opened.notify_all();
        }
        if due || opened {
            self.pipe.0.leave.notify_all();
        }
        Ok(())
    }

    fn take_used(&mut self) -> Vec<Zeroizing<Vec<u8>>> {
        self.pipe.state().streams.take_packets()
    }

    fn stored(&mut self) {
        let mut state = self.pipe.state();
        state.chain = state.chain.max(self.chain);
        state.stored += 1;
        drop(state);
        self.pipe.0.changed.notify_all();
    }

    async fn checked(&mut self, event: &Event, _: Option<&Session>) -> Result<(), Cause> {
        (self.pipe.0.tell)(event);
        Ok(())
    }
}
