//! Where the packets of a session lie that has several postboxes: each at the one that its address picks,
//! or at the next in order while that one is away. This makes no calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::one::One;
use super::urls::{self, KEY};
use super::wait::Ears;
use crate::postbox::api::Address;

/// For how long a postbox that could not be called is called last; each time that it could not be again, for
/// twice as long.
const AWAY: Duration = Duration::from_secs(30);
/// The longest such time.
const AWAY_MOST: Duration = Duration::from_mins(10);
/// How many packets are remembered that do not lie where their address says.
const ELSEWHERE: usize = 4_096;

/// Where packets lie.
pub(super) struct Spread {
    key: [u8; KEY],
    places: Mutex<Vec<Place>>,
    /// Where packets were posted or found, if not where their address says.
    elsewhere: Mutex<BTreeMap<Address, usize>>,
    /// Where packets may lie, too, since it is not known what became of the call that posted them.
    doubtful: Mutex<BTreeSet<(Address, usize)>>,
    /// What waits at each.
    pub(super) ears: Ears,
}

/// What is known of a postbox.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Until when it is called last.
    until: Option<Instant>,
    /// How often it could not be called, one time after another.
    failures: u32,
    /// Whether a person was told.
    is_told: bool,
}

impl Spread {
    /// `ears` are the same postboxes, for calls that wait.
    pub(super) fn new(key: [u8; KEY], ears: Vec<One>) -> Self {
        let places = Mutex::new(vec![Place::default(); ears.len()]);
        Self {
            key,
            places,
            elsewhere: Mutex::default(),
            doubtful: Mutex::default(),
            ears: Ears::new(ears),
        }
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elsewhere(&self) -> MutexGuard<'_, BTreeMap<Address, usize>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubtful(&self) -> MutexGuard<'_, BTreeSet<(Address, usize)>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to call about a packet, the first one first.
    pub(super) fn order(&self, address: &Address) -> Vec<usize> {
        let places = self.places();
        let first = self.place(address, places.len());
        let mut order: Vec<usize> =
            (0..places.len()).map(|at| (first + at) % places.len()).collect();
        let is_away = |at: &usize| {
            places
                .get(*at)
                .and_then(|place| place.until)
                .is_some_and(|until| until > Instant::now())
        };
        if let Some(at) = self.elsewhere().get(address) {
            order.sort_by_key(|place| place != at);
        }
        order.sort_by_key(is_away);
        order
    }

    fn place(&self, address: &Address, count: usize) -> usize {
        urls::place(&self.key, address, count)
    }

    /// Where a packet lies, as far as is known.
    pub(super) fn lies(&self, address: &Address) -> usize {
        let known = self.elsewhere().get(address).copied();
        known.unwrap_or_else(|| self.place(address, self.places().len()))
    }

    /// Where a packet lies, as far as is known, and then all others.
    pub(super) fn all_of(&self, address: &Address) -> Vec<usize> {
        let first = self.lies(address);
        let others = self.order(address).into_iter().filter(|at| *at != first);
        [first].into_iter().chain(others).collect()
    }

    /// Whether this one was away when it was called last.
    pub(super) fn is_away(&self, at: usize) -> bool {
        self.places()
            .get(at)
            .is_some_and(|place| place.until.is_some_and(|until| until > Instant::now()))
    }

    /// Whether none can be called.
    pub(super) fn all_away(&self) -> bool {
        let count = self.places().len();
        (0..count).all(|at| self.is_away(at))
    }

    /// Notes where a packet lies.
    pub(super) fn note(&self, address: &Address, at: usize) {
        let count = self.places().len();
        let mut elsewhere = self.elsewhere();
        if self.place(address, count) == at {
            elsewhere.remove(address);
            return;
        }
        while elsewhere.len() >= ELSEWHERE {
            elsewhere.pop_first();
        }
        elsewhere.insert(*address, at);
    }

    /// Where a packet was posted or found, if its address does not say so.
    pub(super) fn elsewhere_at(&self, address: &Address) -> Option<usize> {
        self.elsewhere().get(address).copied()
    }

    /// Notes that a packet may lie here, although the call that posted it failed.
    pub(super) fn may_lie(&self, address: &Address, at: usize) {
        let mut doubtful = self.doubtful();
        if doubtful.len() < ELSEWHERE {
            doubtful.insert((*address, at));
        }
    }

    /// Where else a packet may lie.
    pub(super) fn doubts(&self, address: &Address) -> Vec<usize> {
        let from = (*address, 0)..=(*address, usize::MAX);
        self.doubtful().range(from).map(|(_, at)| *at).collect()
    }

    /// Notes that a packet lies nowhere any more.
    pub(super) fn forget(&self, address: &Address) {
        self.elsewhere().remove(address);
    }

    /// Whether it is news that this one is away.
    pub(super) fn is_news(&self, at: usize) -> bool {
        self.places().get_mut(at).is_some_and(|place| !std::mem::replace(&mut place.is_told, true))
    }

    /// Notes whether a postbox could be called.
    pub(super) fn called(&self, at: usize, answered: bool) {
        if let Some(place) = self.places().get_mut(at) {
            if answered {
                *place = Place::default();
            } else {
                let away = AWAY.saturating_mul(1 << place.failures.min(8)).min(AWAY_MOST);
                place.until = Some(Instant::now() + away);
                place.failures = place.failures.saturating_add(1);
            }
        }
    }
}
