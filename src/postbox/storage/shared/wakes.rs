//! Who waits here for a change that comes through another postbox: the store tells of each change on
//! a channel for its bucket, and we listen to the channels of those buckets in which somebody waits.
//!
//! What is told may be lost with its node. So whenever a node was lost or a bucket has moved, we
//! listen anew first, and then look at every address of it that somebody waits for.

use super::cipher::{Bucket, Name, bucket_of, tag};
use super::node::Node;
use super::shards::Shards;
use super::trouble::Trouble;
use crate::postbox::api::PacketStatus;
use crate::postbox::storage::standing::{Away, Standing};
use crate::postbox::storage::watch::{Addresses, WaitList};
use redis::{Pipeline, PushInfo, PushKind, Value, cmd};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, RwLock};

/// For so long we go on to listen where nobody waits any more: who waits asks again and again for
/// the same.
const LINGER: Duration = Duration::from_mins(1);
/// How often a subscription is tried again in one go.
const TRIES: usize = 20;

/// The buckets to which we listen.
pub(super) struct Wakes {
    wait_list: Arc<WaitList>,
    buckets: Mutex<BTreeMap<Bucket, Heard>>,
    /// Nodes whose connection of changes is of no use any more.
    broken: Mutex<Vec<u64>>,
    /// Held by those who subscribe, and alone by the one who gives channels up, so that neither
    /// overtakes the other.
    order: RwLock<()>,
    /// Wakes the one that listens anew.
    changed: Arc<Notify>,
}

struct Heard {
    /// Addresses in it for which somebody waits.
    waiting: usize,
    /// The node that confirmed that we hear it; 0 if none has.
    on: u64,
    last: Instant,
}

