//! The `otr` command: parses arguments, runs one command, turns its error into an exit code.

#[allow(dead_code, reason = "the commands that use it come next")]
mod failure;
#[allow(dead_code, reason = "the commands that use it come next")]
mod ui;

fn main() {}
