//! The wait list: calls that wait for something to change at an address.
//!
//! A waiting call is woken when what it waits for has come. A change costs it one step, however
//! many other addresses it watches: thousands may watch thousands, and anyone who can post to one
//! of them can cause as many changes as they like. A watch of thousands begins and ends in steps,
//! too, so that nobody has to wait for all of it.

use super::budget::{Budget, Charge, Purpose};
use crate::postbox::api::Address;
use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What one address of one watcher costs: its place in the tree.
const PLACE_COST: usize = 96;
/// Places that are given up at a time: a few dozen microseconds.
const STEP: usize = 128;
/// So much that was told of changes is kept for one watcher.
#[cfg(feature = "redis")]
const TOLD: usize = 4;

/// The memory that it costs to watch these addresses.
pub(crate) fn cost(addresses: &[Address]) -> usize {
    addresses.len() * PLACE_COST
}

/// Addresses that a call named, and their charge.
pub(crate) struct Addresses {
    list: Vec<Address>,
    charge: Charge,
}

impl Addresses {
    pub(crate) fn new(list: Vec<Address>, charge: Charge) -> Self {
        Self { list, charge }
    }

    /// Bytes that they are charged.
    pub(crate) fn charged(&self) -> usize {
        self.charge.bytes()
    }

    pub(crate) fn list(&self) -> &[Address] {
        &self.list
    }
}

/// What a watcher waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A packet, at any of the addresses.
    Packet,
    /// That no packet still waits for its receiver, at any of the addresses.
    Collected,
}

/// All watchers, by the addresses they watch.
#[derive(Default)]
pub(crate) struct WaitList {
    inner: Mutex<Inner>,
    /// Wakes the one that tidies up.
    ended: Notify,
}

#[derive(Default)]
struct Inner {
    next: u64,
    places: BTreeMap<(Address, u64), Place>,
    /// Watches that have ended and still have places.
    ended: VecDeque<Places>,
}

/// One address of one watcher.
struct Place {
    watcher: Arc<Watcher>,
    /// Whether a packet is there, as the watcher counts them.
    there: bool,
}

struct Watcher {
    wanted: Wanted,
    notify: Notify,
    /// The number of addresses that have a packet.
    there: AtomicUsize,
    /// Where packets have come, and what was told of them.
    #[cfg(feature = "redis")]
    told: Mutex<Vec<(Address, Vec<u8>)>>,
}

impl Watcher {
    /// Keeps what was told of a packet, if there is room.
    #[cfg(feature = "redis")]
    fn hears(&self, address: &Address, about: &[u8]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < TOLD {
            told.push((*address, about.to_vec()));
        }
    }

    fn is_due(&self) -> bool {
        let any = self.there.load(Relaxed) > 0;
        any == (self.wanted == Wanted::Packet)
    }
}

impl WaitList {
    /// Will watch those of the addresses that are added to it.
    pub(crate) fn watch(
        self: &Arc<Self>,
        budget: &Arc<Budget>,
        addresses: &Arc<Addresses>,
        wanted: Wanted,
    ) -> Watch {
        let mut charge = Charge::nothing(budget, Purpose::Waits);
        charge.grow_anyway(cost(addresses.list()));
        let watcher = Arc::new(Watcher {
            wanted,
            notify: Notify::new(),
            there: AtomicUsize::new(0),
            #[cfg(feature = "redis")]
            told: Mutex::default(),
        });
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        let places = Places { addresses: Arc::clone(addresses), number, taken: 0, charge };
        Watch { wait_list: Arc::clone(self), places, watcher }
    }

    /// Tells every watcher of `address` whether a packet is there now, by that watcher's way of
    /// counting.
    pub(crate) fn notify(&self, address: &Address, there: impl Fn(Wanted) -> bool) {
        self.update(address, |watcher, _| there(watcher.wanted));
    }

    /// The same, with something about the packet that has come, for those who wait for one.
    #[cfg(feature = "redis")]
    pub(crate) fn notify_of(
        &self,
        address: &Address,
        about: &[u8],
        there: impl Fn(Wanted) -> bool,
    ) {
        self.update(address, |watcher, _| {
            if watcher.wanted == Wanted::Packet && !about.is_empty() {
                watcher.hears(address, about);
            }
            there(watcher.wanted)
        });
    }

    /// Sets what each watcher of `address` counts, from what it wants and counted before.
    fn update(&self, address: &Address, there: impl Fn(&Watcher, bool) -> bool) {
        let mut inner = self.lock();
        for (_, place) in inner.places.range_mut((*address, 0)..=(*address, u64::MAX)) {
            let watcher = &place.watcher;
            let there = there(watcher, place.there);
            match (place.there, there) {
                (false, true) => drop(watcher.there.fetch_add(1, Relaxed)),
                (true, false) => drop(watcher.there.fetch_sub(1, Relaxed)),
                _ => {}
            }
            place.there = there;
            if watcher.is_due() {
                watcher.notify.notify_one();
            }
        }
    }

