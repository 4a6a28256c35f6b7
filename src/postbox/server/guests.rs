//! Who is here: whose share of the memory a connection's is. Those who come from one address, or
//! one IPv6 network of 64 bits, have one share. On a Unix socket and from this machine itself,
//! where a proxy or Tor brings everybody, each connection has its own.
//!
//! An address is known here while a connection from it is open, and no longer. A packet only knows
//! its share, one of 255, so that which came together can't be told from it.

use crate::postbox::storage::budget::Budget;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many there are.
const SHARES: usize = 255;

/// Where a connection comes from, as far as one caller can't easily have two.
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

/// All shares, and who has which.
pub(crate) struct Guests {
    shares: Vec<Arc<Budget>>,
    /// What is nobody's.
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

    /// The share of a connection from there; for one of a new origin that of which least is taken.
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

    /// How many connections from there are open; of this machine's own each is alone.
    pub(crate) fn from(&self, origin: Option<Origin>) -> usize {
        let of = |origin| self.lock().here.get(&origin).map_or(0, |party| party.connections);
        origin.map_or(0, of)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest<'_> {
    /// What all that is done for it is charged to.
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
        assert!(guests.lock().here.is_empty(), "nobody is known any more");
        for _ in 0..2 * SHARES {
            let next = guests.enter(None);
            assert!(!Arc::ptr_eq(next.budget(), &share), "others are emptier");
        }
        drop(taken);
    }
}
