//! Authentication: a secret at the start, words, a code, a secret that is compared later; and
//! somebody in between. Real processes, over pipes and through a real postbox.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod attacks;
mod code;
mod endings;
#[path = "../ends/faulty.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod faulty;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod secret;
#[path = "../support/mod.rs"]
mod support;
mod verify;
mod words;
mod world;
