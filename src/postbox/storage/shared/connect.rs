//! The first connection to a store, and why there may be none.

use super::check::check;
use super::cipher::{Cipher, SECRET, work_secret};
use super::dial::Dialer;
use super::node::Common;
use super::shards::Shards;
use super::slots::Plan;
use super::trouble::Trouble;
use super::url::StoreUrl;
use super::wakes::Wakes;
use crate::postbox::storage::clock::Clock;
use crate::postbox::storage::watch::WaitList;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// Which store, and how it is used.
pub struct SharedChoices {
    /// Where it is.
    pub url: StoreUrl,
    /// The secret that all of its postboxes have.
    pub secret: Zeroizing<[u8; SECRET]>,
    /// The password, if it is not in the URL.
    pub password: Option<Zeroizing<String>>,
    /// The certificates to trust, PEM; TLS needs them.
    pub authorities: Option<Vec<u8>>,
    /// How many replicas must have a packet before it counts as stored.
    pub replicas: u8,
    /// Whether the store may write to a disk.
    pub allow_persistence: bool,
}

/// Why a store cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum BadStore {
    /// A name in its URL has no address.
    NoAddress(String),
    /// The name in its URL stands in no certificate.
    Name,
    /// The certificates to trust are none.
    Authorities,
    /// No server answers.
    Unreachable,
    /// A server refuses.
    Refused(Option<SocketAddr>, String),
    /// A server's version.
    Old(SocketAddr, String),
    /// A server without a limit of its memory.
    Unbounded(SocketAddr),
    /// A server that throws out what was stored, by this policy.
    Evicts(SocketAddr, String),
    /// A server that writes to a disk, by this setting.
    Persists(SocketAddr, &'static str),
    /// A server that does not say whether it does.
    Unknown(SocketAddr),
}

impl BadStore {
    pub(super) fn of(address: SocketAddr, why: &Trouble) -> Self {
        match why {
            Trouble::Refused(why) => Self::Refused(Some(address), why.clone()),
            Trouble::Later => Self::Refused(Some(address), "it isn't ready".to_owned()),
            _ => Self::Unreachable,
        }
    }
}

impl fmt::Display for BadStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(why) => f.write_str(why),
            Self::Name => f.write_str("its URL has no name that a certificate could have"),
            Self::Authorities => f.write_str("no certificate to trust"),
            Self::Unreachable => f.write_str("none of its servers answers"),
            Self::Refused(Some(server), why) => write!(f, "{server} refuses: {why}"),
            Self::Refused(None, why) => write!(f, "it refuses: {why}"),
            Self::Old(server, version) => {
                write!(f, "{server} is version {version}, and 7 is the oldest")
            }
            Self::Unbounded(server) => write!(f, "{server} has no limit of its memory"),
            Self::Evicts(server, policy) => {
                write!(f, "{server} throws out what was stored when it is full ({policy})")
            }
            Self::Persists(server, setting) => {
                write!(f, "{server} writes packets to a disk ({setting})")
            }
            Self::Unknown(server) => {
                write!(f, "{server} doesn't say whether it writes packets to a disk")
            }
        }
    }
}

impl std::error::Error for BadStore {}

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
        let dialer = Dialer::new(choices)?;
        let plan = Plan::new(&choices.url).map_err(BadStore::NoAddress)?;
        let said = plan.ask(&dialer, &[], 0).await.map_err(|why| match why {
            Trouble::Refused(why) => BadStore::Refused(None, why),
            _ => BadStore::Unreachable,
        })?;
        let masters: BTreeSet<SocketAddr> = said.masters.iter().map(|(_, at)| *at).collect();
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
