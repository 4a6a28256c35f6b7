//! The command line: one definition, from which parsing, `--help`, man pages and completions all
//! come.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::commands::{
    close, complete_sessions, completions, expect, export, forge, import, init, inspect, man,
    postbox, recv, respond, send, simulate, status, verify, words,
};
use crate::state::{Name, Numbers};
use crate::ui::units;

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
    arg_required_else_help = false
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
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

    /// Write for programs: JSON on stdout where there is something to tell, and all of stderr
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
