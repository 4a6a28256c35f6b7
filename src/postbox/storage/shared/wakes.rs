//! Who waits here for a change that comes through another postbox: the store tells of each change on
//! a channel for its bucket, and we listen to the channels of those buckets in which somebody waits.
//!
//! What is told may be lost with its node. So whenever a node was lost or a bucket has moved, the
//! bucket is marked: we listen anew first, and then look at every address of it that somebody waits
//! for. The mark stays until such a look has succeeded, whoever has listened anew.

use super::cipher::{Bucket, Name, bucket_of, tag};
use super::node::Node;
use super::shards::{Map, PATIENCE, Shards};
use crate::postbox::api::PacketStatus;
use crate::postbox::storage::far;
use crate::postbox::storage::standing::{Away, Standing};
use crate::postbox::storage::watch::{Addresses, WaitList};
use redis::{Pipeline, PushInfo, PushKind, Value, cmd};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, RwLock};
use tokio::task::JoinSet;

/// For so long we go on to listen where nobody waits any more: who waits asks again and again for
/// the same.
const LINGER: Duration = Duration::from_mins(1);
/// Channels for which one question asks.
const PIECE: usize = 1024;
/// What is told of a bucket of which nothing else can be told: look for yourselves.
pub(super) const LOOK: &[u8] = b"?";
/// The number of no node.
const NONE: u64 = 0;
/// The version of no map, and no tick.
const NEVER: u64 = u64::MAX;

/// The buckets to which we listen.
pub(super) struct Wakes {
    wait_list: Arc<WaitList>,
    buckets: Mutex<BTreeMap<Bucket, Heard>>,
    /// Nodes whose connection of changes is of no use any more.
    broken: Mutex<Vec<u64>>,
    /// Held by those who subscribe, and alone by the one who gives channels up, so that neither
    /// overtakes the other.
    order: RwLock<()>,
    /// Wakes the one that looks after the nodes.
    changed: Arc<Notify>,
    /// Wakes the one that listens anew.
    pub(super) lost: Notify,
    /// The version of the map by which all that is waited for is heard.
    heard_by: AtomicU64,
    /// How much was told so far: the time by which it is known whether somebody may have missed
    /// something.
    ticks: AtomicU64,
}

struct Heard {
    /// Addresses in it for which somebody waits.
    waiting: usize,
    /// The node that confirmed last that we hear it.
    on: u64,
    /// Whether a change may have gone by unheard since somebody looked.
    missed: bool,
    /// When something was told of it last by which a packet may have come, in ticks.
    told: u64,
    last: Instant,
}

impl Heard {
    fn new() -> Self {
        Self { waiting: 0, on: NONE, missed: false, told: NEVER, last: Instant::now() }
    }

    /// A node has confirmed that we hear it there; returns whether that was another one before.
    fn hears(&mut self, node: u64) -> bool {
        let moved = self.on != NONE && self.on != node;
        self.missed |= moved;
        self.on = node;
        moved
    }

    /// We hear it no more.
    fn loses(&mut self) {
        self.missed |= self.on != NONE;
        self.on = NONE;
    }
}

impl Wakes {
    pub(super) fn new(wait_list: &Arc<WaitList>, changed: &Arc<Notify>) -> Self {
        Self {
            wait_list: Arc::clone(wait_list),
            buckets: Mutex::default(),
            broken: Mutex::default(),
            order: RwLock::default(),
            changed: Arc::clone(changed),
            lost: Notify::new(),
            heard_by: AtomicU64::new(NEVER),
            ticks: AtomicU64::new(0),
        }
    }

    /// The last thing that was told.
    pub(super) fn tick(&self) -> u64 {
        self.ticks.load(Relaxed)
    }

