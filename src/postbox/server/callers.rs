//! All who are connected. When there is no room for one more, or for the head of one more request,
//! those go first who have kept us waiting longest: for a request, its head, the rest of its body, or
//! for taking their answer. So nobody keeps others out by being there and doing nothing, and a
//! request that comes whole always gets in.
//!
//! Some go at a time, so that looking for them costs each newcomer next to nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Of those who keep us waiting one in so many goes at a time.
const SOME: usize = 16;

/// Until they are looked for again where there were none.
const PAUSE: Duration = Duration::from_millis(20);

/// Whose place is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Any.
    All,
    /// Of those whose request's head has begun and not ended.
    InHead,
}

/// What is asked of everybody who is here.
pub(crate) trait Guest: Send + Sync {
    /// Since when he keeps us waiting, if he does, and is not told to go already.
    fn keeps_since(&self, which: Which) -> Option<Instant>;
    /// Tells him to go; false where he was told.
    fn go(&self) -> bool;
    /// Whether he was.
    fn is_told_to_go(&self) -> bool;
}

/// Everybody who is here.
#[derive(Default)]
pub(crate) struct Callers {
    next: AtomicU64,
    here: Mutex<BTreeMap<u64, Arc<dyn Guest>>>,
    /// Those who were told to go, and have not gone yet.
    going: AtomicUsize,
    /// Where nobody was found to go: when that was.
    nobody: Mutex<Option<Instant>>,
}

/// One of them, for as long as he is connected.
pub(crate) struct Here {
    all: Arc<Callers>,
    number: u64,
}

impl Callers {
    /// One who has come.
    pub(crate) fn enter(self: &Arc<Self>, guest: Arc<dyn Guest>) -> Here {
        let number = self.next.fetch_add(1, Relaxed);
        self.lock().insert(number, guest);
        Here { all: Arc::clone(self), number }
    }

    /// Tells those to go who have kept us waiting longest, unless such are on their way already; false
    /// where nobody does.
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

    /// One who keeps us waiting, if he does; in a head or not.
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
        assert!(all.make_room(Which::All), "one goes already");
        assert_eq!(told(), [3]);
        here[3] = None;
        assert!(all.make_room(Which::All));
        assert_eq!(told(), [1, 2, 3, 4], "of 38; the first is served");
        drop(here);
        assert!(all.lock().is_empty() && !all.make_room(Which::All));
        assert_eq!(all.going.load(Relaxed), 0);
    }
}
