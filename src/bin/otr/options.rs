//! Options that many commands share, and how their values are read.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Args, Command};
use otr::protocol::packet::{K_MAX, K_MIN, size};
use otr::store::{Name, Numbers};

use crate::ui::units;

/// The options that every command takes.
#[derive(Args)]
#[command(next_help_heading = "Common options")]
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

    /// Directory of the sessions; by default the first safe one in memory
    #[arg(long, global = true, value_name = "DIR", env = "OTR_DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,

    /// Keep no file: read the state from descriptor IN, and write each new one to OUT
    ///
    /// The state is a line `otr1s:…`; the last complete line written to OUT counts. It holds every
    /// secret of the session. No directory is searched.
    #[arg(long, global = true, value_name = "IN,OUT")]
    pub(crate) state_fd: Option<Numbers>,

    /// Allow sessions on a disk, where wiping does not work; warns each time
    #[arg(long, global = true)]
    pub(crate) allow_disk: bool,

    /// How long to wait while another otr holds the session
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    pub(crate) lock_wait: Duration,

    /// Report only what went wrong
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Report more details, but never a secret
    #[arg(short, long, global = true, action = ArgAction::SetTrue, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Write for programs: JSON on stdout where a command reports something, and on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Where a session lies, which commands without one do not use.
const PLACE: [&str; 6] = ["session", "dir", "state_fd", "allow_disk", "lock_wait", "verbose"];

/// For a command without a session: options of [`Common`] that its help does not show.
pub(crate) fn no_session() -> Vec<Arg> {
    unused(&PLACE)
}

/// For a command without these options of [`Common`], by the names of their fields: its help does not
/// show them.
pub(crate) fn unused(fields: &[&str]) -> Vec<Arg> {
    let common = Common::augment_args(Command::new("otr"));
    let theirs = common.get_arguments().filter(|arg| fields.contains(&arg.get_id().as_str()));
    theirs.map(|arg| arg.clone().hide(true)).collect()
}

/// The form in which packets are written.
#[derive(Args)]
pub(crate) struct Form {
    /// Write packets as bytes instead of lines of text
    #[arg(long)]
    pub(crate) raw: bool,

    /// Break lines after this many columns, at least 32 (for mail: 72)
    #[arg(long, value_name = "COLUMNS", conflicts_with = "raw", value_parser = wrap)]
    pub(crate) wrap: Option<otr::armor::Wrap>,
}

pub(crate) fn wrap(text: &str) -> Result<otr::armor::Wrap, &'static str> {
    let columns = text.parse().ok().and_then(otr::armor::Wrap::new);
    columns.ok_or("use a number of columns from 32 on")
}

/// A command for the shell. An empty one succeeds, and would take every message and lose it.
pub(crate) fn shell_command() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|line| {
        let is_blank = line.as_encoded_bytes().trim_ascii().is_empty();
        if is_blank { Err("it is empty; name a command") } else { Ok(line) }
    })
}

/// The smallest size class that holds this many bytes.
pub(crate) fn size_class(text: &str) -> Result<u8, String> {
    let bytes = units::size(text)?;
    (K_MIN..=K_MAX)
        .find(|&k| size(k) as u64 >= bytes)
        .ok_or_else(|| "the largest packet has 1M".to_owned())
}
