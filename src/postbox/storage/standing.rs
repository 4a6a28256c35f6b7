//! What every store says of packets: what has become of those under an address, how many there are,
//! and why one was not stored.

use super::watch::Wanted;
use crate::postbox::api::PacketStatus;

/// The state of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// A packet lies there.
    pub(super) lies: bool,
    /// What its sender is told.
    pub(super) status: PacketStatus,
}

impl Standing {
    /// Of an address where a packet lies, or not; where one was discarded, or not; and where a key
    /// was published for one of those, or not. A key is published for the packet that opened, and
    /// only one packet can open: any other one there is junk, with which a stranger could keep the
    /// sender waiting.
    pub(super) fn new(lies: bool, collected: bool, opened: bool) -> Self {
        let status = match (lies, collected) {
            (true, _) if !opened => PacketStatus::Held,
            (_, true) => PacketStatus::Collected,
            (_, false) => PacketStatus::Unknown,
        };
        Self { lies, status }
    }

    /// Whether the address counts for those who wait for this.
    pub(super) fn counts(self, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Packet => self.lies,
            Wanted::Collected => self.status == PacketStatus::Held,
        }
    }
}

/// Why a packet was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "memory is never away"))]
pub(crate) enum Unstored {
    /// Four other packets lie under the address.
    Crowded,
    /// There is no room.
    Full,
    /// See [`Away`].
    Away,
}

/// The store cannot be reached now, or cannot say that the packet is safe there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "memory is never away"))]
pub(crate) struct Away;

/// What has become of packets, in totals.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// Packets that lie here now.
    pub(crate) held: u64,
    /// Their bytes.
    pub(crate) held_bytes: u64,
    /// Packets that were stored since the start.
    pub(crate) stored: u64,
    /// Packets that were discarded since the start.
    pub(crate) discarded: u64,
    /// Packets whose time ran out since the start.
    pub(crate) expired: u64,
    /// Discarded packets that are remembered now.
    pub(crate) remembered: u64,
    /// Packets that have left the store and are still being read.
    pub(crate) leaving: u64,
    /// Their bytes.
    pub(crate) leaving_bytes: u64,
}
