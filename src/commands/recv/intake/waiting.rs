//! Later parts that came first: held until those before them have come, or are given up.

use otr::protocol::session::Session;
use otr::protocol::session::stored::Stage;

use super::{Change, HeldPacket, Intake};
use crate::commands::recv::delivery::Delivery;
use crate::commands::recv::outcome::Outcome;
use crate::failure::Failure;
use crate::ui::speak::warn;

/// Bytes of later parts that are held while the part before them has not come.
const HELD_MAX: usize = 64 << 20;

impl Intake<'_> {
    /// Gives up what is waited for in vain, now that later parts are held.
    pub(in crate::commands::recv) fn settle(
        &mut self,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        if std::mem::take(&mut self.held_more) && !delivery.is_done() {
            self.give_up_hopeless(delivery, outcome)?;
        }
        Ok(())
    }

    /// Gives up the message that is being written out, if others are held for it.
    pub(in crate::commands::recv) fn give_up_waiting(
        &mut self,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let Some(message) = delivery.writing() else { return Ok(()) };
        if self.held.keys().all(|(held, _)| *held == message) {
            return Ok(());
        }
        warn(format_args!("message {message} is given up: later ones came, and its rest did not"));
        self.give_up(message, delivery, outcome);
        self.try_held(delivery, outcome)
    }

    pub(super) fn hold(
        &mut self,
        part: (u64, u64),
        held: HeldPacket,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        if self.held.contains_key(&part) {
            outcome.refuse("a packet that came twice");
            return Ok(());
        }
        self.held_bytes += held.packet.len();
        self.held.insert(part, held);
        self.held_more = true;
        while self.held_bytes > HELD_MAX {
            // What everything waits for will not be waited for any longer.
            let first = self.held.keys().next().map(|(message, _)| *message);
            let Some(message) = delivery.writing().or(first) else { break };
            self.give_up(message, delivery, outcome);
            self.try_held(delivery, outcome)?;
        }
        Ok(())
    }

    /// Tries the held parts that are due, until none is.
    pub(super) fn try_held(
        &mut self,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        while let Some(part) = self.due(delivery.writing()) {
            let Some(held) = self.held.remove(&part) else { break };
            self.held_bytes -= held.packet.len();
            self.try_packet(held.packet, None, delivery, outcome)?;
        }
        Ok(())
    }

    /// The first held part that is no longer ahead of its message, of the message that is being
    /// written out if there is one.
    fn due(&self, writing: Option<u64>) -> Option<(u64, u64)> {
        let session = self.session()?;
        let of = writing.map_or((0, 0)..=(u64::MAX, u64::MAX), |one| (one, 0)..=(one, u64::MAX));
        let mut parts = self.held.range(of).map(|(part, _)| *part);
        parts.find(|(message, offset)| session.is_due(*message, *offset))
    }

    pub(super) fn give_up_hopeless(
        &mut self,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        loop {
            let held: Vec<_> =
                self.held.iter().map(|((message, _), held)| (*message, held.at)).collect();
            let Some(session) = self.session() else { return Ok(()) };
            let hopeless = session.hopeless(&held);
            if hopeless.is_empty() {
                return Ok(());
            }
            for message in hopeless {
                self.give_up(message, delivery, outcome);
            }
            self.try_held(delivery, outcome)?;
        }
    }

    fn give_up(&mut self, message: u64, delivery: &mut Delivery, outcome: &mut Outcome) {
        if let Stage::Session(session) = &mut self.stage {
            session.give_up(message);
            self.changes.push(Change::GivenUp(message));
            delivery.cut(message);
            outcome.cut.push(message);
        }
    }

    /// The input has ended: what is unfinished now stays so.
    pub(in crate::commands::recv) fn finish(
        &mut self,
        delivery: &mut Delivery,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        loop {
            if delivery.is_done() {
                outcome.left += self.held.len() as u64;
                return Ok(());
            }
            self.try_held(delivery, outcome)?;
            let unfinished = self.session().map(Session::unfinished).unwrap_or_default();
            let only_held = self.held.keys().map(|(message, _)| *message);
            let Some(message) =
                delivery.writing().or_else(|| unfinished.into_iter().chain(only_held).min())
            else {
                return Ok(());
            };
            self.give_up(message, delivery, outcome);
        }
    }
}
