//! The answers that calls owe, and where they go.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use zeroize::Zeroizing;

use super::envelope;
use super::out::{self, Out};
use crate::failure::Failure;

/// Collects the answers of a batch.
pub(super) struct Batch {
    out: Arc<Out>,
    answers: Mutex<(usize, Vec<Value>)>,
}

impl Batch {
    pub(super) fn new(out: &Arc<Out>, calls: usize) -> Arc<Self> {
        Arc::new(Self { out: Arc::clone(out), answers: Mutex::new((calls, Vec::new())) })
    }

    /// One of its calls is done, perhaps with an answer.
    pub(super) fn take(&self, answer: Option<Value>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.1.extend(answer);
        answers.0 -= 1;
        if answers.0 == 0 && !answers.1.is_empty() {
            let all = std::mem::take(&mut answers.1);
            self.out.write(&Value::Array(all));
        }
    }
}

/// Where an answer goes.
#[derive(Clone)]
pub(super) enum To {
    Client(Arc<Out>),
    Batch(Arc<Batch>),
}

impl To {
    pub(super) fn take(&self, answer: Option<Value>) {
        match (self, answer) {
            (Self::Client(out), Some(answer)) => {
                out.write(&answer);
            }
            (Self::Client(_), None) => {}
            (Self::Batch(batch), answer) => batch.take(answer),
        }
    }
}

/// The answer that a call owes. One that is dropped says that the call has ended.
pub(super) struct Answer {
    id: Option<Value>,
    to: To,
    given: bool,
}

impl Answer {
    pub(super) fn new(id: Option<Value>, to: To) -> Self {
        Self { id, to, given: false }
    }

    pub(super) fn give(self, done: Result<Value, Failure>) {
        give_all([(self, done)]);
    }
}

/// Gives answers: those for the client itself in one write. They are all for one client.
pub(super) fn give_all(all: impl IntoIterator<Item = (Answer, Result<Value, Failure>)>) {
    let (mut out, mut lines) = (None, Zeroizing::new(String::new()));
    for (mut answer, done) in all {
        answer.given = true;
        let line = answer.id.as_ref().map(|id| envelope::done(id, done));
        match (&answer.to, line) {
            (To::Client(to), Some(line)) => {
                lines.push_str(&out::text(&line));
                out.get_or_insert_with(|| Arc::clone(to));
            }
            (To::Client(_), None) => {}
            (To::Batch(batch), line) => batch.take(line),
        }
    }
    if let Some(out) = out {
        out.write_all(&lines);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.given {
            self.to.take(self.id.as_ref().map(envelope::fault));
        }
    }
}
