//! The store: packets by address, and what is remembered of those that were discarded.
//!
//! Trees, not hash tables: they grow a node at a time, where a hash table of a million entries
//! doubles at once and holds everybody up; and nobody can choose addresses that collide.

use super::budget::{Budget, Charge, Purpose};
use super::packet::Packet;
use super::watch::Board;
use crate::postbox::api::{Address, Discard, Fate, Key, MAX_UNDER_ADDRESS, address_of};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What the memory of one discarded packet costs: 76 bytes in a tree whose nodes are two thirds
/// full on average.
const SPENT_COST: usize = 128;
/// Entries that one step of the sweep looks at: a few dozen microseconds in which nobody else
/// can be served.
const SWEEP_STEP: usize = 512;

/// Seconds since the store began. Not the clock of the day, which may jump.
type Seconds = u32;

/// Four other packets lie under the address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

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
}

/// All that the postbox knows.
pub(crate) struct Store {
    began: Instant,
    ttl: Seconds,
    budget: Arc<Budget>,
    board: Arc<Board>,
    inner: Mutex<Inner>,
}

struct Inner {
    held: BTreeMap<Address, Vec<Held>>,
    /// By address ‖ published key (zeros: none), so that one address may have several.
    spent: BTreeMap<[u8; 64], Spent>,
    spent_charge: Charge,
    totals: Totals,
}

struct Held {
    packet: Arc<Packet>,
    until: Seconds,
}

struct Spent {
    until: Seconds,
    /// The beginning of the packet's hash: the same bytes posted again are not stored again, for
    /// nobody will ever ask for them.
    hash: [u8; 8],
}

impl Store {
    /// An empty store whose packets live for `ttl`.
    pub(crate) fn new(budget: &Arc<Budget>, ttl: Duration) -> Self {
        Self {
            began: Instant::now(),
            ttl: Seconds::try_from(ttl.as_secs()).unwrap_or(Seconds::MAX / 2).min(Seconds::MAX / 2),
            budget: Arc::clone(budget),
            board: Arc::default(),
            inner: Mutex::new(Inner {
                held: BTreeMap::new(),
                spent: BTreeMap::new(),
                spent_charge: Charge::nothing(budget, Purpose::Packets),
                totals: Totals::default(),
            }),
        }
    }

