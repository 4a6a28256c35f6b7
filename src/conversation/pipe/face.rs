//! A conversation's two halves of a pipe: one that sends, one that receives. They run beside each other,
//! each over a host of its own.

use super::Pipe;
use super::carry::{Carrier, carry};
use super::feed::Feed;
use crate::conversation::driver::{Host, Packets};
use crate::conversation::error::{Doing, Error};
use crate::conversation::face::Conversation;
use crate::conversation::postbox::{Collecting, Until};
use crate::conversation::receive::{Counts, Receiver};
use crate::postbox::client::Client;
use crate::protocol::ratchet::address_index::LOOK_AHEAD;

impl<H: Host> Conversation<H> {
    /// Sends what the pipe has to send, until it is over. It blocks, and is the session's one sender
    /// meanwhile.
    ///
    /// # Errors
    /// The pipe has failed with it, for its other threads without a reason.
    pub async fn carry<C: Carrier>(&mut self, pipe: &Pipe, carrier: &mut C) -> Result<(), Error> {
        let ended = carry(pipe, &mut self.host, carrier, &mut self.of).await;
        if ended.is_err() {
            pipe.fail();
        }
        ended
    }

    /// Receives the pipe's packets from the session's postbox, which `client` calls, until the pipe is
    /// over. It blocks, and is the session's one receiver meanwhile. Returns how many packets, of messages
    /// too, can no longer be accepted because of those that were.
    ///
    /// # Errors
    /// The pipe has failed with it.
    pub async fn collect_streams(&mut self, pipe: &Pipe, client: &Client) -> Result<u64, Error> {
        let collected = self.collect_all(pipe, client).await;
        if collected.is_err() {
            pipe.fail();
        }
        collected
    }

    async fn collect_all(&mut self, pipe: &Pipe, client: &Client) -> Result<u64, Error> {
        let _receiver = self.host.become_receiver(false).await?;
        let open =
            Collecting::open(&mut self.host, client.clone(), LOOK_AHEAD, Until::Closed).await;
        let mut collecting = open?;
        Self::is_still(&mut self.of, collecting.session(), Doing::Receiving)?;
        let mut feed = Feed::new(pipe.clone());
        pipe.receives();
        collecting.take_up().await?;
        collecting.receive(&mut feed, None).await?;
        if collecting.counts.closed && !pipe.is_over() {
            return Err(Error::PeerClosed);
        }
        Ok(collecting.counts.lost)
    }

    /// Becomes the session's one receiver, for packets that the caller brings.
    ///
    /// # Errors
    /// The session cannot be opened, or somebody else receives.
    pub async fn receive_streams(&mut self, pipe: &Pipe) -> Result<ReceivingStreams<'_, H>, Error> {
        let role = self.host.become_receiver(false).await?;
        let receiver = Receiver::open(&mut self.host, None, LOOK_AHEAD, None).await?;
        Self::is_still(&mut self.of, receiver.session(), Doing::Receiving)?;
        let (feed, counts) = (Feed::new(pipe.clone()), Counts::default());
        pipe.receives();
        Ok(ReceivingStreams { receiver, feed, counts, role })
    }
}

/// The receiving half of a pipe, while packets arrive.
pub struct ReceivingStreams<'a, H: Host> {
    receiver: Receiver<&'a mut H, Packets>,
    feed: Feed,
    counts: Counts,
    #[expect(dead_code, reason = "held for its drop")]
    role: H::Role,
}

impl<H: Host> ReceivingStreams<'_, H> {
    /// Takes a packet, and gives its bytes to the streams.
    ///
    /// # Errors
    /// The pipe must end.
    pub async fn packet(&mut self, packet: Vec<u8>) -> Result<(), Error> {
        self.receiver.packet(packet, None, &mut self.feed, &mut self.counts).await?;
        self.receiver.deliver(&mut self.feed).await?;
        if self.counts.closed { Err(Error::PeerClosed) } else { Ok(()) }
    }

    /// Whether packets were taken that are not stored yet. Call [`store`](Self::store) when no more
    /// follow for the moment.
    pub fn is_ahead(&self) -> bool {
        self.receiver.is_ahead()
    }

    /// Stores the state that forgets the keys of what was taken; returns the packets' buffers, for reuse.
    ///
    /// # Errors
    /// The pipe must end.
    pub async fn store(&mut self) -> Result<(), Error> {
        self.receiver.store(&mut self.feed).await
    }

    /// The buffers of delivered packets, for reuse; their bytes are still in them.
    pub fn take_buffers(&mut self) -> Vec<zeroize::Zeroizing<Vec<u8>>> {
        self.receiver.take_buffers(&mut self.feed)
    }

    /// What has arrived so far, in numbers.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}
