//! The sending half: takes what is due out of the streams, seals it and hands it out, and finds out what
//! was lost.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Pipe, State, run};
use crate::conversation::cause::Cause;
use crate::conversation::driver::{Host, Outlet, OutletKind};
use crate::conversation::error::Error;
use crate::conversation::long::Course;
use crate::postbox::api::{Address, MAX_RECORDS, PacketStatus};
use crate::postbox::client::Client;
use crate::protocol::packet::{ADDRESS, K_MAX, K_MIN, largest_class, size};
use crate::protocol::session::{Identity, Reservation, SealError};
use crate::protocol::stream::Due;

/// How many numbers to take at first: those that a killed process leaves are looked for by the other side,
/// in a postbox at once if they are no more than this.
const FIRST: u32 = 8;
/// How many at most, while they are used up fast: storing the state costs as much as sealing a dozen packets.
const MOST: u32 = 128;
/// How long a step of the ratchet that is due may wait while packets follow one another, each of which
/// could take it: it costs as much as sealing twenty small packets.
const TURN: Duration = Duration::from_secs(1);
/// After this many packets of the other side their MAC keys are published: half of those that may wait.
const KEYS: u64 = 512;
/// How many packets on their way are remembered: more than a window of the smallest.
const REMEMBERED: usize = 4 * MAX_RECORDS;
/// How long nothing may come from the other side before the postbox is asked whether what was sent is
/// still there. The time doubles up to the longest.
const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_LONGEST: Duration = Duration::from_mins(1);
/// Packets above this size class are full, or nearly.
const K_BULK: u8 = 14;
/// How long the sending half sleeps at most after a packet, for as long as that.
const NAP: Duration = Duration::from_millis(25);
/// How long to wait for room in a full postbox before asking again.
const FULL: Duration = Duration::from_millis(200);

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It is out.
    Out,
    /// It is refused for its size; smaller ones may get through.
    TooLarge,
    /// There is no room for it now.
    Full,
}

/// Where the packets of a pipe go.
pub trait Carrier: Outlet {
    /// Hands out a packet that has a byte of room before it.
    ///
    /// # Errors
    /// The pipe ends.
    fn carry(&mut self, framed: &mut [u8]) -> Result<Carried, Cause>;

    /// What became of the first of these packets, of as many as can be asked for at once; they went out
    /// in this order. Empty where nothing can be asked.
    ///
    /// # Errors
    /// The pipe ends.
    fn statuses(&mut self, packets: &[Address]) -> Result<Vec<PacketStatus>, Cause> {
        let _ = packets;
        Ok(Vec::new())
    }
}

impl Carrier for Client {
    fn carry(&mut self, framed: &mut [u8]) -> Result<Carried, Cause> {
        let bytes = framed.len().saturating_sub(1);
        match self.post_framed(framed, true) {
            Ok(()) => Ok(Carried::Out),
            Err(error) if error.is_full() => Ok(Carried::Full),
            Err(_) if self.largest_known() < bytes => Ok(Carried::TooLarge),
            Err(error) => Err(error.into()),
        }
    }

    fn statuses(&mut self, packets: &[Address]) -> Result<Vec<PacketStatus>, Cause> {
        let some = packets.get(..self.at_once()).unwrap_or(packets);
        Ok(self.gone(some, Duration::ZERO)?)
    }
}

/// What the sending half remembers from packet to packet.
struct Carriage<'p, H: Host> {
    pipe: &'p Pipe,
    course: Course<H>,
    numbers: Reservation,
    /// How many numbers were taken last.
    batch: u32,
    /// When they were, with a step of the ratchet if one was due.
    stepped: Instant,
    /// Whether MAC keys are published here, and how many packets had been taken when they were last.
    publishes: bool,
    packets: u64,
    /// The size class of the largest packet that gets through.
    largest: u8,
    /// A byte of room, and the packet.
    buffer: Zeroizing<Vec<u8>>,
    /// Packets on their way, the oldest first.
    on_their_way: VecDeque<Address>,
    /// Until when it sleeps for short times only, in the pipe's time.
    busy_until: Duration,
    asked: Instant,
    patience: Duration,
}

/// What to do next.
enum Next {
    /// Seal this many bytes of frames in a packet of this size class.
    Packet(u8, usize),
    /// Ask whether what is on its way was lost.
    Ask,
    /// Go on with whoever comes next.
    Again,
    /// Everything is said.
    End,
}

