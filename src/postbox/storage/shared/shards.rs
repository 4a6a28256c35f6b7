//! All nodes of the store, and the way of a command to the one that serves it, through failovers and
//! moves, for a bounded time.

use super::choices::Alarm;
use super::cipher::{Bucket, Name};
use super::dial::Told;
use super::node::{Common, Node, Put};
use super::slots::{Plan, SLOTS, slot};
use super::trouble::Trouble;
use crate::postbox::storage::far;
use crate::postbox::storage::standing::{Away, Unstored};
use redis::{Cmd, Pipeline, PushInfo, Value, cmd};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// For this long a command is tried again; then its caller is told to come back later. Longer than a
/// failover takes where `cluster-node-timeout` is 5 s or less.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two questions who has what, and the longest where none is answered.
const REFRESH_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// For this long a server that did not answer is not called again for one command of a moving slot.
const SILENCE: Duration = Duration::from_secs(1);
/// Questions that are on their way to the nodes at once: each has one thread for all postboxes.
const AT_ONCE: usize = 1024;
/// So few don't wait for others.
const FEW: usize = 64;

/// So long the sentinels' word counts.
const SENTINEL_TIME: Duration = Duration::from_secs(2);

/// Who has what, as far as we know.
#[derive(Default)]
pub(super) struct Map {
    version: u64,
    nodes: Vec<Arc<Node>>,
    /// How the process of each master calls itself, as long as it is one.
    runs: BTreeMap<SocketAddr, String>,
    /// Ranges of slots, in order, the first and the last of each, and which node has it.
    ranges: Vec<(u16, u16, usize)>,
    /// Whether each slot has a node.
    is_whole: bool,
}

impl Map {
    /// The masters.
    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// No two have the same.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether each slot has a node, as far as we know.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole && self.nodes.iter().all(|node| !node.is_dead())
    }

    /// The node that has a bucket.
    pub(super) fn node(&self, bucket: Bucket) -> Option<&Arc<Node>> {
        let slot = slot(bucket);
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let (_, _, node) = self.ranges.get(at).filter(|(first, ..)| *first <= slot)?;
        self.nodes.get(*node).filter(|node| !node.is_dead())
    }
}

/// An answer, and the second of the clock of the node that gave it.
pub(super) struct Reply {
    pub(super) value: Value,
    pub(super) now: u64,
    /// Whether its slot is moving, so that those who listen at the node it comes from have heard
    /// nothing.
    pub(super) aside: bool,
}

/// Nodes to which slots are moving and that have none yet, or when one of them did not answer.
type Aside = BTreeMap<SocketAddr, Result<Arc<Node>, Instant>>;