impl Wakes {
    pub(super) fn new(wait_list: &Arc<WaitList>, changed: &Arc<Notify>) -> Self {
        Self {
            wait_list: Arc::clone(wait_list),
            buckets: Mutex::default(),
            broken: Mutex::default(),
            order: RwLock::default(),
            changed: Arc::clone(changed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Bucket, Heard>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node on which we hear a bucket.
    fn on(&self, bucket: Bucket) -> Option<u64> {
        self.lock().get(&bucket).map(|heard| heard.on)
    }

    /// Takes what a node tells unasked.
    pub(super) fn told(&self, node: u64, push: &PushInfo) {
        match push.kind {
            PushKind::SMessage => {
                if let [Value::BulkString(channel), Value::BulkString(message)] = &push.data[..]
                    && let Some((name, standing)) = change(channel, message)
                {
                    self.wait_list.notify(&name.on_the_list(), |wanted| standing.counts(wanted));
                }
            }
            PushKind::SUnsubscribe => {
                let is_ours = |channel: &Value| match channel {
                    Value::BulkString(channel) => {
                        let heard = bucket_of(channel).and_then(|bucket| self.on(bucket));
                        heard == Some(node)
                    }
                    _ => false,
                };
                // Its slot has moved. Unasked, this may have been taken for the answer to something
                // else, and so may be what follows.
                if push.data.first().is_some_and(is_ours) {
                    self.breaks(node);
                }
            }
            PushKind::Disconnection => self.breaks(node),
            _ => {}
        }
    }

    fn breaks(&self, node: u64) {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).push(node);
        self.changed.notify_one();
    }

    /// Gives up the nodes whose connection of changes is broken.
    pub(super) fn give_up_broken(&self, shards: &Shards) {
        let broken =
            std::mem::take(&mut *self.broken.lock().unwrap_or_else(PoisonError::into_inner));
        for node in shards.map().nodes().iter().filter(|node| broken.contains(&node.id)) {
            node.give_up();
        }
    }

    /// Listens to the buckets of these names.
    async fn listen(&self, shards: &Shards, names: &[Name]) -> Result<(), Away> {
        let map = shards.map();
        let mut missing: Vec<Bucket> = {
            let buckets = self.lock();
            let is_heard = |bucket: Bucket| {
                let on = buckets.get(&bucket).map_or(0, |heard| heard.on);
                map.node(bucket).is_some_and(|node| node.id == on)
            };
            names.iter().map(Name::bucket).filter(|&bucket| !is_heard(bucket)).collect()
        };
        missing.sort_unstable();
        missing.dedup();
        self.subscribe(shards, missing).await
    }

    /// Subscribes to all of these, on the nodes that have them.
    async fn subscribe(&self, shards: &Shards, mut missing: Vec<Bucket>) -> Result<(), Away> {
        for _ in 0..TRIES {
            if missing.is_empty() {
                return Ok(());
            }
            let order = self.order.read().await;
            let map = shards.map();
            let mut by_node: BTreeMap<u64, (Arc<Node>, Vec<Bucket>)> = BTreeMap::new();
            let mut left = Vec::new();
            for bucket in missing {
                match map.node(bucket) {
                    Some(node) => {
                        let new = || (Arc::clone(node), Vec::new());
                        by_node.entry(node.id).or_insert_with(new).1.push(bucket);
                    }
                    None => left.push(bucket),
                }
            }
            let mut trouble = !left.is_empty();
            for (node, buckets) in by_node.into_values() {
                let Ok(refused) = subscribe_on(&node, &buckets).await else {
                    trouble = true;
                    left.extend(buckets);
                    continue;
                };
                let mut all = self.lock();
                for bucket in buckets.iter().filter(|bucket| !refused.contains(bucket)) {
                    if let Some(heard) = all.get_mut(bucket) {
                        heard.on = node.id;
                    }
                }
                drop(all);
                trouble |= !refused.is_empty();
                left.extend(refused);
            }
            drop(order);
            if trouble {
                let _ = shards.refresh(&map).await;
            }
            missing = left;
        }
        if missing.is_empty() { Ok(()) } else { Err(Away) }
    }

    /// Buckets that somebody waits in and that no connected node is heard for.
    fn unheard(&self, shards: &Shards) -> Vec<Bucket> {
        let map = shards.map();
        let unheard = |(bucket, heard): (&Bucket, &Heard)| {
            let heard_now = map.node(*bucket).is_some_and(|node| node.id == heard.on);
            (heard.waiting > 0 && !heard_now).then_some(*bucket)
        };
        self.lock().iter().filter_map(unheard).collect()
    }

    /// Listens anew to what was lost; returns the buckets in which changes may have been missed.
    pub(super) async fn restore(&self, shards: &Shards) -> Vec<Bucket> {
        let lost = self.unheard(shards);
        // What fails now is tried again at the next round, and looked at then.
        if self.subscribe(shards, lost.clone()).await.is_ok() { lost } else { Vec::new() }
    }

    /// Gives up buckets in which nobody has waited for a while.
    pub(super) async fn tidy(&self, shards: &Shards) {
        let _alone = self.order.write().await;
        let idle: Vec<Bucket> = {
            let mut buckets = self.lock();
            let is_idle = |heard: &Heard| heard.waiting == 0 && heard.last.elapsed() > LINGER;
            let idle = buckets.iter().filter(|(_, heard)| is_idle(heard));
            let idle: Vec<Bucket> = idle.map(|(bucket, _)| *bucket).collect();
            for bucket in &idle {
                buckets.remove(bucket);
            }
            idle
        };
        let map = shards.map();
        let mut by_node: BTreeMap<u64, (&Arc<Node>, Pipeline)> = BTreeMap::new();
        for bucket in idle {
            if let Some(node) = map.node(bucket) {
                let commands = by_node.entry(node.id).or_insert_with(|| (node, Pipeline::new()));
                let mut command = cmd("SUNSUBSCRIBE");
                command.arg(&tag(bucket)[..]);
                commands.1.add_command(command);
            }
        }
        for (node, commands) in by_node.into_values() {
            let _ = node.listen(&commands).await;
        }
    }
}

/// The address and its state of which a channel tells.
fn change(channel: &[u8], message: &[u8]) -> Option<(Name, Standing)> {
    let name = Name::told(bucket_of(channel)?, message)?;
    let (lies, status) = match message.get(Name::told_size()..)? {
        [lies, b'h'] => (lies, PacketStatus::Held),
        [lies, b'c'] => (lies, PacketStatus::Collected),
        _ => return None,
    };
    Some((name, Standing { lies: *lies == b'l', status }))
}

/// Subscribes to these, and returns those that the node refused.
async fn subscribe_on(node: &Node, buckets: &[Bucket]) -> Result<Vec<Bucket>, Trouble> {
    let mut commands = Pipeline::with_capacity(buckets.len());
    for bucket in buckets {
        let mut command = cmd("SSUBSCRIBE");
        command.arg(&tag(*bucket)[..]);
        commands.add_command(command);
    }
    let answers = node.listen(&commands).await?;
    let refused = buckets.iter().zip(answers);
    let refused = refused.filter(|(_, answer)| matches!(answer, Value::ServerError(_)));
    Ok(refused.map(|(bucket, _)| *bucket).collect())
}

/// Names for which somebody waits, for as long as this lives.
pub(super) struct Waiting {
    wakes: Arc<Wakes>,
    addresses: Arc<Addresses>,
    /// How many of them, from the first on.
    taken: usize,
}

impl Waiting {
    pub(super) fn new(wakes: &Arc<Wakes>, addresses: &Arc<Addresses>) -> Self {
        Self { wakes: Arc::clone(wakes), addresses: Arc::clone(addresses), taken: 0 }
    }

    /// The names on the list that stand for the addresses.
    pub(super) fn list(&self) -> &[[u8; 32]] {
        self.addresses.list()
    }

    /// Waits for those up to this one, too: from the return on, each change is heard.
    pub(super) async fn extend(&mut self, shards: &Shards, end: usize) -> Result<(), Away> {
        let names: Vec<Name> =
            self.addresses.list()[self.taken..end].iter().map(Name::listed).collect();
        {
            let mut buckets = self.wakes.lock();
            for name in &names {
                let new = || Heard { waiting: 0, on: 0, last: Instant::now() };
                buckets.entry(name.bucket()).or_insert_with(new).waiting += 1;
            }
        }
        self.taken = end;
        self.wakes.listen(shards, &names).await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut buckets = self.wakes.lock();
        for name in self.addresses.list()[..self.taken].iter().map(Name::listed) {
            if let Some(heard) = buckets.get_mut(&name.bucket()) {
                heard.waiting = heard.waiting.saturating_sub(1);
                heard.last = Instant::now();
            }
        }
    }
}
