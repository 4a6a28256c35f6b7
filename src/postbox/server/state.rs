//! What all calls of a running server share.

use super::callers::{Callers, Which};
use super::gate::Gate;
use super::guests::{Guest, Guests, Origin};
use super::limits::{self, CALL_COST};
use super::waiting::Room;
use crate::postbox::api::{MAX_PACKET, MIN_PACKET};
use crate::postbox::storage::Store;
use crate::postbox::storage::budget::{Budget, Charge, Purpose};
use crate::postbox::storage::unfinished::Unfinished;
use crate::postbox::work::{FULL_BITS, MAX_BITS};
use hyper::header::HeaderValue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::yield_now;

/// What the operator chose.
#[derive(Clone, Copy)]
pub struct Choices {
    /// How long packets live.
    pub ttl: Duration,
    /// The memory cap, bytes.
    pub memory: usize,
    /// The largest packet, bytes.
    pub max_packet: usize,
    /// The most zero bits that are asked of a post.
    pub work: u8,
    /// SHA-256 of what a post must show if posting needs a secret.
    pub post_secret: Option<[u8; 32]>,
}

/// The least memory cap, bytes: room for a few of the largest packets and for connections to come in.
const MIN_MEMORY: usize = 8 << 20;

impl Choices {
    /// Refuses choices that cannot be served, and names the bounds.
    pub fn check(&self) -> Result<(), BadChoice> {
        if self.ttl < Duration::from_secs(1) {
            return Err(BadChoice::Ttl);
        }
        if self.memory < MIN_MEMORY {
            return Err(BadChoice::Memory);
        }
        if !(MIN_PACKET..=MAX_PACKET).contains(&self.max_packet) {
            return Err(BadChoice::MaxPacket);
        }
        if self.work > MAX_BITS {
            return Err(BadChoice::Work);
        }
        Ok(())
    }
}

/// What cannot be served with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadChoice {
    /// The time for which packets live is below a second.
    Ttl,
    /// The memory cap is below 8 MiB.
    Memory,
    /// The largest packet is not between 4 KiB and 1 MiB.
    MaxPacket,
    /// The most work is above 24 bits.
    Work,
}

impl fmt::Display for BadChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ttl => "packets live for at least 1s",
            Self::Memory => "the memory cap is at least 8M",
            Self::MaxPacket => "the largest packet is between 4K and 1M",
            Self::Work => "the most work is 24 bits",
        })
    }
}

impl std::error::Error for BadChoice {}

impl Default for Choices {
    /// A day, 256 MiB, packets up to the largest, work up to [`FULL_BITS`] when crowded, open to
    /// all.
    fn default() -> Self {
        Self {
            ttl: Duration::from_hours(24),
            memory: 256 << 20,
            max_packet: MAX_PACKET,
            work: FULL_BITS,
            post_secret: None,
        }
    }
}

/// With this many connections from one origin, we drop no other caller for one more.
const MANY: usize = 16;
/// Up to this many records are looked up without waiting for a turn: a few dozen microseconds.
const FEW: usize = 64;

/// A running server.
pub(crate) struct Server {
    /// What the operator chose.
    pub(crate) choices: Choices,
    /// The packets.
    pub(crate) store: Store,
    /// Admission by work.
    pub(crate) gate: Gate,
    /// Refused calls and connections, in totals.
    pub(crate) refused: Refused,
    connections: Gauge,
    admin: Gauge,
    guests: Guests,
    /// All connected callers.
    pub(crate) callers: Arc<Callers>,
    /// Bodies of records that have begun.
    pub(crate) records: Arc<Unfinished>,
    /// The usual lifetime of packets, as it is told.
    keeps: HeaderValue,
    /// Turns for calls that name many records.
    many: Semaphore,
    /// Waiting calls.
    pub(crate) waiting: Room,
    stopping: AtomicBool,
    stop: watch::Sender<()>,
}

/// How often something was refused since the start.
#[derive(Default)]
pub(crate) struct Refused {
    /// Bodies that held something other than packets.
    pub(crate) unfit: AtomicU64,
    /// Packets under a crowded address.
    pub(crate) crowded: AtomicU64,
    /// Packets above the memory cap.
    pub(crate) full: AtomicU64,
    /// Packets without the work that was asked for.
    pub(crate) unpaid: AtomicU64,
    /// Posts without the post secret.
    pub(crate) stranger: AtomicU64,
    /// Bodies that came too slowly.
    pub(crate) slow: AtomicU64,
    /// Calls and connections above their limits.
    pub(crate) busy: AtomicU64,
}

/// A number with a ceiling.
struct Gauge {
    now: AtomicUsize,
    max: usize,
}