    /// Where to wait for changes.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The memory that all this is charged to.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Totals, for the operator.
    pub(crate) fn totals(&self) -> Totals {
        self.lock().totals
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Seconds {
        Seconds::try_from(self.began.elapsed().as_secs()).unwrap_or(Seconds::MAX / 2)
    }

    /// When what comes now is over: never before the whole time has passed.
    fn until(&self) -> Seconds {
        self.now() + self.ttl + 1
    }

    /// Stores a packet, unless these very bytes are or were here.
    pub(crate) fn put(&self, packet: Packet) -> Result<(), Crowded> {
        let (address, now) = (packet.address(), self.now());
        // Dropped, and overwritten, after the lock is given back where it is not stored.
        let packet = Arc::new(packet);
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.was_here(&address, &packet, now) {
            return Ok(());
        }
        let held = inner.held.entry(address).or_default();
        if held.iter().any(|other| other.until > now && other.packet.same(&packet)) {
            return Ok(());
        }
        // What has expired here and was not swept yet still counts: its memory is still taken.
        if held.len() >= MAX_UNDER_ADDRESS {
            return Err(Crowded);
        }
        inner.totals.held += 1;
        inner.totals.held_bytes += packet.len() as u64;
        inner.totals.stored += 1;
        held.push(Held { packet, until: self.until() });
        drop(guard);
        self.board.ring(&address);
        Ok(())
    }

    /// The packets under these addresses, in their order, up to `max` bytes, but the first one
    /// whatever its size.
    pub(crate) fn find(&self, addresses: &[Address], max: u64) -> Vec<Arc<Packet>> {
        let (inner, now) = (self.lock(), self.now());
        let mut left = max;
        addresses
            .iter()
            .filter_map(|address| inner.held.get(address))
            .flatten()
            .filter(|held| held.until > now)
            .enumerate()
            .map_while(|(nth, held)| {
                let rest = left.checked_sub(held.packet.len() as u64);
                left = rest.unwrap_or(0);
                (nth == 0 || rest.is_some()).then(|| Arc::clone(&held.packet))
            })
            .collect()
    }

    /// Throws one packet away, if it is here, and then remembers that, with the key.
    pub(crate) fn discard(&self, record: &Discard) {
        let address = address_of(&record.token);
        // Hashed outside of the lock; the same packet is then looked for by identity.
        let Some(packet) = self
            .find(&[address], u64::MAX)
            .into_iter()
            .find(|packet| packet.hash() == &record.hash)
        else {
            return;
        };
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.take(&address, |held| Arc::ptr_eq(&held.packet, &packet)).is_some() {
            inner.totals.discarded += 1;
            let hash = std::array::from_fn(|i| record.hash[i]);
            inner.remember(&address, record.key, Spent { until: self.until(), hash }, self.now());
        }
        drop(guard);
        self.board.ring(&address);
    }

    /// What has become of what lay under each address.
    pub(crate) fn fates(&self, addresses: &[Address]) -> Vec<Fate> {
        let (inner, now) = (self.lock(), self.now());
        addresses
            .iter()
            .map(|address| {
                let held = inner.held.get(address);
                if held.is_some_and(|held| held.iter().any(|held| held.until > now)) {
                    Fate::Held
                } else if inner.spent_at(address, now).next().is_some() {
                    Fate::Collected
                } else {
                    Fate::Unknown
                }
            })
            .collect()
    }

    /// Calls `each` with every key that was published for the address.
    pub(crate) fn revealed(&self, address: &Address, mut each: impl FnMut(&Key)) {
        let (inner, now) = (self.lock(), self.now());
        for (place, _) in inner.spent_at(address, now) {
            let key: Key = std::array::from_fn(|i| place[32 + i]);
            if key != [0; 32] {
                each(&key);
            }
        }
    }

    /// Frees what has expired, one step of the sweep: from `from` on; says where to go on, or
    /// `None` at the end.
    pub(crate) fn sweep(&self, from: Address) -> Option<Address> {
        let now = self.now();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let begin = place(&from, [0; 32]);
        let held: Vec<_> = inner.held.range(from..).take(SWEEP_STEP).map(|(a, _)| *a).collect();
        let spent: Vec<_> = inner.spent.range(begin..).take(SWEEP_STEP).map(|(p, _)| *p).collect();
        // The part of both trees that was seen whole ends where the shorter reach ends.
        let end = |full: bool, last: Option<Address>| last.filter(|_| full);
        let seen_held = end(held.len() == SWEEP_STEP, held.last().copied());
        let last_spent = spent.last().map(|p| std::array::from_fn(|i| p[i]));
        let seen_spent = end(spent.len() == SWEEP_STEP, last_spent);
        let seen = [seen_held, seen_spent].into_iter().flatten().min();

        let mut over = Vec::new();
        for address in held.into_iter().filter(|a| seen.is_none_or(|seen| *a <= seen)) {
            while let Some(packet) = inner.take(&address, |held| held.until <= now) {
                inner.totals.expired += 1;
                over.push((address, packet));
            }
        }
        for p in spent {
            if inner.spent.get(&p).is_some_and(|spent| spent.until <= now) {
                inner.spent.remove(&p);
                inner.totals.remembered -= 1;
                inner.spent_charge.shrink(SPENT_COST);
            }
        }
        drop(guard);
        for (address, packet) in over {
            drop(packet);
            self.board.ring(&address);
        }
        seen.and_then(|seen| after(&seen))
    }
}

impl Inner {
    /// Takes out one packet under an address, and the address with the last.
    fn take(&mut self, address: &Address, which: impl Fn(&Held) -> bool) -> Option<Arc<Packet>> {
        let held = self.held.get_mut(address)?;
        let taken = held.remove(held.iter().position(which)?);
        if held.is_empty() {
            self.held.remove(address);
        }
        self.totals.held -= 1;
        self.totals.held_bytes -= taken.packet.len() as u64;
        Some(taken.packet)
    }

    /// What is remembered of packets that were discarded under an address.
    fn spent_at(
        &self,
        address: &Address,
        now: Seconds,
    ) -> impl Iterator<Item = (&[u8; 64], &Spent)> {
        self.spent
            .range(place(address, [0; 32])..=place(address, [0xFF; 32]))
            .filter(move |(_, spent)| spent.until > now)
    }

    /// Whether this very packet was discarded before.
    fn was_here(&self, address: &Address, packet: &Packet, now: Seconds) -> bool {
        self.spent_at(address, now).any(|(_, spent)| packet.hash().starts_with(&spent.hash))
    }

