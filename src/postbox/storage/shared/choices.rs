//! Which store is used and how, and why one cannot be.

use super::cipher::SECRET;
use super::trouble::Trouble;
use super::url::StoreUrl;
use std::fmt;
use std::net::SocketAddr;
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
    /// Tells the operator what he must know at once, while the store is in use.
    pub alarm: fn(&Alarm),
}

/// What the operator of a store in use must know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Alarm {
    /// A server that would serve now, and must not.
    Unfit(BadStore),
    /// A master that was started again, and is a master still: what lay there is lost.
    Restarted(SocketAddr),
    /// A server whose clock is far from ours.
    Clock(SocketAddr),
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(why) => write!(f, "a server of the store is not used: {why}"),
            Self::Restarted(server) => write!(
                f,
                "the store's master {server} was started again; what lay there only in memory is lost, \
                 on its replicas, too"
            ),
            Self::Clock(server) => {
                write!(f, "the clock of the store's server {server} and the one here differ")
            }
        }
    }
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
    /// A server whose clock is so many seconds from ours.
    Clock(SocketAddr, u64),
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
            Self::Clock(server, seconds) => {
                write!(f, "the clock of {server} and the one here differ by {seconds} s")
            }
            Self::Unknown(server) => {
                write!(f, "{server} doesn't say whether it writes packets to a disk")
            }
        }
    }
}

impl std::error::Error for BadStore {}
