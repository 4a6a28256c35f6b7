//! All nodes of the store, and the way of a command to the one that serves it, through failovers and
//! moves, for a bounded time.

use super::cipher::{Bucket, Name};
use super::dial::Told;
use super::node::{Common, Node, Put};
use super::slots::{Plan, slot};
use super::trouble::Trouble;
use crate::postbox::storage::standing::{Away, Unstored};
use redis::{Cmd, Pipeline, PushInfo, Value, cmd};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// For this long a command is tried again; then its caller is told to come back later. Longer than a
/// failover takes where `cluster-node-timeout` is 5 s or less.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two questions who has what.
const REFRESH_PAUSE: Duration = Duration::from_millis(200);

/// Who has what, as far as we know.
#[derive(Default)]
pub(super) struct Map {
    version: u64,
    nodes: Vec<Arc<Node>>,
    /// Up to which slot, from where the one before it ends, and which node.
    ranges: Vec<(u16, usize)>,
}

impl Map {
    /// The masters.
    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node that has a bucket.
    pub(super) fn node(&self, bucket: Bucket) -> Option<&Arc<Node>> {
        let slot = slot(bucket);
        let at = self.ranges.partition_point(|(last, _)| *last < slot);
        self.nodes.get(self.ranges.get(at)?.1).filter(|node| !node.is_dead())
    }
}

/// An answer, and the second of the clock of the node that gave it.
pub(super) struct Reply {
    pub(super) value: Value,
    pub(super) now: u64,
}

/// The nodes.
pub(super) struct Shards {
    plan: Plan,
    common: Arc<Common>,
    /// Gets what nodes tell unasked, with the number of the node.
    told: Arc<dyn Fn(u64, PushInfo) + Send + Sync>,
    map: Mutex<Arc<Map>>,
    refreshing: tokio::sync::Mutex<Option<Instant>>,
    next: AtomicU64,
    rounds: AtomicUsize,
    /// Wakes the one that looks after all this.
    pub(super) changed: Arc<Notify>,
}

impl Shards {
    /// Not connected yet.
    pub(super) fn new(
        plan: Plan,
        common: Common,
        told: Arc<dyn Fn(u64, PushInfo) + Send + Sync>,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            plan,
            common: Arc::new(common),
            told,
            map: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            next: AtomicU64::new(1),
            rounds: AtomicUsize::new(0),
            changed,
        }
    }

    /// What all nodes have in common.
    pub(super) fn common(&self) -> &Common {
        &self.common
    }

    /// Who has what now.
    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Map>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks anew who has what, unless that was done since `seen`.
    pub(super) async fn refresh(&self, seen: &Map) -> Result<(), Trouble> {
        let mut last = self.refreshing.lock().await;
        let old = self.map();
        if old.version != seen.version {
            return Ok(());
        }
        if let Some(rest) = last.and_then(|last| REFRESH_PAUSE.checked_sub(last.elapsed())) {
            sleep(rest).await;
        }
        *last = Some(Instant::now());
        let known: Vec<_> = old.nodes.iter().map(|node| node.address).collect();
        let round = self.rounds.fetch_add(1, Relaxed);
        let said = self.plan.ask(&self.common.dialer, &known, round).await?;
        let mut map = Map { version: old.version + 1, ..Map::default() };
        let mut outcome = Ok(());
        for (last, address) in said.masters {
            let known = map.nodes.iter().position(|node| node.address == address);
            let at = match known {
                Some(at) => at,
                None => match self.node(&old, address).await {
                    Ok(node) => {
                        map.nodes.push(node);
                        map.nodes.len() - 1
                    }
                    // The others serve all the same.
                    Err(why) => {
                        outcome = Err(why);
                        usize::MAX
                    }
                },
            };
            map.ranges.push((last, at));
        }
        *self.lock() = Arc::new(map);
        self.changed.notify_one();
        outcome
    }

    /// The node at this address: a connected one, or else a new connection.
    async fn node(&self, map: &Map, address: SocketAddr) -> Result<Arc<Node>, Trouble> {
        let known = map.nodes.iter().find(|node| node.address == address && !node.is_dead());
        if let Some(node) = known {
            return Ok(Arc::clone(node));
        }
        let id = self.next.fetch_add(1, Relaxed);
        let told = Arc::clone(&self.told);
        let told: Told = Box::new(move |push| told(id, push));
        Node::connect(id, address, &self.common, told).await
    }

    /// What helps before the next try; an error where nothing does.
    async fn after(&self, why: &Trouble, map: &Map, deadline: Instant) -> Result<(), Away> {
        if Instant::now() >= deadline {
            return Err(Away);
        }
        match why {
            Trouble::Lost | Trouble::Moved => {
                if self.refresh(map).await.is_err() {
                    sleep(PAUSE).await;
                }
            }
            Trouble::Ask(_) => {}
            Trouble::Later => sleep(PAUSE).await,
            Trouble::NoScript => {
                for node in map.nodes() {
                    // One that is lost is noticed by the next try.
                    let _ = node.reload().await;
                }
            }
            Trouble::Full | Trouble::Unsafe | Trouble::Behind | Trouble::Refused(_) => {
                return Err(Away);
            }
        }
        Ok(())
    }

    /// Stores a packet; `make` makes what is sent, each time. The answer is the script's.
    pub(super) async fn put(
        &self,
        bucket: Bucket,
        make: impl Fn(bool) -> Put,
    ) -> Result<i64, Unstored> {
        let deadline = Instant::now() + PATIENCE;
        let mut ask = None;
        loop {
            let map = self.map();
            let (asking, node) = match ask.take() {
                Some(address) => (true, self.node(&map, address).await),
                None => (false, map.node(bucket).map(Arc::clone).ok_or(Trouble::Moved)),
            };
            let stored = match node {
                // One that says nothing is given up after its own, shorter time; many before this
                // packet may take longer together.
                Ok(node) => timeout_at(deadline, node.put(make(asking)))
                    .await
                    .unwrap_or(Err(Trouble::Behind)),
                Err(why) => Err(why),
            };
            match stored {
                Ok(life) => return Ok(life),
                Err(Trouble::Full) => return Err(Unstored::Full),
                Err(why) => {
                    self.after(&why, &map, deadline).await.map_err(|Away| Unstored::Away)?;
                    if let Trouble::Ask(address) = why {
                        ask = Some(address);
                    }
                }
            }
        }
    }

    /// Asks a command about each of these names, all at once, and until each has its answer.
    pub(super) async fn ask(
        &self,
        names: &[Name],
        command: impl Fn(usize, &Node) -> Cmd,
    ) -> Result<Vec<Reply>, Away> {
        self.run(names, command, false).await
    }

    /// The same for commands that change something, of which enough replicas must know.
    pub(super) async fn change(
        &self,
        names: &[Name],
        command: impl Fn(usize, &Node) -> Cmd,
    ) -> Result<Vec<Reply>, Away> {
        self.run(names, command, self.common.replicas > 0).await
    }

    async fn run(
        &self,
        names: &[Name],
        command: impl Fn(usize, &Node) -> Cmd,
        changes: bool,
    ) -> Result<Vec<Reply>, Away> {
        let deadline = Instant::now() + PATIENCE;
        let mut replies: Vec<Option<Reply>> = names.iter().map(|_| None).collect();
        let mut open: Vec<(usize, Option<SocketAddr>)> =
            (0..names.len()).map(|at| (at, None)).collect();
        loop {
            let map = self.map();
            let mut why = Vec::new();
            let mut again = Vec::new();
            let mut batches: BTreeMap<u64, Batch> = BTreeMap::new();
            for (at, to) in open {
                let node = match to {
                    Some(address) => self.node(&map, address).await,
                    None => map.node(names[at].bucket()).map(Arc::clone).ok_or(Trouble::Moved),
                };
                match node {
                    Ok(node) => {
                        let add = command(at, &node);
                        batches.entry(node.id).or_insert_with(|| Batch::new(node)).add(at, to, add);
                    }
                    Err(trouble) => {
                        again.push((at, None));
                        why.push(trouble);
                    }
                }
            }
            for (all, outcome) in Batch::run_all(batches, changes, deadline).await {
                for (at, outcome) in all.into_iter().zip(outcome) {
                    match outcome {
                        Ok(reply) => replies[at] = Some(reply),
                        Err(trouble) => {
                            let to = match trouble {
                                Trouble::Ask(address) => Some(address),
                                _ => None,
                            };
                            again.push((at, to));
                            why.push(trouble);
                        }
                    }
                }
            }
            if again.is_empty() {
                return Ok(replies.into_iter().flatten().collect());
            }
            why.dedup();
            for trouble in why {
                self.after(&trouble, &map, deadline).await?;
            }
            open = again;
        }
    }
}

