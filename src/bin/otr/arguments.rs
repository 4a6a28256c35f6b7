//! From the words of the command line, and the environment, to what is to be done.
//!
//! An option wins over its variable, wherever on the line it stands; a variable that is empty counts
//! as unset, and one that an option overrides is not looked at.

use std::ffi::OsString;
use std::mem::ManuallyDrop;

use clap::builder::Resettable;
use clap::{Arg, ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _, error};

use crate::cli::{self, Cli};
use crate::commands::{recv, send};
use crate::options::Common;
use crate::origins::Origins;
use crate::usage;

/// What was typed.
pub(crate) struct Given {
    pub(crate) cli: Cli,
    pub(crate) origins: Origins,
}

/// Parses the command line. Ends the process where it is wrong.
pub(crate) fn parse() -> Given {
    if let Some(quick) = quickly() {
        return quick;
    }
    let matches = all_matches();
    let origins = Origins::of(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| usage::end(&error));
    Given { cli, origins }
}

/// The two commands that run once a packet, `otr [OPTIONS] send …` and `recv`, parsed without
/// building all the others: a third of their start-up. Whatever is not plainly right is left to
/// [`all_matches`], which says why.
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

/// Where the command stands, behind options of [`Common`].
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
    // Never dropped: the process is over before its memory could be of use.
    let mut command = ManuallyDrop::new(command);
    command.try_get_matches_from_mut(arguments).ok()
}

/// Parses with all that there is; ends the process where it is wrong.
fn all_matches() -> ArgMatches {
    let with_environment = match matches(is_set) {
        Ok(matches) => return matches,
        Err(error) => error,
    };
    if !with_environment.use_stderr() {
        // The help shows all variables, also those that are not set.
        usage::end(&matches(|_| true).err().unwrap_or(with_environment));
    }
    // What was typed comes first; then only the variables count that it leaves room for, since a
    // variable is read at `otr` even where its option stands behind the command.
    let typed = match matches(|_| false) {
        Ok(matches) => Origins::of(&matches),
        Err(error) => usage::end(&error),
    };
    let needed = |arg: &Arg| is_set(arg) && !typed.was_typed(arg.get_id().as_str());
    matches(needed).unwrap_or_else(|error| usage::end_by_environment(&error, &Cli::command()))
}

/// Parses; of the options that variables may give, those that `listens` picks.
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
