//! What a server must be before anything is put into it: new enough, bounded, never throwing anything
//! out, and never writing to a disk; at the start, and whenever another one serves.

use super::choices::BadStore;
use super::dial::{Dialer, Line, info, text};
use super::trouble::Trouble;
use redis::{Pipeline, Value, cmd};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Sharded channels and scripts with flags are as old as this.
const OLDEST: u32 = 7;

/// Settings, and their values with which no packet is written to a disk. What a replica gets first goes
/// through files at both ends, if one doesn't say otherwise; with `on-empty-db`, too, where a replica
/// that was away has something already.
const DISKLESS: [(&str, &[&str]); 3] = [
    ("save", &[""]),
    ("repl-diskless-sync", &["yes"]),
    ("repl-diskless-load", &["swapdb", "flush-before-load"]),
];

/// Seconds by which clocks may differ: packets live by that of their server, which another one takes
/// over in a failover, and all of them are told for how long.
const CLOCKS: u64 = 10;

/// Checks one server. `is_master`: a replica that cannot be reached is left out.
pub(super) async fn check(
    dialer: &Dialer,
    address: SocketAddr,
    is_master: bool,
    allow_persistence: bool,
) -> Result<(), BadStore> {
    let of = |why| BadStore::of(address, &why);
    let line = match dialer.open(address, None).await {
        Ok(line) => line,
        Err(Trouble::Lost) if !is_master => return Ok(()),
        Err(why) => return Err(of(why)),
    };
    let known = fitness(&line, address, allow_persistence).await.map_err(of)??;
    match known.time.map(off).filter(|off| *off > CLOCKS) {
        Some(off) => Err(BadStore::Clock(address, off)),
        None => Ok(()),
    }
}

/// The seconds in an answer to `TIME`.
pub(super) fn seconds(answer: Value) -> Option<u64> {
    match answer {
        Value::Array(parts) => text(parts.into_iter().next()?).parse().ok(),
        _ => None,
    }
}

/// Whether a clock is further from ours than it may be.
pub(super) fn is_off(time: u64) -> bool {
    off(time) > CLOCKS
}

fn off(time: u64) -> u64 {
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    ours.abs_diff(time)
}

/// What a server says of itself.
pub(super) struct Known {
    /// The name by which it calls this run of its process.
    pub(super) run: String,
    /// `INFO`, with what [`super::node::Node::look`] asks for.
    pub(super) said: String,
    /// The second of its clock.
    pub(super) time: Option<u64>,
}

/// Whether a server may have packets, and what it says of itself.
pub(super) async fn fitness(
    line: &Line,
    address: SocketAddr,
    allow_persistence: bool,
) -> Result<Result<Known, BadStore>, Trouble> {
    let mut everything = cmd("INFO");
    everything.arg("default").arg("commandstats");
    let mut commands = Pipeline::new();
    commands.add_command(everything).add_command(cmd("TIME"));
    let mut answers = line.ask(&commands).await?.into_iter();
    let said = match answers.next() {
        Some(Value::ServerError(why)) => return Err(Trouble::from(&why)),
        said => text(said.unwrap_or_default()),
    };
    let time = answers.next().and_then(seconds);
    let version = info(&said, "redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Ok(Err(BadStore::Old(address, version.to_owned())));
    }
    if info(&said, "maxmemory") == Some("0") {
        return Ok(Err(BadStore::Unbounded(address)));
    }
    match info(&said, "maxmemory_policy") {
        Some("noeviction") => {}
        policy => return Ok(Err(BadStore::Evicts(address, policy.unwrap_or_default().to_owned()))),
    }
    let run = info(&said, "run_id").unwrap_or_default().to_owned();
    let known = Known { run, said, time };
    if allow_persistence {
        return Ok(Ok(known));
    }
    if info(&known.said, "aof_enabled") != Some("0") {
        return Ok(Err(BadStore::Persists(address, "appendonly")));
    }
    for (name, keeps) in DISKLESS {
        match setting(line, name).await {
            Ok(value) if keeps.contains(&value.as_str()) => {}
            Ok(_) => return Ok(Err(BadStore::Persists(address, name))),
            Err(Trouble::Refused(_)) => return Ok(Err(BadStore::Unknown(address))),
            Err(why) => return Err(why),
        }
    }
    Ok(Ok(known))
}

async fn setting(line: &Line, name: &str) -> Result<String, Trouble> {
    let mut get = cmd("CONFIG");
    get.arg("GET").arg(name);
    let value = match line.one(&get).await? {
        Value::Map(pairs) => pairs.into_iter().next().map(|(_, value)| value),
        Value::Array(parts) => parts.into_iter().nth(1),
        _ => None,
    };
    value.map(text).ok_or_else(|| Trouble::Refused(format!("it has no setting '{name}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_ours() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(!is_off(now) && !is_off(now + 5) && !is_off(now - 5));
        assert!(is_off(now + 60) && is_off(now - 60) && is_off(0));
        let said = redis::parse_redis_value(b"*2\r\n$2\r\n17\r\n$1\r\n5\r\n").unwrap();
        assert_eq!(seconds(said), Some(17));
    }
}
