//! The machines of the two ends and the network between them: everything that outlives a stopped
//! process.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use zeroize::Zeroizing;

use super::ledger::Ledger;
use crate::conversation::{Cause, ErrorKind, Host, Outlet, OutletKind};
use crate::protocol::crypto::primitives::sha256;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::Packet;
use crate::protocol::packet::receipt::Receipt;
use crate::protocol::randomness::Randomness;
use crate::protocol::session::OutboxKind;
use crate::protocol::session::stored::{Stage, Stored};
use crate::protocol::tests::support::Seeded;

/// What is broken on purpose, to show that the ledger finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    None,
    /// A state overwrites whatever is stored.
    StoresOver,
    /// A state that was reported stored is there only when the process next locks.
    StoresLate,
    /// Text is delivered only after the state has forgotten its key.
    DeliversLate,
    /// The state's lock excludes nobody, and the version is not checked.
    NoLock,
}

/// Dice that fall the same way for the same seed.
pub(super) struct Dice(Cell<u64>, u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(0), seed)
    }

    /// From 0 to `below`, not included.
    pub(super) fn roll(&self, below: usize) -> usize {
        self.0.set(self.0.get() + 1);
        let hash = sha256(&[b"dice", &self.1.to_be_bytes(), &self.0.get().to_be_bytes()]);
        let number = u64::from_be_bytes(*hash.first_chunk().unwrap());
        usize::try_from(number % below as u64).unwrap()
    }

    /// Whether something with a chance of `one` in `of` happens.
    pub(super) fn happens(&self, one: usize, of: usize) -> bool {
        self.roll(of) < one
    }
}

/// What one end's machine has stored.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) state: Option<(u64, Vec<u8>)>,
    /// Reported stored, but not there yet ([`Flaw::StoresLate`]).
    late: Option<(u64, Vec<u8>)>,
    versions: u64,
}

/// One end: its disk, its locks, and what has arrived for it.
pub(super) struct Machine {
    pub(super) disk: RefCell<Disk>,
    pub(super) locks: [Rc<Cell<bool>>; 3],
    /// What lies there for it, in order of arrival.
    pub(super) inbox: RefCell<Vec<Vec<u8>>>,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self {
            disk: RefCell::default(),
            locks: std::array::from_fn(|_| Rc::default()),
            inbox: RefCell::default(),
        }
    }
}

/// The surroundings of a schedule.
pub(super) struct World {
    pub(super) machines: [Machine; 2],
    pub(super) dice: Dice,
    pub(super) ledger: RefCell<Ledger>,
    pub(super) flaw: Cell<Flaw>,
    pub(super) kind: OutletKind,
    pub(super) time: Cell<u64>,
    /// Whether the network has stopped losing and refusing packets.
    pub(super) calm: Cell<bool>,
    seed: u64,
    processes: Cell<u64>,
}

impl World {
    pub(super) fn new(seed: u64, kind: OutletKind, flaw: Flaw) -> Self {
        Self {
            machines: [Machine::new(), Machine::new()],
            dice: Dice::new(seed),
            ledger: RefCell::default(),
            flaw: Cell::new(flaw),
            kind,
            time: Cell::new(1_800_000_000),
            calm: Cell::new(false),
            seed,
            processes: Cell::new(0),
        }
    }
}

