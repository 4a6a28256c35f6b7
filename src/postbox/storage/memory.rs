//! The store in this process's memory: packets by address, and what is remembered of those that
//! were discarded.
//!
//! Trees, not hash tables: they grow a node at a time, while a hash table of a million entries
//! doubles at once and delays all callers; and no caller can choose addresses that collide.

use super::budget::{Budget, Purpose};
use super::clock::{Clock, Seconds};
use super::found::Found;
use super::leaving::Leaving;
use super::packet::Packet;
use super::spent::Spent;
use super::standing::{Standing, Totals, Unstored};
use super::tide::Tide;
use super::unfinished::Unfinished;
use super::watch::{Addresses, WaitList, Wanted, Watch};
use crate::postbox::api::{Address, Discard, Key, MAX_UNDER_ADDRESS, PacketStatus, address_of};
use smallvec::SmallVec;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Entries that one step of the sweep looks at: a few dozen microseconds in which no call can be
/// served.
const SWEEP_STEP: usize = 512;
/// Bytes of packets that one step of the sweep frees, and so overwrites, before other tasks get
/// their turn; it may exceed this by up to three packets.
const SWEEP_BYTES: usize = 1 << 20;

/// All that the postbox knows.
pub(crate) struct Memory {
    clock: Clock,
    ttl: Seconds,
    budget: Arc<Budget>,
    wait_list: Arc<WaitList>,
    unfinished: Arc<Unfinished>,
    inner: Mutex<Inner>,
}

struct Inner {
    held: BTreeMap<Address, SmallVec<[Held; 1]>>,
    spent: Spent,
    tide: Tide,
    leaving: Leaving,
    totals: Totals,
}

struct Held {
    packet: Arc<Packet>,
    until: Seconds,
}

impl Memory {
    /// An empty store whose packets live for `ttl`.
    pub(crate) fn new(budget: &Arc<Budget>, ttl: Duration) -> Self {
        Self {
            clock: Clock::new(),
            ttl: Seconds::try_from(ttl.as_secs()).unwrap_or(Seconds::MAX / 2).min(Seconds::MAX / 2),
            budget: Arc::clone(budget),
            wait_list: Arc::default(),
            unfinished: Arc::default(),
            inner: Mutex::new(Inner {
                held: BTreeMap::new(),
                spent: Spent::new(budget),
                tide: Tide::default(),
                leaving: Leaving::default(),
                totals: Totals::default(),
            }),
        }
    }

    /// Where to wait for changes.
    pub(crate) fn wait_list(&self) -> &Arc<WaitList> {
        &self.wait_list
    }

    /// The budget that pays for all this.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Packets that have begun to arrive.
    pub(crate) fn unfinished(&self) -> &Arc<Unfinished> {
        &self.unfinished
    }

    /// Bytes that are free for packets, or taken by packets that have only begun to arrive and make
    /// room when needed.
    fn left(&self) -> usize {
        self.budget.left(Purpose::Packets) + self.unfinished.bytes()
    }

    /// Bytes of the packets that lie here, and bytes that are left for more.
    pub(crate) fn fill(&self) -> (usize, usize) {
        let held = usize::try_from(self.lock().totals.held_bytes).unwrap_or(usize::MAX);
        (held, self.left())
    }

    /// Totals, for the operator.
    pub(crate) fn totals(&self) -> Totals {
        let mut inner = self.lock();
        inner.look_after_leaving();
        let (leaving, leaving_bytes) = inner.leaving.sum();
        let remembered = inner.spent.len() as u64;
        Totals { remembered, leaving, leaving_bytes, ..inner.totals }
    }

    /// Will watch addresses for `wanted`, once [`Self::add`] has added them; the caller has made
    /// sure that there is memory.
    pub(crate) fn watch(
        &self,
        budget: &Arc<Budget>,
        addresses: &Arc<Addresses>,
        wanted: Wanted,
    ) -> Watch {
        self.wait_list.watch(budget, addresses, wanted)
    }

