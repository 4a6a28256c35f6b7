//! What a session keeps to send again, to hand out, to publish, or to wait for.

use std::collections::BTreeMap;

use super::{Outbox, OutboxKind, POSTED_MAX, Posted, QUEUE_MAX, QueueFull, Search, Session};
use crate::protocol::crypto::secret::{Secret, Token};
use crate::protocol::deniability::reveal::{Collected, PUBLISHED_KEY, Reveal};
use crate::protocol::packet::{ADDRESS, Packet};

impl Session {
    /// Keeps the packets of a short message, in place of those kept before.
    pub fn keep(&mut self, packets: Vec<Packet>) {
        self.outbox = Outbox { kind: OutboxKind::Message, packets };
    }

    /// Queues a packet to be handed out. Packets that were kept to be sent again are forgotten.
    ///
    /// # Errors
    /// [`QueueFull`] if more than [`QUEUE_MAX`] bytes would wait; nothing has changed then.
    pub fn queue(&mut self, packet: Packet) -> Result<(), QueueFull> {
        if !self.has_room(packet.len()) {
            return Err(QueueFull);
        }
        if self.outbox.kind != OutboxKind::Waiting {
            self.outbox = Outbox { kind: OutboxKind::Waiting, packets: Vec::new() };
        }
        self.outbox.packets.push(packet);
        Ok(())
    }

    /// Whether a packet of this many bytes would find room in the queue.
    pub fn has_room(&self, bytes: usize) -> bool {
        let waiting: usize = self.waiting().iter().map(|packet| packet.len()).sum();
        waiting.saturating_add(bytes) <= QUEUE_MAX
    }

    /// The packets that are still to be handed out, the oldest first.
    pub fn waiting(&self) -> &[Packet] {
        if self.outbox.kind == OutboxKind::Waiting { &self.outbox.packets } else { &[] }
    }

    /// Takes these packets, which were handed out, out of the queue; returns whether they were in
    /// it.
    pub fn handed_out(&mut self, packets: &[Packet]) -> bool {
        if !packets.iter().all(|packet| self.waiting().contains(packet)) {
            return false;
        }
        self.outbox.packets.retain(|packet| !packets.contains(packet));
        if self.waiting().is_empty() {
            self.keep_nothing();
        }
        true
    }

    /// Remembers that the packets with these addresses are in the postbox, up to [`POSTED_MAX`].
    /// `now` is in Unix seconds.
    pub fn note_posted(&mut self, addresses: impl IntoIterator<Item = [u8; ADDRESS]>, now: u64) {
        for address in addresses {
            if self.posted.len() == POSTED_MAX {
                self.posted.pop_front();
            }
            self.posted.push_back(Posted { address, at: now });
        }
    }

    /// The packets that were posted last, the oldest first.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.iter().copied().collect()
    }

    /// Keeps no packets: the last message is too long, or its packets have arrived.
    pub fn keep_nothing(&mut self) {
        self.outbox = Outbox::default();
    }

    /// Takes out the keys that are published as `address ‖ key`; store the state before publishing
    /// them.
    pub fn take_published(&mut self) -> Vec<[u8; PUBLISHED_KEY]> {
        if self.collects { Vec::new() } else { self.reveals.take_published() }
    }

    /// Takes out the keys that leave with a discard: `token ‖ packet hash ‖ key`.
    pub fn take_collected(&mut self) -> Vec<[u8; 96]> {
        self.reveals.take_collected()
    }

    /// The keys that leave with a discard, in the form of [`Session::take_collected`].
    pub fn collected(&self) -> Vec<[u8; 96]> {
        self.reveals.collected()
    }

    /// Forgets keys that leave with a discard: the postbox has them.
    pub fn forget_collected(&mut self, records: &[[u8; 96]]) {
        self.reveals.forget_collected(records);
        self.note_elsewhere(&BTreeMap::new());
    }

    /// Where packets lie that leave with a discard, by token: the number of the postbox, from 0, if it is not the
    /// one that their address says. Secret.
    pub fn elsewhere(&self) -> &BTreeMap<[u8; 32], u8> {
        &self.elsewhere
    }

    /// Notes where packets lie; of those that leave with no discard it is forgotten.
    pub fn note_elsewhere(&mut self, places: &BTreeMap<[u8; 32], u8>) {
        self.elsewhere.extend(places);
        if !self.elsewhere.is_empty() {
            let waiting = self.reveals.collected();
            self.elsewhere
                .retain(|token, _| waiting.iter().any(|record| record.starts_with(token)));
        }
    }

    /// The tokens to wait for: of the numbers `ahead` (0 = the next; ascending) in the peer's
    /// current chain and in its next chain, even while there cannot be a next one, because a
    /// concurrent `send` may change that at any moment. Secret.
    pub fn awaited_tokens(&self, ahead: &[u32]) -> Vec<[u8; 32]> {
        self.ratchet.awaited_tokens(ahead)
    }

    /// How far packets were searched for.
    pub fn search(&self) -> Search {
        self.search
    }

    /// Notes how far packets were searched for.
    pub fn note_search(&mut self, search: Search) {
        self.search = search;
    }

    /// The tokens of packets that were skipped and may still arrive. Secret.
    pub fn skipped_tokens(&self) -> Vec<[u8; 32]> {
        self.ratchet.skipped.numbers.values().map(|number| *number.keys.token.bytes()).collect()
    }

    /// The tokens of the packets that may arrive next: `count` of the current chain, and as many of
    /// the next chain while the peer can have one. Secret.
    pub fn expected_tokens(&self, count: u32) -> Vec<[u8; 32]> {
        self.ratchet.expected_tokens(count)
    }

    /// Discards, with the next discard, a packet in the postbox that does not belong to this
    /// session. No key is published for it.
    pub fn discard_too(&mut self, token: &[u8; 32], packet_hash: [u8; 32]) {
        let collected = Some(Collected { token: Token(Secret::copy_of(token)), packet_hash });
        self.reveals.push(Reveal { published: [0; PUBLISHED_KEY], collected }, self.collects);
    }

    /// From now on packets lie in a postbox, and keys are published only with their discard. Keys
    /// of packets that arrived another way are then never published, because publishing them next
    /// to other packets would link the two.
    pub fn collect_from_postbox(&mut self) {
        self.collects = true;
        self.reveals.drop_uncollected();
    }
}
