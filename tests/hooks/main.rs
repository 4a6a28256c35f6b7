//! `recv --exec`, `send --exec` and live lines: otr between the programs of a script, with real
//! processes and a real postbox, and with everything going wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod flow;
mod live;
#[path = "../ends/people.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod people;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod producer;
mod receive;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::process::{Child, ExitStatus};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::Place;

/// What is in a file of this place so far.
fn read(place: &Place, name: &str) -> String {
    fs::read_to_string(place.path(name)).unwrap_or_default()
}

/// Sends it this signal, and waits for its end.
fn end_by(mut child: Child, signal: Signal) -> ExitStatus {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap()
}