    /// The same from one who may know of an older state: a watcher takes it only where it comes
    /// closer to what it waits for.
    #[cfg(feature = "redis")]
    pub(crate) fn satisfy(&self, address: &Address, there: impl Fn(Wanted) -> bool) {
        self.update(address, |watcher, before| match watcher.wanted {
            Wanted::Packet => before || there(Wanted::Packet),
            Wanted::Collected => before && there(Wanted::Collected),
        });
    }

    /// Up to `most` watched addresses, from this one on.
    #[cfg(feature = "redis")]
    pub(crate) fn listed(&self, from: &Address, most: usize) -> Vec<Address> {
        let inner = self.lock();
        let mut listed: Vec<Address> = Vec::new();
        for ((address, _), _) in inner.places.range((*from, 0)..) {
            if listed.last() != Some(address) {
                if listed.len() == most {
                    break;
                }
                listed.push(*address);
            }
        }
        listed
    }

    /// Wakes all watchers.
    pub(crate) fn notify_all(&self) {
        let inner = self.lock();
        for place in inner.places.values() {
            place.watcher.notify.notify_one();
        }
    }

    /// Waits until a watch has ended that left places behind.
    pub(crate) async fn needs_tidying(&self) {
        self.ended.notified().await;
    }

    /// Gives up some places of watches that have ended; returns whether there are more.
    pub(crate) fn tidy(&self) -> bool {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(places) = inner.ended.front_mut() else { return false };
        places.give_up(&mut inner.places);
        let over = if places.taken == 0 { inner.ended.pop_front() } else { None };
        let more = !inner.ended.is_empty();
        drop(guard);
        drop(over);
        more
    }

