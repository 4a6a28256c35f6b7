//! Conversations at one postbox or several, as many as asked for: in each somebody posts a packet that the
//! other end is waiting for, who discards it and answers after a while. Counts every packet, so that one that
//! was answered 201 and never comes is found, also where postboxes and what is behind them are killed.
//!
//!     cargo bench --bench load -- http://127.0.0.1:7363 --conversations 1000 --seconds 10
//!
//! Prints JSON; ends with 1 where a packet was lost, altered or came back. docs/scale.md has what was measured.

mod conversation;
mod front;
mod options;
mod process;
mod tally;
mod wire;
mod world;

use std::io::Write as _;
use std::process::ExitCode;

pub(crate) use options::Options;
pub(crate) use tally::Outcome;

/// Runs all conversations to their end.
pub(crate) fn run(options: Options) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| why.to_string())?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, world::run(options))
}

fn main() -> ExitCode {
    let options = <Options as clap::Parser>::parse();
    match run(options) {
        Ok(outcome) => {
            let _ = writeln!(std::io::stdout(), "{}", outcome.report);
            if outcome.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "load: {why}");
            ExitCode::from(2)
        }
    }
}
