//! A long message: it reserves numbers in batches, and stores the state before sealing anything
//! with them. At its end it gives the unused numbers back, since otherwise the other side would
//! have to search beyond them for what follows. A process that is stopped in the middle leaves a
//! few unused.

use super::driver::{Host, Outlet, OutletKind};
use super::error::Error;
use super::outbox::hand_out_waiting;
use super::pending::settle;
use super::short::{may_send, published, same};
use super::transaction::Transaction;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::ADDRESS;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{Identity, Reservation, Session};

/// A batch of numbers to seal with, and facts about the message for which they were reserved.
pub struct Numbers {
    /// The message's number.
    pub message: u64,
    /// The session's identity, which [`give_back`] needs.
    pub of: Identity,
    /// The MAC keys that are published with it.
    pub keys: Vec<[u8; PUBLISHED_KEY]>,
    /// The numbers. The stored state no longer has them.
    pub reservation: Reservation,
}

/// A long message while it is being sent. Its caller is the session's one sender until
/// [`end`](Self::end).
pub struct Course<H: Host> {
    begun: Identity,
    /// How many numbers to reserve at a time.
    batch: u32,
    /// The version of the stored state that this last examined.
    seen: H::Version,
    sender: H::Role,
}

impl<H: Host> Course<H> {
    /// Hands out earlier packets, then reserves numbers for `message` or a new one, and stores
    /// that.
    ///
    /// # Errors
    /// [`Error::NotBegun`] if earlier packets could not be handed out. With any error, no number
    /// was reserved.
    pub async fn begin<O: Outlet>(
        host: &mut H,
        outlet: &mut O,
        begun: &mut Option<Identity>,
        message: Option<u64>,
        batch: u32,
        publish: bool,
    ) -> Result<(Self, Numbers), Error> {
        let number = |session: &mut Session| message.unwrap_or_else(|| session.begin_message());
        Self::take(host, outlet, begun, number, batch, publish).await
    }

    /// Like [`begin`](Self::begin), for packets that hold no message.
    #[cfg(feature = "client")]
    pub(super) async fn without_message<O: Outlet>(
        host: &mut H,
        outlet: &mut O,
        begun: &mut Option<Identity>,
        batch: u32,
    ) -> Result<(Self, Numbers), Error> {
        Self::take(host, outlet, begun, |_| 0, batch, true).await
    }

    async fn take<O: Outlet>(
        host: &mut H,
        outlet: &mut O,
        begun: &mut Option<Identity>,
        number: impl FnOnce(&mut Session) -> u64,
        batch: u32,
        publish: bool,
    ) -> Result<(Self, Numbers), Error> {
        let sender = host.become_sender(false).await?;
        let of = if outlet.kind() == OutletKind::Postbox { *begun } else { None };
        match hand_out_waiting(host, outlet, of).await {
            Ok(_) => settle(host, outlet).await,
            Err(error) => Err(error),
        }
        .map_err(|error| Error::NotBegun(error.into()))?;
        let mut transaction = Transaction::begin(host).await?;
        let (session, randomness) = transaction.session_and_randomness()?;
        let session = may_send(session, begun)?;
        let reservation = session.reserve(batch, randomness)?;
        let message = number(session);
        let (of, keys) = (
            session.identity(),
            published(session, publish && outlet.kind() == OutletKind::Stream),
        );
        if session.waiting().is_empty() {
            session.keep_nothing();
        }
        let seen = transaction.commit().await?;
        let numbers = Numbers { message, of, keys, reservation };
        Ok((Self { begun: of, batch, seen, sender }, numbers))
    }

    /// The next batch of numbers.
    pub async fn more(&mut self, host: &mut H) -> Result<Reservation, Error> {
        let mut transaction = Transaction::begin(host).await?;
        let (session, randomness) = transaction.session_and_randomness()?;
        let session = may_send(session, &mut Some(self.begun))?;
        let reservation = session.reserve(self.batch, randomness)?;
        self.seen = transaction.commit().await?;
        Ok(reservation)
    }

    /// A new batch of `count` numbers for what is `left` of the last one, after a step of the ratchet if one is
    /// due; and the MAC keys to publish where packets are not collected from a postbox.
    #[cfg(feature = "client")]
    pub(super) async fn renew(
        &mut self,
        host: &mut H,
        kind: OutletKind,
        left: Reservation,
        count: u32,
    ) -> Result<(Reservation, Vec<[u8; PUBLISHED_KEY]>), Error> {
        let mut transaction = Transaction::begin(host).await?;
        let (session, randomness) = transaction.session_and_randomness()?;
        let session = may_send(session, &mut Some(self.begun))?;
        session.give_back(left);
        let reservation = session.reserve(count, randomness)?;
        let keys = published(session, kind == OutletKind::Stream);
        self.seen = transaction.commit().await?;
        Ok((reservation, keys))
    }

    /// Checks whether the session has ended since this message began, if another process has stored
    /// anything. If so, it first calls `abandon`; then the pending step goes out, but no more text.
    pub async fn goes_on<O: Outlet>(
        &mut self,
        host: &mut H,
        outlet: &mut O,
        abandon: impl FnOnce(),
    ) -> Result<(), Error> {
        let lock = host.lock().await?;
        if host.is_current(&lock, &self.seen).await? {
            return Ok(());
        }
        drop(lock);
        let mut transaction = Transaction::begin(host).await?;
        let ready = transaction
            .session()
            .and_then(|session| may_send(session, &mut Some(self.begun)).map(drop));
        let Err(error) = ready else {
            self.seen = transaction.into_snapshot().version;
            return Ok(());
        };
        drop(transaction);
        abandon();
        if matches!(error, Error::NearlyOver) {
            settle(host, outlet).await?;
        }
        Err(error)
    }

    /// Ends the message: gives back the numbers that are `left`, a closure that is called once the
    /// state is loaded, and remembers what was `posted` last.
    pub async fn end(
        self,
        host: &mut H,
        left: impl FnOnce() -> Option<Reservation>,
        posted: Option<[u8; ADDRESS]>,
    ) -> Result<(), Error> {
        let mut transaction = Transaction::begin(host).await?;
        let now = transaction.now();
        let session = same(transaction.session()?, &mut Some(self.begun))?;
        if let Some(left) = left() {
            session.give_back(left);
        }
        session.note_posted(posted, now);
        transaction.commit().await?;
        drop(self.sender);
        Ok(())
    }
}

/// Gives back numbers that a message of the session `of` reserved and did not use.
pub async fn give_back<H: Host>(
    host: &mut H,
    of: Identity,
    left: Reservation,
) -> Result<(), Error> {
    let mut transaction = Transaction::begin(host).await?;
    match &mut transaction.stage {
        Stage::Session(session) if of.is(&session.identity()) => session.give_back(left),
        _ => return Ok(()),
    }
    transaction.commit().await.map(drop)
}
