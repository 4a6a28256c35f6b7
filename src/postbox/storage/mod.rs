//! Where packets lie: in the memory of this process, or in that of a store that many postboxes share.

pub(crate) mod blocks;
pub(crate) mod budget;
mod clock;
pub(crate) mod found;
mod leaving;
mod memory;
pub(crate) mod packet;
mod spent;
pub(crate) mod standing;
mod tide;
pub(crate) mod unfinished;
pub(crate) mod watch;

use super::api::{Address, Discard, Key, PacketStatus};
use budget::Budget;
use clock::Seconds;
use found::Found;
use memory::Memory;
use packet::Packet;
use standing::{Away, Totals, Unstored};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use unfinished::Unfinished;
use watch::{Addresses, WaitList, Wanted, Watch};

/// All that the postbox knows. What a store far away does takes time, and its futures are boxed, so
/// that those of the memory stay small: each connection has one.
pub(crate) enum Store {
    /// In this process.
    Memory(Memory),
}

#[cfg_attr(
    not(feature = "redis"),
    expect(clippy::unused_async, reason = "memory makes nobody wait, a store far away does")
)]
impl Store {
    /// An empty store in this process's memory, whose packets live for `ttl`.
    pub(crate) fn new(budget: &Arc<Budget>, ttl: Duration) -> Self {
        Self::Memory(Memory::new(budget, ttl))
    }

    /// The budget that pays for all this.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        match self {
            Self::Memory(memory) => memory.budget(),
        }
    }

    /// Where to wait for changes.
    pub(crate) fn wait_list(&self) -> &Arc<WaitList> {
        match self {
            Self::Memory(memory) => memory.wait_list(),
        }
    }

    /// Packets that have begun to arrive.
    pub(crate) fn unfinished(&self) -> &Arc<Unfinished> {
        match self {
            Self::Memory(memory) => memory.unfinished(),
        }
    }

    /// Bytes of the packets that lie here, and bytes that are left for more.
    pub(crate) fn fill(&self) -> (usize, usize) {
        match self {
            Self::Memory(memory) => memory.fill(),
        }
    }

    /// Totals, for the operator.
    pub(crate) fn totals(&self) -> Totals {
        match self {
            Self::Memory(memory) => memory.totals(),
        }
    }

    /// Stores a packet, unless the same bytes are or were here; returns for how many seconds it is
    /// kept.
    pub(crate) async fn put(&self, packet: Packet) -> Result<Seconds, Unstored> {
        match self {
            Self::Memory(memory) => memory.put(packet),
        }
    }

    /// The packets under these addresses, in their order, as many as `found` has room for.
    pub(crate) async fn find(&self, addresses: &[Address], found: &mut Found) -> Result<(), Away> {
        match self {
            Self::Memory(memory) => memory.find(addresses, found),
        }
        Ok(())
    }

    /// Discards packets, each if it is here, and then remembers that, with the key.
    pub(crate) async fn discard(&self, records: &[[u8; Discard::SIZE]]) -> Result<(), Away> {
        match self {
            Self::Memory(memory) => {
                for record in records {
                    memory.discard(&Discard::from_record(record));
                    // One record may hash four packets of 1 MiB; other tasks get their turn between
                    // two records.
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    /// What has become of what lay under each address.
    pub(crate) async fn statuses(&self, addresses: &[Address]) -> Result<Vec<PacketStatus>, Away> {
        match self {
            Self::Memory(memory) => Ok(memory.statuses(addresses)),
        }
    }

    /// Will watch addresses for `wanted`, once [`Self::add`] has added them; the caller has made
    /// sure that there is memory.
    pub(crate) fn watch(
        &self,
        budget: &Arc<Budget>,
        addresses: &Arc<Addresses>,
        wanted: Wanted,
    ) -> Watch {
        match self {
            Self::Memory(memory) => memory.watch(budget, addresses, wanted),
        }
    }

    /// Begins to watch these of the addresses.
    pub(crate) async fn add(&self, watch: &mut Watch, some: Range<usize>) -> Result<(), Away> {
        match self {
            Self::Memory(memory) => memory.add(watch, some),
        }
        Ok(())
    }

    /// Calls `each` with every key that was published for the address.
    pub(crate) fn revealed(&self, address: &Address, each: impl FnMut(&Key)) {
        match self {
            Self::Memory(memory) => memory.revealed(address, each),
        }
    }

    /// Frees what has expired, in one step of the sweep from `from` on; returns where to go on, or
    /// `None` at the end.
    pub(crate) fn sweep(&self, from: Address) -> Option<Address> {
        match self {
            Self::Memory(memory) => memory.sweep(from),
        }
    }
}
