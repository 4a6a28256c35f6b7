//! Two or more processes of one session at once: nothing is lost, nothing arrives twice, no key is
//! used twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod crowd;
mod endings;
mod others;
#[path = "../ends/people.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod people;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod stale;
#[path = "../support/mod.rs"]
mod support;
