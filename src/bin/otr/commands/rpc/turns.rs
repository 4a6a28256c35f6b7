//! The calls about a session run in the order in which they came, one after another; what waits and can be
//! done in one step is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use otr::store::Name;

use crate::failure::Failure;
use crate::worker;

/// A call that waits for its turn.
pub(super) trait Turn: Sized + Send + 'static {
    /// Whether it can be done in one step with the one that comes after it.
    fn joins(&self, next: &Self) -> bool;

    /// Does what can be done in one step.
    fn run(all: Vec<Self>);
}

/// The calls of one client, by session. One of each session runs, or several that joined.
pub(super) struct Turns<T>(Mutex<BTreeMap<String, VecDeque<T>>>);

impl<T: Turn> Turns<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, VecDeque<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call after the earlier ones about this session.
    pub(super) fn run(self: &Arc<Self>, session: &Name, turn: T) -> Result<(), Failure> {
        let mut lines = self.lines();
        if let Some(line) = lines.get_mut(session.as_str()) {
            line.push_back(turn);
            return Ok(());
        }
        let line = Line { turns: Arc::clone(self), session: session.as_str().to_owned() };
        let work = move || {
            let mut next = vec![turn];
            while !next.is_empty() {
                T::run(next);
                next = line.next();
            }
        };
        worker::start(work)?;
        lines.insert(session.as_str().to_owned(), VecDeque::new());
        Ok(())
    }
}

/// The thread that runs the calls about a session.
struct Line<T: Turn> {
    turns: Arc<Turns<T>>,
    session: String,
}

impl<T: Turn> Line<T> {
    /// The next ones, none at the end.
    fn next(&self) -> Vec<T> {
        let mut lines = self.turns.lines();
        let mut next: Vec<T> = Vec::new();
        if let Some(line) = lines.get_mut(&self.session) {
            while let Some(one) =
                line.pop_front_if(|one| next.last().is_none_or(|last| last.joins(one)))
            {
                next.push(one);
            }
        }
        if next.is_empty() {
            lines.remove(&self.session);
        }
        next
    }
}

impl<T: Turn> Drop for Line<T> {
    /// The calls behind one that has panicked end with it.
    fn drop(&mut self) {
        if thread::panicking() {
            drop(self.turns.lines().remove(&self.session));
        }
    }
}
