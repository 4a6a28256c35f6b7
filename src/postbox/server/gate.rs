//! Admission by work: the proof that a post has to show while the postbox is crowded, or fills
//! fast.
//!
//! The postbox keeps nothing of a proof or its caller: the salt of the hour makes each proof fresh,
//! and since a proof fits exactly one packet, it is useless a second time.

use crate::postbox::storage::Store;
use crate::postbox::storage::packet::Packet;
use crate::postbox::work::{Price, Proof, Puzzle, Salt};
use crate::protocol::crypto::labels;
use sha2::{Digest as _, Sha256};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, UNIX_EPOCH};

/// The lowest price above zero: 4,096 tries, a quarter of a millisecond on the core that took half
/// a second for 19 bits.
const LEAST_BITS: u8 = 8;
/// In 1,024 parts of the room for packets: up to this fill posts need no work; from there the price
/// grows,
const FULL_FROM: usize = 512;
/// and is highest here, so that at full price there is still room.
const FULL_TO: usize = 896;
/// The same for the growth within a minute, in 1,024 parts of what is left. A single long message
/// that is not collected grows by a quarter of that, by default.
const FAST_FROM: usize = 384;
/// Growth that would fill the rest within a minute.
const FAST_TO: usize = 1024;
/// Seconds between two looks at the fill; a minute has twelve.
const LOOK: u64 = 5;
/// How many looks are remembered.
const LOOKS: usize = 12;
/// Seconds for which a salt is told; it stays valid for as long again.
const SALT_TIME: u64 = 3600;

/// Admission to the store.
pub(crate) struct Gate {
    secret: [u8; 32],
    clock: Hours,
    /// The most zero bits for the smallest packet; 0 asks for no work at all.
    most: u8,
    lately: Mutex<Lately>,
}

/// From when on the hours of salts are counted.
#[derive(Clone, Copy)]
pub(crate) enum Hours {
    /// From the start of this postbox.
    Own(Instant),
    /// By the clock of the world, as all postboxes with one store count them.
    #[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "none has one"))]
    OfAll,
}

impl Hours {
    fn seconds(self) -> u64 {
        match self {
            Self::Own(began) => began.elapsed().as_secs(),
            Self::OfAll => UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        }
    }

    /// The hours whose salts are good in this one. Clocks differ a little: what another postbox told
    /// may be the salt of an hour that has not begun here.
    fn good(self, hour: u64) -> impl Iterator<Item = u64> {
        let next = match self {
            Self::Own(_) => None,
            Self::OfAll => hour.checked_add(1),
        };
        [Some(hour), hour.checked_sub(1), next].into_iter().flatten()
    }
}

/// The least fill in each of the last looks.
struct Lately {
    now: u64,
    least: [usize; LOOKS],
}

impl Lately {
    /// How much the fill has grown within a minute, to `used` at `now`.
    fn growth(&mut self, now: u64, used: usize) -> usize {
        let place = |look: u64| usize::try_from(look % LOOKS as u64).unwrap_or_default();
        // Times without a look count for nothing.
        for look in (self.now + 1..=now).rev().take(LOOKS) {
            self.least[place(look)] = usize::MAX;
        }
        self.now = now;
        let least = &mut self.least[place(now)];
        *least = (*least).min(used);
        used - self.least.iter().copied().min().unwrap_or(used).min(used)
    }
}

impl Gate {
    /// A gate that asks for `most` zero bits at most; `secret` stays in it.
    pub(crate) fn new(most: u8, secret: [u8; 32], clock: Hours) -> Self {
        let lately = Mutex::new(Lately { now: 0, least: [usize::MAX; LOOKS] });
        Self { secret, clock, most, lately }
    }

    /// The work that a post has to show now; `None` while there is room.
    pub(crate) fn price(&self, store: &Store) -> Option<Price> {
        let seconds = self.clock.seconds();
        self.bits(store.fill(), seconds / LOOK)
            .map(|bits| Price { bits, salt: self.salt(seconds / SALT_TIME) })
    }

    /// Admits the packet, or returns the work that it has to show. The packet is charged already
    /// but does not count here, so that the price is the same as for a caller without a packet.
    pub(crate) fn admit(
        &self,
        store: &Store,
        packet: &Packet,
        proof: Option<&Proof>,
    ) -> Result<(), Price> {
        let seconds = self.clock.seconds();
        let (held, left) = store.fill();
        let hour = seconds / SALT_TIME;
        match self.bits((held, left + packet.cost()), seconds / LOOK) {
            Some(bits) if !proof.is_some_and(|proof| self.is_paid(bits, hour, packet, proof)) => {
                Err(Price { bits, salt: self.salt(hour) })
            }
            _ => Ok(()),
        }
    }

