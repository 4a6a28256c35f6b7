//! One master of the store: a connection for questions, one for packets on their way in, one on
//! which it tells of changes; and how full it is.

use super::alarms::Alarms;
use super::check::{fitness, is_off, seconds};
use super::choices::Alarm;
use super::cipher::{Cipher, Mark, Name};
use super::dial::{Dialer, Line, Told, info, part, replicas, text};
use super::scripts::{Scripts, load};
use super::trouble::Trouble;
use crate::postbox::storage::clock::{Clock, Seconds};
use crate::postbox::storage::packet::Packet;
use redis::{Cmd, Pipeline, Value, cmd};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Packets that wait for the next batch before others wait for their turn.
const QUEUE: usize = 1024;
/// The most bytes of a batch, beside its last packet: they are in memory up to three times while they
/// are masked and sent.
const BATCH: usize = 1 << 20;
/// Milliseconds in which the replicas have to confirm a batch.
const REPLICAS_TIME: u32 = 1000;

/// KiB of packets that wait for a node: what does not get in within the time of one batch is refused,
/// so that one slow node doesn't take the memory with which the others are served.
const QUEUE_KIB: usize = 32 << 10;
/// Seconds since a replica said last how far it is, as its master tells it, after which it is not
/// counted. They say so each second.
const REPLICA_LAG: u64 = 3;

/// A packet on its way into the store.
pub(super) struct Put {
    pub(super) name: Name,
    pub(super) mark: Mark,
    pub(super) packet: Arc<Packet>,
    pub(super) life: Seconds,
    pub(super) ttl: Seconds,
    /// Whether its slot is moving here.
    pub(super) asking: bool,
}

/// What is written by a node's writer.
enum Order {
    /// A packet; it is masked when its turn comes.
    Put(Put),
    /// Commands that are ready.
    Ready(Vec<Cmd>),
}

impl Order {
    fn bytes(&self) -> usize {
        match self {
            Self::Put(put) => put.packet.len(),
            Self::Ready(commands) => {
                commands.iter().map(|one| one.get_packed_command().len()).sum()
            }
        }
    }
}

/// The answers to the commands of an order, `ASKING` included, or why there are none.
type Outcome = Result<Vec<Value>, Trouble>;

struct Job {
    order: Order,
    answer: oneshot::Sender<Outcome>,
    _room: OwnedSemaphorePermit,
}

/// What all nodes have in common.
pub(super) struct Common {
    pub(super) dialer: Arc<Dialer>,
    pub(super) cipher: Arc<Cipher>,
    /// How many replicas must have a packet.
    pub(super) replicas: u8,
    /// Whether servers may write to a disk.
    pub(super) allow_persistence: bool,
    pub(super) alarms: Alarms,
    pub(super) clock: Clock,
}

/// A connected master.
pub(super) struct Node {
    /// No two connected ones have the same.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    /// What its process calls itself: another one after each start.
    pub(super) run: String,
    pub(super) gauge: Gauge,
    pub(super) scripts: Arc<Scripts>,
    common: Arc<Common>,
    questions: Line,
    ears: Line,
    orders: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    /// Whether too few replicas have confirmed a batch: until a look shows enough of them, nothing is
    /// written, and nobody waits for them.
    alone: Arc<AtomicBool>,
    writer: AbortHandle,
    dead: AtomicBool,
}

/// How full a node is, as it said last.
#[derive(Default)]
pub(super) struct Gauge {
    used: AtomicUsize,
    most: AtomicUsize,
    /// Bytes that came from us since then.
    sent: AtomicUsize,
    /// Bytes of what lies in it, as it said last.
    stored: AtomicU64,
    /// Discards after which nothing but memory of them was left, ever.
    spent: AtomicU64,
    keys: AtomicU64,
    /// Its clock when ours began.
    epoch: AtomicU64,
}

/// What a node said of itself.
pub(super) struct Look {
    /// Whether it still is a master.
    pub(super) is_master: bool,
    /// Bytes by which it has grown since the last look, without what came from us: questions are
    /// no packets, whoever asks them, and neither is what is on its way out.
    pub(super) from_others: u64,
    /// Discards since then.
    pub(super) spent: u64,
}

impl Node {
    /// Connects to a master; `told` gets what it tells unasked.
    pub(super) async fn connect(
        id: u64,
        address: SocketAddr,
        common: &Arc<Common>,
        told: Told,
    ) -> Result<Arc<Self>, Trouble> {
        let questions = common.dialer.open(address, None).await?;
        let known = match fitness(&questions, address, common.allow_persistence).await? {
            Ok(known) => known,
            Err(why) => {
                common.alarms.raise(&Alarm::Unfit(why), "");
                return Err(Trouble::Unfit);
            }
        };
        let ears = common.dialer.open(address, Some(told)).await?;
        let line = common.dialer.open(address, None).await?;
        let scripts = Arc::new(Scripts::of(line.ask(&load()).await?).ok_or(Trouble::Later)?);
        let (orders, jobs) = mpsc::channel(QUEUE);
        let alone = Arc::<AtomicBool>::default();
        let writer = Writer {
            line,
            scripts: Arc::clone(&scripts),
            common: Arc::clone(common),
            alone: Arc::clone(&alone),
        };
        let node = Self {
            id,
            address,
            run: known.run,
            gauge: Gauge::default(),
            scripts,
            common: Arc::clone(common),
            questions,
            ears,
            orders,
            room: Arc::new(Semaphore::new(QUEUE_KIB)),
            alone,
            writer: tokio::spawn(writer.run(jobs)).abort_handle(),
            dead: AtomicBool::new(false),
        };
        if node.notes(&known.said, known.time).is_master {
            Ok(Arc::new(node))
        } else {
            Err(Trouble::Moved)
        }
    }

