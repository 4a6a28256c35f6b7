//! One master of the store: a connection for questions, one for packets on their way in, one on
//! which it tells of changes; and how full it is.

use super::cipher::{Cipher, Mark, Name};
use super::dial::{Dialer, Line, Told, info, text};
use super::scripts::{Scripts, load};
use super::trouble::Trouble;
use crate::postbox::storage::clock::{Clock, Seconds};
use crate::postbox::storage::packet::Packet;
use redis::{Cmd, Pipeline, Value, cmd};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// Packets that wait for the next batch before others wait for their turn.
const QUEUE: usize = 1024;
/// The most bytes of a batch, beside its last packet: they are in memory up to three times while they
/// are masked and sent.
const BATCH: usize = 1 << 20;
/// Milliseconds in which the replicas have to confirm a batch.
const REPLICAS_TIME: u32 = 1000;

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

type Job = (Put, oneshot::Sender<Result<i64, Trouble>>);

/// What all nodes have in common.
pub(super) struct Common {
    pub(super) dialer: Dialer,
    pub(super) cipher: Arc<Cipher>,
    /// How many replicas must have a packet.
    pub(super) replicas: u8,
    pub(super) clock: Clock,
}

/// A connected master.
pub(super) struct Node {
    /// No two connected ones have the same.
    pub(super) id: u64,
    pub(super) address: SocketAddr,
    pub(super) gauge: Gauge,
    pub(super) scripts: Scripts,
    common: Arc<Common>,
    questions: Line,
    ears: Line,
    puts: mpsc::Sender<Job>,
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
    /// Bytes that it has got from all, ever.
    got: AtomicU64,
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
    /// Bytes that came from others since the last look.
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
        let ears = common.dialer.open(address, Some(told)).await?;
        let line = common.dialer.open(address, None).await?;
        let names = || async { Scripts::of(line.ask(&load()).await?).ok_or(Trouble::Later) };
        let (scripts, ours) = (names().await?, names().await?);
        let (puts, jobs) = mpsc::channel(QUEUE);
        let writer = Writer { line, scripts: ours, common: Arc::clone(common) };
        let node = Self {
            id,
            address,
            gauge: Gauge::default(),
            scripts,
            common: Arc::clone(common),
            questions,
            ears,
            puts,
            writer: tokio::spawn(writer.run(jobs)).abort_handle(),
            dead: AtomicBool::new(false),
        };
        if node.look().await?.is_master { Ok(Arc::new(node)) } else { Err(Trouble::Moved) }
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
        let (answer, answered) = oneshot::channel();
        let stored = match self.puts.send((put, answer)).await {
            Ok(()) => answered.await.unwrap_or(Err(Trouble::Lost)),
            Err(_) => Err(Trouble::Lost),
        };
        if stored.is_ok() {
            self.gauge.sent.fetch_add(bytes, Relaxed);
        }
        self.noted(stored)
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
        sections.arg("memory").arg("stats").arg("replication").arg("keyspace").arg("commandstats");
        commands.add_command(sections).add_command(cmd("TIME"));
        // Its ears must hear, too.
        self.listen(Pipeline::new().add_command(cmd("PING"))).await?;
        let mut answers = self.ask(&commands).await?.into_iter();
        let said = match answers.next() {
            Some(Value::ServerError(why)) => return Err(Trouble::from(&why)),
            said => text(said.unwrap_or_default()),
        };
        let time = match answers.next() {
            Some(Value::Array(parts)) => parts.into_iter().next().map(text),
            _ => None,
        };
        let number = |name: &str| info(&said, name)?.parse::<u64>().ok();
        let bytes = |name| usize::try_from(number(name).unwrap_or(0)).unwrap_or(usize::MAX);
        let gauge = &self.gauge;
        gauge.used.store(bytes("used_memory"), Relaxed);
        gauge.most.store(bytes("maxmemory"), Relaxed);
        let ours = gauge.sent.swap(0, Relaxed) as u64;
        let got = number("total_net_input_bytes").unwrap_or(0);
        let before = gauge.got.swap(got, Relaxed);
        gauge.keys.store(keys(&said), Relaxed);
        if let Some(seconds) = time.and_then(|time| time.parse::<u64>().ok()) {
            // Its seconds begin at other moments than ours: we are behind it, never ahead.
            let epoch = seconds.saturating_sub(u64::from(self.common.clock.now()) + 1);
            gauge.epoch.store(epoch, Relaxed);
        }
        let new = if before == 0 { 0 } else { got.saturating_sub(before) };
        let spent = spent(&said);
        let spent_before = gauge.spent.swap(spent, Relaxed);
        Ok(Look {
            is_master: info(&said, "role") == Some("master"),
            from_others: new.saturating_sub(ours),
            spent: if before == 0 { 0 } else { spent.saturating_sub(spent_before) },
        })
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

/// The number in `cmdstat_del:calls=7,…`: nothing but `discard.lua` deletes.
fn spent(said: &str) -> u64 {
    let calls = info(said, "cmdstat_del").and_then(|line| line.strip_prefix("calls="));
    calls.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// The number in `db0:keys=7,expires=…`.
fn keys(said: &str) -> u64 {
    let keys = info(said, "db0").and_then(|line| line.strip_prefix("keys="));
    keys.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Stores packets in batches, each of which ends with one question after its replicas: who comes
/// while a batch is on its way is in the next.
struct Writer {
    line: Line,
    scripts: Scripts,
    common: Arc<Common>,
}

impl Writer {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.recv().await {
            let (mut batch, mut bytes) = (vec![first], 0);
            while bytes < BATCH && batch.len() < QUEUE {
                bytes += batch.last().map_or(0, |(put, _)| put.packet.len());
                let Ok(next) = jobs.try_recv() else { break };
                batch.push(next);
            }
            let outcome = self.store(&batch).await;
            let lost = matches!(outcome, Err(Trouble::Lost));
            match outcome {
                Ok(answers) => {
                    for ((_, answer), outcome) in batch.into_iter().zip(answers) {
                        let _ = answer.send(outcome);
                    }
                }
                Err(why) => {
                    for (_, answer) in batch {
                        let _ = answer.send(Err(why.clone()));
                    }
                }
            }
            if lost {
                return;
            }
        }
    }

    async fn store(&self, batch: &[Job]) -> Result<Vec<Result<i64, Trouble>>, Trouble> {
        let mut commands = Pipeline::with_capacity(batch.len() + 1);
        let mut masked = Vec::new();
        for (put, _) in batch {
            masked.clear();
            self.common.cipher.append(&put.name, &put.mark, &put.packet, &mut masked);
            if put.asking {
                commands.add_command(cmd("ASKING"));
            }
            let (size, times) = (put.packet.len(), (put.life, put.ttl));
            commands.add_command(self.scripts.put((&put.name, &put.mark), (size, &masked), times));
        }
        let replicas = self.common.replicas;
        if replicas > 0 {
            commands.add_command(wait(replicas));
        }
        let answers = self.line.ask(&commands).await?;
        let mut answers = answers.into_iter();
        let stored: Vec<_> = batch
            .iter()
            .map(|(put, _)| {
                if put.asking {
                    answers.next();
                }
                match answers.next() {
                    Some(Value::Int(life)) => Ok(life),
                    Some(Value::ServerError(why)) => Err(Trouble::from(&why)),
                    _ => Err(Trouble::Lost),
                }
            })
            .collect();
        let safe = replicas == 0
            || matches!(answers.next(), Some(Value::Int(have)) if have >= i64::from(replicas));
        if safe {
            return Ok(stored);
        }
        // Those that were not stored have their own reasons.
        Ok(stored.into_iter().map(|one| one.and(Err(Trouble::Unsafe))).collect())
    }
}

fn wait(replicas: u8) -> Cmd {
    let mut command = cmd("WAIT");
    command.arg(replicas).arg(REPLICAS_TIME);
    command
}
