//! What a postbox asks of the store, and how it is answered.

use super::cipher::{Bucket, Cipher, FRONT, Mark, Name};
use super::connect::Connected;
use super::entry::{Entries, Gone, Lying, Part};
use super::node::{Node, Put};
use super::shards::{PATIENCE, Reply, Shards};
use super::wakes::{Waiting, Wakes};
use crate::postbox::api::{Address, Discard, Key, MAX_PACKET, PacketStatus, address_of};
use crate::postbox::storage::budget::{Budget, Charge, Purpose};
use crate::postbox::storage::clock::{Clock, Seconds};
use crate::postbox::storage::far;
use crate::postbox::storage::found::Found;
use crate::postbox::storage::packet::{Filling, Packet, most_cost};
use crate::postbox::storage::standing::{Away, Totals, Unstored};
use crate::postbox::storage::tide::Tide;
use crate::postbox::storage::unfinished::Unfinished;
use crate::postbox::storage::watch::{Addresses, WaitList, Wanted, Watch};
use redis::{Cmd, Value, cmd};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The part of the memory cap for packets that come out of the store and are not unmasked yet.
const WINDOW_PART: usize = 32;

/// The most bytes of packets in one answer, beside its first: they are copies, and stay here until
/// the caller has read them. Who wants more asks again.
const ANSWER: u64 = 4 << 20;
/// A caller's copies take at most this part of the memory for answers: it leaves four times as much
/// to others. Where that is less than a packet, it counts as one that comes in.
const SHARE: usize = 5;
/// Where packets were found already, those that are away are waited for no longer than this.
const BRIEF: Duration = Duration::from_secs(1);

/// What is remembered of discards may take this part of the store, as it may of a memory.
const SPENT_PART: usize = 8;
/// What one takes there, beside others.
const SPENT_COST: usize = 224;

/// All that this postbox knows of the store.
pub(crate) struct Shared {
    pub(super) shards: Shards,
    cipher: Arc<Cipher>,
    pub(super) wakes: Arc<Wakes>,
    pub(super) wait_list: Arc<WaitList>,
    budget: Arc<Budget>,
    unfinished: Arc<Unfinished>,
    ttl: Seconds,
    began: Clock,
    tide: Mutex<Tide>,
    /// How much was discarded lately, by all.
    ebb: Mutex<Tide>,
    /// How full the whole store was when it was seen last.
    seen: Mutex<Fill>,
    window: Semaphore,
    window_size: usize,
    _window_charge: Charge,
    stored: AtomicU64,
    discarded: AtomicU64,
    pub(super) is_up: AtomicBool,
}

impl Shared {
    /// What this postbox keeps beside a connected store.
    pub(crate) fn new(connected: Connected, budget: &Arc<Budget>, ttl: Duration) -> Self {
        let Connected { shards, wakes, wait_list, .. } = connected;
        let window_size = (budget.cap() / WINDOW_PART).max(MAX_PACKET);
        let mut charge = Charge::nothing(budget, Purpose::Packets);
        charge.grow_anyway(window_size);
        Self {
            cipher: Arc::clone(&shards.common().cipher),
            shards,
            wakes,
            wait_list,
            budget: Arc::clone(budget),
            unfinished: Arc::default(),
            ttl: Seconds::try_from(ttl.as_secs()).unwrap_or(Seconds::MAX / 2).min(Seconds::MAX / 2),
            began: Clock::new(),
            tide: Mutex::default(),
            ebb: Mutex::default(),
            seen: Mutex::default(),
            window: Semaphore::new(window_size >> 10),
            window_size,
            _window_charge: charge,
            stored: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            is_up: AtomicBool::new(true),
        }
    }

    pub(crate) fn wait_list(&self) -> &Arc<WaitList> {
        &self.wait_list
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn unfinished(&self) -> &Arc<Unfinished> {
        &self.unfinished
    }

    /// Bytes that are taken in the store, and bytes that are left, as if each node were as full as
    /// the fullest. Nodes that are away count as when they were seen last.
    pub(crate) fn fill(&self) -> (usize, usize) {
        let map = self.shards.map();
        let mut now = Fill::default();
        for node in map.nodes() {
            now.add(node.gauge.fill());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if map.is_whole() {
            *seen = now;
        }
        seen.or_more(now).taken_and_left()
    }

    /// Totals: what this postbox has done, and how many addresses the store knows.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            stored: self.stored.load(Relaxed),
            discarded: self.discarded.load(Relaxed),
            ..Totals::default()
        }
    }

