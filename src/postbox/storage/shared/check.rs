//! What a store must be before anything is put into it: new enough, bounded, never throwing anything
//! out, and never writing to a disk.

use super::choices::BadStore;
use super::dial::{Dialer, Line, info, text};
use super::trouble::Trouble;
use redis::{Value, cmd};
use std::net::SocketAddr;

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

/// Checks one server. `is_master`: a replica that cannot be reached is left out.
pub(super) async fn check(
    dialer: &Dialer,
    address: SocketAddr,
    is_master: bool,
    allow_persistence: bool,
) -> Result<(), BadStore> {
    let line = match dialer.open(address, None).await {
        Ok(line) => line,
        Err(Trouble::Lost) if !is_master => return Ok(()),
        Err(why) => return Err(BadStore::of(address, &why)),
    };
    let said = text(line.one(&cmd("INFO")).await.map_err(|why| BadStore::of(address, &why))?);
    let version = info(&said, "redis_version").unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Err(BadStore::Old(address, version.to_owned()));
    }
    if info(&said, "maxmemory") == Some("0") {
        return Err(BadStore::Unbounded(address));
    }
    match info(&said, "maxmemory_policy") {
        Some("noeviction") => {}
        policy => return Err(BadStore::Evicts(address, policy.unwrap_or_default().to_owned())),
    }
    if allow_persistence {
        return Ok(());
    }
    if info(&said, "aof_enabled") != Some("0") {
        return Err(BadStore::Persists(address, "appendonly"));
    }
    for (name, keeps) in DISKLESS {
        match setting(&line, name).await {
            Ok(value) if keeps.contains(&value.as_str()) => {}
            Ok(_) => return Err(BadStore::Persists(address, name)),
            Err(Trouble::Refused(_)) => return Err(BadStore::Unknown(address)),
            Err(why) => return Err(BadStore::of(address, &why)),
        }
    }
    Ok(())
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
