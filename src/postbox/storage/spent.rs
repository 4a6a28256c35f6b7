//! What the store remembers of discarded packets: that they were here, and their keys. They fill up
//! to a part of the memory; the oldest are forgotten first.

use super::budget::{Budget, Charge, Purpose};
use super::clock::Seconds;
use crate::postbox::api::{Address, Key, MAX_UNDER_ADDRESS, PacketHash};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The memory of one entry: 88 bytes in a tree whose nodes are two thirds full on average, and 48
/// in one that grows at its end, with nodes half full.
const COST: usize = 224;
/// How many are forgotten in one step, during which no call can be served.
const STEP: usize = 512;
/// How many discarded packets of one address are remembered, the last ones: one more than can lie
/// there. The holder of a token can post and discard under it for ever.
pub(super) const REMEMBERED: usize = MAX_UNDER_ADDRESS + 1;

/// The address, and the beginning of the packet's hash, by which it is known again: the same bytes
/// posted again are not stored again, since no receiver will ever ask for them.
type Mark = (Address, [u8; 8]);

/// All remembered packets.
pub(super) struct Spent {
    known: BTreeMap<Mark, One>,
    /// The same, by age. All are remembered for the same time.
    ages: BTreeMap<u64, Mark>,
    next: u64,
    charge: Charge,
    most: usize,
}

/// One discarded packet.
pub(super) struct One {
    until: Seconds,
    age: u64,
    /// The key that was published for it.
    pub(super) key: Option<Key>,
}

impl Spent {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            known: BTreeMap::new(),
            ages: BTreeMap::new(),
            next: 0,
            charge: Charge::nothing(budget, Purpose::Remembered),
            most: budget.bound(Purpose::Remembered) / COST,
        }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Remembers a packet that was discarded just now. The packet took 18 times as much memory as
    /// this, so the cap holds without a check.
    pub(super) fn remember(
        &mut self,
        address: &Address,
        hash: &PacketHash,
        key: Option<Key>,
        until: Seconds,
    ) {
        let (mark, age) = (mark(address, hash), self.next);
        self.next += 1;
        self.forget(&mark);
        self.known.insert(mark, One { until, age, key });
        self.ages.insert(age, mark);
        self.charge.grow_anyway(COST);
        if self.under(address).count() > REMEMBERED
            && let Some(oldest) = self.under(address).map(|one| one.age).min()
        {
            self.forget_of(oldest);
        }
        while self.known.len() > self.most
            && let Some((&oldest, _)) = self.ages.first_key_value()
        {
            self.forget_of(oldest);
        }
    }

    /// The packets known to be discarded under an address.
    pub(super) fn at(&self, address: &Address, now: Seconds) -> impl Iterator<Item = &One> {
        self.under(address).filter(move |one| one.until > now)
    }

    /// Whether the packet with this hash was discarded.
    pub(super) fn knows(&self, address: &Address, hash: &PacketHash, now: Seconds) -> bool {
        self.known.get(&mark(address, hash)).is_some_and(|one| one.until > now)
    }

    /// Forgets, in one step, entries whose time is over; returns whether there may be more.
    pub(super) fn sweep(&mut self, now: Seconds) -> bool {
        for _ in 0..STEP {
            let oldest = self.ages.first_key_value().map(|(age, mark)| (*age, *mark));
            let over =
                oldest.filter(|(_, mark)| self.known.get(mark).is_none_or(|one| one.until <= now));
            let Some((age, _)) = over else { return false };
            self.forget_of(age);
        }
        true
    }

    fn under(&self, address: &Address) -> impl Iterator<Item = &One> {
        self.known.range((*address, [0; 8])..=(*address, [0xFF; 8])).map(|(_, one)| one)
    }

    fn forget(&mut self, mark: &Mark) {
        if let Some(one) = self.known.remove(mark) {
            self.ages.remove(&one.age);
            self.charge.shrink(COST);
        }
    }

    fn forget_of(&mut self, age: u64) {
        if let Some(mark) = self.ages.remove(&age) {
            self.forget(&mark);
        }
    }
}

fn mark(address: &Address, hash: &PacketHash) -> Mark {
    (*address, std::array::from_fn(|at| hash[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Address {
        let mut address = [0; 32];
        // Not in order of age.
        address[..4].copy_from_slice(&n.wrapping_mul(0x9E37_79B9).to_be_bytes());
        address
    }

    #[test]
    fn so_many_are_remembered_and_the_oldest_are_forgotten_first() {
        let budget = Budget::new(8 << 20);
        let mut spent = Spent::new(&budget);
        let most = u32::try_from(spent.most).unwrap();
        for n in 0..most + 1000 {
            spent.remember(&address(n), &[1; 32], Some([7; 32]), 60 + n);
        }
        assert_eq!(spent.len(), spent.most);
        let knows = |spent: &Spent, n| spent.at(&address(n), 0).next().is_some();
        assert!(!knows(&spent, 999) && knows(&spent, 1000));
        assert!(budget.used() <= 1 << 20);
        assert!(spent.sweep(60 + 1000 + 600), "in steps");
        assert!(!spent.sweep(60 + 1000 + 600));
        assert_eq!(spent.len(), spent.most - 601);
        while spent.sweep(Seconds::MAX) {}
        assert_eq!((spent.len(), spent.ages.len(), budget.used()), (0, 0, 0));
    }

    #[test]
    fn the_last_packets_under_an_address_are_remembered() {
        let budget = Budget::new(1 << 20);
        let mut spent = Spent::new(&budget);
        for n in 1..=20 {
            spent.remember(&address(1), &[n; 32], (n == 18).then_some([7; 32]), 60);
        }
        assert!((16..=20).all(|n| spent.knows(&address(1), &[n; 32], 0)));
        assert!(!spent.knows(&address(1), &[15; 32], 0));
        assert_eq!((spent.len(), spent.ages.len()), (REMEMBERED, REMEMBERED));
        assert_eq!(spent.at(&address(1), 0).filter_map(|one| one.key).count(), 1);
        assert_eq!(spent.at(&address(1), 60).count(), 0);
    }
}
