//! A network that is cut for a minute, under programs that talk through it. These tests have a program of
//! their own because each takes that minute, at the same time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "../rpc/client.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod client;
mod handover;
mod pipe;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod rpc;
#[path = "../support/mod.rs"]
mod support;