    #[cfg(test)]
    pub(crate) fn is_watched(&self) -> bool {
        !self.lock().places.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of one watcher.
struct Places {
    addresses: Arc<Addresses>,
    number: u64,
    /// How many of the addresses have one, from the first on.
    taken: usize,
    charge: Charge,
}

impl Places {
    /// Gives up the last of them, as many as one step may.
    fn give_up(&mut self, all: &mut BTreeMap<(Address, u64), Place>) {
        let rest = self.taken.saturating_sub(STEP);
        for address in &self.addresses.list()[rest..self.taken] {
            all.remove(&(*address, self.number));
        }
        self.charge.shrink((self.taken - rest) * PLACE_COST);
        self.taken = rest;
    }

    /// All of them, of which none is left here.
    fn take(&mut self) -> Self {
        let nothing = Charge::nothing(self.charge.budget(), Purpose::Waits);
        Self {
            addresses: Arc::clone(&self.addresses),
            number: self.number,
            taken: std::mem::take(&mut self.taken),
            charge: std::mem::replace(&mut self.charge, nothing),
        }
    }
}

/// One watcher, for as long as it waits. The places of a large one are given up later, by
/// [`WaitList::tidy`], and charged until then.
pub(crate) struct Watch {
    wait_list: Arc<WaitList>,
    places: Places,
    watcher: Arc<Watcher>,
}

impl Watch {
    /// What it waits for.
    pub(crate) fn wanted(&self) -> Wanted {
        self.watcher.wanted
    }

    /// Watches these of its addresses, too; they follow those that it watches. `there` says whether
    /// a packet is at an address. Any later change wakes the watch, even one that comes before the
    /// first wait.
    pub(crate) fn add(&mut self, some: Range<usize>, there: impl Fn(&Address) -> bool) {
        let Places { addresses, number, taken, .. } = &mut self.places;
        let mut inner = self.wait_list.lock();
        *taken = some.end;
        for address in &addresses.list()[some] {
            // An address that is named twice has only one place.
            if let Entry::Vacant(vacant) = inner.places.entry((*address, *number)) {
                let there = there(address);
                vacant.insert(Place { watcher: Arc::clone(&self.watcher), there });
                self.watcher.there.fetch_add(usize::from(there), Relaxed);
            }
        }
    }

    /// Whether what is waited for has come.
    pub(crate) fn is_due(&self) -> bool {
        self.watcher.is_due()
    }

    /// What was told of packets that have come, the first of them, each with its address.
    #[cfg(feature = "redis")]
    pub(crate) fn told(&self) -> Vec<(Address, Vec<u8>)> {
        std::mem::take(&mut self.watcher.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it has come since the last call, or until all watchers are woken.
    pub(crate) async fn changed(&self) {
        self.watcher.notify.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut guard = self.wait_list.lock();
        let inner = &mut *guard;
        self.places.give_up(&mut inner.places);
        if self.places.taken > 0 {
            inner.ended.push_back(self.places.take());
            self.wait_list.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn notified(watch: &Watch) -> bool {
        pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// A watch of all of these, which says for each whether a packet is there.
    fn watch(
        (list, budget): (&Arc<WaitList>, &Arc<Budget>),
        addresses: Vec<Address>,
        wanted: Wanted,
        there: impl Fn(&Address) -> bool,
    ) -> Watch {
        let (count, charge) = (addresses.len(), Charge::nothing(budget, Purpose::Waits));
        let addresses = Arc::new(Addresses::new(addresses, charge));
        let mut watch = list.watch(budget, &addresses, wanted);
        watch.add(0..count / 2, &there);
        watch.add(count / 2..count, &there);
        watch
    }

    fn places(list: &WaitList) -> usize {
        list.lock().places.len()
    }

    #[test]
    fn only_watchers_of_the_address_are_woken_and_none_stays_behind() {
        let (list, budget) = (Arc::new(WaitList::default()), Budget::new(1 << 20));
        let packet = |addresses| watch((&list, &budget), addresses, Wanted::Packet, |_| false);
        let (first, second) = (packet(vec![[1; 32], [2; 32]]), packet(vec![[3; 32]]));
        list.notify(&[2; 32], |_| false);
        assert!(!notified(&first), "nothing has come");
        list.notify(&[2; 32], |_| true);
        assert!(notified(&first) && first.is_due());
        assert!(!notified(&first), "one notification, one waking");
        assert!(!notified(&second) && !second.is_due());
        drop((first, second));
        assert_eq!((places(&list), budget.used()), (0, 0));
    }

    #[test]
    fn a_watcher_is_asked_about_each_change_and_woken_by_the_last() {
        let (list, budget) = (Arc::new(WaitList::default()), Budget::new(1 << 20));
        let addresses: Vec<Address> = (0..=255).chain([0, 0]).map(|n| [n; 32]).collect();
        let there = |address: &Address| address[0] < 2;
        let watch = watch((&list, &budget), addresses, Wanted::Collected, there);
        let asked = Cell::new(0);
        let notify = |n, there| {
            list.notify(&[n; 32], |_| {
                asked.set(asked.get() + 1);
                there
            });
        };
        for (n, there, due) in [
            (0, false, false),
            (0, false, false),
            (7, true, false),
            (1, false, false),
            (7, false, true),
        ] {
            notify(n, there);
            assert_eq!((watch.is_due(), notified(&watch)), (due, due), "{n}");
        }
        assert_eq!(asked.get(), 5);
        notify(3, true);
        assert!(!watch.is_due(), "and one came again");
    }

    #[cfg(feature = "redis")]
    #[test]
    fn who_waits_for_a_packet_is_told_which_ones_came_first() {
        let (list, budget) = (Arc::new(WaitList::default()), Budget::new(1 << 20));
        let all = vec![[1; 32], [2; 32]];
        let watch = |wanted| watch((&list, &budget), all.clone(), wanted, |_| false);
        let (packet, collected) = (watch(Wanted::Packet), watch(Wanted::Collected));
        list.notify_of(&[2; 32], b"", |_| false);
        for about in 0..9 {
            list.notify_of(&[2; 32], &[about], |wanted| wanted == Wanted::Packet);
        }
        let told: Vec<_> = (0..4).map(|about| ([2; 32], vec![about])).collect();
        assert_eq!((packet.told(), collected.told()), (told, Vec::new()));
        assert!(packet.is_due() && packet.told().is_empty());
    }

    #[test]
    fn a_large_watch_ends_at_once_and_is_tidied_up_step_by_step() {
        let (list, budget) = (Arc::new(WaitList::default()), Budget::new(4 << 20));
        let many = |first: u8, count: usize| {
            let address = |n: usize| {
                let mut address = [first; 32];
                address[..size_of::<usize>()].copy_from_slice(&n.to_be_bytes());
                address
            };
            let addresses = (0..count).map(address).collect();
            watch((&list, &budget), addresses, Wanted::Packet, |_| false)
        };
        let (left, stays) = (many(0, 5 * STEP), many(7, STEP));
        let beside = places(&list) - 5 * STEP;
        drop(left);
        for steps_left in (0..=4).rev() {
            let behind = (places(&list) - beside, budget.used());
            assert_eq!(behind, (steps_left * STEP, (steps_left + 1) * STEP * PLACE_COST));
            assert_eq!(list.tidy(), steps_left > 1);
        }
        assert!(
            pin!(list.needs_tidying()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
        );
        drop(stays);
        assert_eq!((places(&list), budget.used()), (0, 0));
    }
}
