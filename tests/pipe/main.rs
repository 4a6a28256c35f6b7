//! `otr pipe` between real processes: over a command, through a postbox, with the programs for which it
//! is made, and with what goes wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod by_postbox;
mod faults;
mod over_link;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod programs;
#[path = "../support/mod.rs"]
mod support;

use postbox::Postbox;
use support::{Pair, Run};

/// Alice and Bob, whose session has this postbox.
fn met_at(postbox: &Postbox) -> Pair {
    let pair = Pair::strangers();
    let url = &postbox.url;
    pair.sh(&format!("alice init --postbox {url} | bob respond --yes; alice recv --all")).ok();
    pair
}

/// Runs a script in bash, so that a pipeline fails with any of its parts.
fn bash(pair: &Pair, script: &str) -> Run {
    let mut command = support::tool("bash", "bash");
    for (name, value) in pair.script("").get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let both = "alice() { OTR_DIR=$PLACE/alice otr \"$@\"; }
        bob() { OTR_DIR=$PLACE/bob otr \"$@\"; }
        export ALICE=\"env OTR_DIR=$PLACE/alice otr\" BOB=\"env OTR_DIR=$PLACE/bob otr\"
        set -o pipefail; cd \"$PLACE\"\n";
    support::feed(command.arg("-c").arg(format!("{both}{script}")), b"")
}
