//! One suite for every store that `otr postbox` can have: its own memory, a Redis, a cluster of
//! them. Real redis-server processes, on this machine alone, with two postboxes before them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod cases;
mod conformance;
mod failover;
mod moves;
mod packaging;
mod refused;
mod servers;
#[allow(dead_code, reason = "another test uses the rest")]
#[path = "../postbox/support.rs"]
mod support;
