//! What a person or a script may ask about a session. None of it is secret, but all of it is
//! private.

use super::identity::Identity;
use super::{Outbox, Role, Session};

impl Session {
    /// What distinguishes this session from any other, for example from another one of the same
    /// name.
    pub fn identity(&self) -> Identity {
        Identity::of(u8::from(self.role == Role::Inviter), &self.words)
    }

    /// Which side of the handshake this end was.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The postbox's URL, if the session has one.
    pub fn postbox(&self) -> Option<&str> {
        self.postbox.as_deref()
    }

    /// When the handshake was completed here, in Unix seconds.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Whether the peer has shown that it has the keys.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Whether the peer has closed.
    pub fn peer_closed(&self) -> bool {
        self.inbox.announced.is_some()
    }

    /// How many messages were sent.
    pub fn sent(&self) -> u64 {
        self.next_message
    }

    /// How many messages arrived complete.
    pub fn received(&self) -> u64 {
        self.inbox.received
    }

    /// How many messages did not arrive complete and are too old to be listed by number.
    pub fn missed(&self) -> u64 {
        self.inbox.missed
    }

    /// Ranges of message numbers, first and last, that were expected and have not arrived.
    pub fn missing(&self) -> Vec<(u64, u64)> {
        self.inbox.missing()
    }

    /// How many skipped packets are still expected.
    pub fn skipped(&self) -> usize {
        self.ratchet.skipped.numbers.len()
    }

    /// How many packets can no longer be accepted.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many keys wait to be published, and how many fell out of the queue.
    pub fn unpublished(&self) -> (usize, u64) {
        (self.reveals.waiting.len(), self.reveals.fell_out)
    }

    /// The packets that were sent last.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The reply to the invite, 8,192 bytes, until the other side has shown that it received it.
    pub fn reply(&self) -> Option<&[u8]> {
        self.reply.as_deref()
    }
}