    /// Whether the whole store could be reached when it was asked last, the keys in which it
    /// knows anything of addresses, and bytes taken and allowed.
    pub(crate) fn state(&self) -> (bool, u64, (usize, usize)) {
        let keys = self.shards.map().nodes().iter().map(|node| node.gauge.keys()).sum();
        (self.is_up.load(Relaxed), keys, self.fill())
    }

    /// How many alarms there were.
    pub(crate) fn alarms(&self) -> u64 {
        self.shards.common().alarms.count()
    }

    /// For how many seconds a packet of `bytes` that arrives now is kept.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between nothing and the whole time"
    )]
    pub(super) fn life(&self, bytes: usize) -> Seconds {
        let (held, left) = self.fill();
        let mut tide = self.tide.lock().unwrap_or_else(PoisonError::into_inner);
        let now = f64::from(self.began.now());
        tide.life(now, bytes, (left, held.saturating_add(left)), f64::from(self.ttl)) as Seconds
    }

    /// For how many seconds a discard is remembered after this many more: the whole time, or so long
    /// that all that is remembered takes no more than its part where they go on like this.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between nothing and the whole time"
    )]
    pub(super) fn remembered_for(&self, more: u64) -> Seconds {
        let (held, left) = self.fill();
        let bytes = usize::try_from(more).unwrap_or(usize::MAX).saturating_mul(SPENT_COST);
        let part = held.saturating_add(left) / SPENT_PART;
        let mut ebb = self.ebb.lock().unwrap_or_else(PoisonError::into_inner);
        let now = f64::from(self.began.now());
        ebb.life(now, bytes, (part, usize::MAX), f64::from(self.ttl)) as Seconds
    }

    /// Stores a packet, unless the same bytes are or were there; returns for how many seconds it is
    /// kept.
    pub(crate) async fn put(&self, packet: Packet) -> Result<Seconds, Unstored> {
        let name = self.cipher.name(&packet.address());
        let mark = self.cipher.mark(&name, packet.hash());
        let (life, ttl) = (self.life(packet.len()), self.ttl);
        let packet = Arc::new(packet);
        let aside = AtomicBool::new(false);
        let make = |asking| {
            aside.store(asking, Relaxed);
            Put { name, mark, packet: Arc::clone(&packet), life, ttl, asking }
        };
        let kept = self.shards.put(name.bucket(), make).await?;
        if aside.into_inner() {
            far(self.wakes.tell_all(&self.shards, name.bucket())).await;
        }
        let kept = Seconds::try_from(kept).map_err(|_| Unstored::Crowded)?;
        self.stored.fetch_add(1, Relaxed);
        Ok(kept)
    }

    /// What is known of these names.
    pub(super) async fn entries(&self, names: &[Name]) -> Result<Vec<Entries>, Away> {
        // What lies there first: what is discarded meanwhile is then seen twice, and not not at all.
        let twice: Vec<Name> = names.iter().flat_map(|name| [*name; 2]).collect();
        let ask = |at: usize, _: &Node| match at % 2 {
            0 => fields_of(&twice[at].key()),
            _ => fields_of(&twice[at].gone_key()),
        };
        let mut replies = self.shards.ask(&twice, ask).await?.into_iter();
        let mut all = Vec::with_capacity(names.len());
        while let (Some(lying), Some(gone)) = (replies.next(), replies.next()) {
            all.push(entries([lying, gone]));
        }
        Ok(all)
    }

    /// What lies under these names.
    pub(super) async fn lying(&self, names: &[Name]) -> Result<Vec<Entries>, Away> {
        let replies = self.shards.ask(names, |at, _| fields_of(&names[at].key())).await?;
        Ok(replies.into_iter().map(|lying| entries([lying])).collect())
    }

    fn names(&self, addresses: &[Address]) -> Vec<Name> {
        addresses.iter().map(|address| self.cipher.name(address)).collect()
    }

    /// The packets under these addresses, in their order, as many as `found` has room for; charged
    /// to `budget`. What is away is left out, and `found` knows it; it is waited for while nothing
    /// else was found.
    pub(crate) async fn find(
        &self,
        budget: &Arc<Budget>,
        addresses: &[Address],
        found: &mut Found,
    ) -> Result<(), Away> {
        found.caps(ANSWER);
        let names = self.names(addresses);
        let mut all: Vec<(usize, Lying)> = Vec::new();
        for (at, entries) in self.entries_there(&names, found).await {
            all.extend(entries.lying.into_iter().map(|one| (at, one)));
        }
        self.fetch_all(budget, (addresses, &names), all, found).await
    }

    /// The packets that a watch was told of, if they are there still: one question, where [`Self::find`]
    /// has two.
    pub(crate) async fn find_told(
        &self,
        budget: &Arc<Budget>,
        addresses: &[Address],
        told: Vec<(Address, Vec<u8>)>,
        found: &mut Found,
    ) -> Result<(), Away> {
        found.caps(ANSWER);
        let names = self.names(addresses);
        let mut all: Vec<(usize, Lying)> = Vec::with_capacity(told.len());
        for (listed, field) in told {
            let Some(at) = names.iter().position(|name| *name == Name::listed(&listed)) else {
                continue;
            };
            let lying = Entries::read([field], 0).lying;
            let is_new = |one: &Lying| !all.iter().any(|(_, known)| known.field == one.field);
            let new: Vec<Lying> = lying.into_iter().filter(is_new).collect();
            all.extend(new.into_iter().map(|one| (at, one)));
        }
        self.fetch_all(budget, (addresses, &names), all, found).await
    }

    /// Fetches these packets, as many as there is room for.
    async fn fetch_all(
        &self,
        budget: &Arc<Budget>,
        about: (&[Address], &[Name]),
        all: Vec<(usize, Lying)>,
        found: &mut Found,
    ) -> Result<(), Away> {
        let mut lying = all.into_iter().peekable();
        while lying.peek().is_some() {
            let (mut some, mut bytes) = (Vec::new(), 0);
            while let Some((_, next)) = lying.peek() {
                let begun = !some.is_empty();
                if begun && bytes + next.bytes > self.window_size.min(MAX_PACKET) {
                    break;
                }
                if !found.would_take(some.len(), bytes + next.bytes) {
                    break;
                }
                bytes += next.bytes;
                some.extend(lying.next());
            }
            if some.is_empty() || !self.fetch(budget, about, (&some, bytes), found).await? {
                found.closes();
                break;
            }
        }
        Ok(())
    }

    /// What lies under those of these names that are not away.
    async fn entries_there(&self, names: &[Name], found: &mut Found) -> Vec<(usize, Entries)> {
        let ask = async |until: Instant, some: &[usize]| {
            let about: Vec<Name> = some.iter().map(|at| names[*at]).collect();
            let key = |at: usize, _: &Node| fields_of(&about[at].key());
            let replies = self.shards.ask_until(until, &about, key).await;
            let known =
                |(at, reply): (&usize, Option<Reply>)| (*at, reply.map(|lying| entries([lying])));
            some.iter().zip(replies).map(known).collect::<Vec<_>>()
        };
        let all: Vec<usize> = (0..names.len()).collect();
        let now = Instant::now();
        let brief = if found.lacks_some() { now } else { now + BRIEF };
        let mut known = ask(brief, &all).await;
        let lies =
            |entries: &Option<Entries>| entries.as_ref().is_some_and(|e| !e.lying.is_empty());
        let missing: Vec<usize> =
            known.iter().filter(|(_, entries)| entries.is_none()).map(|(at, _)| *at).collect();
        if !missing.is_empty() && found.is_empty() && !known.iter().any(|(_, one)| lies(one)) {
            let until = if found.lacks_some() { now } else { now + PATIENCE };
            for (at, entries) in ask(until, &missing).await {
                known[at].1 = entries;
            }
        }
        if known.iter().any(|(_, entries)| entries.is_none()) {
            found.lacks();
        }
        known.into_iter().filter_map(|(at, entries)| Some((at, entries?))).collect()
    }

    /// Fetches these packets; false if there is no room for more.
    async fn fetch(
        &self,
        budget: &Arc<Budget>,
        (addresses, names): (&[Address], &[Name]),
        (some, bytes): (&[(usize, Lying)], usize),
        found: &mut Found,
    ) -> Result<bool, Away> {
        let kib = u32::try_from(bytes.min(self.window_size) >> 10).unwrap_or(1);
        let _room = self.window.acquire_many(kib).await.map_err(|_| Away)?;
        let about: Vec<Name> = some.iter().map(|(at, _)| names[*at]).collect();
        let get = |at: usize, _: &Node| {
            let mut get = cmd("HGET");
            get.arg(&about[at].key()[..]).arg(&some[at].1.field[..]);
            get
        };
        let replies = self.shards.ask_until(Instant::now() + PATIENCE, &about, get).await;
        for ((at, lying), reply) in some.iter().zip(replies) {
            let Some(Reply { value, .. }) = reply else {
                found.lacks();
                continue;
            };
            let Value::BulkString(stored) = value else { continue };
            match self.unmasked(budget, (&names[*at], &addresses[*at]), &lying.mark, stored) {
                Ok(Some(packet)) => {
                    if !found.takes(&Arc::new(packet)) {
                        return Ok(false);
                    }
                }
                // Somebody has changed it there.
                Ok(None) => {}
                // What was found goes out; the rest is asked for again.
                Err(Away) if !found.packets.is_empty() => return Ok(false),
                Err(Away) => return Err(Away),
            }
        }
        Ok(true)
    }

    fn unmasked(
        &self,
        budget: &Arc<Budget>,
        (name, address): (&Name, &Address),
        mark: &Mark,
        mut stored: Vec<u8>,
    ) -> Result<Option<Packet>, Away> {
        self.cipher.mask(name, mark, &mut stored);
        let size = stored.len() + FRONT;
        let fits = most_cost(size) <= budget.bound(Purpose::Answers) / SHARE;
        let purpose = if fits { Purpose::Answers } else { Purpose::Packets };
        let mut filling = Filling::for_purpose(budget, size, purpose);
        filling.push(address).and_then(|()| filling.push(&stored)).map_err(|_| Away)?;
        Ok(filling.finish().filter(|packet| self.cipher.mark(name, packet.hash()) == *mark))
    }

    /// Discards packets, each if it is there, and then remembers that, with the key.
    pub(crate) async fn discard(&self, records: &[[u8; Discard::SIZE]]) -> Result<(), Away> {
        let all: Vec<(Name, Mark, Option<Key>)> = records
            .iter()
            .map(|record| {
                let record = Discard::from_record(record);
                let name = self.cipher.name(&address_of(&record.token));
                let mark = self.cipher.mark(&name, &record.hash);
                (name, mark, record.key.map(|key| self.cipher.mask_key(&name, &mark, &key)))
            })
            .collect();
        let names: Vec<Name> = all.iter().map(|(name, ..)| *name).collect();
        let life = self.remembered_for(0);
        let discard = |at: usize, node: &Node| {
            let (name, mark, key) = &all[at];
            node.scripts.discard((name, mark), key.as_ref(), life)
        };
        let replies = self.shards.change(&names, discard).await?;
        let moving: BTreeSet<Bucket> = replies
            .iter()
            .zip(&names)
            .filter(|(reply, _)| reply.aside)
            .map(|(_, name)| name.bucket())
            .collect();
        for bucket in moving {
            far(self.wakes.tell_all(&self.shards, bucket)).await;
        }
        let done = replies.iter().filter(|reply| reply.value == Value::Int(1)).count();
        self.discarded.fetch_add(done as u64, Relaxed);
        Ok(())
    }

    /// What has become of what lay under each address.
    pub(crate) async fn statuses(&self, addresses: &[Address]) -> Result<Vec<PacketStatus>, Away> {
        let all = self.entries(&self.names(addresses)).await?;
        Ok(all.iter().map(|entries| entries.standing().status).collect())
    }

    /// The keys that were published for each address.
    pub(crate) async fn revealed(&self, addresses: &[Address]) -> Result<Vec<Vec<Key>>, Away> {
        let names = self.names(addresses);
        let all = self.entries(&names).await?;
        let keys = |(entries, name): (Entries, &Name)| {
            let of = |gone: Gone| Some(self.cipher.mask_key(name, &gone.mark, &gone.key?));
            entries.gone.into_iter().filter_map(of).collect()
        };
        Ok(all.into_iter().zip(&names).map(keys).collect())
    }

    /// Now, for [`Self::watch`].
    pub(crate) fn moment(&self) -> u64 {
        self.wakes.tick()
    }

    /// Will watch addresses for `wanted`, once [`Self::add`] has added them. `empty_at`: a moment at
    /// which or after which no packet lay at any of them.
    pub(crate) fn watch(
        &self,
        budget: &Arc<Budget>,
        addresses: &Arc<Addresses>,
        wanted: Wanted,
        empty_at: Option<u64>,
    ) -> (Watch, SharedWatch) {
        let names = addresses.list().iter();
        let listed: Vec<_> = names.map(|one| self.cipher.name(one).on_the_list()).collect();
        let mut charge = Charge::nothing(budget, Purpose::Waits);
        charge.grow_anyway(listed.len() * size_of::<Address>());
        let listed = Arc::new(Addresses::new(listed, charge));
        let waiting = Waiting::new(&self.wakes, &listed);
        (self.wait_list.watch(budget, &listed, wanted), SharedWatch { waiting, empty_at })
    }

    /// Begins to watch these of the addresses. First we listen, then we look: so nothing is missed
    /// in between. What we see may be older than what we hear meanwhile, so it counts only where it
    /// is what is waited for: at worst somebody looks again too early.
    pub(crate) async fn add(
        &self,
        watch: &mut Watch,
        SharedWatch { waiting, empty_at }: &mut SharedWatch,
        some: Range<usize>,
    ) -> Result<(), Away> {
        waiting.extend(&self.shards, some.end).await?;
        let wanted = watch.wanted();
        watch.add(some.clone(), |_| wanted == Wanted::Collected);
        let names: Vec<Name> = waiting.list()[some].iter().map(Name::listed).collect();
        // Where we have listened all the while and heard nothing, there is nothing to be seen.
        if empty_at.is_some_and(|tick| self.wakes.is_quiet_since(tick, &self.shards, &names)) {
            return Ok(());
        }
        let part = if wanted == Wanted::Packet { Part::Lying } else { Part::All };
        self.look_at(&names, part).await
    }
}

