//! The memory cap: everything that callers can make grow is charged here before it is allocated,
//! and given back when it is dropped. A caller that finds it full is refused; nothing that is
//! stored is ever thrown out.
//!
//! Each purpose has a bound of its own, so that none can crowd out the others. And no caller can
//! use nearly all of it: a caller holds no more than it leaves to all others.

use super::blocks;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The memory cap, or a share of it, would be passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Bytes of a call's records, and as many of its answer, that are never refused: each connection is
/// charged for them from its beginning, so that any connected caller can do the little that a
/// conversation takes, however much others ask for.
pub(crate) const SMALL: usize = 2048;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Packets, including those on their way in or out.
    Packets,
    /// Records of packets that were discarded.
    Remembered,
    /// Memory that only makes a connection faster.
    Speed,
    /// Connections.
    Connections,
    /// Heads of requests that have begun and not ended.
    Heads,
    /// Records in the bodies of calls.
    Calls,
    /// Answers on their way, without the packets in them.
    Answers,
    /// Waiting calls.
    Waits,
}

impl Purpose {
    /// How many there are.
    const COUNT: usize = Self::Waits as usize + 1;

    /// The most that this purpose may take of `cap`. Records of discarded packets count as packets,
    /// too.
    fn bound(self, cap: usize) -> usize {
        match self {
            Self::Packets => cap / 8 * 5,
            Self::Connections => cap / 2,
            Self::Remembered | Self::Heads | Self::Answers => cap / 8,
            Self::Calls | Self::Waits => cap / 32 * 3,
            Self::Speed => cap / 16,
        }
    }

    /// How full the whole budget may become with this: an admitted caller must still be served.
    fn ceiling(self, cap: usize) -> usize {
        match self {
            Self::Speed => cap / 2,
            Self::Connections => cap / 32 * 31,
            _ => cap,
        }
    }

    /// One caller holds at most this part of what is left for all others; `Some(1)` means all of
    /// it.
    fn part(self) -> Option<usize> {
        match self {
            Self::Packets | Self::Connections => Some(1),
            Self::Calls => Some(2),
            Self::Answers => Some(4),
            Self::Remembered | Self::Speed | Self::Heads | Self::Waits => None,
        }
    }

    /// Whether a small amount is never refused, since the connection has paid for it.
    fn is_paid(self) -> bool {
        matches!(self, Self::Calls | Self::Answers)
    }
}

/// The bytes taken for each purpose, and their sum: a new connection compares that of all shares.
#[derive(Default)]
struct Taken {
    each: [AtomicUsize; Purpose::COUNT],
    sum: AtomicUsize,
}

impl Taken {
    fn of(&self, purpose: Purpose) -> usize {
        self.each[purpose as usize].load(Relaxed)
    }

    fn sum(&self) -> usize {
        self.sum.load(Relaxed)
    }

    fn add(&self, purpose: Purpose, bytes: usize) {
        self.each[purpose as usize].fetch_add(bytes, Relaxed);
        self.sum.fetch_add(bytes, Relaxed);
    }

    fn give_back(&self, purpose: Purpose, bytes: usize) {
        self.each[purpose as usize].fetch_sub(bytes, Relaxed);
        self.sum.fetch_sub(bytes, Relaxed);
    }
}

struct Pool {
    cap: usize,
    taken: Taken,
}

/// The cap, how much of it is taken, and how much of that by one share: a caller, or several that
/// count as one.
pub(crate) struct Budget {
    pool: Arc<Pool>,
    /// `None`: the part that belongs to no share.
    share: Option<Taken>,
}

impl Budget {
    /// A budget of `cap` bytes that belongs to no share.
    pub(crate) fn new(cap: usize) -> Arc<Self> {
        Arc::new(Self { pool: Arc::new(Pool { cap, taken: Taken::default() }), share: None })
    }

    /// A caller's share of it.
    pub(crate) fn share(&self) -> Arc<Self> {
        Arc::new(Self { pool: Arc::clone(&self.pool), share: Some(Taken::default()) })
    }

    /// Bytes taken.
    pub(crate) fn used(&self) -> usize {
        self.pool.taken.sum()
    }

    /// Bytes taken by this share.
    pub(crate) fn held(&self) -> usize {
        self.share.as_ref().map_or(0, Taken::sum)
    }

    /// The cap, bytes.
    pub(crate) fn cap(&self) -> usize {
        self.pool.cap
    }

    /// The most bytes that this purpose may take.
    pub(crate) fn bound(&self, purpose: Purpose) -> usize {
        purpose.bound(self.pool.cap)
    }

    /// Bytes that are left for this purpose.
    pub(crate) fn left(&self, purpose: Purpose) -> usize {
        let cap = self.pool.cap;
        let taken = self.pool.taken.of(purpose)
            + match purpose {
                Purpose::Packets => self.pool.taken.of(Purpose::Remembered),
                _ => 0,
            };
        let own = purpose.bound(cap).saturating_sub(taken);
        let idle = if purpose == Purpose::Packets { 0 } else { blocks::idle() };
        own.min(purpose.ceiling(cap).saturating_sub(self.used() + idle))
    }

