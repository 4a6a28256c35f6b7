//! The memory cap: everything that callers can make grow is charged here before it is allocated,
//! and given back when it is dropped. Who finds it full is refused; nothing is ever thrown out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The memory cap would be passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What memory is for. A postbox full of packets must still let people in to collect them, and
/// one full of people still hear what they ask, so packets stop first, then connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// What only makes a connection faster: the first half of the cap.
    Speed,
    /// Packets: the first 7/8 of the cap.
    Packets,
    /// Connections: the first 31/32.
    Connections,
    /// Records in the bodies of calls, and those who wait: all of it.
    Calls,
}

/// The cap, and how much of it is taken.
pub(crate) struct Budget {
    cap: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of `cap` bytes.
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { cap, used: AtomicUsize::new(0) })
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Bytes that there are.
    pub(crate) fn cap(&self) -> usize {
        self.cap
    }

    /// Takes `bytes`, or nothing.
    fn take(&self, purpose: Purpose, bytes: usize) -> Result<(), Full> {
        let ceiling = match purpose {
            Purpose::Speed => self.cap / 2,
            Purpose::Packets => self.cap / 8 * 7,
            Purpose::Connections => self.cap / 32 * 31,
            Purpose::Calls => self.cap,
        };
        self.used
            .try_update(Relaxed, Relaxed, |used| {
                used.checked_add(bytes).filter(|&sum| sum <= ceiling)
            })
            .map(drop)
            .map_err(|_| Full)
    }
}

/// Bytes taken from a budget for as long as this lives.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    purpose: Purpose,
    bytes: usize,
}

impl Charge {
    /// A charge of nothing yet.
    pub(crate) fn nothing(budget: &Arc<Budget>, purpose: Purpose) -> Self {
        Self { budget: Arc::clone(budget), purpose, bytes: 0 }
    }

    /// Takes `bytes`.
    pub(crate) fn new(budget: &Arc<Budget>, purpose: Purpose, bytes: usize) -> Result<Self, Full> {
        let mut charge = Self::nothing(budget, purpose);
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// Takes `bytes` more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.budget.take(self.purpose, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes `bytes` even above the cap: for who frees more than that in the same step.
    pub(crate) fn grow_anyway(&mut self, bytes: usize) {
        self.budget.used.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
    }

    /// Gives `bytes` back, at most all of it.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_stop_first_then_connections_and_all_is_given_back() {
        let budget = Budget::new(1600);
        let packets = Charge::new(&budget, Purpose::Packets, 1400).unwrap();
        assert!(Charge::new(&budget, Purpose::Packets, 1).is_err());
        let connection = Charge::new(&budget, Purpose::Connections, 150).unwrap();
        assert!(Charge::new(&budget, Purpose::Connections, 1).is_err());
        let call = Charge::new(&budget, Purpose::Calls, 50).unwrap();
        assert!(Charge::new(&budget, Purpose::Calls, 1).is_err());
        assert!(Charge::new(&budget, Purpose::Calls, usize::MAX).is_err());
        drop((packets, call, connection));
        assert_eq!(budget.used(), 0);
        let speed = Charge::new(&budget, Purpose::Speed, 800).unwrap();
        assert!(Charge::new(&budget, Purpose::Speed, 1).is_err());
        assert!(
            Charge::new(&budget, Purpose::Packets, 600).is_ok(),
            "there is room for what counts"
        );
        drop(speed);
    }
}
