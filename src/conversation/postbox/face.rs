//! The face of a conversation whose packets lie in a postbox.

use std::time::{Duration, Instant};

use super::receiving::{Collecting, Until};
use crate::conversation::cause::Cause;
use crate::conversation::driver::Host;
use crate::conversation::error::{Doing, Error};
use crate::conversation::face::{Conversation, Deliver, Event};
use crate::conversation::receive::Counts;
use crate::postbox::client::Client;
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
}