    /// Begins to watch these of the addresses.
    pub(crate) fn add(&self, watch: &mut Watch, some: Range<usize>) {
        let wanted = watch.wanted();
        watch.add(some, |address| self.lock().standing(address, self.now()).counts(wanted));
    }

    /// Tells the watchers of an address its state. Never call it with the lock held: the wait list
    /// holds its own lock while it asks for the state.
    fn notify(&self, address: &Address) {
        let standing = OnceCell::new();
        self.wait_list.notify(address, |wanted| {
            standing.get_or_init(|| self.lock().standing(address, self.now())).counts(wanted)
        });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Seconds {
        self.clock.now()
    }

    /// When a packet that arrives now expires: never before its whole time has passed.
    fn until(now: Seconds, life: Seconds) -> Seconds {
        now + life + 1
    }

    /// For how many seconds a packet of `bytes` that arrives now is kept.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between nothing and the whole time"
    )]
    fn life(&self, tide: &mut Tide, now: Seconds, bytes: usize) -> Seconds {
        let room = (self.left(), self.budget.bound(Purpose::Packets));
        tide.life(f64::from(now), bytes, room, f64::from(self.ttl)) as Seconds
    }

    /// Stores a packet, unless the same bytes are or were here; returns for how many seconds it is
    /// kept.
    pub(crate) fn put(&self, packet: Packet) -> Result<Seconds, Unstored> {
        let (address, now) = (packet.address(), self.now());
        // If it is not stored, it is dropped, and overwritten, after the lock is released.
        let packet = Arc::new(packet);
        let mut guard = self.lock();
        let inner = &mut *guard;
        if inner.was_here(&address, &packet, now) {
            return Ok(self.ttl);
        }
        let held = inner.held.entry(address).or_default();
        let same = |other: &&Held| other.until > now && other.packet.same(&packet);
        if let Some(same) = held.iter().find(same) {
            return Ok(same.until - now - 1);
        }
        // What has expired here and was not swept yet still counts: its memory is still taken.
        if held.len() >= MAX_UNDER_ADDRESS {
            return Err(Unstored::Crowded);
        }
        inner.totals.held += 1;
        inner.totals.held_bytes += packet.len() as u64;
        inner.totals.stored += 1;
        let life = self.life(&mut inner.tide, now, packet.len());
        held.push(Held { packet, until: Self::until(now, life) });
        drop(guard);
        self.notify(&address);
        Ok(life)
    }

    /// The packets under these addresses, in their order, as many as `found` has room for.
    pub(crate) fn find(&self, addresses: &[Address], found: &mut Found) {
        let (inner, now) = (self.lock(), self.now());
        let held = addresses.iter().filter_map(|address| inner.held.get(address)).flatten();
        for held in held.filter(|held| held.until > now) {
            if !found.takes(&held.packet) {
                break;
            }
        }
    }

    /// Discards one packet, if it is here, and then remembers that, with the key.
    pub(crate) fn discard(&self, record: &Discard) {
        let address = address_of(&record.token);
        // Hashed outside the lock; the same packet is then found by identity.
        let mut found = Found::up_to(u64::MAX);
        self.find(&[address], &mut found);
        let mut packets = found.packets.into_iter();
        let Some(packet) = packets.find(|packet| packet.hash() == &record.hash) else { return };
        let mut guard = self.lock();
        let inner = &mut *guard;
        if let Some(taken) = inner.take(&address, |held| Arc::ptr_eq(&held.packet, &packet)) {
            drop(packet);
            inner.totals.discarded += 1;
            inner.spent.remember(
                &address,
                &record.hash,
                record.key,
                Self::until(self.now(), self.ttl),
            );
            inner.leaving.add(&taken, false);
        }
        drop(guard);
        self.notify(&address);
    }

    /// What has become of what lay under each address.
    pub(crate) fn statuses(&self, addresses: &[Address]) -> Vec<PacketStatus> {
        let (inner, now) = (self.lock(), self.now());
        addresses.iter().map(|address| inner.standing(address, now).status).collect()
    }

    /// Calls `each` with every key that was published for the address.
    pub(crate) fn revealed(&self, address: &Address, mut each: impl FnMut(&Key)) {
        let (inner, now) = (self.lock(), self.now());
        inner.spent.at(address, now).filter_map(|spent| spent.key.as_ref()).for_each(&mut each);
    }

    /// Frees what has expired, in one step of the sweep from `from` on; returns where to go on, or
    /// `None` at the end.
    pub(crate) fn sweep(&self, from: Address) -> Option<Address> {
        let now = self.now();
        let mut guard = self.lock();
        let inner = &mut *guard;
        let held: Vec<_> = inner.held.range(from..).take(SWEEP_STEP).map(|(a, _)| *a).collect();
        let mut seen = held.last().copied().filter(|_| held.len() == SWEEP_STEP);

        let (mut over, mut bytes) = (Vec::new(), 0);
        for address in held {
            while let Some(packet) = inner.take(&address, |held| held.until <= now) {
                bytes += packet.len();
                // A reader still holds it, and so do we.
                if !inner.leaving.add(&packet, true) {
                    inner.totals.expired += 1;
                }
                over.push((address, packet));
            }
            if bytes >= SWEEP_BYTES {
                seen = Some(address);
                break;
            }
        }
        let more = inner.spent.sweep(now);
        inner.look_after_leaving();
        drop(guard);
        for (address, packet) in over {
            drop(packet);
            self.notify(&address);
        }
        // Past all packets; only some remembered ones are left to sweep.
        seen.and_then(|seen| after(&seen)).or(more.then_some([0xFF; 32]))
    }
}

