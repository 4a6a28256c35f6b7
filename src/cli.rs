//! The command line: one definition, from which parsing, `--help`, man pages and completions all
//! come.

use std::ffi::OsString;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    close, complete_sessions, completions, expect, export, forge, import, init, inspect, man,
    postbox, recv, respond, send, simulate, status, verify, words,
};
use crate::failure::Code;
use crate::state::{Name, Numbers};
use crate::ui::units;
use crate::usage;

macro_rules! first_steps {
    () => {
        "\
A conversation over any channel:
  alice$ otr init > invite               bob$ otr respond < invite > reply
  alice$ otr recv < reply
  alice$ echo hello | otr send > packet  bob$ otr recv < packet
  alice$ otr words                       bob$ otr words       (compare by voice)
  alice$ otr close > last                bob$ otr recv < last
Both ends on one machine: -s alice, -s bob. The whole tour: otr demo"
    };
}

/// The shortest story, for `--help` and the manual.
pub(crate) const FIRST_STEPS: &str = first_steps!();

const LONG_HELP: &str = concat!(
    first_steps!(),
    "

Exit status:
   0  ok                 4  refused            8  nothing_yet       12  expired
   1  failed             5  not_authentic      9  postbox           13  exists
   2  usage              6  cut_short         10  full              14  not_ready
   3  no_session         7  closed            11  unsafe_state      15  busy"
);

/// Off-the-record conversations for the Unix pipe
#[derive(Parser)]
#[command(
    name = "otr",
    version,
    about,
    max_term_width = 100,
    after_help = FIRST_STEPS,
    after_long_help = LONG_HELP,
    subcommand_required = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Parses the command line; whether `-s` was on it. Ends the process where it is wrong.
    pub(crate) fn from_command_line() -> (Self, bool) {
        if let Some(quick) = Self::quickly() {
            return quick;
        }
        let matches = all_matches();
        (
            Self::from_arg_matches(&matches).unwrap_or_else(|error| usage::end(&error)),
            typed(&matches),
        )
    }

    /// The two commands that run once a packet, `otr [OPTIONS] send …` and `recv`, parsed without
    /// building all the others: a third of their start-up. Whatever is not plainly right is left
    /// to [`all_matches`], which says why.
    fn quickly() -> Option<(Self, bool)> {
        let mut arguments: Vec<OsString> = std::env::args_os().collect();
        let verb = arguments.remove(verb_at(&arguments)?);
        let command = Common::augment_args(clap::Command::new("otr").disable_help_flag(true));
        if verb == "send" {
            let matches = matches_quickly(send::Args::augment_args(command), &arguments)?;
            let args = send::Args::from_arg_matches(&matches).ok()?;
            Self::of(&matches, Command::Send(args))
        } else if verb == "recv" {
            let matches = matches_quickly(recv::Args::augment_args(command), &arguments)?;
            let args = recv::Args::from_arg_matches(&matches).ok()?;
            Self::of(&matches, Command::Recv(args))
        } else {
            None
        }
    }

    fn of(matches: &ArgMatches, command: Command) -> Option<(Self, bool)> {
        let common = Common::from_arg_matches(matches).ok()?;
        Some((Self { common, command }, typed(matches)))
    }
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

/// Whether the session's name was on the command line.
fn typed(matches: &ArgMatches) -> bool {
    matches.value_source("session") == Some(ValueSource::CommandLine)
}

fn matches_quickly(command: clap::Command, arguments: &[OsString]) -> Option<ArgMatches> {
    // Never dropped: the process is over before its memory could be of use.
    let mut command = ManuallyDrop::new(command);
    command.try_get_matches_from_mut(arguments).ok()
}

/// Parses with all that there is; ends the process where it is wrong.
fn all_matches() -> ArgMatches {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    matches.unwrap_or_else(|error| match error.kind() {
        ErrorKind::MissingSubcommand => no_command(&mut command),
        _ => usage::end(&error),
    })
}

/// What there is to choose from, for a person who typed nothing, or only options.
fn no_command(command: &mut clap::Command) -> ! {
    let _ = write!(std::io::stderr(), "{}", command.render_help());
    std::process::exit(i32::from(Code::Usage as u8))
}

/// What every command takes.
#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Common {
    /// Session to use: letters, digits, '.', '_', '-'; at most 64
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        env = "OTR_SESSION",
        default_value = "default"
    )]
    pub(crate) session: Name,

    /// Directory of the sessions, used or refused; without it the first fit place in memory
    #[arg(long, global = true, value_name = "DIR", env = "OTR_DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    /// Keep no file: read the state from descriptor IN, write each new one to OUT
    ///
    /// The state is a line `otr1s:…`; the last whole line written to OUT counts. It holds every
    /// secret of the session. No directory is looked at.
    #[arg(long, global = true, value_name = "IN,OUT")]
    pub(crate) state_fd: Option<Numbers>,

    /// Let sessions lie on a disk, where wiping does not wipe; warned of each time
    #[arg(long, global = true)]
    pub(crate) allow_disk: bool,

    /// How long to wait while another otr holds the session
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub(crate) lock_wait: Duration,

    /// Say only what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Say more of what is done, never a secret
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Write for programs: JSON on stdout where there is something to tell, errors as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// One file in `commands/` each.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Begin a session: write an invite
    Init(init::Args),
    /// Answer an invite: read it, write a reply
    Respond(respond::Args),
    /// Send stdin as one message: write packets
    Send(send::Args),
    /// Take packets, or the reply, from stdin: write what they say
    Recv(recv::Args),
    /// End a session: tell the other side, publish the MAC keys, wipe everything
    Close(close::Args),
    /// Show the four words to compare by voice, and record what you found
    Words(words::Args),
    /// Compare a secret inside the session: ask, or answer
    Verify(verify::Args),
    /// Serve a blind postbox
    Postbox(postbox::Postbox),
    /// Write the tokens under which the next packets can be collected from a postbox
    Expect(expect::Args),
    /// Move a session away: write it as one line, and freeze it here
    Export(export::Args),
    /// Take a session that was exported elsewhere from stdin
    Import(import::Args),
    /// Show what a stranger sees of packets: size, address, randomness
    Inspect(inspect::Args),
    /// Make a recorded packet say something else, with its published MAC key
    Forge(forge::Args),
    /// Make up a whole conversation alone, of the same kind as a real one
    Simulate(simulate::Args),
    /// Show the sessions: how far they are, what is missing, what endangers them
    Status(status::Args),
    /// Write the completions for a shell
    Completions(completions::Args),
    /// Write the man pages
    Man(man::Args),
    /// The whole tour: both ends as processes on this machine, each step shown
    Demo,
    /// Write the names of the sessions, for the completions
    #[command(hide = true)]
    CompleteSessions(complete_sessions::Args),
}

/// How packets are written.
#[derive(Args)]
pub(crate) struct Form {
    /// Write packets as bytes instead of lines of text
    #[arg(long)]
    pub(crate) raw: bool,

    /// Break lines after so many columns, at least 32 (for mail: 72)
    #[arg(long, value_name = "COLUMNS", conflicts_with = "raw", value_parser = wrap)]
    pub(crate) wrap: Option<otr::armor::Wrap>,
}

pub(crate) fn wrap(text: &str) -> Result<otr::armor::Wrap, &'static str> {
    let columns = text.parse().ok().and_then(otr::armor::Wrap::new);
    columns.ok_or("use a number of columns from 32 on")
}
