//! The face of a conversation whose packets lie in a postbox.

use std::time::{Duration, Instant};

use super::cover::Cover;
use super::receiving::{Collecting, Until};
use crate::conversation::cause::Cause;
use crate::conversation::driver::{Host, Notice, Outlet};
use crate::conversation::error::{Doing, Error};
use crate::conversation::face::{Conversation, Deliver, Event};
use crate::conversation::outbox;
use crate::conversation::receive::Counts;
use crate::kind::ErrorKind;
use crate::postbox::client::Client;
use crate::protocol::packet::{ADDRESS, Packet};
use crate::protocol::ratchet::address_index::LOOK_AHEAD;

impl<H: Host> Conversation<H> {
    /// Takes what lies in the session's postbox, which `client` calls, until it is to stop, or nothing has
    /// come for `wait`; what came, in numbers. Where the invite was not answered yet, the reply is awaited
    /// first, for as long. `deliver` is told what comes, as in [`receive`](Self::receive); that the other
    /// side has closed, by the call that learns it. It blocks. Through Tor, calls that still wait when this
    /// returns go on for up to a minute.
    ///
    /// # Errors
    /// [`Error::NoReply`] at the end of that wait; a call's, when the client's patience is at its end.
    pub async fn collect<D>(
        &mut self,
        client: &Client,
        until: Until,
        wait: Option<Duration>,
        deliver: D,
    ) -> Result<Counts, Error>
    where
        D: FnMut(Event<'_>) -> Result<(), Cause>,
    {
        let _receiver = self.host.become_receiver(false).await?;
        let mut collecting =
            Collecting::open(&mut self.host, client.clone(), LOOK_AHEAD, until).await?;
        let mut sink = Deliver::new(deliver);
        Self::is_still(&mut self.of, collecting.session(), Doing::Receiving)?;
        if collecting.session().is_none() {
            let wait = if until == Until::Empty { Some(Duration::ZERO) } else { wait };
            if !collecting.reply(wait.map(|wait| Instant::now() + wait)).await? {
                return Err(Error::NoReply);
            }
            (sink.tell)(Event::Opened)?;
        }
        Self::is_still(&mut self.of, collecting.session(), Doing::Receiving)?;
        collecting.take_up().await?;
        let was_closed = collecting.counts.closed;
        collecting.receive(&mut sink, wait).await?;
        sink.tell_all(&[])?;
        if collecting.counts.closed && !was_closed {
            (sink.tell)(Event::Closed)?;
        }
        Ok(collecting.counts)
    }

    /// The addresses of the packets that wait to be posted, the oldest first. A step of a check that is to be taken
    /// is among them from now on, unless something else of the session is sending.
    ///
    /// # Errors
    /// [`Error::NoReply`] until the invite is answered; an effect's error.
    pub async fn waiting(&mut self) -> Result<Vec<[u8; ADDRESS]>, Error> {
        let sender = self.host.become_sender(true).await;
        let mut transaction = self.session().await?;
        let (session, randomness) = transaction.session_and_randomness()?;
        let changed = sender.is_ok() && outbox::queue_step(session, randomness)?;
        let waiting = session.waiting().iter().map(Packet::address).collect();
        if changed {
            transaction.commit().await?;
        }
        Ok(waiting)
    }

    /// Posts one packet, unless something else of the session is sending: the oldest that waits, and if none does
    /// and it is for `cover`, one that says nothing.
    ///
    /// # Errors
    /// [`Error::Waiting`] if it was not posted; [`Error::NoReply`], [`Error::PeerClosed`]; an effect's error.
    pub async fn post_one<O: Outlet>(&mut self, outlet: &mut O, cover: bool) -> Result<(), Error> {
        let Ok(_sender) = self.host.become_sender(true).await else { return Ok(()) };
        drop(self.session().await?);
        outbox::one(&mut self.host, outlet, self.of, cover).await
    }

    /// Posts a packet at each moment of `cover`, until the client's calls are ended or the session is over: the
    /// oldest that waits, or one that says nothing. It blocks, and is for a thread beside one that receives
    /// ([`Collecting::leaves_posting`]), so that nothing that comes, or is done with it, shows in these moments.
    ///
    /// # Errors
    /// Those after which nothing more can be posted.
    pub async fn cover(&mut self, client: &Client, cover: Cover) -> Result<(), Error> {
        loop {
            client.pause(cover.next()?);
            if client.is_stopped() {
                return Ok(());
            }
            match self.post_one(&mut client.clone(), true).await {
                Ok(()) | Err(Error::NoReply) => {}
                Err(Error::PeerClosed) => return Ok(()),
                Err(_) if client.is_stopped() => return Ok(()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotAuthentic | ErrorKind::NoSession) =>
                {
                    return Err(error);
                }
                Err(error) => self.host.notice(Notice::StillWaits(&error)),
            }
        }
    }
}
