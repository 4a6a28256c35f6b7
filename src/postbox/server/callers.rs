//! All connected callers. When there is no room for another connection, or for the head of another
//! request, we drop the callers that have kept us waiting longest: for a request, for its head, for
//! the rest of its body, or for taking their answer. So no caller can keep others out by being
//! idle, and a request that arrives whole always gets in.
//!
//! Several are dropped at a time, so that the search costs each newcomer next to nothing.

use super::lane::Lane;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Of the callers that keep us waiting, one in this many is dropped at a time.
const SOME: usize = 16;

/// The pause before the next search when one has found no caller to drop.
const PAUSE: Duration = Duration::from_millis(20);

/// Which callers may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Any.
    All,
    /// Those that have begun the head of a request and not ended it.
    InHead,
}

/// What we ask each connected caller.
pub(crate) trait Guest: Send + Sync {
    /// Since when this caller keeps us waiting, if it does and was not told to go already.
    fn keeps_since(&self, which: Which) -> Option<Instant>;
    /// Tells the caller to go; false if it was told before.
    fn go(&self) -> bool;
    /// Whether the caller was told to go.
    fn is_told_to_go(&self) -> bool;
}

/// All connected callers.
#[derive(Default)]
pub(crate) struct Callers {
    next: AtomicU64,
    here: Mutex<BTreeMap<u64, Arc<dyn Guest>>>,
    /// How many were told to go and have not gone yet.
    going: AtomicUsize,
    /// When the last search found no caller to drop.
    nobody: Mutex<Option<Instant>>,
    /// Where those wait that are in no hurry.
    lane: Lane,
}

/// A caller's entry, for as long as it is connected.
pub(crate) struct Here {
    all: Arc<Callers>,
    number: u64,
}

impl Callers {
    /// Adds a new caller.
    pub(crate) fn enter(self: &Arc<Self>, guest: Arc<dyn Guest>) -> Here {
        let number = self.next.fetch_add(1, Relaxed);
        self.lock().insert(number, guest);
        Here { all: Arc::clone(self), number }
    }

    /// Tells the callers that have kept us waiting longest to go, unless some are leaving already;
    /// false if no caller keeps us waiting.
    pub(crate) fn make_room(&self, which: Which) -> bool {
        if self.going.load(Relaxed) > 0 {
            return true;
        }
        let mut nobody = self.nobody.lock().unwrap_or_else(PoisonError::into_inner);
        if nobody.is_some_and(|since| since.elapsed() < PAUSE) {
            return false;
        }
        let here = self.lock();
        let late = here.values().filter_map(|guest| Some((guest.keeps_since(which)?, guest)));
        let mut late: Vec<_> = late.collect();
        late.sort_unstable_by_key(|(since, _)| *since);
        late.truncate(late.len().div_ceil(SOME));
        let going = late.iter().filter(|(_, guest)| guest.go()).count();
        self.going.fetch_add(going, Relaxed);
        *nobody = (going == 0).then(Instant::now);
        going > 0
    }

    /// Where those wait that are in no hurry.
    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<dyn Guest>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let gone = self.all.lock().remove(&self.number);
        if gone.is_some_and(|guest| guest.is_told_to_go()) {
            self.all.going.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// A caller: since when it keeps us waiting, whether within a head, whether told to go.
    struct One(Option<Instant>, bool, AtomicBool);

    impl Guest for One {
        fn keeps_since(&self, which: Which) -> Option<Instant> {
            let asked = which == Which::All || self.1;
            self.0.filter(|_| asked && !self.is_told_to_go())
        }

        fn go(&self) -> bool {
            !self.2.swap(true, Relaxed)
        }

        fn is_told_to_go(&self) -> bool {
            self.2.load(Relaxed)
        }
    }

    #[test]
    fn who_has_kept_us_waiting_longest_goes_and_nobody_who_is_served() {
        let (begin, all) = (Instant::now(), Arc::<Callers>::default());
        let since = |nth| Some(begin + Duration::from_secs(nth));
        let one = |nth| One(since(nth).filter(|_| nth > 0), nth == 3 || nth == 4, false.into());
        let ones: Vec<_> = (0..40).map(|nth| Arc::new(one(nth))).collect();
        let mut here: Vec<_> = ones.iter().map(|one| Some(all.enter(one.clone()))).collect();
        let told = || -> Vec<usize> { (0..40).filter(|at| ones[*at].is_told_to_go()).collect() };
        assert!(all.make_room(Which::InHead));
        assert_eq!(told(), [3], "one of two");
        assert!(all.make_room(Which::All), "one is leaving already");
        assert_eq!(told(), [3]);
        here[3] = None;
        assert!(all.make_room(Which::All));
        assert_eq!(told(), [1, 2, 3, 4], "of 38; the first is served");
        drop(here);
        assert!(all.lock().is_empty() && !all.make_room(Which::All));
        assert_eq!(all.going.load(Relaxed), 0);
    }
}
