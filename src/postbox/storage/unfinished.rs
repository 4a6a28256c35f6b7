//! Bodies that have begun and not ended, those first who are furthest behind. Where memory for more
//! runs short they make room, in this order, so that what comes whole always gets in: a body that
//! stands still is worth less than one that comes.
//!
//! Only those are here who keep others waiting: a body that comes at once never is.

use super::budget::{Budget, Purpose};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

/// Bytes a second of one who is not behind. Whoever is slower makes room earlier by as much.
const PACE: u64 = 1 << 20;
/// How far behind one is who makes room for another who comes. For what has come whole the first goes,
/// whoever that is.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Who has more than this of what others need makes room himself: nobody else goes for him.
const OWN: usize = 2 << 20;
/// Turns of all others in which those who go give back what they have.
const TURNS: usize = 32;

/// When he would be behind, at that pace, and who came first.
type Order = (Instant, u64);

/// All who have begun.
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
    bell: Arc<Notify>,
}

/// One who has begun.
pub(crate) struct Begun {
    all: Arc<Unfinished>,
    since: Instant,
    order: Order,
    bell: Arc<Notify>,
}

impl Unfinished {
    /// Bytes that have come of all of them.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// One who has begun at that time, and brought so much.
    pub(crate) fn begin(self: &Arc<Self>, since: Instant, bytes: usize) -> Begun {
        let bell = Arc::new(Notify::new());
        let mut inner = self.lock();
        let order = (due(since, bytes), inner.next);
        inner.next += 1;
        inner.put(order, Entry { bytes, bell: Arc::clone(&bell) });
        Begun { all: Arc::clone(self), since, order, bell }
    }

    /// Lets so many go as free what is missing for `bytes` more; false where they don't. What they
    /// have is free a moment later.
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
                gone.bell.notify_one();
            }
        }
        true
    }

    /// The same, and waits until it is free.
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

    /// So many bytes have come of it now.
    pub(crate) fn has_brought(&mut self, bytes: usize) {
        let mut inner = self.all.lock();
        // Who was told to go is here no more.
        if let Some(entry) = inner.take(&self.order) {
            self.order.0 = due(self.since, bytes);
            inner.put(self.order, Entry { bytes, ..entry });
        }
    }

    /// Until others need what it takes.
    pub(crate) async fn goes(&self) {
        self.bell.notified().await;
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
        assert!(needs(4), "who stands still has as much");
        assert!(goes(&still) && ![&fast, &comes, &young].into_iter().any(goes));
        let still = begin(60, 8);
        assert!(!needs(30), "there is not so much to have of those who are behind");
        assert!(goes(&still) && !goes(&fast) && !goes(&young));
        let still = begin(60, 80);
        let rich = budget.share();
        let mut own = Charge::nothing(&rich, Purpose::Packets);
        own.grow_anyway(3 << 20);
        assert!(!all.give_way(&rich, Purpose::Packets, K, GRACE));
        drop(own);
        assert!(!needs(60) && goes(&still) && !goes(&young));
        assert!(all.give_way(&newcomer, Purpose::Packets, K, Duration::ZERO), "what came whole");
        assert!(goes(&young));
        let still = begin(60, 80);
        drop(taken);
        assert!(needs(8), "there is room");
        assert!(!goes(&still));
        drop((fast, still, comes, young));
        assert_eq!((all.bytes(), all.lock().begun.len()), (0, 0));
    }
}