impl Inner {
    /// Removes one packet under an address, and with the last packet the address.
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

    fn standing(&self, address: &Address, now: Seconds) -> Standing {
        let held = self.held.get(address);
        let lies = held.is_some_and(|held| held.iter().any(|held| held.until > now));
        let mut spent = self.spent.at(address, now).peekable();
        let collected = spent.peek().is_some();
        let opened = spent.any(|spent| spent.key.is_some());
        Standing::new(lies, collected, opened)
    }

    /// Whether the same packet was discarded before.
    fn was_here(&self, address: &Address, packet: &Packet, now: Seconds) -> bool {
        self.spent.at(address, now).next().is_some()
            && self.spent.knows(address, packet.hash(), now)
    }

    fn look_after_leaving(&mut self) {
        self.totals.expired += self.leaving.gone();
    }
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
    use super::super::budget::Charge;
    use super::super::packet::Filling;
    use super::super::spent::REMEMBERED;
    use super::*;

    const TOKEN: [u8; 32] = [9; 32];

    fn store(ttl: u64) -> Memory {
        Memory::new(&Budget::new(1 << 20), Duration::from_secs(ttl))
    }

    fn packet(store: &Memory, address: &Address, fill: u8) -> Packet {
        let mut filling = Filling::new(store.budget(), 4096);
        filling.push(address).unwrap();
        filling.push(&[fill; 4064]).unwrap();
        filling.finish().unwrap()
    }

    fn find(store: &Memory, address: Address, max: u64) -> Vec<Arc<Packet>> {
        let mut found = Found::up_to(max);
        store.find(&[address], &mut found);
        found.packets
    }

    fn discard(store: &Memory, fill: u8, key: Option<Key>) {
        let hash = *packet(store, &address_of(&TOKEN), fill).hash();
        store.discard(&Discard { token: TOKEN, hash, key });
    }

    fn keys(store: &Memory) -> Vec<Key> {
        let mut keys = Vec::new();
        store.revealed(&address_of(&TOKEN), |key| keys.push(*key));
        keys
    }

