//! What the stream of a connection and the call that runs on it tell each other.

use super::alarm::Alarm;
use super::callers::{Callers, Guest, Here, Which};
use super::limits::{BURST, HEAD_COST, answer_time};
use super::outgoing::Piece;
use crate::postbox::storage::budget::{Budget, Charge, Full, Purpose};
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The caller at the other end of a connection.
pub(crate) struct Caller {
    /// The budget that pays for heads of requests, and all other callers; `None` for the operator.
    guest: Option<(Arc<Budget>, Arc<Callers>)>,
    state: Mutex<State>,
    notify: Notify,
    /// Whether the caller was told to leave.
    goes: AtomicBool,
    leave: Notify,
    /// Bytes that came without a pause since the last turn.
    burst: AtomicUsize,
    alarm: Alarm,
}

#[derive(Default)]
struct State {
    /// The charge for the head of a request that has begun.
    head: Option<Charge>,
    /// Whether a call runs: from the end of a request's head until all of its answer is on its way.
    calls: bool,
    /// The call waits: what the caller sends now is another request.
    waits: bool,
    /// He sends no more.
    hung_up: bool,
    /// Wakes the task that reads the body, to learn that no more of it comes.
    listener: Option<Waker>,
    /// Wakes the task that reads on when the call is over.
    reader: Option<Waker>,
    /// When the caller must have taken the answer.
    answer_by: Option<Instant>,
    /// Since when the caller keeps us waiting; `None` while the caller waits for us.
    since: Option<Instant>,
}

impl Caller {
    /// The operator.
    pub(crate) fn operator() -> Arc<Self> {
        Self::new(None)
    }

    /// A new caller, whose memory is charged to `budget`.
    pub(crate) fn enter(callers: &Arc<Callers>, budget: &Arc<Budget>) -> (Arc<Self>, Here) {
        let caller = Self::new(Some((budget, callers)));
        let here = callers.enter(Arc::<Self>::clone(&caller));
        (caller, here)
    }

    fn new(guest: Option<(&Arc<Budget>, &Arc<Callers>)>) -> Arc<Self> {
        Arc::new(Self {
            guest: guest.map(|(budget, callers)| (Arc::clone(budget), Arc::clone(callers))),
            state: Mutex::new(State { since: Some(Instant::now()), ..State::default() }),
            notify: Notify::new(),
            goes: AtomicBool::new(false),
            leave: Notify::new(),
            burst: AtomicUsize::new(0),
            alarm: Alarm::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have arrived. A head is charged until it is whole, since its buffer is larger than
    /// what has arrived.
    pub(crate) fn sent(&self) -> Result<(), Full> {
        let Some((budget, callers)) = &self.guest else { return Ok(()) };
        let mut state = self.state();
        if state.head.is_some() || (state.calls && !state.waits) {
            return Ok(());
        }
        let mut charge = Charge::nothing(budget, Purpose::Heads);
        if charge.grow(HEAD_COST).is_err() {
            // Making room locks the state of every caller, this one included.
            drop(state);
            if !callers.make_room(Which::InHead) {
                return Err(Full);
            }
            charge.grow_anyway(HEAD_COST);
            state = self.state();
        }
        state.head = Some(charge);
        state.since = Some(Instant::now());
        Ok(())
    }

    /// All that the caller sent so far has been read.
    pub(crate) fn pauses(&self) {
        self.burst.store(0, Relaxed);
    }

    /// The caller made work, as much as this many bytes.
    pub(crate) fn brings(&self, bytes: usize) {
        self.burst.fetch_add(bytes, Relaxed);
    }

    /// If the caller sends much without a pause, waits until others have had their turn.
    pub(crate) async fn takes_turns(&self) {
        if let Some((_, callers)) = &self.guest
            && self.burst.load(Relaxed) >= BURST
        {
            callers.lane().turn().await;
            self.burst.store(0, Relaxed);
        }
    }

    /// The caller keeps us waiting since then, or no longer.
    pub(crate) fn keeps(&self, since: Option<Instant>) {
        self.state().since = since;
    }

    /// Waits until the caller is told to go.
    pub(crate) async fn goes(&self) {
        self.leave.notified().await;
    }

    /// The caller sends no more bytes. That does not end a running call, since the caller may still
    /// listen: the call is told, and `reader` is woken when it is over. True if a call runs.
    pub(crate) fn hung_up(&self, reader: &Waker) -> bool {
        let mut state = self.state();
        if state.calls {
            state.hung_up = true;
            state.reader = Some(reader.clone());
            self.notify.notify_one();
            if let Some(listener) = state.listener.take() {
                listener.wake();
            }
        }
        state.calls
    }

    /// Waits until the caller sends no more.
    pub(crate) async fn hangs_up(&self) {
        while !self.state().hung_up {
            self.notify.notified().await;
        }
    }

    /// Ready when the caller sends no more.
    pub(crate) fn poll_hangs_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.hung_up {
            return Poll::Ready(());
        }
        state.listener = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The timer of the connection.
    pub(crate) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// A call begins.
    pub(crate) fn calls(self: &Arc<Self>) -> Call {
        let mut state = self.state();
        // From here on `since` is about the body.
        *state = State { calls: true, since: state.since, ..State::default() };
        drop(state);
        Call(Arc::clone(self))
    }

    /// The call waits until the returned value is dropped.
    pub(crate) fn waits(&self) -> Waits<'_> {
        self.state().waits = true;
        Waits(self)
    }

    #[cfg(test)]
    pub(crate) fn answer_until(&self, when: Instant) {
        self.state().answer_by = Some(when);
    }

    /// When the caller must have taken the answer that is on its way.
    pub(crate) fn answer_by(&self) -> Option<Instant> {
        self.state().answer_by
    }
}

impl Guest for Caller {
    fn keeps_since(&self, which: Which) -> Option<Instant> {
        let state = self.state();
        let asked = match which {
            Which::All => !state.waits,
            Which::InHead => state.head.is_some(),
        };
        state.since.filter(|_| asked && !self.is_told_to_go())
    }

    fn go(&self) -> bool {
        let first = !self.goes.swap(true, Relaxed);
        if first {
            self.leave.notify_one();
        }
        first
    }

    fn is_told_to_go(&self) -> bool {
        self.goes.load(Relaxed)
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
        state.since = Some(Instant::now());
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
