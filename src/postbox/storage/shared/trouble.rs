//! What may come between us and the store, and what then helps.

use redis::{RedisError, ServerError};
use std::net::SocketAddr;

/// Why a command was not done, or why we don't know whether it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection broke, or nothing came in time: the node is given up.
    Lost,
    /// Another node serves this now.
    Moved,
    /// Another node serves this one command, while its slot moves there.
    Ask(SocketAddr),
    /// The node needs a moment.
    Later,
    /// The node has no room.
    Full,
    /// The node does not have our scripts.
    NoScript,
    /// Too few replicas have it.
    Unsafe,
    /// Something that no waiting helps.
    Refused(String),
}

impl From<&RedisError> for Trouble {
    fn from(error: &RedisError) -> Self {
        match error.code() {
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => Self::Refused(error.to_string()),
            _ => Self::Lost,
        }
    }
}

impl From<&ServerError> for Trouble {
    fn from(error: &ServerError) -> Self {
        let details = error.details().unwrap_or_default();
        match error.code() {
            "MOVED" | "READONLY" | "CLUSTERDOWN" | "MASTERDOWN" => Self::Moved,
            "ASK" => {
                let to = details.split(' ').nth(1).and_then(|to| to.parse().ok());
                to.map_or(Self::Later, Self::Ask)
            }
            "TRYAGAIN" | "LOADING" | "NOREPLICAS" | "BUSY" => Self::Later,
            "OOM" => Self::Full,
            "NOSCRIPT" => Self::NoScript,
            code => Self::Refused(format!("{code} {details}")),
        }
    }
}
