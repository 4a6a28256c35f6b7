//! Those who wait for something to change at an address.

use super::budget::{Budget, Charge, Full, Purpose};
use crate::postbox::api::Address;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What one address of one watcher costs: its place in the tree.
const PLACE_COST: usize = 96;

/// All watchers, by the addresses they watch.
#[derive(Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    places: BTreeMap<(Address, u64), Arc<Notify>>,
}

impl Board {
    /// Begins to watch. What changes from here on wakes the watch, also before it is waited on.
    pub(crate) fn watch<'a>(
        self: &'a Arc<Self>,
        budget: &Arc<Budget>,
        addresses: &'a [Address],
    ) -> Result<Watch<'a>, Full> {
        let charge = Charge::new(budget, Purpose::Calls, addresses.len() * PLACE_COST)?;
        let bell = Arc::new(Notify::new());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let number = inner.next;
        inner.next += 1;
        for address in addresses {
            inner.places.insert((*address, number), Arc::clone(&bell));
        }
        Ok(Watch { board: self, addresses, number, bell, _charge: charge })
    }

    /// Wakes everyone who watches `address`.
    pub(crate) fn ring(&self, address: &Address) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, bell) in inner.places.range((*address, 0)..=(*address, u64::MAX)) {
            bell.notify_one();
        }
    }

    /// Wakes everyone.
    pub(crate) fn ring_all(&self) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in inner.places.values() {
            bell.notify_one();
        }
    }
}

/// One watcher, for as long as it lives.
pub(crate) struct Watch<'a> {
    board: &'a Arc<Board>,
    addresses: &'a [Address],
    number: u64,
    bell: Arc<Notify>,
    _charge: Charge,
}

impl Watch<'_> {
    /// Waits until something changed since the last time this was called.
    pub(crate) async fn changed(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut inner = self.board.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for address in self.addresses {
            inner.places.remove(&(*address, self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn rang(watch: &Watch<'_>) -> bool {
        pin!(watch.changed()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn only_those_who_watch_the_address_are_woken_and_none_stays_behind() {
        let (board, budget) = (Arc::new(Board::default()), Budget::new(1 << 20));
        let (here, there) = ([[1; 32], [2; 32]], [[3; 32]]);
        let first = board.watch(&budget, &here).unwrap();
        let second = board.watch(&budget, &there).unwrap();
        board.ring(&[2; 32]);
        assert!(rang(&first));
        assert!(!rang(&first), "one ring, one waking");
        assert!(!rang(&second));
        drop((first, second));
        assert!(board.inner.lock().unwrap().places.is_empty());
        assert_eq!(budget.used(), 0);
    }
}
