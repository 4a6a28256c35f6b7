//! `otr import`: continues here a session that was exported elsewhere.

use otr::protocol::authentication::password::Password;
use otr::protocol::session::stored::{Stage, Stored, StoredError};
use otr::store::line::{self, LineError};
use otr::store::sealed::{self, SealedError};
use zeroize::Zeroizing;

use super::passphrase::Passphrase;
use super::source::{is_by_hand, items_on_stdin};
use super::stored::create;
use crate::context::Context;
use crate::failure::{Code, Failure};

/// `otr import`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    passphrase: Passphrase,
}

const HELP: &str = "\
  otr export | ssh host otr import && otr export --forget

Lines around the session's are skipped; of several sessions the last counts. If the line is
sealed and no passphrase is given, it is asked for on the terminal. With a passphrase, a line
that is not sealed is refused.";

const AGAIN: &str = "write it again with 'otr export', where it came from";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    // Open the store only after reading, because the members of a pipeline start together, but
    // before a person pastes for nothing.
    let prepared = if is_by_hand() { Some(context.prepare()?) } else { None };
    let line = read_line()?;
    let state = match line.strip_prefix(line::PLAIN) {
        Some(_) if args.passphrase.is_given() => return Err(not_sealed()),
        Some(text) => decode(text)?,
        None => open(&line[line::SEALED.len()..], || args.passphrase.known_one())?,
    };
    let found = stage_of(&state)?;
    let mut files = prepared.map_or_else(|| context.prepare(), Ok)?;
    create(&mut files, &found, false)?;
    context.voice.say("the session continues here; end it where it came from: otr export --forget");
    Ok(())
}

/// The same for a program, which gives the line and its passphrase.
pub(super) fn continue_here(
    context: &Context,
    line: &[u8],
    passphrase: Option<Password>,
) -> Result<(), Failure> {
    let state = match (line.strip_prefix(line::PLAIN), line.strip_prefix(line::SEALED)) {
        (Some(_), _) if passphrase.is_some() => return Err(not_sealed()),
        (Some(text), _) => decode(text)?,
        (None, Some(text)) => open(text, || {
            let missing =
                || Failure::new(Code::Usage, "the session is sealed", "give its passphrase");
            passphrase.ok_or_else(missing)
        })?,
        (None, None) => {
            return Err(refused(
                "this is no session",
                "it is a line that begins with otr1s: or otr1e:",
            ));
        }
    };
    create(&mut context.prepare()?, &stage_of(&state)?, false)
}

fn not_sealed() -> Failure {
    let what = "this session is not sealed, but a passphrase was given";
    refused(what, "somebody may have changed it on its way")
}

/// The session in an exported state.
fn stage_of(state: &[u8]) -> Result<Stage, Failure> {
    let stored = Stored::from_bytes(state).map_err(|error| match error {
        StoredError::Damaged => refused("the session is damaged", AGAIN),
        StoredError::Version(version) => refused(
            format!("the session has version {version}, which this otr does not know"),
            "update the older of the two otr programs",
        ),
    })?;
    if stored.frozen {
        let what = "this is the state that export has frozen, not the line that it wrote";
        return Err(Failure::new(Code::NotReady, what, "use the line that 'otr export' wrote"));
    }
    Ok(stored.stage)
}

/// The last line on stdin that holds a session.
fn read_line() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut input = items_on_stdin()?;
    let (mut last, mut empty) = (None, true);
    let read = line::read(&mut input, |mut line, _| {
        empty = false;
        if line.ends_with(b"\r") {
            line.pop();
        }
        if [line::PLAIN, line::SEALED].iter().any(|mark| line.starts_with(mark)) {
            last = Some(line);
        }
    });
    read.map_err(|error| match error {
        LineError::Input(error) => Failure::input(&error),
        LineError::TooLong => refused("a line is longer than any session", AGAIN),
    })?;
    match last {
        Some(line) => Ok(line),
        None if empty => Err(Failure::new(
            Code::NothingYet,
            "stdin is empty",
            "otr export | ssh host otr import",
        )),
        None => Err(refused(
            "there is no session in the input",
            "a session is a line that begins with otr1s: or otr1e:",
        )),
    }
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    line::decode(text).ok_or_else(|| refused("the line of the session is damaged", AGAIN))
}

fn open(
    text: &[u8],
    passphrase: impl FnOnce() -> Result<Password, Failure>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = decode(text)?;
    // Check this before asking anybody for a passphrase for nothing.
    sealed::check(&bytes).map_err(unopened)?;
    sealed::open(&bytes, &passphrase()?).map_err(unopened)
}

fn unopened(error: SealedError) -> Failure {
    match error {
        SealedError::Damaged => refused("the line of the session is damaged", AGAIN),
        SealedError::Version(version) => refused(
            format!("the session is sealed in version {version}, which this otr does not know"),
            "update the older of the two otr programs",
        ),
        SealedError::WrongPassphrase => refused(
            "the passphrase is wrong, or the line is damaged",
            "nothing was imported; try again",
        ),
        SealedError::NoRandomness => Failure::no_randomness(),
        SealedError::OutOfMemory => Failure::out_of_memory(),
    }
}

fn refused(what: impl Into<std::borrow::Cow<'static, str>>, hint: &'static str) -> Failure {
    Failure::new(Code::Refused, what, hint)
}
