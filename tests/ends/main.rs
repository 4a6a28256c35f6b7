//! Both ends with a postbox: real processes, the real server, and servers that are not postboxes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod confirm;
mod conversation;
mod cover;
mod faults;
#[allow(dead_code, reason = "each test file uses its part of it")]
mod faulty;
mod gaps;
mod killed;
mod long;
mod lost_state;
mod met;
mod outages;
mod people;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod queue;
mod several;
mod sizes;
mod sockets;
mod socks;
#[path = "../support/mod.rs"]
mod support;
mod surroundings;
mod work;