/// Sends what the pipe has to send, until it is over. The caller's thread waits in here.
pub(super) async fn carry<H: Host, C: Carrier>(
    pipe: &Pipe,
    host: &mut H,
    carrier: &mut C,
    begun: &mut Option<Identity>,
) -> Result<(), Error> {
    // Another pipe of this session may be saying its last words.
    if !pipe.wait_unless_over(|state| state.receives) {
        return Ok(());
    }
    let (course, numbers) = loop {
        let stored = pipe.state().stored;
        match Course::without_message(host, carrier, begun, FIRST).await {
            // The other side's first packet will show that it knows the secret.
            Err(Error::Unconfirmed) if pipe.wait_unless_over(|state| state.stored > stored) => {}
            begun => break begun?,
        }
    };
    carrier.hand_out(&numbers.keys, &[]).await?;
    let mut carriage = Carriage {
        pipe,
        course,
        numbers: numbers.reservation,
        stepped: Instant::now(),
        publishes: carrier.kind() == OutletKind::Stream,
        packets: 0,
        batch: FIRST,
        largest: largest_class(carrier.largest()).min(K_MAX),
        buffer: Zeroizing::new(Vec::new()),
        on_their_way: VecDeque::new(),
        busy_until: Duration::ZERO,
        asked: Instant::now(),
        patience: ASK_FIRST,
    };
    let ran = carriage.run(host, carrier).await;
    let Carriage { course, numbers, .. } = carriage;
    let ended = course.end(host, || Some(numbers), None).await;
    ran.and(ended)
}

