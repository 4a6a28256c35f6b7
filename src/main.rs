//! The `otr` command: parses arguments, runs one command, turns its error into an exit code.
#![allow(dead_code, unused_imports, reason = "the commands that use these modules come next")]

mod failure;
mod inherited;
mod process;
mod state;

fn main() {
    process::harden();
}
