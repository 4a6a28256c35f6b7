//! A pipe over a session: streams of bytes both ways, which survive lost packets, cut networks and a
//! postbox that begins anew.
//!
//! ```text
//! the program's threads: open, accept, write, read, took
//!        ↓ [`Pipe`]: the streams, behind one lock ↑
//! `carry`: due → numbers (STORED) → seal → HAND OUT      `feed`: packet opened → into the streams → STORED
//! ```
//!
//! The order of effects is that of messages: numbers are stored before anything is sealed with them, and a
//! packet's key is forgotten once its bytes are with this process. What a stream holds is only in memory:
//! it ends with the process.

mod carry;
mod face;
mod feed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::protocol::authentication::verify::Event;
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
pub use crate::protocol::stream::{Broken, Chunk};
use crate::protocol::stream::{Due, Given, Streams};

pub use carry::{Carried, Carrier};
pub use face::ReceivingStreams;

/// A stream of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// Counts the processes at the other end: the streams of one are not those of the next.
    era: u64,
    /// The stream's number, from 0, the same at both ends.
    pub number: u64,
}

/// How much later than it is due a packet may leave, rather than to wake the sending half for it.
const SLACK: Duration = Duration::from_millis(10);

/// What runs between the threads of a pipe.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    streams: Streams,
    era: u64,
    /// Streams of the other side that nobody has taken up yet.
    opened: VecDeque<u64>,
    /// The streams that were given out and have not gone.
    used: BTreeSet<StreamId>,
    /// How streams that were given out ended, until somebody has asked: whether they were whole.
    closed: BTreeMap<StreamId, bool>,
    /// Whether any was not.
    broke: bool,
    /// Whether another process of the other side may come after this one.
    keep_open: bool,
    /// The newest chain of the other side that is stored here.
    chain: u32,
    /// How often something of the other side was stored.
    stored: u64,
    /// Whether this process is the session's receiver: before that, another one would take the answers.
    receives: bool,
    /// When the other side was heard last.
    heard: Instant,
    /// Since when something of ours is on its way to it.
    unsettled: Instant,
    /// How many packets of the other side were taken.
    packets: u64,
    /// When the sending half wakes by itself, in the pipe's time, if it sleeps and does.
    sleeps_until: Option<Duration>,
    /// Set when the pipe cannot go on.
    failed: bool,
    /// Set when everything has been said.
    finished: bool,
}

struct Shared {
    state: Mutex<State>,
    /// Something may have changed for the threads that read streams, or wait for their end.
    changed: Condvar,
    /// The same for those that write.
    room: Condvar,
    /// The same for those that open and accept them.
    opened: Condvar,
    /// Something may have to leave.
    leave: Condvar,
    began: Instant,
    /// Is told the results of checks of a secret.
    tell: Box<dyn Fn(&Event) + Send + Sync>,
}

/// What a pipe does with the other side's streams and processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// The other side may open streams.
    pub accepts: bool,
    /// When the other side's process has ended, another may come.
    pub keep_open: bool,
}

/// A pipe, for the threads of a program: each call may block, and any thread may call.
#[derive(Clone)]
pub struct Pipe(Arc<Shared>);