    fn is_paid(&self, bits: u8, hour: u64, packet: &Packet, proof: &Proof) -> bool {
        self.clock.good(hour).any(|hour| {
            let price = Price { bits, salt: self.salt(hour) };
            Puzzle::new(&price, packet.hash(), packet.len()).is_solved_by(proof)
        })
    }

    fn salt(&self, hour: u64) -> Salt {
        let hash = Sha256::new_with_prefix(labels::WORK_SALT).chain_update(self.secret);
        let hash = hash.chain_update(hour.to_be_bytes()).finalize();
        std::array::from_fn(|at| hash[at])
    }

    /// Zero bits for the smallest packet, by the bytes of packets, the bytes left for more, and the
    /// growth. Other purposes take memory, too, but never ask for work.
    fn bits(&self, (held, left): (usize, usize), look: u64) -> Option<u8> {
        if self.most == 0 {
            return None;
        }
        let growth = self.lately.lock().unwrap_or_else(PoisonError::into_inner).growth(look, held);
        let full = self.steep(parts(held, held.saturating_add(left)), FULL_FROM, FULL_TO);
        let fast = self.steep(parts(growth, left), FAST_FROM, FAST_TO);
        full.max(fast)
    }

    /// Each bit doubles the work, so it grows exponentially with the fill.
    fn steep(&self, parts: usize, from: usize, to: usize) -> Option<u8> {
        let above = parts.checked_sub(from)?.min(to - from);
        let span = usize::from(self.most.saturating_sub(LEAST_BITS));
        let more = u8::try_from(span * above / (to - from)).unwrap_or_default();
        Some(LEAST_BITS.min(self.most) + more)
    }
}

/// `part` in 1,024 parts of `whole`.
fn parts(part: usize, whole: usize) -> usize {
    part.saturating_mul(1024) / whole.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::storage::budget::Budget;
    use crate::postbox::storage::packet::Filling;
    use crate::postbox::work::tests::solved;

    fn gate_of(most: u8, secret: [u8; 32]) -> Gate {
        Gate::new(most, secret, Hours::Own(Instant::now()))
    }

    fn packet(fill: u8) -> Packet {
        let mut filling = Filling::new(&Budget::new(1 << 20), 4096);
        filling.push(&[fill; 4096]).unwrap();
        filling.finish().unwrap()
    }

    #[test]
    fn nothing_is_asked_for_while_there_is_room_and_most_when_there_is_none() {
        let gate = gate_of(19, [1; 32]);
        let bits = |held: usize, look| gate.bits((held << 20, (100 - held) << 20), look);
        assert_eq!(bits(0, 0), None);
        assert_eq!(bits(19, 0), None, "a long message on its way");
        assert!(bits(30, 0).is_some(), "a flood");
        assert_eq!(bits(50, 0), Some(19), "full within a minute");
        // A minute later nothing more has arrived.
        assert_eq!(bits(49, 13), None);
        assert_eq!(bits(50, 13), Some(8));
        assert_eq!(bits(100, 99), Some(19));
        assert_eq!(bits(100, 99 + 50), Some(19));
        assert_eq!(bits(0, 999), None);
        assert_eq!(gate_of(0, [1; 32]).bits((9, 0), 0), None);
        assert_eq!(gate_of(3, [1; 32]).bits((9, 0), 0), Some(3));
    }

    #[test]
    fn a_proof_is_good_in_its_hour_and_the_next() {
        let (gate, packet) = (gate_of(9, [1; 32]), packet(7));
        let price = Price { bits: 9, salt: gate.salt(5) };
        let proof = solved(&Puzzle::new(&price, packet.hash(), 4096));
        let good: Vec<u64> = (0..9).filter(|&h| gate.is_paid(9, h, &packet, &proof)).collect();
        assert_eq!(good, [5, 6]);
        let other = Gate { clock: Hours::OfAll, ..gate_of(9, [1; 32]) };
        let good: Vec<u64> = (0..9).filter(|&h| other.is_paid(9, h, &packet, &proof)).collect();
        assert_eq!(good, [4, 5, 6], "clocks differ");
        assert!(gate.is_paid(8, 5, &packet, &proof), "more than was asked for");
        assert!(!gate.is_paid(14, 5, &packet, &proof));
        assert!(!gate.is_paid(9, 5, &self::packet(8), &proof), "another packet");
        assert!(!gate_of(9, [2; 32]).is_paid(9, 5, &packet, &proof), "another postbox");
    }
}
