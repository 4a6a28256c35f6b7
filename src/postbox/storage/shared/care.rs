//! Looks after the connections to the store: how full it is, who is a master, and who waits for what
//! may have been missed.

use super::cipher::{Bucket, Name};
use super::store::Shared;
use crate::postbox::api::Address;
use crate::postbox::storage::standing::Away;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often each node is asked how full it is.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// How often channels are given up in which nobody waits.
const TIDY_TIME: Duration = Duration::from_secs(30);
/// Addresses that are looked at in one go, after changes may have been missed.
const STEP: usize = 128;

impl Shared {
    /// Wakes those who wait for these, if what they wait for is there.
    pub(super) async fn look_at(&self, names: &[Name]) -> Result<(), Away> {
        for (entries, name) in self.entries(names).await?.iter().zip(names) {
            let standing = entries.standing();
            self.wait_list.satisfy(&name.on_the_list(), |wanted| standing.counts(wanted));
        }
        Ok(())
    }

    /// Looks after the connections and at the fill, for ever.
    pub(crate) async fn looks_after(&self) {
        let mut tidied = Instant::now();
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
            let buckets = self.wakes.restore(&self.shards).await;
            // What was missed is not lost: whoever waits asks again within a minute.
            let _ = self.look_again(&buckets).await;
            if tidied.elapsed() > TIDY_TIME {
                tidied = Instant::now();
                self.wakes.tidy(&self.shards).await;
            }
        }
    }

    async fn look_at_nodes(&self) {
        let map = self.shards.map();
        let (mut up, mut from_others, mut spent) = (!map.nodes().is_empty(), 0, 0);
        for node in map.nodes() {
            match node.look().await {
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
        let bytes = usize::try_from(from_others).unwrap_or(usize::MAX);
        self.life(bytes);
        self.remembered_for(spent);
    }

    /// Looks at every address in these buckets that somebody waits for.
    async fn look_again(&self, buckets: &[Bucket]) -> Result<(), Away> {
        for bucket in buckets {
            let mut from = Some(Name::first_in(*bucket).on_the_list());
            while let Some(begin) = from {
                let listed = self.wait_list.listed(&begin, STEP);
                let inside = |one: &&Address| Name::listed(one).bucket() == *bucket;
                let names: Vec<Name> = listed.iter().take_while(inside).map(Name::listed).collect();
                self.look_at(&names).await?;
                let whole = names.len() == STEP;
                from = listed.last().filter(|_| whole).map(after);
            }
        }
        Ok(())
    }
}

/// The place after this one on the list.
fn after(listed: &Address) -> Address {
    let mut next = *listed;
    // A name ends before the last byte.
    next[31] = next[31].saturating_add(1);
    next
}
