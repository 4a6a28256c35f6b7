//! The streams of a pipe, over packets that may be lost, doubled or out of order: what a program writes
//! comes out at the other end whole and in order, or the stream breaks. Each packet is sealed under a
//! number of its own; what was lost is sealed again. This does no I/O and has no clock: times are those
//! since the pipe began, as the caller tells them.
//!
//! ```text
//! write → Outgoing (kept until taken) → fill ⇒ packet ⇒ came → Incoming (in order) → give → took ⇒ TAKEN
//! ```
//!
//! A *run* is one process at one end. Each end says hello with its run's number; a packet that does not
//! name the receiver's run is no more than a hello, so nothing of an earlier run gets into this one.

mod chunk;
mod incoming;
mod leaving;
mod outgoing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use zeroize::Zeroizing;

pub use self::chunk::{CHUNK, Chunk, Opened};
use self::chunk::{Part, Pool};
pub use self::incoming::Given;
use self::incoming::Incoming;
pub use self::leaving::Due;
use self::outgoing::Outgoing;
use crate::protocol::packet::pipe::{Head, PipeFrames, StreamPart, Taken};
use crate::protocol::packet::runs::Runs;
use crate::protocol::ratchet::skipped::Position;

/// How many streams may be open at a time.
pub const STREAMS_MAX: usize = 128;
/// How many bytes of a stream may be sent before the other side has said how many it takes: enough for
/// a request, and little even if all streams hold so much.
pub(crate) const WINDOW_FIRST: u64 = 256 << 10;
/// How many bytes of all streams together are let in before they are taken, beyond the first of each:
/// enough to fill a path through a postbox. Each stream gets half of what the others have left.
const WINDOW_ALL: u64 = 16 << 20;
/// The most for one stream: eight of the largest packets. A sender keeps no more either.
const WINDOW_MOST: u64 = 8 << 20;
/// How long the word that something was taken may wait for a packet that leaves anyhow.
const TOLD_LATER: Duration = Duration::from_millis(20);
/// How many separate runs of stream numbers are remembered; streams are opened in order, so a peer that
/// needs more is up to something.
const RUNS_MAX: usize = 4096;

/// The other side breaks the rules of streams: the pipe must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach;

/// There is no such stream, or it was broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// What a packet has brought about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Streams that the other side has opened.
    pub opened: Vec<u64>,
    /// The other side's process is another one now: what was on its way is lost, all streams are
    /// broken.
    pub began_anew: bool,
}

/// The process at the other end.
struct Peer {
    run: u64,
    /// The first packet of it that came.
    since: Position,
    /// Whether it has shown that it knows our run.
    knows_us: bool,
    /// Whether it opens no more streams.
    last: bool,
}

struct Stream {
    out: Outgoing,
    into: Incoming,
    /// Set when it is broken off here, until the other side knows: whether that is on its way.
    broken: Option<bool>,
}

/// The streams of one end.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Streams {
    own: u64,
    peer: Option<Peer>,
    live: BTreeMap<u64, Stream>,
    /// The numbers of all streams that there have been.
    seen: Runs,
    next: u64,
    /// Whether this end opens no more streams.
    last: bool,
    /// Whether the other side may open streams.
    accepts: bool,
    /// Whether a packet must leave although there is nothing of a stream in it.
    hello_due: bool,
    /// Whether a hello is on its way that was not answered.
    asked: bool,
    /// Whether this end is over, and whether it is after everything was done; whether it has said so.
    over: bool,
    orderly: bool,
    over_said: bool,
    /// Whether the other side has ended its pipe.
    peer_over: bool,
    /// Streams that the other side asks about, and that are not known here any more.
    gone: VecDeque<u64>,
    /// Streams that are no longer live, and whether all of them arrived, in both directions.
    closed: Vec<(u64, bool)>,
    pool: Pool,
    /// The stream that was filled last: the next one comes first.
    turn: u64,
}

