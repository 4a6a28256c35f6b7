//! `otr rpc`, as a program uses it: real processes, a real postbox.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod begin;
mod client;
mod cover;
mod described;
mod examples;
mod faults;
#[path = "../ends/faulty.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod faulty;
mod long;
mod messages;
mod package;
#[path = "../ends/people.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod people;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod socket;
#[path = "../ends/socks.rs"]
mod socks;
