//! Turns the command line and the environment into what to do.
//!
//! An option takes precedence over its variable, wherever on the line it stands. An empty variable
//! counts as unset, and a variable that an option overrides is not read.

use std::ffi::OsString;
use std::mem::ManuallyDrop;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _, error};

use crate::cli::{self, Cli};
use crate::commands::{recv, send};
use crate::options::Common;
use crate::origins::Origins;
use crate::usage;

/// What the user typed.
pub(crate) struct Given {
    pub(crate) cli: Cli,
    pub(crate) origins: Origins,
}

/// Parses the command line. Ends the process if it is wrong.
pub(crate) fn parse() -> Given {
    if let Some(quick) = quickly() {
        return quick;
    }
    let matches = all_matches();
    let origins = Origins::of(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| usage::end(&error));
    Given { cli, origins }
}

/// Parses the two commands that run once per packet, `otr [OPTIONS] send …` and `recv`, without
/// building all the others, which would take a third of their start-up. Anything that is not
/// obviously right is left to [`all_matches`], which says what is wrong.
fn quickly() -> Option<Given> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let verb = arguments.remove(verb_at(&arguments)?);
    let command = Common::augment_args(Command::new("otr").disable_help_flag(true));
    if verb == "send" {
        let matches = matches_quickly(send::Args::augment_args(command), &arguments)?;
        let args = send::Args::from_arg_matches(&matches).ok()?;
        given(&matches, cli::Command::Send(args))
    } else if verb == "recv" {
        let matches = matches_quickly(recv::Args::augment_args(command), &arguments)?;
        let args = recv::Args::from_arg_matches(&matches).ok()?;
        given(&matches, cli::Command::Recv(args))
    } else {
        None
    }
}

fn given(matches: &ArgMatches, command: cli::Command) -> Option<Given> {
    let common = Common::from_arg_matches(matches).ok()?;
    Some(Given { cli: Cli { common, command }, origins: Origins::of(matches) })
}

/// The position of the command, after options of [`Common`].
fn verb_at(arguments: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        match arguments.get(at)?.to_str()? {
            "-s" | "--session" | "--dir" | "--state-fd" | "--lock-wait" => at += 2,
            "-q" | "--quiet" | "-v" | "--verbose" | "--json" | "--allow-disk" => at += 1,
            _ => return Some(at),
        }
    }
}

fn matches_quickly(command: Command, arguments: &[OsString]) -> Option<ArgMatches> {
    let command = command.args_override_self(true).mut_args(|arg| listening(arg, is_set));
    // Leaked: the process ends before anyone could use the memory.
    let mut command = ManuallyDrop::new(command);
    command.try_get_matches_from_mut(arguments).ok()
}

/// Parses with all commands; ends the process if the command line is wrong.
fn all_matches() -> ArgMatches {
    let with_environment = match matches(is_set) {
        Ok(matches) => return matches,
        Err(error) => error,
    };
    if !with_environment.use_stderr() {
        // The help shows all variables, including those that are not set.
        usage::end(&matches(|_| true).err().unwrap_or(with_environment));
    }
    // First parses only what was typed; then only variables count that do not compete with it,
    // because clap reads a variable at `otr` even if its option follows the command.
    let typed = match matches(|_| false) {
        Ok(matches) => Origins::of(&matches),
        Err(error) => usage::end(&error),
    };
    let needed = |arg: &Arg| is_set(arg) && !typed.was_typed(arg.get_id().as_str());
    matches(needed).unwrap_or_else(|error| usage::end_by_environment(&error, &Cli::command()))
}

/// Parses; only the options that `listens` selects may come from variables.
fn matches(listens: impl Fn(&Arg) -> bool + Copy) -> error::Result<ArgMatches> {
    let choose = |command: Command| command.mut_args(|arg| listening(arg, listens));
    let command = choose(Cli::command()).args_override_self(true).mut_subcommands(choose);
    command.try_get_matches_from(std::env::args_os())
}

fn listening(arg: Arg, listens: impl Fn(&Arg) -> bool) -> Arg {
    if arg.get_env().is_some() && !listens(&arg) { arg.env(Resettable::Reset) } else { arg }
}

/// Whether the option's variable has a value.
fn is_set(arg: &Arg) -> bool {
    let value = arg.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| !value.is_empty())
}
