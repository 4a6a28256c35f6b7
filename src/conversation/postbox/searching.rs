//! Searching for packets beyond lost ones, where calls are kept apart: how often. It depends on nothing but the
//! time since the last search, so that the postbox does not learn whether anything is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::protocol::session::Search;

/// Within this time who waits searches in one place more.
const SEARCH: Duration = Duration::from_secs(100);
/// For this long, who follows searches faster, one place each time: what came while nobody followed
/// may have been lost.
const CATCHING_UP: Duration = Duration::from_mins(5);
/// In how many places who looks once searches,
const LEAST: u32 = 2;
/// and in one more for each time of this length since the last search,
const EACH: u64 = 1_800;
/// but in no more than these: enough to get over ten lost numbers.
const MOST: u32 = 16;

/// The searches of one run.
pub(super) struct Searches {
    /// Of a run that looks once: where it has still to search. `None` before the session is there.
    left: Option<BTreeSet<u32>>,
    /// Places that were searched before others that come first.
    early: BTreeSet<u32>,
    /// For how long it catches up.
    catching_up: Duration,
}

impl Searches {
    pub(super) fn new() -> Self {
        Self { left: None, early: BTreeSet::new(), catching_up: Duration::ZERO }
    }

    /// Decides how often to search, once the session is there; `now` is in Unix seconds.
    pub(super) fn begin(&mut self, search: Search, now: u64) {
        if self.left.is_none() {
            self.left = Some((search.places..).take(places(search.at, now) as usize).collect());
            self.catching_up = CATCHING_UP.min(Duration::from_secs(now.saturating_sub(search.at)));
        }
    }

    /// Where to search in a run that looks once.
    pub(super) fn left(&self) -> impl Iterator<Item = u32> {
        self.left.iter().flatten().copied()
    }

    /// Whether a run that looks once has searched enough.
    pub(super) fn is_over(&self) -> bool {
        self.left().next().is_none()
    }

    /// Within which time who waits searches, so long after the run's begin.
    pub(super) fn within(&self, follows: bool, elapsed: Duration, soon: Duration) -> Duration {
        if follows && elapsed < self.catching_up { soon } else { SEARCH }
    }

    /// A place was searched, if the call did not fail. How many there are from the first on, if `search` says less.
    pub(super) fn searched(&mut self, place: u32, failed: bool, search: Search) -> u32 {
        if let Some(left) = &mut self.left {
            left.remove(&place);
        }
        if !failed {
            self.early.insert(place);
        }
        let mut places = search.places;
        while self.early.remove(&places) {
            places = places.saturating_add(1);
        }
        places
    }

    /// Something was accepted: what comes next is another number.
    pub(super) fn restart(&mut self) {
        self.early.clear();
    }
}

/// In how many places who looks once searches, when the last search was `at`.
fn places(at: u64, now: u64) -> u32 {
    let more = now.saturating_sub(at) / EACH;
    u32::try_from(more).unwrap_or(MOST).saturating_add(LEAST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_seldom_searches_more_and_who_never_looked_most() {
        let now = 2_000_000_000;
        let searches = |ago: u64| places(now - ago, now);
        let ago = [0, 1_799, 1_800, 3_600, 25_199, 25_200, now];
        assert_eq!(ago.map(searches), [2, 2, 3, 4, 15, 16, 16]);
        // A clock that was set back.
        assert_eq!(places(now + 1_000, now), 2);
    }

    #[test]
    fn what_was_searched_counts_from_the_first_place_on() {
        let search = Search { places: 7, at: 100 };
        let mut searches = Searches::new();
        searches.begin(search, 7_500);
        assert!(searches.left().eq(7..13));
        assert_eq!(searches.searched(9, false, search), 7);
        assert_eq!(searches.searched(7, false, search), 8);
        // Failed: it is searched again by the next run.
        assert_eq!(searches.searched(8, true, search), 7);
        let search = Search { places: 8, ..search };
        assert_eq!(searches.searched(10, false, search), 8);
        assert!(searches.left().eq([11, 12]) && !searches.is_over());
        // Once per run.
        searches.begin(search, 9_000);
        assert!(searches.left().eq([11, 12]));
        searches.restart();
        assert_eq!(searches.searched(11, false, Search { places: 0, at: 300 }), 0);
    }
}
