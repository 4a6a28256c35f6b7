//! `otr import`: a session that was exported elsewhere goes on here.

use otr::protocol::session::stored::{Stored, StoredError};
use otr::store::line::{self, LineError};
use otr::store::sealed::{self, SealedError};
use zeroize::Zeroizing;

use super::held::create;
use super::passphrase::Passphrase;
use super::source::{is_by_hand, items_on_stdin};
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

Lines around the session's are passed over; of several sessions the last counts. Where the line is
sealed and no passphrase is given, it is asked for on the terminal. With a passphrase given, a line
that is not sealed is refused.";

const AGAIN: &str = "write it again with 'otr export', where it came from";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    // The session is looked at only afterwards, since members of a pipeline start together; but before
    // a person pastes in vain.
    let prepared = if is_by_hand() { Some(context.prepare()?) } else { None };
    let line = read_line()?;
    let state = match line.strip_prefix(line::PLAIN) {
        Some(_) if args.passphrase.is_given() => {
            let what = "this session is not sealed, although a passphrase is given";
            return Err(refused(what, "whoever handed it over can have changed it"));
        }
        Some(text) => decode(text)?,
        None => open(&line[line::SEALED.len()..], &args.passphrase)?,
    };
    let stored = Stored::from_bytes(&state).map_err(|error| match error {
        StoredError::Damaged => refused("the session is damaged", AGAIN),
        StoredError::Version(version) => refused(
            format!("the session is of version {version}, which this otr does not know"),
            "update the older otr of the two",
        ),
    })?;
    if stored.frozen {
        let what = "this is a state that export has frozen, not what it wrote";
        return Err(Failure::new(Code::NotReady, what, "use the line that 'otr export' wrote"));
    }
    let mut files = prepared.map_or_else(|| context.prepare(), Ok)?;
    create(&mut files, &stored.stage, false)?;
    context.voice.say("the session goes on here; end it where it came from: otr export --forget");
    Ok(())
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
        None => {
            Err(refused("no session in this", "it is a line that begins with otr1s: or otr1e:"))
        }
    }
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    line::decode(text).ok_or_else(|| refused("the line of the session is damaged", AGAIN))
}

fn open(text: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = decode(text)?;
    // Before anybody is asked for a passphrase in vain.
    sealed::check(&bytes).map_err(unopened)?;
    sealed::open(&bytes, &passphrase.known_one()?).map_err(unopened)
}

fn unopened(error: SealedError) -> Failure {
    match error {
        SealedError::Damaged => refused("the line of the session is damaged", AGAIN),
        SealedError::Version(version) => refused(
            format!("the session is sealed in version {version}, which this otr does not know"),
            "update the older otr of the two",
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
