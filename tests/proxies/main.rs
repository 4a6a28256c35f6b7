//! Real proxies in front of the postbox.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod examples;
mod front;
mod limits;
mod paths;
#[path = "../ends/people.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod people;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
#[path = "../support/mod.rs"]
mod support;