    /// Whether it was given up.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// Gives it up: whoever needs it connects anew.
    pub(super) fn give_up(&self) {
        self.dead.store(true, Relaxed);
    }

    fn noted<T>(&self, outcome: Result<T, Trouble>) -> Result<T, Trouble> {
        if matches!(outcome, Err(Trouble::Lost)) {
            self.give_up();
        }
        outcome
    }

    /// Asks all of these at once.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>, Trouble> {
        self.noted(self.questions.ask(commands).await)
    }

    /// Subscribes to channels, or gives them up: all that is asked on the connection of changes.
    pub(super) async fn listen(&self, commands: &Pipeline) -> Result<Vec<Value>, Trouble> {
        self.noted(self.ears.ask(commands).await)
    }

    /// Stores a packet; the answer is that of the script.
    pub(super) async fn put(&self, put: Put) -> Result<i64, Trouble> {
        let bytes = put.packet.len();
        let stored = match self.write(Order::Put(put)).await?.pop() {
            Some(Value::Int(life)) => Ok(life),
            Some(Value::ServerError(why)) => Err(Trouble::from(&why).said_at(self.address)),
            _ => Err(Trouble::Lost),
        };
        if stored.is_ok() {
            self.gauge.sent.fetch_add(bytes, Relaxed);
        }
        self.noted(stored)
    }

    /// The answers to all of these, once enough replicas have what they change.
    pub(super) async fn change(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, Trouble> {
        self.write(Order::Ready(commands)).await
    }

    async fn write(&self, order: Order) -> Outcome {
        if self.alone.load(Relaxed) {
            return Err(Trouble::Unsafe);
        }
        let kib = (order.bytes() >> 10).clamp(1, QUEUE_KIB);
        let free = Arc::clone(&self.room).acquire_many_owned(u32::try_from(kib).unwrap_or(1));
        let time = Duration::from_millis(u64::from(REPLICAS_TIME));
        let room = timeout(time, free).await.ok().and_then(Result::ok).ok_or(Trouble::Behind)?;
        let (answer, answered) = oneshot::channel();
        let outcome = match self.orders.send(Job { order, answer, _room: room }).await {
            Ok(()) => answered.await.unwrap_or(Err(Trouble::Lost)),
            Err(_) => Err(Trouble::Lost),
        };
        self.noted(outcome)
    }

    /// Hands over the scripts again.
    pub(super) async fn reload(&self) -> Result<(), Trouble> {
        self.ask(&load()).await.map(drop)
    }

    /// The second of its clock.
    pub(super) fn now(&self) -> u64 {
        self.gauge.epoch.load(Relaxed) + u64::from(self.common.clock.now())
    }

    /// Asks how full it is.
    pub(super) async fn look(&self) -> Result<Look, Trouble> {
        let mut commands = Pipeline::new();
        let mut sections = cmd("INFO");
        sections.arg("memory").arg("replication").arg("keyspace").arg("commandstats");
        commands.add_command(sections).add_command(cmd("TIME"));
        // Its ears must hear, too.
        self.listen(Pipeline::new().add_command(cmd("PING"))).await?;
        let mut answers = self.ask(&commands).await?.into_iter();
        let said = match answers.next() {
            Some(Value::ServerError(why)) => return Err(Trouble::from(&why)),
            said => text(said.unwrap_or_default()),
        };
        Ok(self.notes(&said, answers.next().and_then(seconds)))
    }

    /// Notes what it says of itself, and the second of its clock.
    fn notes(&self, said: &str, time: Option<u64>) -> Look {
        let number = |name: &str| info(said, name)?.parse::<u64>().ok();
        let bytes = |name| usize::try_from(number(name).unwrap_or(0)).unwrap_or(usize::MAX);
        let gauge = &self.gauge;
        if online(said) >= usize::from(self.common.replicas) {
            self.alone.store(false, Relaxed);
        }
        gauge.used.store(bytes("used_memory"), Relaxed);
        gauge.most.store(bytes("maxmemory"), Relaxed);
        let ours = gauge.sent.swap(0, Relaxed) as u64;
        let stored = number("used_memory_dataset").unwrap_or(0);
        let before = gauge.stored.swap(stored, Relaxed);
        gauge.keys.store(count(said, "db0", "keys"), Relaxed);
        if let Some(seconds) = time {
            if is_off(seconds) {
                self.common.alarms.raise(&Alarm::Clock(self.address), &self.run);
            }
            // Its seconds begin at other moments than ours: we are behind it, never ahead.
            let epoch = seconds.saturating_sub(u64::from(self.common.clock.now()) + 1);
            gauge.epoch.store(epoch, Relaxed);
        }
        let new = if before == 0 { 0 } else { stored.saturating_sub(before) };
        // Nothing but `discard.lua` deletes.
        let spent = count(said, "cmdstat_del", "calls");
        let spent_before = gauge.spent.swap(spent, Relaxed);
        Look {
            is_master: info(said, "role") == Some("master"),
            from_others: new.saturating_sub(ours),
            spent: if before == 0 { 0 } else { spent.saturating_sub(spent_before) },
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl Gauge {
    /// Bytes taken and the most that may be.
    pub(super) fn fill(&self) -> (usize, usize) {
        let used = self.used.load(Relaxed).saturating_add(self.sent.load(Relaxed));
        (used, self.most.load(Relaxed))
    }

    /// Addresses of which it knows anything: one counts twice where packets lie beside discarded ones.
    pub(super) fn keys(&self) -> u64 {
        self.keys.load(Relaxed)
    }
}

/// The number in a line such as `cmdstat_del:calls=7,…`, or 0.
fn count(said: &str, line: &str, name: &str) -> u64 {
    info(said, line).and_then(|line| part(line, name)?.parse().ok()).unwrap_or(0)
}

/// How many replicas follow.
fn online(said: &str) -> usize {
    let follows = |replica: &&str| {
        let lag = part(replica, "lag").and_then(|lag| lag.parse::<u64>().ok());
        part(replica, "state") == Some("online") && lag.is_some_and(|lag| lag <= REPLICA_LAG)
    };
    replicas(said).filter(follows).count()
}

/// Writes in batches, each of which ends with one question after its replicas: who comes while a batch
/// is on its way is in the next.
struct Writer {
    line: Line,
    scripts: Arc<Scripts>,
    common: Arc<Common>,
    alone: Arc<AtomicBool>,
}

impl Writer {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.recv().await {
            if self.alone.load(Relaxed) {
                let _ = first.answer.send(Err(Trouble::Unsafe));
                continue;
            }
            let (mut batch, mut bytes) = (vec![first], 0);
            while bytes < BATCH && batch.len() < QUEUE {
                bytes += batch.last().map_or(0, |job| job.order.bytes());
                let Ok(next) = jobs.try_recv() else { break };
                batch.push(next);
            }
            match self.write(&batch).await {
                Ok(answers) => {
                    for (job, outcome) in batch.into_iter().zip(answers) {
                        let _ = job.answer.send(outcome);
                    }
                }
                Err(why) => {
                    let lost = why == Trouble::Lost;
                    for job in batch {
                        let _ = job.answer.send(Err(why.clone()));
                    }
                    if lost {
                        return;
                    }
                }
            }
        }
    }

    async fn write(&self, batch: &[Job]) -> Result<Vec<Outcome>, Trouble> {
        let mut commands = Pipeline::with_capacity(batch.len() + 1);
        let mut masked = Vec::new();
        let mut counts = Vec::with_capacity(batch.len());
        for job in batch {
            let before = commands.len();
            match &job.order {
                Order::Put(put) => {
                    masked.clear();
                    self.common.cipher.append(&put.name, &put.mark, &put.packet, &mut masked);
                    if put.asking {
                        commands.add_command(cmd("ASKING"));
                    }
                    let (size, times) = (put.packet.len(), (put.life, put.ttl));
                    let about = (&put.name, &put.mark);
                    commands.add_command(self.scripts.put(about, (size, &masked), times));
                }
                Order::Ready(all) => {
                    for one in all {
                        commands.add_command(one.clone());
                    }
                }
            }
            counts.push(commands.len() - before);
        }
        let replicas = self.common.replicas;
        if replicas > 0 {
            commands.add_command(wait(replicas));
        }
        let mut answers = self.line.ask(&commands).await?.into_iter();
        let outcomes: Vec<Vec<Value>> =
            counts.into_iter().map(|count| answers.by_ref().take(count).collect()).collect();
        let safe = replicas == 0
            || matches!(answers.next(), Some(Value::Int(have)) if have >= i64::from(replicas));
        if !safe {
            self.alone.store(true, Relaxed);
        }
        // Those that were not done have their own reasons.
        let done = |all: &[Value]| !matches!(all.last(), Some(Value::ServerError(_)));
        let of = |all: Vec<Value>| if !safe && done(&all) { Err(Trouble::Unsafe) } else { Ok(all) };
        Ok(outcomes.into_iter().map(of).collect())
    }
}

fn wait(replicas: u8) -> Cmd {
    let mut command = cmd("WAIT");
    command.arg(replicas).arg(REPLICAS_TIME);
    command
}