    /// Whether we hear of each change at these names, and did so without a pause since this tick, and
    /// heard of no packet that has come: then where none was, none is now.
    pub(super) fn is_quiet_since(&self, tick: u64, shards: &Shards, names: &[Name]) -> bool {
        let (map, buckets) = (shards.map(), self.lock());
        names.iter().map(Name::bucket).all(|bucket| {
            let quiet = |heard: &&Heard| !heard.missed && heard.told <= tick;
            let heard = buckets.get(&bucket).filter(quiet);
            heard.is_some_and(|heard| map.node(bucket).is_some_and(|node| node.id == heard.on))
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Bucket, Heard>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a node tells. What we hear is known by this alone, in the order in which it tells:
    /// a channel that it takes away unasked may be counted as the answer to something else, and so
    /// answers say nothing.
    pub(super) fn told(&self, node: u64, push: &PushInfo) {
        let channel = match push.data.first() {
            Some(Value::BulkString(channel)) => bucket_of(channel),
            _ => None,
        };
        match (&push.kind, channel) {
            (PushKind::SMessage, Some(bucket)) => {
                if let Some(Value::BulkString(message)) = push.data.get(1) {
                    self.message(bucket, message);
                }
            }
            (PushKind::SSubscribe, Some(bucket)) => {
                self.marks(bucket, |heard| heard.hears(node));
            }
            (PushKind::SUnsubscribe, Some(bucket)) => self.marks(bucket, |heard| {
                // Its slot has moved.
                let ours = heard.on == node;
                if ours {
                    heard.loses();
                }
                ours
            }),
            (PushKind::Disconnection, _) => self.breaks(node),
            _ => {}
        }
    }

    fn message(&self, bucket: Bucket, message: &[u8]) {
        match change(bucket, message) {
            Some((name, standing, about)) => {
                if standing.lies {
                    self.marks(bucket, |_| false);
                }
                let there = |wanted| standing.counts(wanted);
                self.wait_list.notify_of(&name.on_the_list(), about, there);
            }
            None if message == LOOK => self.marks(bucket, |heard| {
                heard.missed = true;
                true
            }),
            None => {}
        }
    }

    /// Changes what is known of a bucket; wakes the one that listens anew if `change` says so.
    fn marks(&self, bucket: Bucket, change: impl FnOnce(&mut Heard) -> bool) {
        let stirs = self.lock().get_mut(&bucket).is_some_and(|heard| {
            heard.told = self.ticks.fetch_add(1, Relaxed) + 1;
            change(heard)
        });
        if stirs {
            self.stir();
        }
    }

    /// All that is waited for is to be gone through.
    fn stir(&self) {
        self.heard_by.store(NEVER, Relaxed);
        self.lost.notify_one();
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
        // Mostly all are heard already.
        if missing.is_empty() { Ok(()) } else { far(self.subscribe(shards, missing)).await }
    }

    /// Subscribes to all of these, on the nodes that have them, for a bounded time.
    async fn subscribe(&self, shards: &Shards, mut missing: Vec<Bucket>) -> Result<(), Away> {
        let deadline = Instant::now() + PATIENCE;
        while !missing.is_empty() {
            let order = self.order.read().await;
            let map = shards.map();
            let mut by_node: BTreeMap<u64, (Arc<Node>, Vec<Bucket>)> = BTreeMap::new();
            for bucket in &missing {
                if let Some(node) = map.node(*bucket) {
                    let new = || (Arc::clone(node), Vec::new());
                    by_node.entry(node.id).or_insert_with(new).1.push(*bucket);
                }
            }
            let mut asking: JoinSet<()> = by_node.into_values().map(subscribe_on).collect();
            while asking.join_next().await.is_some() {}
            drop(order);
            {
                let buckets = self.lock();
                missing.retain(|bucket| {
                    let on = buckets.get(bucket).map_or(NONE, |heard| heard.on);
                    map.node(*bucket).is_none_or(|node| node.id != on)
                });
            }
            if missing.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                return Err(Away);
            }
            let _ = shards.refresh(&map).await;
        }
        Ok(())
    }

    /// Buckets that somebody waits in and that no connected node is heard for.
    fn unheard(&self, map: &Map) -> Vec<Bucket> {
        let unheard = |(bucket, heard): (&Bucket, &Heard)| {
            let heard_now = map.node(*bucket).is_some_and(|node| node.id == heard.on);
            (heard.waiting > 0 && !heard_now).then_some(*bucket)
        };
        self.lock().iter().filter_map(unheard).collect()
    }

    /// Listens anew to what was lost; returns the buckets that are heard and in which changes may
    /// have been missed. Their marks are gone: who cannot look [`Self::marks_again`].
    pub(super) async fn restore(&self, shards: &Shards) -> Vec<Bucket> {
        let map = shards.map();
        if self.heard_by.swap(map.version(), Relaxed) == map.version() {
            return Vec::new();
        }
        let lost = self.unheard(&map);
        // What fails now is tried again at the next round. The others are looked at meanwhile.
        if self.subscribe(shards, lost).await.is_err() {
            self.heard_by.store(NEVER, Relaxed);
        }
        let map = shards.map();
        let mut missed = Vec::new();
        for (bucket, heard) in self.lock().iter_mut().filter(|(_, heard)| heard.missed) {
            if map.node(*bucket).is_some_and(|node| node.id == heard.on) {
                heard.missed = false;
                missed.push(*bucket);
            }
        }
        missed
    }

    /// These could not be looked at.
    pub(super) fn marks_again(&self, missed: &[Bucket]) {
        let mut buckets = self.lock();
        for bucket in missed {
            if let Some(heard) = buckets.get_mut(bucket) {
                heard.missed = true;
            }
        }
        // At the next round, not at once.
        self.heard_by.store(NEVER, Relaxed);
    }

    /// Lets everybody who waits in this bucket look, whichever postbox he asks.
    pub(super) async fn tell_all(&self, shards: &Shards, bucket: Bucket) {
        if let Some(node) = shards.map().node(bucket) {
            let mut tell = cmd("SPUBLISH");
            tell.arg(&tag(bucket)[..]).arg(LOOK);
            // Where the node is lost, all who wait there look anyway.
            let _ = node.ask(Pipeline::new().add_command(tell)).await;
        }
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

/// The address and its state of which a channel tells, and the name of the field of a packet that came.
fn change(bucket: Bucket, message: &[u8]) -> Option<(Name, Standing, &[u8])> {
    let name = Name::told(bucket, message)?;
    let (lies, status, about) = match message.get(Name::told_size()..)? {
        [lies, b'h', about @ ..] => (lies, PacketStatus::Held, about),
        [lies, b'c', about @ ..] => (lies, PacketStatus::Collected, about),
        _ => return None,
    };
    Some((name, Standing { lies: *lies == b'l', status }, about))
}

/// Asks a node to tell of these. Which ones it does is told by itself.
async fn subscribe_on((node, buckets): (Arc<Node>, Vec<Bucket>)) {
    for piece in buckets.chunks(PIECE) {
        let mut commands = Pipeline::with_capacity(piece.len());
        for bucket in piece {
            let mut command = cmd("SSUBSCRIBE");
            command.arg(&tag(*bucket)[..]);
            commands.add_command(command);
        }
        if node.listen(&commands).await.is_err() {
            return;
        }
    }
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
                buckets.entry(name.bucket()).or_insert_with(Heard::new).waiting += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: Bucket = 0x12ab;

    fn heard(wakes: &Wakes) -> (u64, bool) {
        let buckets = wakes.lock();
        let heard = &buckets[&BUCKET];
        (heard.on, heard.missed)
    }

    #[test]
    fn whoever_listens_anew_what_may_have_been_missed_stays_marked() {
        let wakes = Wakes::new(&Arc::default(), &Arc::default());
        let tells = |node: u64, kind: PushKind, message: Option<&[u8]>| {
            let parts = [Some(&tag(BUCKET)[..]), message];
            let data = parts.into_iter().flatten().map(|part| Value::BulkString(part.to_vec()));
            wakes.told(node, &PushInfo { kind, data: data.collect() });
        };
        wakes.lock().insert(BUCKET, Heard::new());
        tells(1, PushKind::SSubscribe, None);
        assert_eq!(heard(&wakes), (1, false), "nobody can have missed anything before");
        tells(1, PushKind::SSubscribe, None);
        tells(7, PushKind::SUnsubscribe, None);
        assert_eq!(heard(&wakes), (1, false), "what another node takes away is nothing to us");
        // The node is lost, and the first who hears it on another one is somebody new.
        tells(2, PushKind::SSubscribe, None);
        assert_eq!(heard(&wakes), (2, true));
        wakes.lock().insert(BUCKET, Heard { on: 2, ..Heard::new() });
        // Its slot has moved.
        tells(2, PushKind::SUnsubscribe, None);
        assert_eq!(heard(&wakes), (NONE, true));
        assert!(wakes.broken.lock().unwrap().is_empty(), "one channel is no reason to hang up");
        tells(3, PushKind::SSubscribe, None);
        assert_eq!(heard(&wakes), (3, true));
        wakes.lock().insert(BUCKET, Heard { on: 3, ..Heard::new() });
        tells(3, PushKind::SMessage, Some(b"of another version"));
        assert_eq!(heard(&wakes), (3, false));
        tells(3, PushKind::SMessage, Some(LOOK));
        assert_eq!(heard(&wakes), (3, true));
        wakes.lock().remove(&BUCKET);
        wakes.marks_again(&[BUCKET]);
        tells(3, PushKind::SSubscribe, None);
        assert!(wakes.lock().is_empty(), "who asked for it is gone");
    }
}