/// Commands for one node.
struct Batch {
    node: Arc<Node>,
    commands: Vec<Cmd>,
    /// Which of the names each is about, and whether another command stands before it.
    about: Vec<(usize, bool)>,
}

type Outcomes = (Vec<usize>, Vec<Result<Reply, Trouble>>);

impl Batch {
    fn new(node: Arc<Node>) -> Self {
        Self { node, commands: Vec::new(), about: Vec::new() }
    }

    fn add(&mut self, at: usize, to: Option<SocketAddr>, command: Cmd) {
        if to.is_some() {
            self.commands.push(cmd("ASKING"));
        }
        self.commands.push(command);
        self.about.push((at, to.is_some()));
    }

    async fn run(self, changes: bool, deadline: Instant) -> Outcomes {
        let Self { node, commands, about } = self;
        let answers = if changes {
            let answers = timeout_at(deadline, node.change(commands)).await;
            answers.unwrap_or(Err(Trouble::Behind))
        } else {
            let mut pipeline = Pipeline::with_capacity(commands.len());
            for command in commands {
                pipeline.add_command(command);
            }
            node.ask(&pipeline).await
        };
        let now = node.now();
        let outcomes = match answers {
            Err(why) => about.iter().map(|_| Err(why.clone())).collect(),
            Ok(answers) => {
                let mut answers = answers.into_iter();
                let outcome = |asking: bool| {
                    if asking {
                        answers.next();
                    }
                    match answers.next() {
                        Some(Value::ServerError(why)) => {
                            Err(Trouble::from(&why).said_at(node.address))
                        }
                        Some(value) => Ok(Reply { value, now }),
                        None => Err(Trouble::Lost),
                    }
                };
                about.iter().map(|(_, asking)| *asking).map(outcome).collect()
            }
        };
        (about.into_iter().map(|(at, _)| at).collect(), outcomes)
    }

    /// All at the same time; mostly there is one.
    async fn run_all(
        batches: BTreeMap<u64, Self>,
        changes: bool,
        deadline: Instant,
    ) -> Vec<Outcomes> {
        if batches.len() == 1 {
            let mut all = Vec::with_capacity(1);
            for batch in batches.into_values() {
                all.push(batch.run(changes, deadline).await);
            }
            return all;
        }
        let mut running: JoinSet<Outcomes> =
            batches.into_values().map(|one| one.run(changes, deadline)).collect();
        let mut all = Vec::new();
        while let Some(Ok(outcomes)) = running.join_next().await {
            all.push(outcomes);
        }
        all
    }
}
