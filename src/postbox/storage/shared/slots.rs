//! Which node has which part of the store: asked of the servers, and kept until one of them says
//! otherwise.

use super::cipher::{Bucket, tag};
use super::dial::{self, Dialer, Line, info, part, text};
use super::trouble::Trouble;
use super::url::{Kind, StoreUrl};
use crate::postbox::names;
use redis::{Pipeline, Value, cmd};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A cluster has this many slots.
pub(super) const SLOTS: u16 = 16_384;

/// After so long without an answer the next server is asked, too.
const MOMENT: Duration = Duration::from_millis(100);

/// Ranges of slots, in order, the first and the last of each, and the master that has it.
pub(super) type Layout = Vec<(u16, u16, SocketAddr)>;

/// What the servers say about who has what.
pub(super) struct Said {
    pub(super) masters: Layout,
    /// Those that may become one.
    pub(super) others: Vec<SocketAddr>,
}

/// How the store's servers are found.
pub(super) struct Plan {
    kind: Kind,
    /// Those that the URL names.
    seeds: Vec<SocketAddr>,
}

impl Plan {
    /// Looks up the names in the URL.
    pub(super) fn new(url: &StoreUrl) -> Result<Self, String> {
        let mut seeds = Vec::new();
        for (host, port) in &url.hosts {
            let found = names::addresses(host).map_err(|why| format!("{host}: {why}"))?;
            seeds.extend(found.into_iter().map(|ip: IpAddr| SocketAddr::new(ip, *port)));
        }
        Ok(Self { kind: url.kind.clone(), seeds })
    }

    /// Servers that the URL names.
    pub(super) fn seeds(&self) -> &[SocketAddr] {
        &self.seeds
    }

    /// Whether sentinels say who is the master: a server that is none any more may not know it yet.
    pub(super) fn has_sentinels(&self) -> bool {
        matches!(self.kind, Kind::Sentinel(_))
    }

    /// Asks who has what, first those that are `known`, beginning with another one each time; one that
    /// says nothing for a moment holds up none of the others. If one says that its cluster is down, it is
    /// believed only if no other says otherwise.
    pub(super) async fn ask(
        &self,
        dialer: &Arc<Dialer>,
        known: &[SocketAddr],
        round: usize,
    ) -> Result<Said, Trouble> {
        let (mut why, mut down, mut asked) = (Trouble::Lost, None, JoinSet::new());
        let known = if self.has_sentinels() { &[] } else { known };
        let mut all: Vec<_> = known.iter().chain(&self.seeds).copied().collect();
        let first = round % all.len().max(1);
        all.rotate_left(first);
        let mut all = all.into_iter();
        loop {
            match all.next() {
                Some(address) => {
                    asked.spawn(ask_one(self.kind.clone(), Arc::clone(dialer), address));
                }
                None if asked.is_empty() => return down.ok_or(why),
                None => {}
            }
            match timeout(MOMENT, asked.join_next()).await {
                Ok(Some(Ok(Ok((said, true))))) => return Ok(said),
                Ok(Some(Ok(Ok((said, false))))) => down = Some(said),
                // That one refuses tells more than that another says nothing.
                Ok(Some(Ok(Err(other)))) if other != Trouble::Lost => why = other,
                _ => {}
            }
        }
    }
}

/// What one server says, and whether it sees the whole store.
async fn ask_one(
    kind: Kind,
    dialer: Arc<Dialer>,
    address: SocketAddr,
) -> Result<(Said, bool), Trouble> {
    if let Kind::Sentinel(master) = &kind {
        let line = dialer.without_user().open(address, None).await?;
        return Ok((ask_sentinel(&line, master).await?, true));
    }
    let line = dialer.open(address, None).await?;
    let mut sections = cmd("INFO");
    let said = text(line.one(sections.arg("cluster").arg("replication")).await?);
    if info(&said, "cluster_enabled") == Some("1") {
        return ask_cluster(&line, address.ip()).await;
    }
    if kind == Kind::Cluster {
        return Err(Trouble::Refused("it is no cluster".to_owned()));
    }
    let others = replicas(&said);
    Ok((Said { masters: vec![(0, SLOTS - 1, address)], others }, true))
}

/// The addresses of the replicas of which `INFO` tells.
fn replicas(said: &str) -> Vec<SocketAddr> {
    let of = |replica| {
        Some(SocketAddr::new(
            part(replica, "ip")?.parse().ok()?,
            part(replica, "port")?.parse().ok()?,
        ))
    };
    dial::replicas(said).filter_map(of).collect()
}

async fn ask_sentinel(line: &Line, master: &str) -> Result<Said, Trouble> {
    let mut where_is = cmd("SENTINEL");
    where_is.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let unknown = || Trouble::Refused(format!("the sentinels know no master '{master}'"));
    let Value::Array(parts) = line.one(&where_is).await? else { return Err(unknown()) };
    let mut parts = parts.into_iter().map(text);
    let address = (|| {
        let ip = parts.next()?.parse().ok()?;
        Some(SocketAddr::new(ip, parts.next()?.parse().ok()?))
    })();
    let address = address.ok_or_else(unknown)?;
    let mut replicas = cmd("SENTINEL");
    let replicas = match line.one(replicas.arg("REPLICAS").arg(master)).await? {
        Value::Array(all) => all.into_iter().filter_map(told_by_sentinel).collect(),
        _ => Vec::new(),
    };
    Ok(Said { masters: vec![(0, SLOTS - 1, address)], others: replicas })
}