    /// Bytes that this share has taken for this purpose.
    pub(crate) fn own(&self, purpose: Purpose) -> usize {
        self.share.as_ref().map_or(0, |share| share.of(purpose))
    }

    /// Bytes that others would have to give back before `bytes` can be taken.
    pub(crate) fn missing(&self, purpose: Purpose, bytes: usize) -> usize {
        let part = purpose.part().filter(|_| self.share.is_some()).unwrap_or(0);
        let needed = bytes + part * (self.own(purpose) + bytes);
        needed.saturating_sub(self.left(purpose))
    }

    /// Takes `bytes`, or nothing. (One thread serves; with more, two at once could exceed a bound
    /// by what one of them takes.)
    fn take(&self, purpose: Purpose, bytes: usize) -> Result<(), Full> {
        let left = self.left(purpose).checked_sub(bytes).ok_or(Full)?;
        if let (Some(share), Some(part)) = (&self.share, purpose.part())
            && share.of(purpose) + bytes > left / part
        {
            return Err(Full);
        }
        self.add(purpose, bytes);
        Ok(())
    }

    fn add(&self, purpose: Purpose, bytes: usize) {
        for taken in self.share.iter().chain([&self.pool.taken]) {
            taken.add(purpose, bytes);
        }
    }

    fn give_back(&self, purpose: Purpose, bytes: usize) {
        for taken in self.share.iter().chain([&self.pool.taken]) {
            taken.give_back(purpose, bytes);
        }
    }
}

/// Bytes taken from a budget for as long as this lives.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    purpose: Purpose,
    bytes: usize,
}

impl Charge {
    /// An empty charge.
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
        if self.purpose.is_paid() && bytes <= SMALL.saturating_sub(self.bytes) {
            self.grow_anyway(bytes);
            return Ok(());
        }
        self.budget.take(self.purpose, bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes `bytes` even above the cap: for a caller that frees more than that at the same moment.
    pub(crate) fn grow_anyway(&mut self, bytes: usize) {
        self.budget.add(self.purpose, bytes);
        self.bytes += bytes;
    }

    /// Gives `bytes` back, at most all of it.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give_back(self.purpose, bytes);
    }

    /// Moves the charge to another purpose.
    pub(crate) fn turn_to(&mut self, purpose: Purpose) {
        self.budget.add(purpose, self.bytes);
        self.budget.give_back(self.purpose, self.bytes);
        self.purpose = purpose;
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The budget that it was taken from.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.purpose, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: usize = 1024;

    #[test]
    fn no_purpose_crowds_out_another_and_all_is_given_back() {
        let budget = Budget::new(3200 * K);
        let charge = |purpose, bytes| Charge::new(&budget, purpose, bytes * K);
        let packets = charge(Purpose::Packets, 2000).unwrap();
        assert!(charge(Purpose::Packets, 1).is_err());
        let connections = charge(Purpose::Connections, 1100).unwrap();
        assert!(charge(Purpose::Connections, 1).is_err());
        let mut call = charge(Purpose::Calls, 100).unwrap();
        assert!(charge(Purpose::Calls, 3).is_err() && charge(Purpose::Answers, 3).is_err());
        assert!(charge(Purpose::Calls, 2).is_ok(), "a little is paid for");
        assert!(Charge::new(&budget, Purpose::Calls, usize::MAX).is_err());
        drop((packets, connections));
        call.turn_to(Purpose::Waits);
        let connections = charge(Purpose::Connections, 1600).unwrap();
        let calls = charge(Purpose::Calls, 300).unwrap();
        assert!(charge(Purpose::Connections, 1).is_err() && charge(Purpose::Calls, 3).is_err());
        assert!(charge(Purpose::Packets, 800).is_ok(), "a quarter is for packets");
        drop((calls, call, connections));
        assert_eq!(budget.used(), 0);
        let remembered = charge(Purpose::Remembered, 400).unwrap();
        assert!(charge(Purpose::Packets, 1601).is_err());
        drop(remembered);
        let packets = charge(Purpose::Packets, 1500).unwrap();
        let speed = charge(Purpose::Speed, 100).unwrap();
        assert!(charge(Purpose::Speed, 1).is_err(), "that is half of all");
        drop((packets, speed));
    }

    #[test]
    fn nobody_holds_more_than_is_left() {
        let budget = Budget::new(3200 * K);
        let (first, second) = (budget.share(), budget.share());
        let mut mine = Charge::new(&first, Purpose::Packets, 1000 * K).unwrap();
        assert!(mine.grow(1).is_err());
        let mut yours = Charge::new(&second, Purpose::Packets, 500 * K).unwrap();
        assert!(yours.grow(1).is_err() && mine.grow(1).is_err());
        let nobodys = Charge::new(&budget, Purpose::Packets, 500 * K);
        assert!(nobodys.is_ok(), "the rest belongs to no share");
        drop(nobodys);
        yours.shrink(500 * K);
        assert_eq!((first.held(), second.held(), budget.used()), (1000 * K, 0, 1000 * K));
        let calls = Charge::new(&first, Purpose::Calls, 100 * K).unwrap();
        assert!(Charge::new(&first, Purpose::Calls, 3 * K).is_err(), "a third of the calls");
        drop((mine, yours, calls));
        assert_eq!((first.held(), budget.used()), (0, 0));
    }
}