    #[test]
    fn four_different_packets_lie_under_an_address_and_the_same_one_once() {
        let (store, address) = (store(60), address_of(&TOKEN));
        for fill in [1, 2, 3, 3, 4, 1] {
            assert_eq!(store.put(packet(&store, &address, fill)), Ok(60));
        }
        assert_eq!(store.put(packet(&store, &address, 5)), Err(Unstored::Crowded));
        assert_eq!(find(&store, address, u64::MAX).len(), 4);
        assert_eq!(find(&store, address, 8192).len(), 2);
        assert_eq!(find(&store, address, 1).len(), 1, "the first one always");
        assert_eq!(store.totals().held, 4);
    }

    #[test]
    fn a_discard_takes_that_packet_and_only_then_keeps_its_key() {
        let (store, address) = (store(60), address_of(&TOKEN));
        discard(&store, 1, Some([7; 32]));
        assert_eq!(store.statuses(&[address]), [PacketStatus::Unknown]);
        assert!(keys(&store).is_empty(), "nothing was taken away");
        store.put(packet(&store, &address, 1)).unwrap();
        store.put(packet(&store, &address, 2)).unwrap();
        discard(&store, 2, None);
        assert_eq!(store.statuses(&[address]), [PacketStatus::Held], "the other one lies there");
        discard(&store, 1, Some([7; 32]));
        assert_eq!(store.statuses(&[address]), [PacketStatus::Collected]);
        assert_eq!(keys(&store), [[7; 32]]);
    }

    #[test]
    fn junk_beside_a_packet_that_was_opened_keeps_nobody_waiting() {
        let (store, address) = (store(60), address_of(&TOKEN));
        for fill in 1..=3 {
            store.put(packet(&store, &address, fill)).unwrap();
        }
        discard(&store, 1, None);
        assert_eq!(
            store.statuses(&[address]),
            [PacketStatus::Held],
            "the discarded one may have been junk"
        );
        let charge = Charge::nothing(store.budget(), Purpose::Waits);
        let addresses = Arc::new(Addresses::new(vec![address], charge));
        let mut watch = store.watch(store.budget(), &addresses, Wanted::Collected);
        store.add(&mut watch, 0..1);
        discard(&store, 2, Some([7; 32]));
        assert!(watch.is_due());
        assert_eq!(store.statuses(&[address]), [PacketStatus::Collected]);
        store.put(packet(&store, &address, 4)).unwrap();
        assert!(watch.is_due());
        assert_eq!(store.statuses(&[address]), [PacketStatus::Collected]);
        assert_eq!(find(&store, address, u64::MAX).len(), 2, "a caller with the token sees all");
    }

    #[test]
    fn each_packet_that_was_discarded_is_remembered_also_without_a_key() {
        let (store, address) = (store(60), address_of(&TOKEN));
        for fill in 1..=4 {
            store.put(packet(&store, &address, fill)).unwrap();
        }
        for fill in 1..=4 {
            discard(&store, fill, None);
        }
        assert_eq!(store.totals().remembered, 4);
        for fill in 1..=4 {
            store.put(packet(&store, &address, fill)).unwrap();
        }
        assert_eq!(store.totals().held, 0, "none of them is stored again");
    }

    #[test]
    fn a_packet_that_somebody_reads_is_not_called_gone() {
        let (mut store, address) = (store(60), address_of(&TOKEN));
        store.put(packet(&store, &address, 1)).unwrap();
        store.put(packet(&store, &address, 2)).unwrap();
        let read = find(&store, address, u64::MAX);
        discard(&store, 1, None);
        store.clock.turn(62);
        store.sweep([0; 32]);
        let totals = store.totals();
        assert_eq!((totals.held, totals.discarded, totals.expired), (0, 1, 0));
        assert_eq!((totals.leaving, totals.leaving_bytes), (2, 8192));
        drop(read);
        let totals = store.totals();
        assert_eq!((totals.expired, totals.leaving, totals.leaving_bytes), (1, 0, 0));
        assert_eq!(store.budget().used(), 0);
    }

