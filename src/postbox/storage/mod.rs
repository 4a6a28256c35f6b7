//! Where packets lie: in the memory of this process, or in that of a store that many postboxes share.

pub(crate) mod blocks;
pub(crate) mod budget;
mod clock;
pub(crate) mod found;
mod leaving;
pub(crate) mod memory;
pub(crate) mod packet;
#[cfg(feature = "redis")]
pub(crate) mod shared;
mod spent;
pub(crate) mod standing;
mod tide;
pub(crate) mod unfinished;
pub(crate) mod watch;

use super::api::{Address, Discard, PacketStatus};
use budget::Budget;
use clock::Seconds;
use found::Found;
use memory::Memory;
use packet::Packet;
#[cfg(feature = "redis")]
use shared::{Shared, SharedWatch};
use standing::{Away, Totals, Unstored};
use std::ops::Range;
#[cfg(feature = "redis")]
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use unfinished::Unfinished;
use watch::{Addresses, WaitList, Wanted, Watch};

/// All that the postbox knows. What a store far away does takes time, and its futures are boxed, so
/// that those of the memory stay small: each connection has one.
#[cfg_attr(
    feature = "redis",
    expect(clippy::large_enum_variant, reason = "there is one in a process")
)]
pub(crate) enum Store {
    /// In this process.
    Memory(Memory),
    /// In one that many postboxes share.
    #[cfg(feature = "redis")]
    Shared(Box<Shared>),
}

/// A boxed future.
#[cfg(feature = "redis")]
pub(crate) fn far<'a, T>(
    future: impl Future<Output = T> + Send + 'a,
) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

/// What a watch has beside its places.
pub(crate) enum Ears {
    /// Everything happens in this process.
    Here,
    /// Changes are told from elsewhere.
    #[cfg(feature = "redis")]
    Shared(SharedWatch),
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

    /// A connected store that this postbox shares with others.
    #[cfg(feature = "redis")]
    pub(crate) fn shared(
        connected: shared::Connected,
        budget: &Arc<Budget>,
        ttl: Duration,
    ) -> Self {
        Self::Shared(Box::new(Shared::new(connected, budget, ttl)))
    }