impl Pipe {
    /// A pipe. What a check of a secret brings meanwhile goes to `tell`.
    ///
    /// # Errors
    /// [`NoRandomness`]: processes are told apart by random numbers.
    pub fn new(
        manner: Manner,
        randomness: &mut dyn Randomness,
        tell: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Self, NoRandomness> {
        let state = State {
            streams: Streams::new(run(randomness)?, manner.accepts),
            era: 0,
            opened: VecDeque::new(),
            used: BTreeSet::new(),
            closed: BTreeMap::new(),
            broke: false,
            keep_open: manner.keep_open,
            chain: 0,
            stored: 0,
            receives: false,
            heard: Instant::now(),
            unsettled: Instant::now(),
            packets: 0,
            sleeps_until: None,
            failed: false,
            finished: false,
        };
        Ok(Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            room: Condvar::new(),
            opened: Condvar::new(),
            leave: Condvar::new(),
            began: Instant::now(),
            tell: Box::new(tell),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panics has ended its pipe, and says so elsewhere.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// Waits until `ready` gives something.
    fn wait<T>(&self, ready: impl FnMut(&mut State) -> Option<T>) -> T {
        self.wait_at(&self.0.changed, ready)
    }

    fn wait_at<T>(&self, bell: &Condvar, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(found) = ready(&mut state) {
                return found;
            }
            state = bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets a packet leave if one should, and wakes the sending half only if it would come too late by
    /// itself.
    fn let_leave(&self, state: MutexGuard<'_, State>) {
        let late = match (state.streams.due(self.now()), state.sleeps_until) {
            (Due::Now, _) | (Due::At(_), None) => true,
            (Due::At(at), Some(until)) => until > at + SLACK,
            (Due::Never, _) => false,
        };
        drop(state);
        if late {
            self.0.leave.notify_all();
        }
    }

    /// Opens a stream: the n-th stream of one end is the n-th of the other. Waits while too many are open;
    /// `None` if the pipe is over.
    pub fn open(&self) -> Option<StreamId> {
        let opened = self.wait_at(&self.0.opened, |state| match state.streams.open() {
            Some(number) => Some(Some(state.give_out(number))),
            None => state.is_over().then_some(None),
        });
        self.0.leave.notify_all();
        opened
    }

    /// The next stream that the other side has opened; `None` if there will be none.
    pub fn accept(&self) -> Option<StreamId> {
        self.wait_at(&self.0.opened, |state| {
            while let Some(number) = state.opened.pop_front() {
                // It may have been broken off meanwhile.
                if state.streams.is_live(number) {
                    return Some(Some(state.give_out(number)));
                }
            }
            state.is_over().then_some(None)
        })
    }

    /// Opens no more streams.
    pub fn open_no_more(&self) {
        self.state().streams.open_no_more();
        self.wake();
    }

    /// Writes to a stream; waits until the other side may be sent more.
    ///
    /// # Errors
    /// [`Broken`]: it does not arrive.
    pub fn write(&self, id: StreamId, chunk: Chunk) -> Result<(), Broken> {
        self.wait_for_room(id)?;
        let mut state = self.state();
        state.check(id)?;
        state.streams.write(id.number, chunk)?;
        self.let_leave(state);
        Ok(())
    }

    /// An empty buffer, to be read into and written.
    pub fn buffer(&self) -> Chunk {
        self.state().streams.buffer()
    }

    /// Waits until more may be written to a stream.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn wait_for_room(&self, id: StreamId) -> Result<(), Broken> {
        self.wait_at(&self.0.room, |state| match state.has_room(id) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(Broken) => Some(Err(Broken)),
        })
    }

    /// Ends what is written to a stream; the other direction goes on.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn end(&self, id: StreamId) -> Result<(), Broken> {
        let mut state = self.state();
        state.check(id)?;
        state.streams.end(id.number)?;
        drop(state);
        self.0.leave.notify_all();
        Ok(())
    }

    /// The next bytes of a stream; `None` at its end. What was read is to be reported with
    /// [`took`](Self::took), also the end.
    ///
    /// # Errors
    /// [`Broken`]: the rest will not come.
    pub fn read(&self, id: StreamId) -> Result<Option<Chunk>, Broken> {
        self.wait(|state| match state.check(id).and_then(|()| state.streams.give(id.number)) {
            Ok(Given::Bytes(bytes)) => Some(Ok(Some(bytes))),
            Ok(Given::End) => Some(Ok(None)),
            Ok(Given::Nothing) => None,
            Err(Broken) => Some(Err(Broken)),
        })
    }

    /// What was read is at its place: these bytes, or the end. Only then does the other side forget it, and
    /// send more.
    pub fn took(&self, id: StreamId, bytes: Option<Chunk>) {
        let now = self.now();
        let mut state = self.state();
        if state.check(id).is_ok() {
            state.streams.took(id.number, bytes, now);
        }
        self.let_leave(state);
    }

    /// Breaks a stream off at both ends, once all that was written to it has arrived.
    pub fn abort_behind(&self, id: StreamId) {
        let arrived =
            |state: &mut State| match state.check(id).and(state.streams.kept_of(id.number)) {
                Ok(1..) => None,
                Ok(0) | Err(Broken) => Some(()),
            };
        self.wait_at(&self.0.room, arrived);
        self.abort(id);
    }

    /// Breaks a stream off at both ends.
    pub fn abort(&self, id: StreamId) {
        let mut state = self.state();
        if state.check(id).is_ok() {
            state.streams.abort(id.number);
        }
        drop(state);
        self.wake();
    }

    /// Waits until a stream has gone; whether it was whole: all that was written to it, at both ends, has
    /// been taken at the other. To be asked once for each stream.
    pub fn closed(&self, id: StreamId) -> bool {
        self.wait(|state| match state.closed.remove(&id) {
            Some(whole) => Some(whole),
            None => (state.failed || state.finished).then_some(false),
        })
    }

    /// Whether a stream was broken off, or is still open although the pipe has ended.
    pub fn broke(&self) -> bool {
        let state = self.state();
        state.broke || state.streams.count() > 0
    }

    /// Whether the other side is there.
    pub fn is_met(&self) -> bool {
        self.state().streams.is_met()
    }

    /// How long the other side has been silent while something of ours is on its way to it.
    pub fn silence(&self) -> Duration {
        let state = self.state();
        let since = state.heard.max(state.unsettled);
        if state.streams.is_settled() { Duration::ZERO } else { since.elapsed() }
    }

    /// Ends the pipe: what is on its way is abandoned, and the other side is told.
    pub fn end_all(&self) {
        let mut state = self.state();
        state.keep_open = false;
        state.streams.end_all();
        drop(state);
        self.wake();
    }

    /// Whether it is over, for whatever reason.
    pub fn is_over(&self) -> bool {
        self.state().is_over()
    }

    /// Ends the pipe without telling anybody: the way to the other side is gone.
    pub fn fail(&self) {
        self.state().failed = true;
        self.wake();
    }

    /// This process is the session's one receiver now.
    fn receives(&self) {
        self.state().receives = true;
        self.0.changed.notify_all();
    }

    /// Waits until this is `so`; whether it is, and the pipe goes on.
    fn wait_unless_over(&self, so: impl Fn(&State) -> bool) -> bool {
        self.wait(|state| {
            let over = state.is_over();
            (over || so(state)).then_some(!over)
        })
    }

    fn wake(&self) {
        self.0.leave.notify_all();
        self.0.opened.notify_all();
        self.0.changed.notify_all();
        self.0.room.notify_all();
    }
}

impl State {
    fn id(&self, number: u64) -> StreamId {
        StreamId { era: self.era, number }
    }

