//! What packaging/shared gives to an operator works: redis-server takes its options and files, a postbox takes a
//! store that is so, and the dashboard asks for what a postbox with a store tells.

use std::path::Path;

use crate::servers::{Redis, Store};
use crate::support::{Form, get};

const COMPOSE: &str = include_str!("../../packaging/shared/compose.yaml");
const CONF: &str = include_str!("../../packaging/shared/redis.conf");
const UNIT: &str = include_str!("../../packaging/shared/store.conf");
const DASHBOARD: &str = include_str!("../../packaging/grafana.json");

/// The list behind a name in the compose file, which is one of JSON, too.
fn list(name: &str) -> Vec<String> {
    let rest = COMPOSE.split_once(&format!("&{name} [")).unwrap().1;
    let items = rest.split_once(']').unwrap().0;
    serde_json::from_str(&format!("[{items}]")).unwrap()
}

/// Options with their values, but for those that name an address.
fn elsewhere<'a>(options: &'a [String], addresses: &[&str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut options = options.iter().map(String::as_str).peekable();
    while let Some(option) = options.next() {
        let value = options.next_if(|next| !next.starts_with("--"));
        if !addresses.contains(&option) {
            kept.push(option);
            kept.extend(value);
        }
    }
    kept
}

#[test]
fn nodes_take_the_options_of_the_compose_file_and_the_lines_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let of_file: Vec<String> = CONF
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .flat_map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            [format!("--{name}"), value.trim_matches('"').to_owned()]
        })
        .collect();
    for (number, options) in [list("flags"), of_file].iter().enumerate() {
        let own = directory.path().join(number.to_string());
        std::fs::create_dir(&own).unwrap();
        let server = Redis::start(&own, &elsewhere(options, &["--port", "--bind"]));
        for (name, value) in [
            ("save", ""),
            ("appendonly", "no"),
            ("repl-diskless-load", "swapdb"),
            ("maxmemory-policy", "noeviction"),
            ("cluster-enabled", "yes"),
            ("min-replicas-to-write", "1"),
            ("slowlog-log-slower-than", "-1"),
        ] {
            assert_eq!(server.cli(&["CONFIG", "GET", name]), format!("{name}\n{value}\n"));
        }
        assert!(!server.cli(&["CONFIG", "GET", "maxmemory"]).ends_with("\n0\n"));
    }
}

#[test]
fn a_front_takes_the_options_of_the_compose_file_and_of_the_unit() {
    let store = Store::cluster();
    let of_compose = list("front-flags");
    let command = UNIT.split_once("ExecStart=/usr/bin/otr postbox").unwrap().1;
    let command = command.split_once("\n#").unwrap().0.replace('\\', " ");
    let of_unit: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    for (number, options) in [of_compose, of_unit].iter().enumerate() {
        let given = ["--require-confinement", "--store", "--store-secret"];
        let admin = store.directory.path().join(format!("admin-{number}"));
        let admin_url = format!("unix:{}", admin.display());
        let mut kept = elsewhere(options, &given);
        assert!(kept.contains(&"--replicas"), "{options:?}");
        kept.extend(["--admin", &admin_url]);
        let front = store.front(&kept);
        let packet = [&[0xF5, u8::try_from(number).unwrap()][..], &[9; 4095]].concat();
        let answer = front.call("/v1/post", Form::Raw, &packet);
        assert_eq!(answer.status, 201, "{answer:?}");
        dashboard_asks_for_what_is_there(&admin);
    }
}

/// Nothing that starts with `otr_postbox_store` is missing from the dashboard, or there for nothing.
fn dashboard_asks_for_what_is_there(admin: &Path) {
    let mut stream = std::os::unix::net::UnixStream::connect(admin).unwrap();
    let metrics = get(&mut stream, "/metrics", "*/*");
    let lines = metrics.text().lines().filter(|line| !line.starts_with('#'));
    let of_store: Vec<_> = lines
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("otr_postbox_store_"))
        .collect();
    assert!(of_store.len() >= 4, "{of_store:?}");
    for name in &of_store {
        assert!(DASHBOARD.contains(name), "{name}");
    }
    for asked in DASHBOARD.split("otr_postbox_store_").skip(1) {
        let end = asked.find(|sign: char| !sign.is_ascii_lowercase() && sign != '_').unwrap();
        let name = format!("otr_postbox_store_{}", &asked[..end]);
        assert!(of_store.contains(&&*name), "{name}");
    }
}
