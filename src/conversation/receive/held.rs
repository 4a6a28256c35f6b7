//! Parts that came too early: held until those before them have come or are given up.

use super::counts::{Counts, Rejected};
use super::{Change, HeldPacket, Receiver};
use crate::conversation::driver::{Host, Notice, Outlet, Sink};
use crate::conversation::error::Error;
use crate::protocol::session::Session;
use crate::protocol::session::stored::Stage;

/// The most bytes of later parts to hold while the part before them has not come.
const HELD_MAX: usize = 64 << 20;

impl<H: Host, O: Outlet> Receiver<H, O> {
    /// Gives up missing parts that will not come, now that later parts are held.
    pub async fn settle<S: Sink>(
        &mut self,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        if std::mem::take(&mut self.held_more) && !sink.is_done() {
            self.give_up_hopeless(sink, counts).await?;
        }
        Ok(())
    }

    /// Gives up the message that is being written out, if others are held for it.
    pub async fn give_up_waiting<S: Sink>(
        &mut self,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        let Some(message) = sink.writing() else { return Ok(()) };
        if self.held.keys().all(|(held, _)| *held == message) {
            return Ok(());
        }
        self.host.notice(Notice::GivenUp(message));
        self.give_up(message, sink, counts);
        self.try_held(sink, counts).await?;
        self.give_up_hopeless(sink, counts).await
    }

    pub(super) async fn hold<S: Sink>(
        &mut self,
        part: (u64, u64),
        held: HeldPacket,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        if self.held.contains_key(&part) {
            counts.reject(Rejected::Twice);
            return Ok(());
        }
        self.held_bytes += held.packet.len();
        self.held.insert(part, held);
        self.held_more = true;
        while self.held_bytes > HELD_MAX {
            // Give up the part for which all the others wait.
            let first = self.held.keys().next().map(|(message, _)| *message);
            let Some(message) = sink.writing().or(first) else { break };
            self.give_up(message, sink, counts);
            self.try_held(sink, counts).await?;
        }
        Ok(())
    }

    /// Tries the held parts that are due, until none is.
    pub(super) async fn try_held<S: Sink>(
        &mut self,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        while let Some(part) = self.due(sink.writing()) {
            let Some(held) = self.held.remove(&part) else { break };
            self.held_bytes -= held.packet.len();
            self.try_packet(held.packet, None, sink, counts).await?;
        }
        Ok(())
    }

    /// The first held part that is now due in its message; if a message is being written out, a
    /// part of that one.
    fn due(&self, writing: Option<u64>) -> Option<(u64, u64)> {
        let session = self.session()?;
        let of = writing.map_or((0, 0)..=(u64::MAX, u64::MAX), |one| (one, 0)..=(one, u64::MAX));
        let mut parts = self.held.range(of).map(|(part, _)| *part);
        parts.find(|(message, offset)| session.is_due(*message, *offset))
    }

    pub(super) async fn give_up_hopeless<S: Sink>(
        &mut self,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        loop {
            let held: Vec<_> =
                self.held.iter().map(|((message, _), held)| (*message, held.at)).collect();
            let Some(session) = self.session() else { return Ok(()) };
            let mut hopeless = session.hopeless(&held);
            if let Some(message) = sink.writing() {
                // Parts of other messages were not tried: they may only wait for the end of this
                // one.
                hopeless.retain(|one| *one == message);
            }
            if hopeless.is_empty() {
                return Ok(());
            }
            for message in hopeless {
                self.give_up(message, sink, counts);
            }
            self.try_held(sink, counts).await?;
        }
    }

    fn give_up<S: Sink>(&mut self, message: u64, sink: &mut S, counts: &mut Counts) {
        if let Stage::Session(session) = &mut self.stage {
            session.give_up(message);
            self.changes.push(Change::GivenUp(message));
            sink.truncated(message);
            counts.truncated.push(message);
        }
    }

    /// The input has ended: unfinished messages stay unfinished.
    pub async fn finish<S: Sink>(
        &mut self,
        sink: &mut S,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        loop {
            if sink.is_done() {
                counts.left += self.held.len() as u64;
                return Ok(());
            }
            self.try_held(sink, counts).await?;
            let unfinished = self.session().map(Session::unfinished).unwrap_or_default();
            let only_held = self.held.keys().map(|(message, _)| *message);
            let Some(message) =
                sink.writing().or_else(|| unfinished.into_iter().chain(only_held).min())
            else {
                return Ok(());
            };
            self.give_up(message, sink, counts);
        }
    }
}