/// The nodes.
pub(super) struct Shards {
    plan: Plan,
    common: Arc<Common>,
    /// Gets what nodes tell unasked, with the number of the node.
    told: Arc<dyn Fn(u64, PushInfo) + Send + Sync>,
    map: Mutex<Arc<Map>>,
    aside: tokio::sync::Mutex<Aside>,
    questions: Semaphore,
    refreshing: tokio::sync::Mutex<Option<Instant>>,
    /// How often in a row nobody has said who has what.
    failures: AtomicU32,
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
            aside: tokio::sync::Mutex::default(),
            questions: Semaphore::new(AT_ONCE),
            refreshing: tokio::sync::Mutex::default(),
            failures: AtomicU32::new(0),
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
        let pause = pause(self.failures.load(Relaxed));
        if let Some(rest) = last.and_then(|last| pause.checked_sub(last.elapsed())) {
            sleep(rest).await;
        }
        *last = Some(Instant::now());
        self.failures.fetch_add(1, Relaxed);
        // Who has just been given up is not asked first of all.
        let alive = old.nodes.iter().filter(|node| !node.is_dead());
        let known: Vec<_> = alive.map(|node| node.address).collect();
        let round = self.rounds.fetch_add(1, Relaxed);
        let said = self.plan.ask(&self.common.dialer, &known, round).await?;
        let addresses: BTreeSet<SocketAddr> = said.masters.iter().map(|(.., at)| *at).collect();
        let known: BTreeMap<SocketAddr, Arc<Node>> = {
            let mut aside = self.aside.lock().await;
            let moved = addresses.iter().filter_map(|at| aside.remove(at)?.ok());
            let known = old.nodes.iter().cloned().chain(moved.collect::<Vec<_>>());
            aside.retain(|_, node| node.as_ref().is_ok_and(|node| !node.is_dead()));
            known.filter(|node| !node.is_dead()).map(|node| (node.address, node)).collect()
        };
        let node = |address: SocketAddr| {
            let new = self.new_node(address);
            let known = known.get(&address).map(Arc::clone);
            async move {
                match known {
                    Some(node) => Ok(node),
                    None => new.await,
                }
            }
        };
        // All at once: one that is away holds up none of the others.
        let mut connecting: JoinSet<_> = addresses.into_iter().map(node).collect();
        let mut map = Map { version: old.version + 1, ..Map::default() };
        let mut outcome = Ok(());
        while let Some(Ok(node)) = connecting.join_next().await {
            match node {
                Ok(node) => map.nodes.push(node),
                // The others serve all the same.
                Err(why) => outcome = Err(why),
            }
        }
        for (first, last, address) in said.masters {
            if let Some(run) = old.runs.get(&address) {
                map.runs.insert(address, run.clone());
            }
            let at = map.nodes.iter().position(|node| node.address == address);
            map.ranges.push((first, last, at.unwrap_or(usize::MAX)));
        }
        for node in &map.nodes {
            let before = map.runs.insert(node.address, node.run.clone());
            if before.is_some_and(|before| before != node.run) {
                self.common.alarms.raise(&Alarm::Restarted(node.address), &node.run);
            }
        }
        let ends = map.ranges.last().is_some_and(|(_, last, _)| *last == SLOTS - 1);
        map.is_whole = ends && outcome.is_ok();
        if outcome.is_ok() {
            self.failures.store(0, Relaxed);
        }
        *self.lock() = Arc::new(map);
        self.changed.notify_one();
        outcome
    }

    /// Connects to the master at this address.
    fn new_node(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = Result<Arc<Node>, Trouble>> + Send + use<> {
        let id = self.next.fetch_add(1, Relaxed);
        let (told, common) = (Arc::clone(&self.told), Arc::clone(&self.common));
        let told: Told = Box::new(move |push| told(id, push));
        async move { Node::connect(id, address, &common, told).await }
    }

    /// Asks the sentinels anew, if there are any: connections to a master that is none any more last as
    /// long as it does, and it may be cut off from all but us.
    pub(super) async fn ask_sentinels(&self) {
        let due = || async {
            let last = *self.refreshing.lock().await;
            last.is_none_or(|last| last.elapsed() >= SENTINEL_TIME)
        };
        if self.plan.has_sentinels() && due().await {
            // What fails now is tried again soon.
            let _ = self.refresh(&self.map()).await;
        }
    }

    /// The node at this address to which a slot is moving.
    async fn node(&self, map: &Map, address: SocketAddr) -> Result<Arc<Node>, Trouble> {
        let known = map.nodes.iter().find(|node| node.address == address && !node.is_dead());
        if let Some(node) = known {
            return Ok(Arc::clone(node));
        }
        let mut aside = self.aside.lock().await;
        match aside.get(&address) {
            Some(Ok(node)) if !node.is_dead() => return Ok(Arc::clone(node)),
            Some(Err(when)) if when.elapsed() < SILENCE => return Err(Trouble::Later),
            _ => {}
        }
        let node = self.new_node(address).await;
        aside.insert(address, node.as_ref().map(Arc::clone).map_err(|_| Instant::now()));
        node
    }

    /// What helps before the next try; an error where nothing does. It is boxed, so that the commands that
    /// need no help, and each take memory while they wait, stay small.
    async fn after(&self, why: &Trouble, map: &Map, deadline: Instant) -> Result<(), Away> {
        if Instant::now() >= deadline {
            return Err(Away);
        }
        match why {
            Trouble::Lost | Trouble::Moved => match self.refresh(map).await {
                Ok(()) => {}
                Err(Trouble::Unfit) => return Err(Away),
                Err(_) => sleep(PAUSE).await,
            },
            Trouble::Ask(_) => {}
            Trouble::Later => sleep(PAUSE).await,
            Trouble::NoScript => {
                for node in map.nodes() {
                    // One that is lost is noticed by the next try.
                    let _ = node.reload().await;
                }
            }
            Trouble::Unsafe => {
                // A master that has lost its replica may be none any more.
                self.ask_sentinels().await;
                return Err(Away);
            }
            Trouble::Full | Trouble::Behind | Trouble::Unfit | Trouble::Refused(_) => {
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
                Some(address) => (true, far(self.node(&map, address)).await),
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
                    far(self.after(&why, &map, deadline)).await.map_err(|Away| Unstored::Away)?;
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
        let replies = self.ask_until(Instant::now() + PATIENCE, names, command).await;
        replies.into_iter().collect::<Option<_>>().ok_or(Away)
    }

    /// The same for commands that change something, of which enough replicas must know.
    pub(super) async fn change(
        &self,
        names: &[Name],
        command: impl Fn(usize, &Node) -> Cmd,
    ) -> Result<Vec<Reply>, Away> {
        let (deadline, changes) = (Instant::now() + PATIENCE, self.common.replicas > 0);
        let replies = self.run(deadline, names, command, changes).await;
        replies.into_iter().collect::<Option<_>>().ok_or(Away)
    }

    /// Asks at least once and for no longer than this; what has no answer then is left out.
    pub(super) async fn ask_until(
        &self,
        deadline: Instant,
        names: &[Name],
        command: impl Fn(usize, &Node) -> Cmd,
    ) -> Vec<Option<Reply>> {
        self.run(deadline, names, command, false).await
    }

    async fn run(
        &self,
        deadline: Instant,
        names: &[Name],
        command: impl Fn(usize, &Node) -> Cmd,
        changes: bool,
    ) -> Vec<Option<Reply>> {
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
                    Some(address) => far(self.node(&map, address)).await,
                    None => map.node(names[at].bucket()).map(Arc::clone).ok_or(Trouble::Moved),
                };
                match node {
                    Ok(node) => {
                        let add = command(at, &node);
                        batches.entry(node.id).or_insert_with(|| Batch::new(node)).add(at, to, add);
                    }
                    Err(trouble) => {
                        again.push((at, None));
                        each_once(&mut why, trouble);
                    }
                }
            }
            for (all, outcome) in self.run_all(batches, changes, deadline).await {
                for (at, outcome) in all.into_iter().zip(outcome) {
                    match outcome {
                        Ok(reply) => replies[at] = Some(reply),
                        Err(trouble) => {
                            let to = match trouble {
                                Trouble::Ask(address) => Some(address),
                                _ => None,
                            };
                            again.push((at, to));
                            each_once(&mut why, trouble);
                        }
                    }
                }
            }
            if again.is_empty() {
                return replies;
            }
            for trouble in why {
                if far(self.after(&trouble, &map, deadline)).await.is_err() {
                    return replies;
                }
            }
            open = again;
        }
    }

    /// Runs all at the same time, when it is their turn: it ends with the answers, so that nobody
    /// waits for those who wait for a node.
    async fn run_all(
        &self,
        batches: BTreeMap<u64, Batch>,
        changes: bool,
        deadline: Instant,
    ) -> Vec<Outcomes> {
        let count = batches.values().map(|batch| batch.about.len()).sum::<usize>().min(AT_ONCE);
        let turn = match u32::try_from(count) {
            Ok(turns) if count > FEW => self.questions.acquire_many(turns).await.ok(),
            _ => None,
        };
        let outcomes = Batch::run_all(batches, changes, deadline).await;
        drop(turn);
        outcomes
    }
}

/// One more trouble, unless it is known: what helps against it is done once for all commands.
fn each_once(all: &mut Vec<Trouble>, trouble: Trouble) {
    if !all.contains(&trouble) {
        all.push(trouble);
    }
}

/// Before who has what is asked again, after so many times without an answer: longer and longer, and
/// each postbox at another moment.
fn pause(failures: u32) -> Duration {
    let longest = REFRESH_PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
    let mut chance = [0];
    // Without it all ask at the same moment.
    let _ = getrandom::fill(&mut chance);
    (longest / 2 + longest * u32::from(chance[0]) / 510).max(REFRESH_PAUSE / 2)
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
                        Some(value) => Ok(Reply { value, now, aside: asking }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_many_commands_is_done_once() {
        let mut all = Vec::new();
        for trouble in [Trouble::Later, Trouble::Moved, Trouble::Later, Trouble::Moved] {
            each_once(&mut all, trouble);
        }
        assert_eq!(all, [Trouble::Later, Trouble::Moved]);
    }
}
