//! A client: where its answers go, how many of its calls run, and what it has subscribed to.
//!
//! Whoever has something to say writes it in its own thread, and waits while the client does not read.
//! So nothing grows: the calls that run are bounded, and the next line is read when one is done.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use otr::postbox::client::Stop;
use otr::store::Name;

use super::ledger::Ledger;
use super::out::Out;
use crate::failure::Failure;

/// How many calls of a client run at a time, or wait for their turn.
const CALLS: usize = 32;
/// How long a delivery may take to store what was acknowledged last.
const LAST: Duration = Duration::from_secs(2);

/// One client.
pub(super) struct Client {
    pub(super) out: Arc<Out>,
    running: Mutex<usize>,
    fewer: Condvar,
    deliveries: Mutex<BTreeMap<u64, Arc<Ledger>>>,
    last: AtomicU64,
    /// Whether the client has written its last line.
    is_silent: AtomicBool,
    /// Ends what only this client waits for, after that.
    pub(super) over: Stop,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Client {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Arc<Self> {
        Arc::new(Self {
            out: Arc::new(Out::new(out)),
            running: Mutex::new(0),
            fewer: Condvar::new(),
            deliveries: Mutex::default(),
            last: AtomicU64::new(0),
            is_silent: AtomicBool::new(false),
            over: Stop::default(),
        })
    }

    /// No acknowledgement will come any more.
    pub(super) fn stop_all(&self) -> Vec<Arc<Ledger>> {
        self.is_silent.store(true, Ordering::SeqCst);
        self.over.stop();
        let ledgers: Vec<_> = lock(&self.deliveries).values().map(Arc::clone).collect();
        for ledger in &ledgers {
            ledger.stop();
        }
        ledgers
    }

    /// Waits, after that, until the deliveries have stored what was acknowledged, and the calls are done,
    /// for at most this long.
    pub(super) fn finish(&self, within: Option<Duration>) {
        let ledgers = self.stop_all();
        self.ends(within);
        for ledger in ledgers {
            ledger.is_over(within.unwrap_or(LAST));
        }
    }

    /// Waits until another call may run.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        let running = lock(&self.running);
        let full = self.fewer.wait_while(running, |running| *running >= CALLS);
        *full.unwrap_or_else(PoisonError::into_inner) += 1;
        Running(Arc::clone(self))
    }

    /// Waits until no call runs, for at most this long.
    fn ends(&self, within: Option<Duration>) {
        let deadline = within.map(|within| Instant::now() + within);
        let mut running = lock(&self.running);
        while *running > 0 {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match left {
                Some(left) if left.is_zero() => return,
                Some(left) => {
                    let waited = self.fewer.wait_timeout(running, left);
                    running = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => running = self.fewer.wait(running).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Begins a delivery, with at most `credit` parts that are not acknowledged.
    pub(super) fn deliver(
        &self,
        session: &Name,
        credit: usize,
        tag: Option<&str>,
    ) -> (u64, Arc<Ledger>) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let ledger = Arc::new(Ledger::new(session.as_str(), credit, tag));
        lock(&self.deliveries).insert(number, Arc::clone(&ledger));
        if self.is_silent.load(Ordering::SeqCst) {
            ledger.stop();
        }
        (number, ledger)
    }

    pub(super) fn delivery(&self, number: u64) -> Option<Arc<Ledger>> {
        lock(&self.deliveries).get(&number).map(Arc::clone)
    }

    /// Ends a delivery: acknowledgements that wait get this error.
    pub(super) fn delivered(&self, number: u64, failure: impl Fn() -> Failure) {
        let ledger = lock(&self.deliveries).remove(&number);
        if let Some(ledger) = ledger {
            ledger.end(failure);
        }
    }

    /// Stops the deliveries of a session that has ended.
    pub(super) fn stop(&self, session: &Name) {
        for ledger in lock(&self.deliveries).values().filter(|one| one.session == session.as_str())
        {
            ledger.stop();
        }
    }
}

/// A call that runs, or waits for its turn.
pub(super) struct Running(Arc<Client>);

impl Drop for Running {
    fn drop(&mut self) {
        *lock(&self.0.running) -= 1;
        self.0.fewer.notify_all();
    }
}
