//! What may come between us and the store, and what then helps.

use redis::{RedisError, ServerError};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
    /// Too much waits for the node already.
    Behind,
    /// The node must not have packets; the operator was told.
    Unfit,
    /// Something that no waiting helps.
    Refused(String),
}

/// In the place of an address that a server leaves out: it means its own, with another port.
const SAME: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Trouble {
    /// What it means if the server at this address said so.
    pub(super) fn said_at(self, here: SocketAddr) -> Self {
        match self {
            Self::Ask(to) if to.ip() == SAME => Self::Ask(SocketAddr::new(here.ip(), to.port())),
            other => other,
        }
    }
}

/// Reads `IP:PORT`, where an IP may have colons of its own, without brackets, or be left out.
fn endpoint(said: &str) -> Option<SocketAddr> {
    let (ip, port) = said.rsplit_once(':')?;
    let ip = if ip.is_empty() { SAME } else { ip.parse().ok()? };
    Some(SocketAddr::new(ip, port.parse().ok()?))
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
                // One that has only a name is not asked: the slot will have moved soon.
                details.split(' ').nth(1).and_then(endpoint).map_or(Self::Later, Self::Ask)
            }
            "TRYAGAIN" | "LOADING" | "NOREPLICAS" | "BUSY" => Self::Later,
            "OOM" => Self::Full,
            "NOSCRIPT" => Self::NoScript,
            code => Self::Refused(format!("{code} {details}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{Value, parse_redis_value};

    #[test]
    fn the_way_to_another_node_is_read_as_servers_write_it() {
        let here: SocketAddr = "10.0.0.1:6379".parse().unwrap();
        let read = |to: &str| {
            let said = parse_redis_value(format!("-ASK 3999 {to}\r\n").as_bytes()).unwrap();
            let Value::ServerError(why) = said else { panic!("{said:?}") };
            Trouble::from(&why).said_at(here)
        };
        let ask = |at: &str| Trouble::Ask(at.parse().unwrap());
        assert_eq!(read("10.0.0.2:7000"), ask("10.0.0.2:7000"));
        assert_eq!(read("::1:7000"), ask("[::1]:7000"));
        assert_eq!(read("2001:db8::7:7000"), ask("[2001:db8::7]:7000"));
        assert_eq!(read(":7000"), ask("10.0.0.1:7000"));
        assert_eq!(read("node-2.example:7000"), Trouble::Later);
    }
}