/// Here another process may take steps, or this one is stopped for good.
pub(super) async fn step() {
    let mut stepped = false;
    poll_fn(
        |_| {
            if std::mem::replace(&mut stepped, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

/// A lock, released when dropped.
pub(super) struct Held(Option<Rc<Cell<bool>>>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lock) = &self.0 {
            lock.set(false);
        }
    }
}

/// A process's view of its machine.
pub(super) struct SimHost {
    pub(super) world: Rc<World>,
    pub(super) end: usize,
    randomness: Seeded,
    /// Packets that waited in the state that this process last saw.
    waiting: usize,
    /// The address of the packet that it has queued, or kept to be sent again.
    pub(super) own: Option<[u8; 32]>,
}

impl SimHost {
    pub(super) fn new(world: &Rc<World>, end: usize) -> Self {
        let process = world.processes.get() + 1;
        world.processes.set(process);
        // No two processes draw the same bytes.
        let randomness = Seeded::numbered(world.seed.wrapping_mul(1 << 20).wrapping_add(process));
        Self { world: Rc::clone(world), end, randomness, waiting: 0, own: None }
    }

    /// Notes which packet this process adds to the state.
    fn look(&mut self, bytes: &[u8], stores: bool) {
        let Stage::Session(session) = Stored::from_bytes(bytes).unwrap().stage else { return };
        let kept = if session.waiting().is_empty() {
            &session.outbox().packets
        } else {
            session.waiting()
        };
        let kept_now = session.outbox().kind == OutboxKind::Message;
        if stores && (kept.len() > self.waiting || kept_now) {
            self.own = kept.last().map(|packet| *packet.first_chunk().unwrap());
        }
        self.waiting = session.waiting().len();
    }

    fn disk(&self) -> std::cell::RefMut<'_, Disk> {
        self.world.machines[self.end].disk.borrow_mut()
    }

    async fn acquire(&mut self, which: usize, at_once: bool) -> Result<Held, Cause> {
        step().await;
        let late = self.disk().late.take();
        if late.is_some() {
            self.disk().state = late;
        }
        if which == 0 && self.world.flaw.get() == Flaw::NoLock {
            return Ok(Held(None));
        }
        let lock = Rc::clone(&self.world.machines[self.end].locks[which]);
        while lock.get() {
            if at_once {
                return Err(Cause::new(ErrorKind::Busy, "somebody has it"));
            }
            step().await;
        }
        lock.set(true);
        Ok(Held(Some(lock)))
    }
}

impl Drop for SimHost {
    /// A late state is never stored.
    fn drop(&mut self) {
        self.disk().late = None;
    }
}

impl Host for SimHost {
    type Lock = Held;
    type Role = Held;
    type Version = u64;

    fn now(&self) -> u64 {
        self.world.time.get()
    }

    fn randomness(&mut self) -> &mut dyn Randomness {
        &mut self.randomness
    }

    async fn lock(&mut self) -> Result<Held, Cause> {
        self.acquire(0, false).await
    }

    async fn become_sender(&mut self, at_once: bool) -> Result<Held, Cause> {
        self.acquire(1, at_once).await
    }

    async fn become_receiver(&mut self, at_once: bool) -> Result<Held, Cause> {
        self.acquire(2, at_once).await
    }

    async fn load(&mut self, _: &Held) -> Result<(Zeroizing<Vec<u8>>, u64), Cause> {
        step().await;
        let state = self.disk().state.clone();
        let (version, bytes) =
            state.ok_or_else(|| Cause::new(ErrorKind::NoSession, "there is no session"))?;
        self.look(&bytes, false);
        Ok((Zeroizing::new(bytes), version))
    }

    async fn is_current(&mut self, _: &Held, version: &u64) -> Result<bool, Cause> {
        step().await;
        Ok(self.disk().state.as_ref().is_some_and(|(now, _)| now == version))
    }

    async fn replace(&mut self, _: &Held, version: &mut u64, bytes: &[u8]) -> Result<(), Cause> {
        step().await;
        self.look(bytes, true);
        {
            let flaw = self.world.flaw.get();
            let mut disk = self.disk();
            let is_current = disk.state.as_ref().is_some_and(|(now, _)| now == version);
            if !is_current && !matches!(flaw, Flaw::StoresOver | Flaw::NoLock) {
                return Err(Cause::new(ErrorKind::Failed, "another state is there"));
            }
            disk.versions += 1;
            *version = disk.versions;
            let stored = Some((*version, bytes.to_vec()));
            if flaw == Flaw::StoresLate { disk.late = stored } else { disk.state = stored }
        }
        // The process may also be stopped after this.
        step().await;
        Ok(())
    }

    async fn create(&mut self, _: &Held, bytes: &[u8]) -> Result<(), Cause> {
        step().await;
        let mut disk = self.disk();
        disk.versions += 1;
        disk.state = Some((disk.versions, bytes.to_vec()));
        Ok(())
    }

    async fn wipe(&mut self, _: &Held) -> Result<(), Cause> {
        step().await;
        self.disk().state = None;
        self.world.ledger.borrow_mut().ends(self.end);
        step().await;
        Ok(())
    }
}

/// The network, from one end to the other.
pub(super) struct Wire {
    pub(super) world: Rc<World>,
    pub(super) from: usize,
    /// Bytes of the largest packet that gets through.
    pub(super) most: usize,
    /// How many packets get through at a time; the others are refused for their size.
    pub(super) takes: usize,
    /// Addresses of packets that come to be handed out.
    pub(super) sealed: Vec<[u8; 32]>,
}

impl Wire {
    /// A packet arrives, or does not.
    fn carry(&self, packet: &[u8]) {
        let mut ledger = self.world.ledger.borrow_mut();
        ledger.handed_out(packet);
        if !self.world.calm.get() && self.world.dice.happens(1, 40) {
            ledger.lost(packet);
            return;
        }
        drop(ledger);
        let mut inbox = self.world.machines[1 - self.from].inbox.borrow_mut();
        // A postbox keeps a packet only once.
        if self.world.kind == OutletKind::Stream || !inbox.iter().any(|one| one == packet) {
            inbox.push(packet.to_vec());
        }
    }
}

impl Outlet for Wire {
    fn kind(&self) -> OutletKind {
        self.world.kind
    }

    fn largest(&self) -> usize {
        self.most
    }

    fn sealed(&mut self, packet: &Packet, _: &Receipt) {
        self.sealed.push(packet.address());
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        step().await;
        let published: BTreeSet<[u8; 32]> =
            keys.iter().map(|key| *key.first_chunk().unwrap()).collect();
        self.world.ledger.borrow_mut().published[self.from].extend(published);
        let mut refused = Vec::new();
        for (at, packet) in packets.iter().enumerate() {
            if !self.world.calm.get() && self.world.dice.happens(1, 20) {
                return Err(Cause::new(ErrorKind::Unreachable, "nobody answers"));
            }
            // Only trying shows it.
            if at >= self.takes {
                refused.push(at);
                continue;
            }
            self.carry(packet);
            step().await;
        }
        Ok(refused)
    }
}
