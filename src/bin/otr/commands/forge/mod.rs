//! `otr forge`: makes a recorded packet say something else, with its published MAC key and without
//! anything that only the two ends know.

mod recorded;
mod turns;

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use otr::protocol::deniability::forge::{self, ForgeError};
use otr::protocol::packet::{K_MAX, frame, size};

use super::capture;
use super::emit::Emitter;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::Form;
use crate::route::RouteArgs;
use crate::ui::speak::warn;
use recorded::{Packet, Recorded, no_key};

/// `otr forge`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The capture: files, or directories of files; without a name, or for '-', stdin
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    files: Vec<PathBuf>,

    /// What the packet said: all of its text, or the beginning
    #[arg(long, value_name = "TEXT", required_unless_present = "was_file")]
    was: Option<String>,

    /// The same, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "was", value_hint = clap::ValueHint::FilePath)]
    was_file: Option<PathBuf>,

    /// What it should say: equally long, or shorter, to be filled with spaces
    #[arg(long, value_name = "TEXT", required_unless_present = "says_file")]
    says: Option<String>,

    /// The same, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "says", value_hint = clap::ValueHint::FilePath)]
    says_file: Option<PathBuf>,

    /// Where in the packet's text that was, in bytes
    #[arg(long, value_name = "BYTE", default_value_t = 0)]
    at: usize,

    /// Which packet: its number in the capture, or its address, as 'otr inspect' shows them
    #[arg(long, value_name = "N|ADDRESS")]
    packet: Option<String>,

    /// Also take published keys from this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    keys: Option<PathBuf>,

    /// Ask the postbox at this address for published keys
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    postbox: Option<String>,

    /// Whether the packet belongs to the inviting side's first turn: yes, no or guess; no packet
    /// shows it
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        hide_possible_values = true,
        default_value = "guess"
    )]
    first_turn: FirstTurn,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    form: Form,
}

/// In the inviting side's first turn the text begins 37 bytes later.
#[derive(Clone, Copy, ValueEnum)]
enum FirstTurn {
    Guess,
    Yes,
    No,
}

const HELP: &str = "\
  otr forge --was 'Yes, I will come' --says 'No, I stay here' < capture > forged
  cat capture forged | otr inspect --keys

Anyone who has a packet, its published key and its text can do this, without any key of the session.
The forgery verifies under the same key as the original, and 'otr recv' no longer accepts either.

Nobody can see whether the packet really said TEXT: if it did not, the forgery verifies all the same
and says something that nobody chose. A message of more than a megabyte is split into packets:
rewrite each by itself; --at counts from the beginning of that packet's text. Until the other side
has answered for the first time, each packet of the inviting side has 37 more bytes before its text.
If the capture begins with the invite or the reply, its first packets are taken for such packets, up
to the first turn that the published keys between them show; --first-turn overrides this.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&args.form)?;
    let was = text(args.was.as_ref(), args.was_file.as_ref())?;
    let says = text(args.says.as_ref(), args.says_file.as_ref())?;
    let says = fitted(&was, says)?;
    let mut recorded = Recorded::default();
    for path in capture::expand(&args.files)? {
        recorded.read(capture::open(&path)?)?;
    }
    if let Some(path) = &args.keys {
        recorded.read_keys(capture::open(path)?)?;
    }
    if let Some(url) = &args.postbox {
        recorded.ask(url, &args.route)?;
    }
    let chosen = recorded.choose(args.packet.as_deref())?;
    let first_turn = match args.first_turn {
        FirstTurn::Yes => true,
        FirstTurn::No => false,
        FirstTurn::Guess => {
            context.voice.say(guessed(chosen.item, chosen.maybe_first_turn));
            chosen.maybe_first_turn
        }
    };
    let start = frame::text_start(first_turn).saturating_add(args.at);
    let key = recorded.key_of(chosen).ok_or_else(no_key)?;
    let room = forge::room(chosen.bytes.len(), first_turn);
    let forged = forge::rewrite(key, &chosen.bytes, start, &was, &says)
        .map_err(|error| explain(error, chosen, args.at, was.len(), room))?;
    emitter.packets(&[], &[forged])?;
    context.voice.say(format_args!(
        "rewritten: packet {} ({}…), bytes {} to {} of its text",
        chosen.item,
        recorded::prefix(&chosen.bytes),
        args.at,
        args.at + was.len() - 1,
    ));
    Ok(())
}

