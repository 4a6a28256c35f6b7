//! What was accepted since the state was stored, and how it gets into the stored state: a `send` may
//! have advanced that meanwhile, so the changes are repeated on it.

use super::Receiver;
use crate::conversation::driver::{Host, Outlet, Sink};
use crate::conversation::error::Error;
use crate::conversation::transaction::Snapshot;
use crate::protocol::authentication::verify::Event;
use crate::protocol::ratchet::address_index::AddressIndex;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{Accepted, Session};

/// A change to the working copy since it was stored.
pub(super) enum Change {
    /// With the time, in Unix seconds.
    Accepted(Box<Accepted>, u64),
    GivenUp(u64),
}

/// Repeats changes on a session; returns the results of secret checks.
fn repeat(
    changes: &[Change],
    session: &mut Session,
    index: &mut AddressIndex,
) -> Result<Vec<Event>, Error> {
    let mut checks = Vec::new();
    for change in changes {
        match change {
            Change::Accepted(accepted, at) => {
                let effects = session.accept(index, accepted, *at).map_err(|_| Error::Changed)?;
                checks.extend(effects.verify);
            }
            Change::GivenUp(message) => session.give_up(*message),
        }
    }
    Ok(checks)
}

impl<H: Host, O: Outlet> Receiver<H, O> {
    /// Locks the state to store it, and applies our changes to what a sender has stored meanwhile.
    pub(super) async fn catch_up(&mut self) -> Result<H::Lock, Error> {
        let lock = self.host.lock().await?;
        if !self.host.is_current(&lock, &self.version).await? {
            self.load(&lock).await?;
        }
        Ok(lock)
    }

    /// Repeats the changes on a freshly loaded state.
    pub(super) fn again(&mut self, stage: Stage) -> Result<Stage, Error> {
        let mut session = self.same(stage)?;
        self.index = AddressIndex::new(self.look_ahead);
        self.checks = repeat(&self.changes, &mut session, &mut self.index)?;
        // Not before: a number may have been used in its last second.
        session.expire(self.host.now());
        Ok(Stage::Session(session))
    }

    /// The session in a freshly loaded state, if it is ours still.
    fn same(&self, stage: Stage) -> Result<Box<Session>, Error> {
        let (Stage::Session(mut session), Stage::Session(ours)) = (stage, &self.stage) else {
            return Err(Error::Changed);
        };
        if !session.identity().is(&ours.identity()) {
            return Err(Error::Changed);
        }
        if self.unchecked_told {
            session.record_unchecked_told();
        }
        Ok(session)
    }

    /// Stores what the first `packets` packets that are not stored yet have changed: their text is in its
    /// final place, that of later ones is not.
    pub(super) async fn store_first<S: Sink>(
        &mut self,
        packets: usize,
        sink: &mut S,
    ) -> Result<(), Error> {
        let numbered = self.changes.iter().enumerate();
        let mut accepted = numbered.filter(|(_, change)| matches!(change, Change::Accepted(..)));
        let last = packets.checked_sub(1).and_then(|nth| accepted.nth(nth));
        let Some((last, _)) = last else { return Ok(()) };
        let lock = self.host.lock().await?;
        let Snapshot { stage, version } = Snapshot::load(&mut self.host, &lock).await?;
        let mut session = self.same(stage)?;
        let rest = self.changes.split_off(last + 1);
        self.index = AddressIndex::new(self.look_ahead);
        self.checks = repeat(&self.changes, &mut session, &mut self.index)?;
        self.spent = session.collected();
        (self.stage, self.version) = (Stage::Session(session), version);
        self.replace(&lock).await?;
        drop(lock);
        self.changes = rest;
        sink.stored();
        self.count_no_guess();
        self.tell(sink, &[]).await?;
        if let Stage::Session(session) = &mut self.stage {
            self.checks = repeat(&self.changes, session, &mut self.index)?;
        }
        Ok(())
    }
}
