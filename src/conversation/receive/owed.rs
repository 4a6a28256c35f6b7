//! What the receiver owes the other side: the first packet after a reply, a step of a check, and at the
//! session's end the news of it.

use super::Receiver;
use crate::conversation::driver::{Host, Notice, Outlet};
use crate::conversation::error::Error;
use crate::conversation::outbox::{hand_out_waiting, wipe_untold};
use crate::conversation::pending;
use crate::conversation::transaction::{Transaction, is_over};
use crate::kind::ErrorKind;
use crate::protocol::session::Session;

impl<H: Host, O: Outlet> Receiver<H, O> {
    /// What we owe the other side waits for [`hand_out_owed`](Self::hand_out_owed), except at the session's
    /// end.
    #[cfg(feature = "client")]
    pub(in crate::conversation) fn pays_later(&mut self) {
        self.pays_later = true;
    }

    /// Whether packets wait for being handed out, or a step of a check.
    #[cfg(feature = "client")]
    pub(in crate::conversation) fn owes(&self) -> bool {
        self.session()
            .is_some_and(|session| !session.waiting().is_empty() || session.has_pending_step())
    }

    /// Whether the sender of the packet with this record waits to hear that it was opened.
    #[cfg(feature = "client")]
    pub(in crate::conversation) fn owes_receipt(&self, record: &[u8; 96]) -> bool {
        record.first_chunk().is_some_and(|token| self.receipts.contains(token))
    }

    /// Hands out all that we owe the other side, unless a sender is doing so.
    #[cfg(feature = "client")]
    pub(in crate::conversation) async fn hand_out_owed(&mut self) -> Result<(), Error> {
        self.pay().await?;
        self.hand_out_waiting().await
    }

    /// Hands out packets that wait for it, unless a sender is doing so.
    pub async fn hand_out_waiting(&mut self) -> Result<(), Error> {
        let Ok(_sender) = self.host.become_sender(true).await else { return Ok(()) };
        let of = self.session().map(Session::identity);
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        hand_out_waiting(&mut self.host, outlet, of).await?;
        self.reload().await
    }

    /// Hands out what we owe the other side, if possible, and ends the session if checks have
    /// failed too often. With an outlet, nothing is left of the session then, even if the other
    /// side could not be told. Every change must be stored before this call.
    pub async fn end_if_over(&mut self) -> Result<(), Error> {
        let was_over = self.is_over();
        if self.pays_later && !was_over {
            return Ok(());
        }
        match self.pay().await {
            // A sender that was handing it out has ended the session.
            Err(error) if was_over && error.kind() == ErrorKind::NoSession => {
                return Err(Error::Over);
            }
            other => other?,
        }
        if !self.is_over() {
            return Ok(());
        }
        if self.outlet.is_some() {
            let of = self.session().map(Session::identity);
            wipe_untold(&mut self.host, of, "something else is sending").await?;
        } else if self.session().is_some_and(is_over) {
            // It is wiped by this.
            drop(Transaction::begin(&mut self.host).await?);
        }
        Err(Error::NearlyOver)
    }

    /// Hands out what we owe the other side, unless a sender is doing so: then the sender does, or
    /// the next call. At the session's end we wait for the sender.
    async fn pay(&mut self) -> Result<(), Error> {
        let (over, of) = (self.is_over(), self.session().map(Session::identity));
        if self.outlet.is_none()
            || (!over && !self.session().is_some_and(Session::has_pending_step))
        {
            return Ok(());
        }
        let Ok(_sender) = self.host.become_sender(!over).await else { return Ok(()) };
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        let paid = match hand_out_waiting(&mut self.host, outlet, of).await {
            Ok(_) => pending::settle(&mut self.host, outlet).await,
            Err(error) => Err(error),
        };
        match paid {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotAuthentic | ErrorKind::NoSession) =>
            {
                return Err(error);
            }
            Err(error) => self.host.notice(Notice::Waits(&error)),
            Ok(()) => {}
        }
        self.reload().await
    }
}