    /// Remembers a packet that was discarded just now. Its memory was worth 32 times of what this
    /// takes, so the cap holds without asking.
    fn remember(&mut self, address: &Address, key: Option<Key>, spent: Spent, now: Seconds) {
        // Who holds a token can post and discard under it for ever: no more keys than packets.
        if key.is_some() && self.spent_at(address, now).count() > MAX_UNDER_ADDRESS {
            return;
        }
        if self.spent.insert(place(address, key.unwrap_or_default()), spent).is_none() {
            self.spent_charge.grow_anyway(SPENT_COST);
            self.totals.remembered += 1;
        }
    }
}

/// Where a key of an address lies in the tree of spent ones.
fn place(address: &Address, key: Key) -> [u8; 64] {
    std::array::from_fn(|i| if i < 32 { address[i] } else { key[i - 32] })
}

/// The address that follows, if there is one.
fn after(address: &Address) -> Option<Address> {
    let mut next = *address;
    for byte in next.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(1);
        *byte = sum;
        if !carry {
            return Some(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::packet::Filling;
    use super::*;

    const TOKEN: [u8; 32] = [9; 32];

    fn store(ttl: u64) -> Store {
        Store::new(&Budget::new(1 << 20), Duration::from_secs(ttl))
    }

    fn packet(store: &Store, address: &Address, fill: u8) -> Packet {
        let mut filling = Filling::new(store.budget(), 4096);
        filling.push(address).unwrap();
        filling.push(&[fill; 4064]).unwrap();
        filling.finish().unwrap()
    }

    fn discard(store: &Store, fill: u8, key: Option<Key>) {
        let hash = *packet(store, &address_of(&TOKEN), fill).hash();
        store.discard(&Discard { token: TOKEN, hash, key });
    }

    fn keys(store: &Store) -> Vec<Key> {
        let mut keys = Vec::new();
        store.revealed(&address_of(&TOKEN), |key| keys.push(*key));
        keys
    }

    #[test]
    fn four_different_packets_lie_under_an_address_and_the_same_one_once() {
        let (store, address) = (store(60), address_of(&TOKEN));
        for fill in [1, 2, 3, 3, 4, 1] {
            assert_eq!(store.put(packet(&store, &address, fill)), Ok(()));
        }
        assert_eq!(store.put(packet(&store, &address, 5)), Err(Crowded));
        assert_eq!(store.find(&[address], u64::MAX).len(), 4);
        assert_eq!(store.find(&[address], 8192).len(), 2);
        assert_eq!(store.find(&[address], 1).len(), 1, "the first one always");
        assert_eq!(store.totals().held, 4);
    }

    #[test]
    fn a_discard_takes_that_packet_and_only_then_keeps_its_key() {
        let (store, address) = (store(60), address_of(&TOKEN));
        discard(&store, 1, Some([7; 32]));
        assert_eq!(store.fates(&[address]), [Fate::Unknown]);
        assert!(keys(&store).is_empty(), "nothing was taken away");
        store.put(packet(&store, &address, 1)).unwrap();
        store.put(packet(&store, &address, 2)).unwrap();
        discard(&store, 1, Some([7; 32]));
        assert_eq!(store.fates(&[address]), [Fate::Held], "the other one lies there still");
        discard(&store, 2, None);
        assert_eq!(store.fates(&[address]), [Fate::Collected]);
        assert_eq!(keys(&store), [[7; 32]]);
    }

    #[test]
    fn a_packet_that_was_discarded_is_not_stored_again() {
        let (store, address) = (store(60), address_of(&TOKEN));
        store.put(packet(&store, &address, 1)).unwrap();
        discard(&store, 1, None);
        assert_eq!(store.put(packet(&store, &address, 1)), Ok(()));
        assert_eq!(store.fates(&[address]), [Fate::Collected]);
        store.put(packet(&store, &address, 2)).unwrap();
        assert_eq!(store.fates(&[address]), [Fate::Held]);
    }

    #[test]
    fn a_token_holder_cannot_heap_up_keys() {
        let (store, address) = (store(60), address_of(&TOKEN));
        for fill in 0..50 {
            store.put(packet(&store, &address, fill)).unwrap();
            discard(&store, fill, Some([fill + 1; 32]));
        }
        assert!(keys(&store).len() <= MAX_UNDER_ADDRESS + 1);
    }

    #[test]
    fn what_has_expired_is_neither_given_nor_kept() {
        let (mut store, address) = (store(60), address_of(&TOKEN));
        store.put(packet(&store, &address, 1)).unwrap();
        discard(&store, 1, Some([1; 32]));
        for n in 0..2000u32 {
            let mut other = [0xFF; 32];
            other[..4].copy_from_slice(&n.to_be_bytes());
            // The cap lets some of them in.
            let mut filling = Filling::new(store.budget(), 4096);
            if filling.push(&other).and_then(|()| filling.push(&[1; 4064])).is_ok() {
                store.put(filling.finish().unwrap()).unwrap();
            }
        }
        assert!(store.totals().held > 100);
        store.began = Instant::now().checked_sub(Duration::from_secs(62)).unwrap();
        assert_eq!(store.fates(&[address]), [Fate::Unknown]);
        assert!(keys(&store).is_empty());
        let mut from = Some([0; 32]);
        while let Some(begin) = from {
            from = store.sweep(begin);
        }
        assert_eq!((store.totals().held, store.totals().remembered), (0, 0));
        assert_eq!(store.budget().used(), 0, "all memory is given back");
    }

    #[test]
    fn addresses_are_counted_through_to_their_end() {
        let mut address = [0; 32];
        address[31] = 0xFF;
        let mut next = [0; 32];
        next[30] = 1;
        assert_eq!(after(&address), Some(next));
        assert_eq!(after(&[0xFF; 32]), None);
    }
}