/// How full nodes are.
#[derive(Clone, Copy)]
struct Fill {
    /// The room of all.
    room: usize,
    /// Of the fullest, bytes taken and its room.
    fullest: (usize, usize),
}

impl Default for Fill {
    fn default() -> Self {
        Self { room: 0, fullest: (0, 1) }
    }
}

impl Fill {
    /// One node more.
    fn add(&mut self, (used, most): (usize, usize)) {
        self.room = self.room.saturating_add(most);
        self.at_least((used, most.max(1)));
    }

    fn at_least(&mut self, (used, most): (usize, usize)) {
        if used as u128 * self.fullest.1 as u128 > self.fullest.0 as u128 * most as u128 {
            self.fullest = (used, most);
        }
    }

    /// As large as the larger one, and as full as the fuller one.
    fn or_more(mut self, other: Self) -> Self {
        self.room = self.room.max(other.room);
        self.at_least(other.fullest);
        self
    }

    fn taken_and_left(self) -> (usize, usize) {
        let taken = self.room as u128 * self.fullest.0 as u128 / self.fullest.1 as u128;
        let taken = usize::try_from(taken).unwrap_or(usize::MAX).min(self.room);
        (taken, self.room - taken)
    }
}

/// What a watch has beside its places: that we hear of changes.
pub(crate) struct SharedWatch {
    waiting: Waiting,
    empty_at: Option<u64>,
}

