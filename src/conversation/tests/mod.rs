//! The engine under random schedules: the processes of two ends are stopped at any step, run
//! concurrently with others of the same session, and use a network that loses, delays and repeats
//! packets. There are no threads and no clock: a seed decides everything, so a failing schedule can
//! be repeated.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod face;
mod ledger;
mod processes;
mod schedules;
mod world;
