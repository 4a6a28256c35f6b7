//! The `otr` command: parses arguments, runs one command, turns its error into an exit code.
fn main() {}
