//! The first connection to a store.

use super::alarms::Alarms;
use super::check::check;
use super::choices::{BadStore, SharedChoices};
use super::cipher::{Cipher, work_secret};
use super::dial::Dialer;
use super::node::Common;
use super::shards::Shards;
use super::slots::Plan;
use super::trouble::Trouble;
use super::wakes::Wakes;
use crate::postbox::storage::clock::Clock;
use crate::postbox::storage::watch::WaitList;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// A store that answers.
pub struct Connected {
    pub(super) shards: Shards,
    pub(super) wakes: Arc<Wakes>,
    pub(super) wait_list: Arc<WaitList>,
    work: Zeroizing<[u8; 32]>,
    servers: BTreeSet<SocketAddr>,
}

impl Connected {
    /// Connects to a store, within a runtime.
    pub async fn new(choices: &SharedChoices) -> Result<Self, BadStore> {
        let dialer = Arc::new(Dialer::new(choices)?);
        let plan = Plan::new(&choices.url).map_err(BadStore::NoAddress)?;
        let said = plan.ask(&dialer, &[], 0).await.map_err(|why| match why {
            Trouble::Refused(why) => BadStore::Refused(None, why),
            _ => BadStore::Unreachable,
        })?;
        let masters: BTreeSet<SocketAddr> = said.masters.iter().map(|(.., at)| *at).collect();
        let (replicas, careless) = (&said.others, choices.allow_persistence);
        for (address, is_master) in
            masters.iter().map(|at| (*at, true)).chain(replicas.iter().map(|at| (*at, false)))
        {
            check(&dialer, address, is_master, careless).await?;
        }
        let servers = plan.seeds().iter().chain(&masters).chain(replicas).copied().collect();
        let (wait_list, changed) = (Arc::<WaitList>::default(), Arc::<Notify>::default());
        let wakes = Arc::new(Wakes::new(&wait_list, &changed));
        let hearing = Arc::clone(&wakes);
        let common = Common {
            dialer,
            cipher: Arc::new(Cipher::new(&choices.secret)),
            replicas: choices.replicas,
            allow_persistence: careless,
            alarms: Alarms::new(choices.alarm),
            clock: Clock::new(),
        };
        let told = Arc::new(move |node, push| hearing.told(node, &push));
        let shards = Shards::new(plan, common, told, changed);
        shards.refresh(&shards.map()).await.map_err(|why| match why {
            Trouble::Refused(why) => BadStore::Refused(None, why),
            _ => BadStore::Unreachable,
        })?;
        let work = Zeroizing::new(work_secret(&choices.secret));
        Ok(Self { shards, wakes, wait_list, work, servers })
    }

    /// Its servers.
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().copied().collect()
    }

    /// The ports to which connections must be possible.
    pub fn ports(&self) -> Vec<u16> {
        let ports: BTreeSet<u16> = self.servers.iter().map(SocketAddr::port).collect();
        ports.into_iter().collect()
    }

    /// The secret from which all postboxes of the store take the salts of proofs of work.
    pub(crate) fn work_secret(&self) -> [u8; 32] {
        *self.work
    }
}
