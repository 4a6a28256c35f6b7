//! All connected callers. When there is no room for another connection, or for the head of another
//! request, we drop the callers that have kept us waiting longest: for a request, for its head, for
//! the rest of its body, or for taking their answer. So no caller can keep others out by being
//! idle, and a request that arrives whole always gets in.
//!
//! Several are dropped at a time, and a search is good for many times, so that it costs each newcomer
//! next to nothing.

use super::lane::Lane;
use std::collections::{BTreeMap, VecDeque};
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

/// Callers by number.
type All = BTreeMap<u64, Arc<dyn Guest>>;

/// All connected callers.
#[derive(Default)]
pub(crate) struct Callers {
    next: AtomicU64,
    here: Mutex<All>,
    /// How many were told to go and have not gone yet.
    going: AtomicUsize,
    /// Who goes next, of all and of those in a head.
    late: Mutex<[Late; 2]>,
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
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        // Held until they are counted, so that nobody goes before.
        let here = self.lock();
        let going = late[which as usize].tell(&here, which);
        self.going.fetch_add(going, Relaxed);
        drop(here);
        going > 0
    }

    /// Where those wait that are in no hurry.
    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a search has found: callers that keep us waiting, the longest first. Who begins to do so
/// later comes after all of them, so it stays right until the last of them has gone.
#[derive(Default)]
struct Late {
    queue: VecDeque<(Instant, u64)>,
    /// How many are dropped at a time.
    some: usize,
    /// When the last search found nobody.
    nobody: Option<Instant>,
}

impl Late {
    /// Tells the first of them to go, after a search if none is left; returns how many.
    fn tell(&mut self, here: &All, which: Which) -> usize {
        if self.nobody.is_some_and(|since| since.elapsed() < PAUSE) {
            return 0;
        }
        let mut told = self.tell_known(here, which);
        if told == 0 {
            let late = here.iter().filter_map(|(&at, guest)| Some((guest.keeps_since(which)?, at)));
            let mut late: Vec<_> = late.collect();
            late.sort_unstable();
            self.some = late.len().div_ceil(SOME);
            self.queue = late.into();
            told = self.tell_known(here, which);
        }
        self.nobody = (told == 0).then(Instant::now);
        told
    }

    fn tell_known(&mut self, here: &All, which: Which) -> usize {
        let mut told = 0;
        // The crowd may have gone since.
        let some = self.some.min(here.len().div_ceil(SOME));
        while told < some
            && let Some((since, number)) = self.queue.pop_front()
        {
            // He may have gone, or done what he was waited for, or begun to wait for us.
            let guest = here.get(&number).filter(|guest| guest.keeps_since(which) == Some(since));
            told += usize::from(guest.is_some_and(|guest| guest.go()));
        }
        told
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

    /// How often a caller was looked at.
    static LOOKS: AtomicUsize = AtomicUsize::new(0);

    /// A caller: since when it keeps us waiting, whether within a head, whether told to go.
    struct One(Option<Instant>, bool, AtomicBool);

    impl Guest for One {
        fn keeps_since(&self, which: Which) -> Option<Instant> {
            LOOKS.fetch_add(1, Relaxed);
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

    /// Where most callers wait for us, few could go at a time, and each time all were looked at: a
    /// crowd that came again and again had a sixth of the processor spent on that.
    #[test]
    fn a_search_is_good_until_the_last_that_it_found_has_gone() {
        let (begin, all) = (Instant::now(), Arc::<Callers>::default());
        let since = |nth| (nth % 20 == 0).then(|| begin + Duration::from_secs(nth));
        let ones: Vec<_> =
            (0..3200).map(|nth| Arc::new(One(since(nth), false, false.into()))).collect();
        let mut here: Vec<_> = ones.iter().map(|one| Some(all.enter(one.clone()))).collect();
        let before = LOOKS.load(Relaxed);
        for left in (0..16).rev() {
            assert!(all.make_room(Which::All));
            let told = |at: &usize| ones[*at].is_told_to_go();
            assert_eq!((0..ones.len()).filter(told).count(), 160 - 10 * left);
            assert!((0..ones.len()).filter(told).eq((0..3200 - 200 * left).step_by(20)));
            for (one, here) in ones.iter().zip(&mut here) {
                if one.is_told_to_go() {
                    *here = None;
                }
            }
        }
        // The other test looks at a few, too.
        assert!(LOOKS.load(Relaxed) - before < 2 * ones.len());
    }
}
