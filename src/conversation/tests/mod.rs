//! The engine under random schedules: processes of two ends that are stopped at any step, beside others
//! of the same session, over a network that loses, delays and repeats. No thread and no clock: a seed
//! decides all of it, so a schedule that fails comes out the same again.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod face;
mod ledger;
mod processes;
mod schedules;
mod world;