/// One connection, for as long as it is open.
pub(crate) struct Seat<'a> {
    gauge: &'a Gauge,
    budget: Arc<Budget>,
    _guest: Option<Guest<'a>>,
    _charge: Charge,
}

impl Seat<'_> {
    /// The budget that pays for everything done for this connection.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(1, Relaxed);
    }
}

impl Gauge {
    fn new(max: usize) -> Self {
        Self { now: AtomicUsize::new(0), max }
    }

    fn enter<'a>(&'a self, guest: Option<Guest<'a>>, charge: Charge) -> Option<Seat<'a>> {
        let below = |now| (now < self.max).then_some(now + 1);
        self.now.fetch_update(Relaxed, Relaxed, below).ok()?;
        let budget = Arc::clone(charge.budget());
        Some(Seat { gauge: self, budget, _guest: guest, _charge: charge })
    }
}

impl Server {
    /// A server for up to `connections` connections at once, with the budget that it has.
    pub(crate) fn new(
        choices: Choices,
        connections: usize,
        (budget, store, gate): (&Arc<Budget>, Store, Gate),
    ) -> Arc<Self> {
        Arc::new(Self {
            choices,
            store,
            gate,
            refused: Refused::default(),
            connections: Gauge::new(connections),
            admin: Gauge::new(limits::ADMIN_CONNECTIONS),
            guests: Guests::new(budget),
            callers: Arc::default(),
            records: Arc::default(),
            keeps: choices.ttl.as_secs().into(),
            many: Semaphore::new(1),
            waiting: Room::new(limits::waiting_of(connections)),
            stopping: AtomicBool::new(false),
            stop: watch::Sender::new(()),
        })
    }

    /// Admits a connection that costs `cost` bytes, if there is room and memory.
    pub(crate) fn connect(&self, cost: usize, origin: Option<Origin>) -> Option<Seat<'_>> {
        let cost = cost + CALL_COST;
        // While a crowd asks again and again, no share is looked for in vain.
        if self.store.budget().left(Purpose::Connections) < cost {
            return None;
        }
        let guest = self.guests.enter(origin);
        let charge = Charge::new(guest.budget(), Purpose::Connections, cost).ok()?;
        self.connections.enter(Some(guest), charge)
    }

    /// Whether a caller that keeps us waiting is dropped for another connection; not if many
    /// connections from its origin are open already.
    pub(crate) fn makes_room(&self, origin: Option<Origin>) -> bool {
        if self.guests.from(origin) >= MANY {
            return false;
        }
        // A caller that is told that nothing came keeps us waiting from then on.
        self.callers.make_room(Which::All) || self.waiting.thin()
    }

    /// A turn for a call that names this many records: one call at a time, so that small calls get
    /// in between, however many large ones there are. A store far away has turns of its own, for
    /// each step: none of them is kept while it is away.
    pub(crate) async fn turn(&self, records: usize) -> Option<SemaphorePermit<'_>> {
        if records <= FEW || !self.store.is_here() { None } else { self.many.acquire().await.ok() }
    }

    /// Admits a connection of the operator. Its memory is counted, and always granted.
    pub(crate) fn connect_admin(&self, cost: usize) -> Option<Seat<'_>> {
        let mut charge = Charge::nothing(self.store.budget(), Purpose::Connections);
        charge.grow_anyway(cost);
        self.admin.enter(None, charge)
    }

    /// Connections that are open now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.now.load(Relaxed)
    }

    /// The operator's connections that are open now.
    pub(crate) fn admin_connections(&self) -> usize {
        self.admin.now.load(Relaxed)
    }

    /// This many seconds, as a lifetime is told.
    pub(crate) fn keeps(&self, seconds: u32) -> HeaderValue {
        let usual = u64::from(seconds) == self.choices.ttl.as_secs();
        if usual { self.keeps.clone() } else { seconds.into() }
    }

    /// Gives up what ended watches leave behind, for ever.
    pub(crate) async fn tidies(&self) {
        loop {
            self.store.wait_list().needs_tidying().await;
            while self.store.wait_list().tidy() {
                yield_now().await;
            }
        }
    }

    /// Tells every connection to end after its running call, and all waiting calls to stop waiting.
    pub(crate) fn begin_to_stop(&self) {
        self.stopping.store(true, Relaxed);
        self.stop.send_replace(());
        self.store.wait_list().notify_all();
    }

    /// Whether the server is about to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    /// A receiver that learns of the server's end.
    pub(crate) fn stop_signal(&self) -> watch::Receiver<()> {
        self.stop.subscribe()
    }
}
