//! Packets that were taken out of the store while somebody read them. Their memory is still taken,
//! so they are neither here nor gone.

use super::packet::Packet;
use std::sync::{Arc, Weak};

/// Entries from which on those whose packets are gone are looked for.
const FEW: usize = 64;

/// Packets that are read to their end, and no longer.
#[derive(Default)]
pub(crate) struct Leaving {
    all: Vec<One>,
    /// Entries at which they are looked through again.
    look_at: usize,
    /// Expired ones that went meanwhile.
    expired: u64,
}

struct One {
    packet: Weak<Packet>,
    expired: bool,
}

impl Leaving {
    /// Adds a packet, if anybody else has it, too: true if so.
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

    /// How many expired ones are gone since the last time this was asked.
    pub(crate) fn gone(&mut self) -> u64 {
        self.look();
        std::mem::take(&mut self.expired)
    }

    /// How many there are, and their bytes.
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
