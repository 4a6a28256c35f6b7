//! Published MAC keys: the one-time Poly1305 keys of received packets, waiting to be published
//! [OTR3, "Revealing MAC keys"]. Anyone who holds one can make its packet say anything of the same
//! length, so a recorded packet proves nothing.
//!
//! A side never publishes the key of a packet that it sent, which may still be on its way, and
//! never publishes one before the state that forgets the body key is stored: the queue is part of
//! that very state.

use std::collections::{BTreeSet, VecDeque};

use crate::protocol::crypto::secret::Token;
use crate::protocol::packet::ADDRESS;

/// The most keys that wait; those that no longer fit are never published.
pub const REVEALS_MAX: usize = 1024;
/// Bytes of a published key: address ‖ Poly1305 key.
pub const PUBLISHED_KEY: usize = ADDRESS + 32;

/// What discarding a packet from a postbox requires.
pub(crate) struct Collected {
    pub(crate) token: Token,
    /// SHA-256 of the packet's bytes.
    pub(crate) packet_hash: [u8; 32],
}

/// A key that waits to be published.
pub(crate) struct Reveal {
    /// address ‖ key, as it is published.
    pub(crate) published: [u8; PUBLISHED_KEY],
    /// Set if the packet lies in a postbox: the key is then published with its discard.
    pub(crate) collected: Option<Collected>,
}

impl Reveal {
    /// `token ‖ packet hash ‖ key`, if it leaves with a discard.
    fn record(&self) -> Option<[u8; 96]> {
        let collected = self.collected.as_ref()?;
        let mut record = [0; 96];
        record[..32].copy_from_slice(collected.token.bytes());
        record[32..64].copy_from_slice(&collected.packet_hash);
        record[64..].copy_from_slice(&self.published[ADDRESS..]);
        Some(record)
    }
}

/// The queue of keys to be published.
#[derive(Default)]
pub(crate) struct Reveals {
    pub(crate) waiting: VecDeque<Reveal>,
    /// How many fell out.
    pub(crate) fell_out: u64,
}

impl Reveals {
    /// Queues a key. If packets lie in a postbox (`collects`), a key whose packet came another way
    /// cannot leave and is dropped.
    pub(crate) fn push(&mut self, reveal: Reveal, collects: bool) {
        if collects && reveal.collected.is_none() {
            self.fell_out = self.fell_out.saturating_add(1);
            return;
        }
        if self.waiting.len() == REVEALS_MAX {
            self.waiting.pop_front();
            self.fell_out = self.fell_out.saturating_add(1);
        }
        self.waiting.push_back(reveal);
    }

    /// Drops the keys that do not leave with a discard; they count as fallen out.
    pub(crate) fn drop_uncollected(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|reveal| reveal.collected.is_some());
        let dropped = (before - self.waiting.len()) as u64;
        self.fell_out = self.fell_out.saturating_add(dropped);
    }

    /// Takes out all keys that leave as `address ‖ key`.
    pub(crate) fn take_published(&mut self) -> Vec<[u8; PUBLISHED_KEY]> {
        let mut taken = Vec::new();
        self.waiting.retain(|reveal| {
            if reveal.collected.is_none() {
                taken.push(reveal.published);
            }
            reveal.collected.is_some()
        });
        taken
    }

    /// All keys that leave with a discard: `token ‖ packet hash ‖ key`, 96 bytes each.
    pub(crate) fn collected(&self) -> Vec<[u8; 96]> {
        self.waiting.iter().filter_map(Reveal::record).collect()
    }

    /// Drops the keys of these records.
    pub(crate) fn forget_collected(&mut self, records: &[[u8; 96]]) {
        let gone: BTreeSet<&[u8; 96]> = records.iter().collect();
        self.waiting.retain(|reveal| reveal.record().is_none_or(|record| !gone.contains(&record)));
    }

    /// Takes out all keys that leave with a discard.
    pub(crate) fn take_collected(&mut self) -> Vec<[u8; 96]> {
        let taken = self.collected();
        self.waiting.retain(|reveal| reveal.collected.is_none());
        taken
    }
}