    fn give_out(&mut self, number: u64) -> StreamId {
        let id = self.id(number);
        self.used.insert(id);
        id
    }

    /// Whether the stream is one of those that there are now.
    fn check(&self, id: StreamId) -> Result<(), Broken> {
        if self.failed || self.finished || id.era != self.era { Err(Broken) } else { Ok(()) }
    }

    fn has_room(&self, id: StreamId) -> Result<bool, Broken> {
        self.check(id)?;
        self.streams.has_room(id.number)
    }

    /// Whether no more streams come or can be opened.
    fn is_over(&self) -> bool {
        self.failed || self.finished || (self.streams.is_ending() && !self.keep_open)
    }

    /// Notes which streams have gone.
    fn note(&mut self) {
        for (number, whole) in self.streams.take_closed() {
            let id = self.id(number);
            self.broke |= !whole;
            if self.used.remove(&id) {
                self.closed.insert(id, whole);
            }
        }
    }

    /// The other side's process is another one from now on.
    fn next_era(&mut self) {
        self.note();
        self.era += 1;
        self.opened.clear();
        self.used.clear();
    }
}

/// A number for a run, not 0.
fn run(randomness: &mut dyn Randomness) -> Result<u64, NoRandomness> {
    let mut bytes = [0; 8];
    randomness.fill(Draw::PipeRun, &mut bytes)?;
    Ok(u64::from_be_bytes(bytes).max(1))
}
