//! The dashboard in packaging/ asks for metrics that a postbox has, and for none that does not exist.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;

use serde_json::Value;

use super::support::{Postbox, get};

/// All that some text says of the postbox's metrics.
fn named(text: &str) -> BTreeSet<String> {
    let names = text.split("otr_postbox_").skip(1);
    let end = |rest: &str| rest.find(|sign: char| !sign.is_ascii_lowercase() && sign != '_');
    names.map(|rest| rest[..end(rest).unwrap_or(rest.len())].to_owned()).collect()
}

#[test]
fn every_metric_of_the_dashboard_exists_and_each_that_exists_is_on_it() {
    let place = tempfile::tempdir_in("/dev/shm").unwrap();
    let admin = place.path().join("admin");
    let _postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    let metrics = get(&mut UnixStream::connect(&admin).unwrap(), "/metrics", "*/*");
    let there = named(metrics.text());

    let dashboard: Value =
        serde_json::from_str(include_str!("../../packaging/grafana.json")).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            asked.append(&mut named(target["expr"].as_str().unwrap()));
        }
    }
    // How many operators look at it is of no interest.
    let shown: BTreeSet<_> =
        there.iter().filter(|name| *name != "admin_connections").cloned().collect();
    // Those of a store are looked at where there is one (tests/store).
    asked.retain(|name| !name.starts_with("store_"));
    assert_eq!(asked, shown);
}
