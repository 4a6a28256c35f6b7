//! The `otr` command: parses the arguments, runs one command, and turns its error into an exit
//! code.

#[forbid(unsafe_code)]
mod arguments;
#[forbid(unsafe_code)]
mod cli;
mod closed;
#[forbid(unsafe_code)]
mod commands;
#[forbid(unsafe_code)]
mod context;
#[forbid(unsafe_code)]
mod dispatch;
#[forbid(unsafe_code)]
mod ending;
#[forbid(unsafe_code)]
mod failure;
#[forbid(unsafe_code)]
mod options;
#[forbid(unsafe_code)]
mod origins;
#[forbid(unsafe_code)]
mod process;
#[forbid(unsafe_code)]
mod program;
#[forbid(unsafe_code)]
mod randomness;
#[forbid(unsafe_code)]
mod route;
#[forbid(unsafe_code)]
mod story;
#[forbid(unsafe_code)]
mod ui;
#[forbid(unsafe_code)]
mod usage;
#[forbid(unsafe_code)]
mod worker;

use std::process::ExitCode;

use arguments::Given;
use context::Context;
use ui::speak::{self, Voice};

/// Overwrites all freed memory, including the buffers of libraries through which plaintext, keys
/// and packets pass.
#[global_allocator]
static HEAP: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    process::harden();
    let Given { cli, origins } = arguments::parse();
    speak::in_json(cli.common.json);
    let voice = Voice::new(cli.common.quiet, cli.common.verbose);
    match dispatch::run(&Context::new(cli.common, origins, voice), cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let _held = ending::now();
            if failure.broken_pipe {
                process::end_by_broken_pipe();
            }
            speak::fail(&failure);
            ExitCode::from(failure.code as u8)
        }
    }
}