impl Streams {
    /// The streams of the run `own`, a random number that is not 0. If it `accepts`, the other side may
    /// open streams.
    pub fn new(own: u64, accepts: bool) -> Self {
        Self {
            own: own.max(1),
            peer: None,
            live: BTreeMap::new(),
            seen: Runs::default(),
            next: 0,
            last: false,
            accepts,
            hello_due: true,
            asked: false,
            over: false,
            orderly: false,
            over_said: false,
            peer_over: false,
            gone: VecDeque::new(),
            closed: Vec::new(),
            pool: Pool::default(),
            turn: 0,
        }
    }

    /// Opens a stream; `None` while too many are open. The n-th stream of one end is the n-th of the
    /// other: where both open them, they meet.
    pub fn open(&mut self) -> Option<u64> {
        let number = self.next;
        // The other side may have opened it before.
        let room = self.live.len() < STREAMS_MAX || self.live.contains_key(&number);
        if !room || self.last {
            return None;
        }
        self.next = number.saturating_add(1);
        self.seen.insert(number, number);
        self.live.entry(number).or_insert_with(|| Stream::new(true));
        Some(number)
    }

    /// No more streams will be opened here.
    pub fn open_no_more(&mut self) {
        if !self.last {
            (self.last, self.hello_due) = (true, true);
        }
    }

