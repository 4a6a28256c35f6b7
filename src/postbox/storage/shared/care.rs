//! Looks after the connections to the store: how full it is, who is a master, and who waits for what
//! may have been missed.

use super::cipher::{Bucket, Name};
use super::entry::Part;
use super::node::Node;
use super::store::Shared;
use crate::postbox::api::Address;
use crate::postbox::storage::standing::Away;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often each node is asked how full it is.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// How often channels are given up in which nobody waits.
const TIDY_TIME: Duration = Duration::from_secs(30);
/// Addresses that are looked at in one go, after changes may have been missed.
const STEP: usize = 128;

impl Shared {
    /// Wakes those who wait for these, if what they wait for is there; where only what
    /// lies there is looked at, those who wait until a packet is collected may go on to wait.
    pub(super) async fn look_at(&self, names: &[Name], part: Part) -> Result<(), Away> {
        let all = match part {
            Part::Lying => self.lying(names).await?,
            Part::All => self.entries(names).await?,
        };
        for (entries, name) in all.iter().zip(names) {
            let standing = entries.standing();
            self.wait_list.satisfy(&name.on_the_list(), |wanted| standing.counts(wanted));
        }
        Ok(())
    }

    /// Looks after the connections and at the fill, and after those who wait, for ever. Neither holds
    /// up the other.
    pub(crate) async fn looks_after(&self) {
        tokio::join!(self.looks_after_nodes(), self.looks_after_waiting());
    }

    async fn looks_after_nodes(&self) {
        loop {
            tokio::select! {
                () = self.shards.changed.notified() => {}
                () = sleep(LOOK_TIME) => self.look_at_nodes().await,
            }
            self.wakes.give_up_broken(&self.shards);
            let map = self.shards.map();
            if map.nodes().is_empty() || map.nodes().iter().any(|node| node.is_dead()) {
                // What fails now is tried again in a second.
                let _ = self.shards.refresh(&map).await;
            }
            self.wakes.lost.notify_one();
        }
    }

    async fn looks_after_waiting(&self) {
        let mut tidied = Instant::now();
        loop {
            tokio::select! {
                () = self.wakes.lost.notified() => {}
                () = sleep(LOOK_TIME) => {}
            }
            let missed = self.wakes.restore(&self.shards).await;
            self.look_again(&missed).await;
            if tidied.elapsed() > TIDY_TIME {
                tidied = Instant::now();
                self.wakes.tidy(&self.shards).await;
            }
        }
    }

    async fn look_at_nodes(&self) {
        let map = self.shards.map();
        let (mut up, mut from_others, mut spent) = (map.is_whole(), 0, 0);
        let look = |node: &Arc<Node>| {
            let node = Arc::clone(node);
            async move { (node.look().await, node) }
        };
        // All at once: one that says nothing holds up none of the others.
        let mut looking: JoinSet<_> = map.nodes().iter().map(look).collect();
        while let Some(Ok((look, node))) = looking.join_next().await {
            match look {
                Ok(look) => {
                    from_others += look.from_others;
                    spent += look.spent;
                    if !look.is_master {
                        node.give_up();
                        up = false;
                    }
                }
                Err(_) => up = false,
            }
        }
        self.is_up.store(up, Relaxed);
        self.shards.ask_sentinels().await;
        let bytes = usize::try_from(from_others).unwrap_or(usize::MAX);
        self.life(bytes);
        self.remembered_for(spent);
    }

    /// Looks at every address in these buckets that somebody waits for, some at a time. Where that
    /// fails it is done at the next round.
    async fn look_again(&self, missed: &[Bucket]) {
        let (mut names, mut about) = (Vec::with_capacity(STEP), Vec::new());
        for bucket in missed {
            let mut from = Some(Name::first_in(*bucket).on_the_list());
            while let Some(begin) = from {
                let room = STEP - names.len();
                let listed = self.wait_list.listed(&begin, room);
                let inside = |one: &&Address| Name::listed(one).bucket() == *bucket;
                let before = names.len();
                names.extend(listed.iter().take_while(inside).map(Name::listed));
                let whole = names.len() - before == room;
                from = listed.last().filter(|_| whole).map(after);
                about.push(*bucket);
                if whole {
                    self.look_or_mark(&mut names, &mut about).await;
                }
            }
        }
        self.look_or_mark(&mut names, &mut about).await;
    }

    async fn look_or_mark(&self, names: &mut Vec<Name>, about: &mut Vec<Bucket>) {
        if !names.is_empty() && self.look_at(names, Part::All).await.is_err() {
            self.wakes.marks_again(about);
        }
        names.clear();
        about.clear();
    }
}

/// The place after this one on the list.
fn after(listed: &Address) -> Address {
    let mut next = *listed;
    // A name ends before the last byte.
    next[31] = next[31].saturating_add(1);
    next
}