/// The address in what a sentinel says of a server.
fn told_by_sentinel(server: Value) -> Option<SocketAddr> {
    let said = pairs(server);
    Some(SocketAddr::new(field(&said, "ip")?.parse().ok()?, field(&said, "port")?.parse().ok()?))
}

async fn ask_cluster(line: &Line, here: IpAddr) -> Result<(Said, bool), Trouble> {
    let mut commands = Pipeline::new();
    for word in ["INFO", "SLOTS", "NODES"] {
        let mut command = cmd("CLUSTER");
        command.arg(word);
        commands.add_command(command);
    }
    let mut answers = line.ask(&commands).await?.into_iter();
    let whole = info(&text(answers.next().unwrap_or_default()), "cluster_state") == Some("ok");
    let mut ranges = Vec::new();
    match answers.next() {
        Some(Value::Array(all)) => {
            for one in all {
                ranges.push(range(one, here).ok_or_else(|| {
                    let why = "its cluster names a master without an IP address";
                    Trouble::Refused(why.to_owned())
                })?);
            }
        }
        Some(Value::ServerError(why)) => return Err(Trouble::from(&why)),
        _ => return Err(Trouble::Lost),
    }
    if ranges.is_empty() {
        return Err(Trouble::Moved);
    }
    ranges.sort_unstable();
    let all = members(&text(answers.next().unwrap_or_default()));
    let is_master = |at: &SocketAddr| ranges.iter().any(|(.., master)| master == at);
    let others = all.into_iter().filter(|at| !is_master(at)).collect();
    Ok((Said { masters: ranges, others }, whole))
}

/// All that the cluster has, whatever they are now: lines such as `ID 10.0.0.2:6379@16379 slave …`.
fn members(said: &str) -> Vec<SocketAddr> {
    let of = |line: &str| {
        let (ip, port) = line.split(' ').nth(1)?.split_once('@')?.0.rsplit_once(':')?;
        Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
    };
    said.lines().filter_map(of).collect()
}

/// A range as `CLUSTER SLOTS` names it: its first and last slot, its master, replicas.
fn range(said: Value, here: IpAddr) -> Option<(u16, u16, SocketAddr)> {
    let Value::Array(parts) = said else { return None };
    let mut parts = parts.into_iter();
    let mut slot = || match parts.next()? {
        Value::Int(slot) => u16::try_from(slot).ok(),
        _ => None,
    };
    let (first, last) = (slot()?, slot()?);
    Some((first, last, address(parts.next()?, here)?))
}

/// A server there: an address, a port, an identity, and more in pairs. An empty address is the one that
/// was asked; where a name stands in its place, the address is in the pairs.
fn address(server: Value, here: IpAddr) -> Option<SocketAddr> {
    let Value::Array(parts) = server else { return None };
    let mut parts = parts.into_iter();
    let named = text(parts.next()?);
    let Value::Int(port) = parts.next()? else { return None };
    let ip = match named.parse() {
        Ok(ip) => ip,
        Err(_) if named.is_empty() => here,
        Err(_) => match field(&pairs(parts.nth(1)?), "ip")? {
            "" => here,
            ip => ip.parse().ok()?,
        },
    };
    Some(SocketAddr::new(ip, u16::try_from(port).ok()?))
}

/// Names and values.
fn pairs(said: Value) -> Vec<(String, String)> {
    match said {
        Value::Map(fields) => fields.into_iter().map(|(a, b)| (text(a), text(b))).collect(),
        Value::Array(parts) => {
            let mut parts = parts.into_iter().map(text);
            std::iter::from_fn(|| Some((parts.next()?, parts.next()?))).collect()
        }
        _ => Vec::new(),
    }
}

fn field<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
}

/// The slot of a bucket: CRC-16 (XMODEM) of its hash tag without the brackets.
pub(super) fn slot(bucket: Bucket) -> u16 {
    let tag = tag(bucket);
    let crc = tag[1..5].iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `CLUSTER KEYSLOT` of Redis 7.0.15.
    #[test]
    fn buckets_lie_in_the_slots_that_redis_says() {
        let slots = [0x0000, 0x1234, 0xabcd, 0xffff].map(slot);
        assert_eq!(slots, [6794, 6025, 10294, 14956]);
    }

    #[test]
    fn other_servers_are_read_from_what_one_says() {
        let said = "role:master\r\nslave0:ip=10.0.0.2,port=7,state=online,offset=1\r\n\
            slave1:ip=::1,port=8,state=online\r\nslave_repl_offset:5\r\n";
        let read: Vec<String> = replicas(said).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.0.0.2:7", "[::1]:8"]);
        let said = "a1 10.0.0.2:7@17 myself,master - 0 0 1 connected 0-5460\n\
            b2 ::1:8@18,name slave a1 0 0 1 connected\nc3 :0@0 noaddr - 0 0 1 disconnected\n";
        let read: Vec<String> = members(said).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.0.0.2:7", "[::1]:8"]);
    }
}
