//! What a `collect` finds, which may take several steps.

use super::packet::Packet;
use std::sync::Arc;

/// The most packets in one answer.
const AT_ONCE: usize = 1024;

/// Packets of one answer: up to some bytes and a number of them, but the first one whatever its
/// size.
pub(crate) struct Found {
    /// The packets.
    pub(crate) packets: Vec<Arc<Packet>>,
    left: u64,
    full: bool,
    lacks_some: bool,
}

impl Found {
    /// None yet, and at most `max` bytes.
    pub(crate) fn up_to(max: u64) -> Self {
        Self { packets: Vec::new(), left: max, full: false, lacks_some: false }
    }

    /// Whether it takes no more.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// There is no room for more.
    #[cfg(feature = "redis")]
    pub(super) fn closes(&mut self) {
        self.full = true;
    }

    /// Whether a part of the store was away, so that there may be more.
    pub(crate) fn lacks_some(&self) -> bool {
        self.lacks_some
    }

    /// A part of the store is away.
    #[cfg(feature = "redis")]
    pub(super) fn lacks(&mut self) {
        self.lacks_some = true;
    }

    /// Whether there is none yet.
    #[cfg(feature = "redis")]
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// At most `most` bytes, while there is none yet.
    #[cfg(feature = "redis")]
    pub(super) fn caps(&mut self, most: u64) {
        if self.packets.is_empty() {
            self.left = self.left.min(most);
        }
    }

    /// Whether it would still take one more, after this many, when all of these are `bytes`.
    #[cfg(feature = "redis")]
    pub(super) fn would_take(&self, more: usize, bytes: usize) -> bool {
        let first = more == 0 && self.packets.is_empty();
        let fits = first || bytes as u64 <= self.left;
        !self.full && fits && self.packets.len() + more < AT_ONCE
    }

    /// Takes the packet, if there is room; false from the first on for which there is none.
    pub(super) fn takes(&mut self, packet: &Arc<Packet>) -> bool {
        let rest = self.left.checked_sub(packet.len() as u64);
        let fits = self.packets.is_empty() || rest.is_some();
        self.full |= !fits || self.packets.len() >= AT_ONCE;
        if !self.full {
            self.left = rest.unwrap_or(0);
            self.packets.push(Arc::clone(packet));
        }
        !self.full
    }
}