    /// The budget that pays for all this.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        match self {
            Self::Memory(memory) => memory.budget(),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.budget(),
        }
    }

    /// Whether everything lies in this process.
    pub(crate) fn is_here(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Where to wait for changes.
    pub(crate) fn wait_list(&self) -> &Arc<WaitList> {
        match self {
            Self::Memory(memory) => memory.wait_list(),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.wait_list(),
        }
    }

    /// Packets that have begun to arrive.
    pub(crate) fn unfinished(&self) -> &Arc<Unfinished> {
        match self {
            Self::Memory(memory) => memory.unfinished(),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.unfinished(),
        }
    }

    /// Bytes of the packets that lie here, and bytes that are left for more.
    pub(crate) fn fill(&self) -> (usize, usize) {
        match self {
            Self::Memory(memory) => memory.fill(),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.fill(),
        }
    }

    /// Totals, for the operator.
    pub(crate) fn totals(&self) -> Totals {
        match self {
            Self::Memory(memory) => memory.totals(),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.totals(),
        }
    }

    /// Stores a packet, unless the same bytes are or were here; returns for how many seconds it is
    /// kept.
    pub(crate) async fn put(&self, packet: Packet) -> Result<Seconds, Unstored> {
        match self {
            Self::Memory(memory) => memory.put(packet),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => far(shared.put(packet)).await,
        }
    }

    /// The packets under these addresses, in their order, as many as `found` has room for; what comes
    /// from elsewhere is charged to `budget`.
    pub(crate) async fn find(
        &self,
        #[cfg_attr(not(feature = "redis"), expect(unused_variables))] budget: &Arc<Budget>,
        addresses: &[Address],
        found: &mut Found,
    ) -> Result<(), Away> {
        match self {
            Self::Memory(memory) => {
                memory.find(addresses, found);
                Ok(())
            }
            #[cfg(feature = "redis")]
            Self::Shared(shared) => far(shared.find(budget, addresses, found)).await,
        }
    }

    /// The same after a watch was woken: what it was told of goes out, and everything else is looked for
    /// where it was told of nothing that is there.
    pub(crate) async fn find_told(
        &self,
        #[cfg_attr(not(feature = "redis"), expect(unused_variables))] budget: &Arc<Budget>,
        #[cfg_attr(not(feature = "redis"), expect(unused_variables))] addresses: &[Address],
        watch: Watch,
        #[cfg_attr(not(feature = "redis"), expect(unused_variables))] found: &mut Found,
    ) -> Result<(), Away> {
        match self {
            Self::Memory(_) => {
                drop(watch);
                Ok(())
            }
            #[cfg(feature = "redis")]
            Self::Shared(shared) => {
                let told = watch.told();
                drop(watch);
                if told.is_empty() {
                    return Ok(());
                }
                far(shared.find_told(budget, addresses, told, found)).await
            }
        }
    }

    /// A moment, for [`Self::watch`].
    pub(crate) fn moment(&self) -> u64 {
        match self {
            // There, nothing happens between two looks.
            Self::Memory(_) => 0,
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.moment(),
        }
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
                Ok(())
            }
            #[cfg(feature = "redis")]
            Self::Shared(shared) => far(shared.discard(records)).await,
        }
    }

    /// What has become of what lay under each address.
    pub(crate) async fn statuses(&self, addresses: &[Address]) -> Result<Vec<PacketStatus>, Away> {
        match self {
            Self::Memory(memory) => Ok(memory.statuses(addresses)),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => far(shared.statuses(addresses)).await,
        }
    }

    /// Will watch addresses for `wanted`, once [`Self::add`] has added them; the caller has made
    /// sure that there is memory. `empty_at`: a [`Self::moment`] after which none of them had a packet,
    /// so that a store far away need not be asked again.
    pub(crate) fn watch(
        &self,
        budget: &Arc<Budget>,
        addresses: &Arc<Addresses>,
        wanted: Wanted,
        #[cfg_attr(not(feature = "redis"), expect(unused_variables))] empty_at: Option<u64>,
    ) -> (Watch, Ears) {
        match self {
            Self::Memory(memory) => (memory.watch(budget, addresses, wanted), Ears::Here),
            #[cfg(feature = "redis")]
            Self::Shared(shared) => {
                let (watch, ears) = shared.watch(budget, addresses, wanted, empty_at);
                (watch, Ears::Shared(ears))
            }
        }
    }

    /// Begins to watch these of the addresses.
    pub(crate) async fn add(
        &self,
        (watch, ears): (&mut Watch, &mut Ears),
        some: Range<usize>,
    ) -> Result<(), Away> {
        match (self, ears) {
            #[cfg(feature = "redis")]
            (Self::Shared(shared), Ears::Shared(ears)) => far(shared.add(watch, ears, some)).await,
            #[cfg(feature = "redis")]
            (Self::Shared(_), Ears::Here) => Err(Away),
            (Self::Memory(memory), _) => {
                memory.add(watch, some);
                Ok(())
            }
        }
    }

    /// Frees what has expired, in one step of the sweep from `from` on; returns where to go on, or
    /// `None` at the end.
    pub(crate) fn sweep(&self, from: Address) -> Option<Address> {
        match self {
            Self::Memory(memory) => memory.sweep(from),
            #[cfg(feature = "redis")]
            // It forgets by itself.
            Self::Shared(_) => None,
        }
    }

    /// Looks after what leads elsewhere, for ever.
    pub(crate) async fn looks_after(&self) {
        match self {
            Self::Memory(_) => {}
            #[cfg(feature = "redis")]
            Self::Shared(shared) => shared.looks_after().await,
        }
    }
}