fn fields_of(key: &[u8]) -> Cmd {
    let mut command = Cmd::with_capacity(2, 5 + key.len());
    command.arg("HKEYS");
    command.arg(key);
    command
}

/// What stands in the answers about a name, the first of which tells the time.
fn entries(replies: impl IntoIterator<Item = Reply>) -> Entries {
    let mut replies = replies.into_iter().peekable();
    let now = replies.peek().map_or(0, |first| first.now);
    let fields = replies.flat_map(|reply| match reply.value {
        Value::Array(fields) | Value::Set(fields) => fields,
        _ => Vec::new(),
    });
    let bytes = |field| match field {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    Entries::read(fields.filter_map(bytes), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_leaves_makes_no_room() {
        let fill = |nodes: &[(usize, usize)]| {
            let mut fill = Fill::default();
            for node in nodes {
                fill.add(*node);
            }
            fill
        };
        let seen = fill(&[(10, 100), (60, 100), (20, 100)]);
        assert_eq!(seen.taken_and_left(), (180, 120));
        assert_eq!(seen.or_more(fill(&[])).taken_and_left(), (180, 120));
        assert_eq!(seen.or_more(fill(&[(10, 100), (20, 100)])).taken_and_left(), (180, 120));
        assert_eq!(seen.or_more(fill(&[(90, 100), (20, 100)])).taken_and_left(), (270, 30));
        assert_eq!(Fill::default().taken_and_left(), (0, 0));
    }
}
