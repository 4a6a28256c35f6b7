//! Bodies that have begun and not ended, the slowest first. When memory runs short they are dropped
//! in this order, so that a body that arrives whole always gets in: a stalled body is worth less
//! than one that is arriving.
//!
//! Only bodies that take time are listed here; a body that arrives at once never is.

use super::budget::{Budget, Purpose};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

/// Bytes a second of a body that is not behind. The slower a body is, the earlier it is dropped.
const PACE: u64 = 1 << 20;
/// How far behind a body must be before it is dropped for another that is arriving. For one that
/// has arrived whole the first in the list is dropped, however fast it is.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// A caller that holds more than this gets no room at the cost of others.
const OWN: usize = 2 << 20;
/// Turns of the other tasks within which dropped bodies give back their memory.
const TURNS: usize = 32;

/// When the body would be behind at that pace, then the order of arrival.
type Order = (Instant, u64);

/// All bodies that have begun.
#[derive(Default)]
pub(crate) struct Unfinished {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    bytes: usize,
    begun: BTreeMap<Order, Entry>,
}

struct Entry {
    bytes: usize,
    notify: Arc<Notify>,
}

/// A body that has begun.
pub(crate) struct Begun {
    all: Arc<Unfinished>,
    since: Instant,
    order: Order,
    notify: Arc<Notify>,
}

impl Unfinished {
    /// Bytes of all of them that have arrived.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Adds a body that began at `since` and of which `bytes` have arrived.
    pub(crate) fn begin(self: &Arc<Self>, since: Instant, bytes: usize) -> Begun {
        let notify = Arc::new(Notify::new());
        let mut inner = self.lock();
        let order = (due(since, bytes), inner.next);
        inner.next += 1;
        inner.put(order, Entry { bytes, notify: Arc::clone(&notify) });
        Begun { all: Arc::clone(self), since, order, notify }
    }

    /// Drops enough bodies to free what is missing for `bytes` more; false if that is not possible.
    /// Their memory is free a moment later.
    pub(crate) fn give_way(
        &self,
        budget: &Budget,
        purpose: Purpose,
        bytes: usize,
        grace: Duration,
    ) -> bool {
        let mut missing = budget.missing(purpose, bytes);
        if budget.own(purpose) + bytes > OWN {
            return missing == 0;
        }
        let late = Instant::now().checked_sub(grace).filter(|_| !grace.is_zero());
        let mut inner = self.lock();
        while missing > 0 {
            let first = inner.begun.first_key_value().map(|(order, _)| *order);
            let first = first.filter(|(due, _)| late.is_none_or(|late| *due <= late));
            let Some(order) = first else { return false };
            if let Some(gone) = inner.take(&order) {
                missing = missing.saturating_sub(gone.bytes);
                gone.notify.notify_one();
            }
        }
        true
    }

    /// As [`Self::give_way`], and waits until the memory is free.
    pub(crate) async fn make_room(
        &self,
        budget: &Budget,
        purpose: Purpose,
        bytes: usize,
        grace: Duration,
    ) {
        if budget.missing(purpose, bytes) > 0 && self.give_way(budget, purpose, bytes, grace) {
            for _ in 0..TURNS {
                yield_now().await;
                if budget.missing(purpose, bytes) == 0 {
                    break;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put(&mut self, order: Order, entry: Entry) {
        self.bytes += entry.bytes;
        self.begun.insert(order, entry);
    }

    fn take(&mut self, order: &Order) -> Option<Entry> {
        let entry = self.begun.remove(order)?;
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

impl Begun {
    /// When it began.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// By now `bytes` of it have arrived.
    pub(crate) fn has_brought(&mut self, bytes: usize) {
        let mut inner = self.all.lock();
        // A body that was told to go is no longer listed.
        if let Some(entry) = inner.take(&self.order) {
            self.order.0 = due(self.since, bytes);
            inner.put(self.order, Entry { bytes, ..entry });
        }
    }

    /// Waits until others need its memory.
    pub(crate) async fn goes(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.all.lock().take(&self.order);
    }
}

fn due(since: Instant, bytes: usize) -> Instant {
    since + Duration::from_micros(bytes as u64 * 1_000_000 / PACE)
}

#[cfg(test)]
mod tests {
    use super::super::budget::Charge;
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    const K: usize = 1024;

    fn goes(begun: &Begun) -> bool {
        pin!(begun.goes()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_is_furthest_behind_makes_room_and_nobody_for_one_who_has_much() {
        let (budget, all) = (Budget::new(1600 * K), Arc::<Unfinished>::default());
        let taken = Charge::new(&budget, Purpose::Packets, 1000 * K).unwrap();
        let newcomer = budget.share();
        let needs = |kib: usize| all.give_way(&newcomer, Purpose::Packets, kib * K, GRACE);
        let begin = |seconds: u64, kib: usize| {
            all.begin(Instant::now() - Duration::from_secs(seconds), kib * K)
        };
        let (fast, still) = (begin(60, 100 << 10), begin(60, 8));
        let mut comes = begin(60, 4);
        let young = begin(0, 4);
        comes.has_brought(100 << 20);
        assert_eq!(all.bytes(), (200 << 20) + 12 * K);
        assert!(needs(4), "a stalled body has as much");
        assert!(goes(&still) && ![&fast, &comes, &young].into_iter().any(goes));
        let still = begin(60, 8);
        assert!(!needs(30), "the bodies that are behind do not hold as much");
        assert!(goes(&still) && !goes(&fast) && !goes(&young));
        let still = begin(60, 80);
        let rich = budget.share();
        let mut own = Charge::nothing(&rich, Purpose::Packets);
        own.grow_anyway(3 << 20);
        assert!(!all.give_way(&rich, Purpose::Packets, K, GRACE));
        drop(own);
        assert!(!needs(60) && goes(&still) && !goes(&young));
        assert!(all.give_way(&newcomer, Purpose::Packets, K, Duration::ZERO), "it arrived whole");
        assert!(goes(&young));
        let still = begin(60, 80);
        drop(taken);
        assert!(needs(8), "there is room");
        assert!(!goes(&still));
        drop((fast, still, comes, young));
        assert_eq!((all.bytes(), all.lock().begun.len()), (0, 0));
    }
}
