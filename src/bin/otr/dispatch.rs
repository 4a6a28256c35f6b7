//! From the parsed command to its code.

use clap::CommandFactory as _;

use crate::cli::{Cli, Command};
use crate::commands::{
    chat, close, complete_sessions, completions, demo, expect, export, forge, handover, import,
    init, inspect, man, pipe, recv, respond, rpc, send, simulate, status, verify, words,
};
use crate::context::Context;
use crate::failure::Failure;

/// Runs one command; returns its exit code if there is no error.
pub(crate) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Put(args) => handover::put(context, &args).map(|()| 0),
        Command::Get(args) => handover::get(context, &args).map(|()| 0),
        Command::Chat(args) => chat::run(context, &args),
        Command::Init(args) => init::run(context, &args).map(|()| 0),
        Command::Respond(args) => respond::run(context, &args).map(|()| 0),
        Command::Send(args) => send::run(context, &args).map(|()| 0).map_err(Failure::of_sending),
        Command::Recv(args) => recv::run(context, &args),
        Command::Rpc(args) => rpc::run(context, &args).map(|()| 0),
        Command::Pipe(args) => pipe::run(context, &args),
        Command::Postbox(args) => args.run(context).map(|()| 0),
        Command::Close(args) => close::run(context, &args).map(|()| 0),
        Command::Expect(args) => expect::run(context, &args).map(|()| 0),
        Command::Words(args) => words::run(context, &args).map(|()| 0),
        Command::Verify(args) => {
            verify::run(context, &args).map(|()| 0).map_err(Failure::of_sending)
        }
        Command::Export(args) => export::run(context, &args).map(|()| 0),
        Command::Forge(args) => forge::run(context, &args).map(|()| 0),
        Command::Import(args) => import::run(context, &args).map(|()| 0),
        Command::Inspect(args) => inspect::run(context, &args).map(|()| 0),
        Command::Simulate(args) => simulate::run(context, &args).map(|()| 0),
        Command::Status(args) => status::run(context, &args).map(|()| 0),
        Command::Completions(args) => completions::run(context, &args, &Cli::command()).map(|()| 0),
        Command::Man(args) => man::run(context, &args, Cli::command()).map(|()| 0),
        Command::Demo => demo::run(context).map(|()| 0),
        Command::KeepHook(args) => {
            args.run();
            Ok(0)
        }
        Command::KeepCalls(_) => {
            // Nobody is there to be told.
            let _ = recv::KeepCalls::run();
            Ok(0)
        }
        Command::KeepCertificate(args) => args.run().map(|()| 0),
        Command::CompleteSessions(args) => {
            complete_sessions::run(context, &args);
            Ok(0)
        }
    }
}
