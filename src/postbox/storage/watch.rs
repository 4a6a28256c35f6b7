//! The wait list: calls that wait for something to change at an address.
//!
//! A waiting call is woken when what it waits for has come. A change costs it one step, however
//! many other addresses it watches: thousands may watch thousands, and anyone who can post to one
//! of them can cause as many changes as they like.

use super::budget::{Budget, Charge, Purpose};
use crate::postbox::api::Address;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What one address of one watcher costs: its place in the tree.
const PLACE_COST: usize = 96;

/// The memory that it costs to watch these addresses.
pub(crate) fn cost(addresses: &[Address]) -> usize {
    addresses.len() * PLACE_COST
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
}

#[derive(Default)]
struct Inner {
    next: u64,
    places: BTreeMap<(Address, u64), Place>,
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
}

impl Watcher {
    fn is_due(&self) -> bool {
        let any = self.there.load(Relaxed) > 0;
        any == (self.wanted == Wanted::Packet)
    }
}

impl WaitList {
    /// Begins to watch; `there` says whether a packet is at an address. Any later change wakes the
    /// watch, even one that comes before the first wait.
    pub(crate) fn watch<'a>(
        self: &'a Arc<Self>,
        budget: &Arc<Budget>,
        addresses: &'a [Address],
        wanted: Wanted,
        there: impl Fn(&Address) -> bool,
    ) -> Watch<'a> {
        let mut charge = Charge::nothing(budget, Purpose::Waits);
        charge.grow_anyway(cost(addresses));
        let watcher =
            Arc::new(Watcher { wanted, notify: Notify::new(), there: AtomicUsize::new(0) });
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let number = inner.next;
        inner.next += 1;
        for address in addresses {
            let there = there(address);
            let place = Place { watcher: Arc::clone(&watcher), there };
            // An address that is named twice has only one place.
            if inner.places.insert((*address, number), place).is_none() && there {
                watcher.there.fetch_add(1, Relaxed);
            }
        }
        Watch { wait_list: self, addresses, number, watcher, _charge: charge }
    }

    /// Tells every watcher of `address` whether a packet is there now, by that watcher's way of
    /// counting.
    pub(crate) fn notify(&self, address: &Address, there: impl Fn(Wanted) -> bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, place) in inner.places.range_mut((*address, 0)..=(*address, u64::MAX)) {
            let (watcher, there) = (&place.watcher, there(place.watcher.wanted));
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

    /// Wakes all watchers.
    pub(crate) fn notify_all(&self) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for place in inner.places.values() {
            place.watcher.notify.notify_one();
        }
    }
}

/// One watcher, for as long as it lives.
pub(crate) struct Watch<'a> {
    wait_list: &'a Arc<WaitList>,
    addresses: &'a [Address],
    number: u64,
    watcher: Arc<Watcher>,
    _charge: Charge,
}

impl Watch<'_> {
    /// Whether what is waited for has come.
    pub(crate) fn is_due(&self) -> bool {
        self.watcher.is_due()
    }

    /// Waits until it has come since the last call, or until all watchers are woken.
    pub(crate) async fn changed(&self) {
        self.watcher.notify.notified().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut inner = self.wait_list.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for address in self.addresses {
            inner.places.remove(&(*address, self.number));
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

    fn notified(watch: &Watch<'_>) -> bool {
        pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn only_watchers_of_the_address_are_woken_and_none_stays_behind() {
        let (wait_list, budget) = (Arc::new(WaitList::default()), Budget::new(1 << 20));
        let (here, there) = ([[1; 32], [2; 32]], [[3; 32]]);
        let watch = |addresses| wait_list.watch(&budget, addresses, Wanted::Packet, |_| false);
        let (first, second) = (watch(&here[..]), watch(&there[..]));
        wait_list.notify(&[2; 32], |_| false);
        assert!(!notified(&first), "nothing has come");
        wait_list.notify(&[2; 32], |_| true);
        assert!(notified(&first) && first.is_due());
        assert!(!notified(&first), "one notification, one waking");
        assert!(!notified(&second) && !second.is_due());
        drop((first, second));
        assert!(wait_list.inner.lock().unwrap().places.is_empty());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_watcher_is_asked_about_each_change_and_woken_by_the_last() {
        let (wait_list, budget) = (Arc::new(WaitList::default()), Budget::new(1 << 20));
        let addresses: Vec<Address> = (0..=255).chain([0, 0]).map(|n| [n; 32]).collect();
        let there = |address: &Address| address[0] < 2;
        let watch = wait_list.watch(&budget, &addresses, Wanted::Collected, there);
        let asked = Cell::new(0);
        let notify = |n, there| {
            wait_list.notify(&[n; 32], |_| {
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
}
