//! The `otr` command: parses arguments, runs one command, turns its error into an exit code.

mod commands;
#[expect(dead_code, reason = "the commands to come use the rest of the table")]
mod failure;
mod postbox;

use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

/// Overwrites what it frees: the buffers of the libraries, too, through which plaintext, keys and
/// packets pass on their way.
#[global_allocator]
static HEAP: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// Off-the-record conversations for the Unix pipe.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Postbox(commands::postbox::Postbox),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Postbox(postbox) => postbox.run(),
    };
    let Err(failure) = done else { return ExitCode::SUCCESS };
    let between = if failure.hint.is_empty() { "" } else { "; " };
    // Nobody is left to be told where this fails.
    let _ = writeln!(std::io::stderr(), "otr: {}{between}{}", failure.what, failure.hint);
    ExitCode::from(failure.code as u8)
}
