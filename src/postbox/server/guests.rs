//! Which share of the memory each connection uses. All connections from one address, or from one
//! IPv6 /64 network, use the same share. On a Unix socket and from this machine itself, where a
//! proxy or Tor brings all callers, each connection has its own.
//!
//! An address is known here only while a connection from it is open. A packet only knows its share,
//! one of 255, so the share does not tell which packets came together.

use crate::postbox::storage::budget::Budget;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The number of shares.
const SHARES: usize = 255;

/// Where a connection comes from, so coarse that one caller can't easily have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin(u128);

impl Origin {
    /// `None` for this machine.
    pub(crate) fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            here if here.is_loopback() => None,
            IpAddr::V4(address) => Some(Self(address.to_bits().into())),
            IpAddr::V6(address) => Some(Self(address.to_bits() >> 64 << 64)),
        }
    }
}

/// All shares, and which origin has which.
pub(crate) struct Guests {
    shares: Vec<Arc<Budget>>,
    /// The part of the budget that belongs to no share.
    rest: Arc<Budget>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: usize,
    here: BTreeMap<Origin, Party>,
}

/// All connections from one origin.
struct Party {
    share: Arc<Budget>,
    connections: usize,
}

/// One connection's share, for as long as it is open.
pub(crate) struct Guest<'a> {
    guests: &'a Guests,
    origin: Option<Origin>,
    share: Arc<Budget>,
}

impl Guests {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        let shares = (0..SHARES).map(|_| budget.share()).collect();
        Self { shares, rest: Arc::clone(budget), inner: Mutex::default() }
    }

    /// The share for a connection from `origin`; a new origin gets the share of which least is
    /// taken.
    pub(crate) fn enter(&self, origin: Option<Origin>) -> Guest<'_> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let mut free = || {
            let all = self.shares.iter().cycle().skip(inner.next).take(SHARES);
            inner.next = (inner.next + 1) % SHARES;
            Arc::clone(all.min_by_key(|share| share.held()).unwrap_or(&self.rest))
        };
        let share = match origin {
            None => free(),
            Some(origin) => {
                let new = || Party { share: free(), connections: 0 };
                let party = inner.here.entry(origin).or_insert_with(new);
                party.connections += 1;
                Arc::clone(&party.share)
            }
        };
        Guest { guests: self, origin, share }
    }

    /// How many connections from `origin` are open; connections from this machine do not count.
    pub(crate) fn from(&self, origin: Option<Origin>) -> usize {
        let of = |origin| self.lock().here.get(&origin).map_or(0, |party| party.connections);
        origin.map_or(0, of)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest<'_> {
    /// The budget that pays for everything done for this connection.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.share
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        let Some(origin) = self.origin else { return };
        let mut inner = self.guests.lock();
        if let Some(party) = inner.here.get_mut(&origin) {
            party.connections -= 1;
            if party.connections == 0 {
                inner.here.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::storage::budget::{Charge, Purpose};

    fn origin(address: &str) -> Option<Origin> {
        Origin::of(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_one_and_so_is_a_network_of_64_bits() {
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1:2:3"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(origin(here), None, "{here}");
        }
    }

    #[test]
    fn who_comes_from_one_place_has_one_share_until_the_last_has_gone() {
        let budget = Budget::new(1 << 20);
        let guests = Guests::new(&budget);
        let (first, second) =
            (guests.enter(origin("192.0.2.1")), guests.enter(origin("192.0.2.1")));
        let other = guests.enter(origin("192.0.2.2"));
        assert!(Arc::ptr_eq(first.budget(), second.budget()));
        assert!(!Arc::ptr_eq(first.budget(), other.budget()));
        let here = (guests.enter(None), guests.enter(None));
        assert!(!Arc::ptr_eq(here.0.budget(), here.1.budget()));
        let taken = Charge::new(first.budget(), Purpose::Packets, 1000).unwrap();
        let share = Arc::clone(first.budget());
        drop((first, other));
        assert_eq!(guests.lock().here.len(), 1);
        drop(second);
        assert!(guests.lock().here.is_empty(), "no origin is known any more");
        for _ in 0..2 * SHARES {
            let next = guests.enter(None);
            assert!(!Arc::ptr_eq(next.budget(), &share), "others are emptier");
        }
        drop(taken);
    }
}