/// Reads a text from the command line or from a file.
fn text(given: Option<&String>, file: Option<&PathBuf>) -> Result<Vec<u8>, Failure> {
    match (given, file) {
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(path)) => fs::read(path).map_err(|error| {
            let what = format!("cannot read {}: {error}", path.display());
            Failure::new(Code::Failed, what, "").about(path)
        }),
        (None, None) => Ok(Vec::new()),
    }
}

/// The new text, filled with spaces to the length of the old one.
fn fitted(was: &[u8], mut says: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if was.is_empty() {
        let hint = "a forger must know what the packet said";
        return Err(Failure::new(Code::Usage, "the old text is empty", hint));
    }
    let Some(missing) = was.len().checked_sub(says.len()) else {
        let what = format!("the new text has {} bytes, the old one {}", says.len(), was.len());
        return Err(Failure::new(Code::Usage, what, "use at most as many bytes"));
    };
    if missing > 0 {
        warn(format_args!("the new text is shorter: {missing} spaces are added"));
        // Added after the text, but not on a separate line.
        let end = says.len() - usize::from(says.ends_with(b"\n") && was.ends_with(b"\n"));
        says.splice(end..end, std::iter::repeat_n(b' ', missing));
    }
    Ok(says)
}

fn guessed(item: u64, first_turn: bool) -> String {
    if first_turn {
        format!("item {item}: taken for the inviter's first turn; if not: --first-turn no")
    } else {
        format!("item {item}: taken for a later turn; if it is the first: --first-turn yes")
    }
}

fn explain(error: ForgeError, packet: &Packet, at: usize, length: usize, room: usize) -> Failure {
    match error {
        ForgeError::Outside if packet.bytes.len() < size(K_MAX) || room == 0 => {
            let what = format!("the packet has room for only {room} bytes of text");
            Failure::new(Code::Refused, what, "it said something else, or it is another packet")
        }
        // A long message: say where in it the text is.
        ForgeError::Outside if at >= room => {
            let what = format!("a packet of a long message holds {room} bytes of its text");
            let (later, there) = (at / room, at % room);
            let hint = format!(
                "byte {at} of the message is byte {there} of the packet that lies {later} after its \
                 first: choose that with --packet, and --at {there}"
            );
            Failure::new(Code::Refused, what, hint)
        }
        ForgeError::Outside => {
            let here = room.saturating_sub(at).min(length);
            let what = format!("only {here} of these {length} bytes lie in packet {}", packet.item);
            let hint = "rewrite them here, and the rest in the message's next packet with --at 0";
            Failure::new(Code::Refused, what, hint)
        }
        ForgeError::Key => no_key(),
        ForgeError::Length => Failure::new(Code::Failed, "the texts differ in length", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_texts_are_filled_before_their_newline() {
        assert_eq!(fitted(b"hello\n", b"hi\n".to_vec()).unwrap(), b"hi   \n");
        assert_eq!(fitted(b"hello", b"hi\n".to_vec()).unwrap(), b"hi\n  ");
        assert_eq!(fitted(b"hello", b"howdy".to_vec()).unwrap(), b"howdy");
        assert_eq!(fitted(b"hello", b"howdy!".to_vec()).err().map(|f| f.code), Some(Code::Usage));
        assert_eq!(fitted(b"", b"".to_vec()).err().map(|f| f.code), Some(Code::Usage));
    }
}
