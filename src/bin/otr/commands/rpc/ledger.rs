//! What a client was given and has not acknowledged yet, at most as much as its credit.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otr::postbox::client::Stop;
use serde_json::{Value, json};

use super::answer::{Answer, give_all};
use crate::failure::{Code, Failure};

/// For how long an acknowledgement waits for others, which are then stored with it.
const TOGETHER: Duration = Duration::from_millis(1);
/// After this time without another one, what is stored leaves the postbox, too.
const PAUSE: Duration = Duration::from_millis(50);

/// A part of a message that was given to the client.
struct Given {
    message: u64,
    offset: u64,
    taken: bool,
    /// The answer to its acknowledgement, which is given when that is stored.
    answer: Option<Answer>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were given, until they are stored.
    given: VecDeque<Given>,
    /// Whether something is stored, and lies in the postbox until the others are, or until a pause.
    lies: bool,
    stopped: bool,
    ended: bool,
}

impl State {
    /// How many were acknowledged, from the first on.
    fn taken(&self) -> usize {
        self.given.iter().take_while(|given| given.taken).count()
    }
}

/// The ledger of one delivery.
pub(super) struct Ledger {
    pub(super) session: String,
    /// What the client calls it.
    tag: Option<String>,
    credit: usize,
    /// Ends the calls of the postbox with the delivery.
    pub(super) stop: Stop,
    state: Mutex<State>,
    changed: Condvar,
}

/// What can be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Give another part.
    Give,
    /// Store this many of those that were given, from the first on; none: there is a pause.
    Store(usize),
    /// Nothing: it has been stopped.
    Stopped,
}

impl Ledger {
    pub(super) fn new(session: &str, credit: usize, tag: Option<&str>) -> Self {
        let (stop, state, changed) = Default::default();
        let (session, tag) = (session.to_owned(), tag.map(str::to_owned));
        Self { session, tag, credit, stop, state, changed }
    }

    /// Says in what is told to which delivery and session it belongs.
    pub(super) fn name(&self, params: &mut Value, number: u64) {
        params["subscription"] = number.into();
        params["session"] = self.session.as_str().into();
        if let Some(tag) = &self.tag {
            params["tag"] = tag.as_str().into();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a part is about to be given.
    pub(super) fn gives(&self, message: u64, offset: u64) {
        self.state().given.push_back(Given { message, offset, taken: false, answer: None });
    }

    /// Notes a part that needs no acknowledgement: it is in its place.
    pub(super) fn has(&self, message: u64, offset: u64) {
        self.state().given.push_back(Given { message, offset, taken: true, answer: None });
    }

    /// The client has taken a part. It learns that this is stored, or that an earlier part has to be
    /// acknowledged before.
    pub(super) fn takes(&self, message: u64, offset: u64, answer: Answer) {
        let mut state = self.state();
        let before = state.taken();
        // The parts of a message in a file are in their place, and the last one goes by the first one's name.
        let is_it =
            |given: &Given| !given.taken && (given.message, given.offset) == (message, offset);
        let Some(at) = state.given.iter().position(is_it) else {
            drop(state);
            let what = format!("nothing of message {message} waits to be acknowledged");
            let hint = "it was acknowledged, or comes again to the next subscription";
            return answer.give(Err(Failure::new(Code::Refused, what, hint)));
        };
        state.given[at].taken = true;
        let now = state.taken();
        if at >= now {
            drop(state);
            return answer.give(Ok(json!({ "stored": false })));
        }
        state.given[at].answer = Some(answer);
        // The delivery waits for the first one, and then until it is the last or no more come.
        if before == 0 || now == state.given.len() {
            self.changed.notify_all();
        }
    }

    /// Whether the client may be given another part now.
    pub(super) fn has_credit(&self) -> bool {
        let state = self.state();
        !state.stopped && state.given.len() < self.credit
    }

    /// Waits for the client. `more` says whether there are parts to give.
    pub(super) fn next(&self, more: bool) -> Next {
        let mut state = self.state();
        loop {
            let taken = state.taken();
            match (taken, state.stopped) {
                (0, true) => return Next::Stopped,
                (_, true) => return Next::Store(taken),
                _ if more && state.given.len() < self.credit => return Next::Give,
                (0, false) if state.lies => {
                    let waited = self.changed.wait_timeout(state, PAUSE);
                    let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = after;
                    if timeout.timed_out() && state.taken() == 0 {
                        state.lies = false;
                        return Next::Store(0);
                    }
                    continue;
                }
                (0, false) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                _ if taken == state.given.len() => return Next::Store(taken),
                _ => {}
            }
            let waited = self.changed.wait_timeout(state, TOGETHER);
            let (after, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = after;
            if timeout.timed_out() && state.taken() == taken {
                return Next::Store(taken);
            }
        }
    }

    /// The state now covers the first `count` of those that were given.
    pub(super) fn stored(&self, count: usize) {
        let mut state = self.state();
        let count = count.min(state.given.len());
        let stored: Vec<Given> = state.given.drain(..count).collect();
        state.lies = !state.given.is_empty();
        drop(state);
        let answers = stored.into_iter().filter_map(|given| given.answer);
        give_all(answers.map(|answer| (answer, Ok(json!({ "stored": true })))));
    }

    /// Nothing more is given; what was not acknowledged comes again to the next receiver.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
        self.stop.stop();
    }

    /// The delivery is over; acknowledgements that were not stored get this error.
    pub(super) fn end(&self, failure: impl Fn() -> Failure) {
        let mut state = self.state();
        state.ended = true;
        let left = std::mem::take(&mut state.given);
        drop(state);
        self.changed.notify_all();
        let answers = left.into_iter().filter_map(|given| given.answer);
        give_all(answers.map(|answer| (answer, Err(failure()))));
    }

    /// Waits until the delivery is over, for at most this long; returns whether it is.
    pub(super) fn is_over(&self, within: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), within, |state| !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::rpc::answer::To;
    use crate::commands::rpc::out::Out;
    use std::io::{PipeReader, Read as _, pipe};
    use std::sync::Arc;

    /// An answer, and where it can be read once it was given.
    fn answer() -> (Answer, PipeReader) {
        let (read, write) = pipe().unwrap();
        (Answer::new(Some(1.into()), To::Client(Arc::new(Out::new(Box::new(write))))), read)
    }

    fn said(mut read: PipeReader) -> String {
        let mut said = String::new();
        read.read_to_string(&mut said).unwrap();
        said
    }

    /// The parts before the last one, and the first of them has the name of the whole.
    #[test]
    fn a_message_in_a_file_is_acknowledged_by_its_last_part() {
        let ledger = Ledger::new("alice", 9, None);
        ledger.has(7, 0);
        ledger.has(7, 1000);
        ledger.gives(7, 0);
        assert_eq!(ledger.next(false), Next::Store(2));
        let (first, read) = answer();
        ledger.takes(7, 0, first);
        assert_eq!(ledger.next(false), Next::Store(3));
        ledger.stored(3);
        assert!(said(read).contains(r#""stored":true"#));
        let (again, read) = answer();
        ledger.takes(7, 0, again);
        assert!(said(read).contains("nothing of message 7 waits"));
    }
}
