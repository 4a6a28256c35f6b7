//! What the operator must know at once of a store that is in use.

use super::choices::Alarm;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Alarms that are known; above that they are forgotten, and may be told again.
const KNOWN: usize = 1024;

/// Tells each alarm once.
pub(super) struct Alarms {
    tell: fn(&Alarm),
    told: Mutex<BTreeSet<(String, String)>>,
    count: AtomicU64,
}

impl Alarms {
    /// `tell` is told each.
    pub(super) fn new(tell: fn(&Alarm)) -> Self {
        Self { tell, told: Mutex::default(), count: AtomicU64::new(0) }
    }

    /// Tells it, unless the same was told of the same `run` of a server.
    pub(super) fn raise(&self, alarm: &Alarm, run: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= KNOWN {
            told.clear();
        }
        if told.insert((alarm.to_string(), run.to_owned())) {
            self.count.fetch_add(1, Relaxed);
            (self.tell)(alarm);
        }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}
