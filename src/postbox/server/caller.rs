//! What the stream of a connection and the call that runs on it tell each other.

use super::limits::{HEAD_COST, answer_time};
use super::outgoing::Piece;
use crate::postbox::store::budget::{Budget, Charge, Full, Purpose};
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Who is at the other end of a connection.
pub(crate) struct Caller {
    /// What the heads of requests are charged to; `None`: the operator, whose are not.
    budget: Option<Arc<Budget>>,
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    /// For the head of a request that has begun.
    head: Option<Charge>,
    /// From the end of a request's head until all of its answer is on its way.
    calls: bool,
    /// His call waits: what he sends now is another request.
    waits: bool,
    /// He sends no more.
    hung_up: bool,
    /// Reads on when the call is over.
    reader: Option<Waker>,
    /// When the answer has to be taken.
    answer_by: Option<Instant>,
}

impl Caller {
    pub(crate) fn new(budget: Option<&Arc<Budget>>) -> Arc<Self> {
        Arc::new(Self {
            budget: budget.map(Arc::clone),
            state: Mutex::default(),
            bell: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came: those of a head are charged until it is whole, since they lie in buffers that
    /// are larger than what came.
    pub(crate) fn sent(&self) -> Result<(), Full> {
        let mut state = self.state();
        if let Some(budget) = &self.budget
            && state.head.is_none()
            && (state.waits || !state.calls)
        {
            state.head = Some(Charge::new(budget, Purpose::Heads, HEAD_COST)?);
        }
        Ok(())
    }

    /// No more bytes come. While a call runs that is no reason to end it: he may listen still. It
    /// is told, and `reader` woken when it is over; true if so.
    pub(crate) fn hung_up(&self, reader: &Waker) -> bool {
        let mut state = self.state();
        if state.calls {
            state.hung_up = true;
            state.reader = Some(reader.clone());
            self.bell.notify_one();
        }
        state.calls
    }

    /// Until he sends no more.
    pub(crate) async fn hangs_up(&self) {
        while !self.state().hung_up {
            self.bell.notified().await;
        }
    }

    /// A call begins.
    pub(crate) fn calls(self: &Arc<Self>) -> Call {
        *self.state() = State { calls: true, ..State::default() };
        Call(Arc::clone(self))
    }

    /// His call waits, until what is returned is dropped.
    pub(crate) fn waits(&self) -> Waits<'_> {
        self.state().waits = true;
        Waits(self)
    }

    #[cfg(test)]
    pub(crate) fn answer_until(&self, when: Instant) {
        self.state().answer_by = Some(when);
    }

    /// When the answer that is on its way has to be taken.
    pub(crate) fn answer_by(&self) -> Option<Instant> {
        self.state().answer_by
    }
}

/// A call that runs.
pub(crate) struct Call(Arc<Caller>);

impl Call {
    /// The answer, which ends the call when the last of it is on its way.
    pub(crate) fn answer<B: Body>(self, body: B) -> Answering<B> {
        let size = body.size_hint().exact();
        self.0.state().answer_by = Some(Instant::now() + answer_time(size));
        Answering { body, _call: self }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.calls = false;
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

/// A call that waits.
pub(crate) struct Waits<'a>(&'a Caller);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.state().waits = false;
    }
}

/// The body of an answer, and its call.
pub(crate) struct Answering<B> {
    body: B,
    _call: Call,
}

impl<B: Body<Data = Piece, Error = Infallible> + Unpin> Body for Answering<B> {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
