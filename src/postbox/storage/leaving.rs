//! Packets that left the store while a caller was reading them. They still take memory, so they are
//! neither here nor gone.

use super::packet::Packet;
use std::sync::{Arc, Weak};

/// With this many entries, the list is searched for packets that are gone.
const FEW: usize = 64;

/// Packets that stay until they are read to their end.
#[derive(Default)]
pub(crate) struct Leaving {
    all: Vec<One>,
    /// The number of entries at which the list is searched again.
    look_at: usize,
    /// How many expired packets are gone meanwhile.
    expired: u64,
}

struct One {
    packet: Weak<Packet>,
    expired: bool,
}

impl Leaving {
    /// Adds a packet if a reader still has it; true if so.
    pub(crate) fn add(&mut self, packet: &Arc<Packet>, expired: bool) -> bool {
        if Arc::strong_count(packet) == 1 {
            return false;
        }
        self.all.push(One { packet: Arc::downgrade(packet), expired });
        if self.all.len() > self.look_at {
            self.look();
        }
        true
    }

    /// How many expired packets are gone since the last call.
    pub(crate) fn gone(&mut self) -> u64 {
        self.look();
        std::mem::take(&mut self.expired)
    }

    /// Their number and their bytes.
    pub(crate) fn sum(&self) -> (u64, u64) {
        let here = self.all.iter().filter_map(|one| one.packet.upgrade());
        here.fold((0, 0), |(count, bytes), packet| (count + 1, bytes + packet.len() as u64))
    }

    fn look(&mut self) {
        let expired = &mut self.expired;
        self.all.retain(|one| {
            let here = one.packet.strong_count() > 0;
            *expired += u64::from(!here && one.expired);
            here
        });
        self.look_at = FEW.max(self.all.len() * 2);
    }
}