    #[test]
    fn a_step_of_the_sweep_frees_no_more_than_a_few_packets() {
        let (mut store, mut steps) = (store(60), 0);
        store.budget = Budget::new(128 << 20);
        for n in 0..40 {
            let mut filling = Filling::new(store.budget(), 1 << 20);
            filling.push(&vec![n; 1 << 20]).unwrap();
            store.put(filling.finish().unwrap()).unwrap();
        }
        store.clock.turn(62);
        let mut from = Some([0; 32]);
        while let Some(begin) = from {
            let before = store.totals().held;
            from = store.sweep(begin);
            assert!(before - store.totals().held <= 4);
            steps += 1;
        }
        assert!(steps >= 10 && store.totals().expired == 40, "{steps}");
    }

    #[test]
    fn a_packet_that_was_discarded_is_not_stored_again() {
        let (store, address) = (store(60), address_of(&TOKEN));
        store.put(packet(&store, &address, 1)).unwrap();
        discard(&store, 1, None);
        assert_eq!(store.put(packet(&store, &address, 1)), Ok(60));
        assert_eq!(store.statuses(&[address]), [PacketStatus::Collected]);
        store.put(packet(&store, &address, 2)).unwrap();
        assert_eq!(store.statuses(&[address]), [PacketStatus::Held]);
    }

    #[test]
    fn a_token_holder_cannot_heap_up_keys() {
        let (store, address) = (store(60), address_of(&TOKEN));
        for fill in 0..50 {
            store.put(packet(&store, &address, fill)).unwrap();
            discard(&store, fill, Some([fill + 1; 32]));
        }
        assert_eq!((keys(&store).len(), store.totals().remembered), (REMEMBERED, 5));
        assert!(keys(&store).contains(&[50; 32]), "the last one is among them");
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
        store.clock.turn(62);
        assert_eq!(store.statuses(&[address]), [PacketStatus::Unknown]);
        assert!(keys(&store).is_empty());
        let mut from = Some([0; 32]);
        while let Some(begin) = from {
            from = store.sweep(begin);
        }
        assert_eq!((store.totals().held, store.totals().remembered), (0, 0));
        assert_eq!(store.budget().used(), 0, "all memory is given back");
    }

    #[test]
    fn a_flood_ends_by_itself_and_what_lay_there_before_stays() {
        let (mut store, address) = (store(20_000), address_of(&TOKEN));
        assert_eq!(store.put(packet(&store, &address, 1)), Ok(20_000));
        let mut lives = Vec::new();
        for n in 0..2000u32 {
            let mut other = [0xFE; 32];
            other[..4].copy_from_slice(&n.to_be_bytes());
            let mut filling = Filling::new(store.budget(), 4096);
            if filling.push(&other).and_then(|()| filling.push(&[1; 4064])).is_ok() {
                lives.push(store.put(filling.finish().unwrap()).unwrap());
            }
        }
        assert!(lives.is_sorted_by(|a, b| a >= b) && lives.last() == Some(&60), "{lives:?}");
        let full = store.totals().held;
        store.clock.turn(700);
        let mut from = Some([0; 32]);
        while let Some(begin) = from {
            from = store.sweep(begin);
        }
        assert!(store.totals().held <= full / 2 + 2, "{}", store.totals().held);
        assert_eq!(store.statuses(&[address]), [PacketStatus::Held]);
        // A packet that comes after it is kept for the whole time again, an hour later at the
        // latest.
        store.clock.turn(2900);
        let mut filling = Filling::new(store.budget(), 4096);
        filling.push(&[0xFD; 4096]).unwrap();
        assert_eq!(store.put(filling.finish().unwrap()), Ok(20_000));
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
