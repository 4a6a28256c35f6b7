//! What the operator may see: totals. They say nothing about who called or when.

use super::reply::{Answer, Body, answer};
use super::state::Server;
#[cfg(feature = "redis")]
use crate::postbox::storage::Store;
use hyper::StatusCode;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All totals, as Prometheus reads them.
pub(crate) fn metrics(server: &Server) -> Answer {
    let (totals, refused, budget) = (server.store.totals(), &server.refused, server.store.budget());
    let work = server.gate.price(&server.store).map(|price| price.bits);
    let mut out = String::new();
    let mut one = |kind: &str, name: &str, help: &str, value: u64| {
        // Writing to a String never fails.
        let _ = write!(
            out,
            "# HELP otr_postbox_{name} {help}\n# TYPE otr_postbox_{name} {kind}\n\
             otr_postbox_{name} {value}\n"
        );
    };
    one("gauge", "packets", "Packets that lie here.", totals.held);
    one("gauge", "packet_bytes", "Their bytes.", totals.held_bytes);
    one("gauge", "leaving", "Packets that are gone, but for who reads them.", totals.leaving);
    one("gauge", "leaving_bytes", "Their bytes.", totals.leaving_bytes);
    one("gauge", "remembered", "Discarded packets that are remembered.", totals.remembered);
    one("gauge", "memory_used_bytes", "Memory charged to the cap.", budget.used() as u64);
    one("gauge", "memory_cap_bytes", "The memory cap.", budget.cap() as u64);
    one("gauge", "connections", "Open connections.", server.connections() as u64);
    one("gauge", "admin_connections", "Those on this side.", server.admin_connections() as u64);
    one("gauge", "waiting", "Calls that wait for a packet.", server.waiting.len() as u64);
    one("gauge", "work_bits", "Zero bits that a post has to show.", work.map_or(0, u64::from));
    #[cfg(feature = "redis")]
    if let Store::Shared(shared) = &server.store {
        let (is_up, keys, (used, left)) = shared.state();
        one("gauge", "store_up", "Whether the whole store answers.", u64::from(is_up));
        one(
            "gauge",
            "store_addresses",
            "Addresses of which it knows anything; twice, if packets lie beside discarded ones.",
            keys,
        );
        one("counter", "store_alarms_total", "Alarms about it; stderr has them.", shared.alarms());
        one("gauge", "store_used_bytes", "Memory taken in it.", used as u64);
        one("gauge", "store_cap_bytes", "Its memory cap.", (used + left) as u64);
    }
    one("counter", "stored_total", "Packets stored.", totals.stored);
    one("counter", "discarded_total", "Packets discarded.", totals.discarded);
    one("counter", "expired_total", "Packets whose time ran out.", totals.expired);
    for (name, help, count) in [
        ("unfit_total", "Bodies that were not what they should be.", &refused.unfit),
        ("crowded_total", "Packets under a crowded address.", &refused.crowded),
        ("full_total", "Packets above the memory cap.", &refused.full),
        ("unpaid_total", "Packets without the work that was asked for.", &refused.unpaid),
        ("stranger_total", "Posts without the post secret.", &refused.stranger),
        ("slow_total", "Bodies that came too slowly.", &refused.slow),
        ("busy_total", "Calls and connections above their number.", &refused.busy),
    ] {
        one("counter", &format!("refused_{name}"), help, count.load(Relaxed));
    }
    answer(StatusCode::OK, METRICS, Body::Whole(out.into()))
}