impl<H: Host> Carriage<'_, H> {
    async fn run<C: Carrier>(&mut self, host: &mut H, carrier: &mut C) -> Result<(), Error> {
        loop {
            if self.should_renew() {
                self.renew(host, carrier).await?;
            }
            match self.next() {
                Next::Packet(k, length) => self.packet(k, length, host, carrier)?,
                Next::Ask => self.ask(carrier)?,
                Next::Again => {
                    let run = run(host.randomness()).map_err(|_| SealError::NoRandomness)?;
                    let mut state = self.pipe.state();
                    state.streams.await_another(run);
                    state.next_era();
                    drop(state);
                    self.on_their_way.clear();
                    self.pipe.wake();
                }
                Next::End => return Ok(()),
            }
        }
    }

    /// Whether to take other numbers: the old ones are used up, or a step of the ratchet has been due for
    /// long enough.
    fn should_renew(&self) -> bool {
        let step_is_due = || self.pipe.state().chain > self.numbers.position().chain;
        let keys_wait = || self.pipe.state().packets >= self.packets + KEYS;
        self.numbers.left() == 0
            || (self.stepped.elapsed() >= TURN && step_is_due())
            || (self.publishes && keys_wait())
    }

    async fn renew<C: Carrier>(&mut self, host: &mut H, carrier: &mut C) -> Result<(), Error> {
        let fast = self.stepped.elapsed() < TURN;
        self.batch = if fast { (self.batch * 2).min(MOST) } else { FIRST };
        let left = self.numbers.take_rest();
        let (numbers, keys) = self.course.renew(host, carrier.kind(), left, self.batch).await?;
        (self.numbers, self.stepped) = (numbers, Instant::now());
        self.packets = self.pipe.state().packets;
        carrier.hand_out(&keys, &[]).await?;
        Ok(())
    }

    /// Waits until something is to be done.
    fn next(&mut self) -> Next {
        let shared = &self.pipe.0;
        let mut state = self.pipe.state();
        loop {
            if state.failed {
                return Next::End;
            }
            if state.streams.has_said_end() {
                if state.keep_open {
                    return Next::Again;
                }
                state.finished = true;
                shared.changed.notify_all();
                shared.opened.notify_all();
                shared.room.notify_all();
                return Next::End;
            }
            if state.streams.is_done() {
                state.streams.end_all();
            }
            let now = shared.began.elapsed();
            let wait = match state.streams.due(now) {
                Due::Now => {
                    let k = self.class(state.streams.wanted());
                    let start = 1 + self.numbers.frames_start();
                    let end = start + self.numbers.frames_room(k);
                    if self.buffer.len() < 1 + size(k) {
                        self.buffer = Zeroizing::new(vec![0; 1 + size(k)]);
                    }
                    let room = self.buffer.get_mut(start..end).unwrap_or_default();
                    let was_settled = state.streams.is_settled();
                    let length = state.streams.fill(room);
                    if was_settled {
                        state.unsettled = Instant::now();
                    }
                    state.note();
                    shared.room.notify_all();
                    if !state.closed.is_empty() {
                        shared.changed.notify_all();
                        shared.opened.notify_all();
                    }
                    self.busy_until = now + NAP;
                    return Next::Packet(k, length);
                }
                Due::At(at) => Some(at.saturating_sub(now)),
                Due::Never => None,
            };
            let ask = self.ask_in(&state);
            if ask == Some(Duration::ZERO) {
                return Next::Ask;
            }
            // What the program takes in answer is told by then: nobody has to wake this thread for it.
            let nap = self.busy_until.checked_sub(now).filter(|nap| !nap.is_zero());
            let wait = wait.into_iter().chain(ask).chain(nap).min();
            state.sleeps_until = wait.map(|wait| now + wait);
            state = match wait {
                Some(wait) => {
                    let waited = shared.leave.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => shared.leave.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            // Awake, it looks for itself.
            state.sleeps_until = Some(Duration::ZERO);
        }
    }

    /// The size class for so many bytes of frames: a packet that holds all, unless much of it would be
    /// padding; then a full one, and the rest follows.
    fn class(&self, wanted: usize) -> u8 {
        let most = self.largest;
        let k = self.numbers.fit_frames(wanted).unwrap_or(most).min(most);
        let is_sparse = wanted < self.numbers.frames_room(k) / 4 * 3;
        if is_sparse && k > K_BULK { k - 1 } else { k }
    }

    /// In how long to ask whether what is on its way was lost.
    fn ask_in(&mut self, state: &State) -> Option<Duration> {
        if state.streams.is_settled() {
            self.on_their_way.clear();
        }
        if self.on_their_way.is_empty() {
            self.patience = ASK_FIRST;
            return None;
        }
        let since = state.heard.max(self.asked);
        Some(self.patience.saturating_sub(since.elapsed()))
    }

    fn packet<C: Carrier>(
        &mut self,
        k: u8,
        length: usize,
        host: &mut H,
        carrier: &mut C,
    ) -> Result<(), Error> {
        let framed = self.buffer.get_mut(..1 + size(k)).unwrap_or_default();
        let Some((_, packet)) = framed.split_first_mut() else { return Ok(()) };
        self.numbers.seal_pipe(packet, length, host.randomness())?;
        let address = packet.first_chunk::<ADDRESS>().copied().unwrap_or_default();
        loop {
            match carrier.carry(framed)? {
                Carried::Out => break,
                Carried::Full => std::thread::sleep(FULL),
                Carried::TooLarge if k == K_MIN => {
                    return Err(Error::NothingFits(carrier.too_large(size(k))));
                }
                Carried::TooLarge => {
                    // The same goes out in smaller packets, under other numbers.
                    self.largest = largest_class(size(k) - 1);
                    self.pipe.state().streams.lost();
                    return Ok(());
                }
            }
            if self.pipe.state().failed {
                return Ok(());
            }
        }
        if self.on_their_way.is_empty() {
            self.asked = Instant::now();
        }
        if self.on_their_way.len() < REMEMBERED && !self.pipe.state().streams.is_settled() {
            self.on_their_way.push_back(address);
        }
        Ok(())
    }

    fn ask<C: Carrier>(&mut self, carrier: &mut C) -> Result<(), Error> {
        self.asked = Instant::now();
        let statuses = carrier.statuses(self.on_their_way.make_contiguous())?;
        if statuses.contains(&PacketStatus::Unknown) {
            self.on_their_way.clear();
            self.patience = ASK_FIRST;
            self.pipe.state().streams.lost();
            return Ok(());
        }
        self.patience = (self.patience * 2).min(ASK_LONGEST);
        // The other side has those, and takes them in its time.
        let mut statuses = statuses.into_iter();
        self.on_their_way.retain(|_| statuses.next() != Some(PacketStatus::Collected));
        let mut state = self.pipe.state();
        if self.on_their_way.is_empty() && !state.streams.is_met() {
            // A process that has ended took the hello, and did not answer it.
            state.streams.lost();
        }
        Ok(())
    }
}
