//! Runs the real `otr postbox` and calls it over its sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod calls;
mod confinement;
mod dashboard;
mod deaf;
mod doors;
mod fairness;
mod injected;
mod limits;
mod load;
mod renewal;
mod support;
mod unfinished;
mod work;