    /// Whether the other side is there.
    pub fn is_met(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.knows_us)
    }

    /// Whether the other side has ended its pipe.
    pub fn peer_is_over(&self) -> bool {
        self.peer_over
    }

    /// Whether there is nothing left to do: all streams have ended at both ends, and no more come.
    pub fn is_done(&self) -> bool {
        let more = self.accepts && !self.peer.as_ref().is_some_and(|peer| peer.last);
        let more = more && !self.peer_over;
        self.last && !more && self.live.is_empty() && self.is_met() && self.gone.is_empty()
    }

    /// How many streams are open.
    pub fn count(&self) -> usize {
        self.live.len()
    }

    /// Forgets the other side's process, so that another may come, and begins the run `own`.
    pub fn await_another(&mut self, own: u64) {
        self.break_all(false);
        let closed = self.take_closed();
        let pool = core::mem::take(&mut self.pool);
        *self = Self { last: self.last, closed, pool, ..Self::new(own, self.accepts) };
    }

    /// The streams that have gone since the last call, and whether each was whole: everything that was
    /// written to it, at both ends, has been taken at the other.
    pub fn take_closed(&mut self) -> Vec<(u64, bool)> {
        core::mem::take(&mut self.closed)
    }

    /// Whether the stream is there.
    pub fn is_live(&self, number: u64) -> bool {
        self.stream(number).is_ok()
    }

    /// Forgets all streams. If the other side had done all it had to, what has ended both ways has ended
    /// well.
    fn break_all(&mut self, orderly: bool) {
        for (number, stream) in core::mem::take(&mut self.live) {
            let whole = if orderly { stream.has_ended() } else { stream.is_done() };
            self.closed.push((number, whole));
        }
        self.seen = Runs::default();
        self.gone.clear();
        self.next = 0;
    }

    /// Forgets one.
    fn forget(&mut self, number: u64) {
        if let Some(stream) = self.live.remove(&number) {
            self.closed.push((number, stream.has_ended()));
        }
    }

    /// Whether more may be written to the stream now.
    pub fn has_room(&self, number: u64) -> Result<bool, Broken> {
        self.stream(number).map(|stream| stream.out.has_room())
    }

    /// Writes to a stream.
    pub fn write(&mut self, number: u64, chunk: Chunk) -> Result<(), Broken> {
        let stream = self.live.get_mut(&number).filter(|stream| stream.broken.is_none());
        stream.ok_or(Broken)?.out.write(chunk, &mut self.pool);
        Ok(())
    }

    /// An empty buffer, to be written.
    pub fn buffer(&mut self) -> Chunk {
        self.pool.take()
    }

    /// Ends what this side writes to a stream.
    pub fn end(&mut self, number: u64) -> Result<(), Broken> {
        self.stream_mut(number).map(|stream| stream.out.end())
    }

    /// The buffers of packets that were [taken in](Self::came) and whose bytes the program has taken; they
    /// are still there.
    pub fn take_packets(&mut self) -> Vec<Zeroizing<Vec<u8>>> {
        self.pool.take_packets()
    }

    /// The next bytes of a stream.
    pub fn give(&mut self, number: u64) -> Result<Given, Broken> {
        self.stream_mut(number).map(|stream| stream.into.give())
    }

    /// What was given is at its place: these bytes, or the end.
    pub fn took(&mut self, number: u64, bytes: Option<Chunk>, now: Duration) {
        let length = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if let Ok(stream) = self.stream_mut(number) {
            stream.into.took(length, bytes.is_none(), now);
        }
        if let Some(bytes) = bytes {
            self.pool.give_back(bytes);
        }
    }

    /// Breaks a stream off, in both directions.
    pub fn abort(&mut self, number: u64) {
        if let Some(stream) = self.live.get_mut(&number) {
            (stream.out, stream.into) = (Outgoing::new(false), Incoming::new());
            stream.broken.get_or_insert(false);
        }
    }

    /// Ends the pipe, with whatever is on its way.
    pub fn end_all(&mut self) {
        if !self.over {
            (self.over, self.orderly) = (true, self.is_done());
        }
    }

    /// Whether it is being ended.
    pub fn is_ending(&self) -> bool {
        self.over
    }

    /// Whether the end was said.
    pub fn has_said_end(&self) -> bool {
        self.over_said
    }

    fn stream(&self, number: u64) -> Result<&Stream, Broken> {
        self.live.get(&number).filter(|stream| stream.broken.is_none()).ok_or(Broken)
    }

    fn stream_mut(&mut self, number: u64) -> Result<&mut Stream, Broken> {
        self.live.get_mut(&number).filter(|stream| stream.broken.is_none()).ok_or(Broken)
    }

    /// Takes in the frames of a packet, and perhaps its buffer.
    ///
    /// # Errors
    /// [`Breach`].
    pub fn came(
        &mut self,
        at: Position,
        frames: &PipeFrames,
        packet: &mut Opened<'_>,
        now: Duration,
    ) -> Result<Came, Breach> {
        let mut came = Came::default();
        if !self.is_from_peer(at, &frames.head, &mut came) {
            return Ok(came);
        }
        for taken in &frames.taken {
            self.was_taken(taken)?;
        }
        for (nth, part) in frames.parts.iter().enumerate() {
            let is_last = nth + 1 == frames.parts.len();
            let bytes = packet.part(&part.bytes, is_last).ok_or(Breach)?;
            self.part(part, bytes, now, &mut came)?;
        }
        if frames.head.over {
            self.peer_over = true;
            self.break_all(frames.head.last);
        }
        self.sweep();
        Ok(came)
    }

    /// Whether a packet is of the other end's present run, and for this run.
    fn is_from_peer(&mut self, at: Position, head: &Head, came: &mut Came) -> bool {
        let knows_us = head.to == self.own;
        match &mut self.peer {
            Some(peer) if peer.run == head.from => {
                if head.over && !knows_us && !peer.knows_us {
                    // It ended before it knew of us.
                    (self.peer, self.asked) = (None, false);
                    self.gone.clear();
                    return false;
                }
                peer.since = peer.since.min(at);
                if knows_us {
                    (peer.knows_us, self.asked) = (true, false);
                    peer.last |= head.last;
                }
                return knows_us;
            }
            // Late words of a process that is no more.
            Some(peer) if at < peer.since => return false,
            Some(peer) if peer.knows_us => {
                came.began_anew = true;
                self.break_all(false);
            }
            _ if head.over => return false,
            _ => {}
        }
        self.peer = Some(Peer { run: head.from, since: at, knows_us, last: head.last && knows_us });
        self.peer_over = false;
        // It may not have what went to one before it, or to nobody; and it must hear of us.
        self.lost();
        (self.hello_due, self.asked) = (true, !knows_us);
        knows_us
    }

    fn was_taken(&mut self, taken: &Taken) -> Result<(), Breach> {
        let Some(stream) = self.live.get_mut(&taken.stream) else { return Ok(()) };
        if taken.gone {
            self.forget(taken.stream);
            return Ok(());
        }
        if stream.broken.is_none() {
            stream.out.took(taken, &mut self.pool).map_err(|()| Breach)?;
        }
        Ok(())
    }

    fn part(
        &mut self,
        part: &StreamPart,
        bytes: Part<'_>,
        now: Duration,
        came: &mut Came,
    ) -> Result<(), Breach> {
        let number = part.stream;
        let is_new = !self.live.contains_key(&number);
        if is_new {
            if self.seen.contains(number) || part.abort {
                self.is_gone(number);
                return Ok(());
            }
            self.seen.insert(number, number);
            if self.seen.len() > RUNS_MAX {
                return Err(Breach);
            }
            // Where streams are still opened here, it waits until this end opens the same one.
            if (self.last && !self.accepts) || self.live.len() >= STREAMS_MAX {
                self.is_gone(number);
                return Ok(());
            }
            self.live.insert(number, Stream::new(false));
            if self.accepts {
                came.opened.push(number);
            }
        }
        let Some(stream) = self.live.get_mut(&number) else { return Ok(()) };
        if part.abort {
            stream.broken = Some(true);
            self.forget(number);
            self.is_gone(number);
            return Ok(());
        }
        if stream.broken.is_some() {
            return Ok(());
        }
        if is_new || part.bytes.is_empty() {
            // It shows that the stream is known here, and how much of it may come.
            stream.into.tell_now(now);
        }
        stream.into.came(part.offset, bytes, part.end, now, &mut self.pool)
    }

    /// The other side asks about a stream that is not known here any more.
    fn is_gone(&mut self, number: u64) {
        if !self.gone.contains(&number) && self.gone.len() < 4 * STREAMS_MAX {
            self.gone.push_back(number);
        }
    }

    /// Forgets streams that have ended both ways, once the other side knows.
    fn sweep(&mut self) {
        let closed = &mut self.closed;
        self.live.retain(|number, stream| {
            let done = stream.out.is_done() && stream.into.is_told();
            if done {
                closed.push((*number, true));
            }
            !done
        });
    }

    /// Whether nothing is on its way that the other side has yet to take.
    pub fn is_settled(&self) -> bool {
        !self.asked
            && self.live.values().all(|stream| match stream.broken {
                Some(told) => !told,
                None => stream.out.is_settled(),
            })
    }

    /// How much of what was written to a stream is not taken yet, in bytes.
    pub fn kept_of(&self, number: u64) -> Result<u64, Broken> {
        self.stream(number).map(|stream| stream.out.kept())
    }

    /// What was on its way was lost: it leaves again, in other packets.
    pub fn lost(&mut self) {
        self.hello_due |= self.asked;
        self.over_said = false;
        for stream in self.live.values_mut() {
            stream.out.lost();
            stream.broken = stream.broken.map(|_| false);
        }
    }
}

impl Stream {
    fn new(ours: bool) -> Self {
        Self { out: Outgoing::new(ours), into: Incoming::new(), broken: None }
    }

    /// Whether both directions have ended, and both ends know it.
    fn is_done(&self) -> bool {
        self.broken.is_none() && self.out.is_done() && self.into.is_done()
    }

    /// Whether both directions have ended, as far as is known here.
    fn has_ended(&self) -> bool {
        self.broken.is_none() && self.out.has_ended() && self.into.is_done()
    }
}
