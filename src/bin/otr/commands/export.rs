//! `otr export`: writes a session as one line of text. It freezes the session here first, so that
//! no key is ever used in two places.

use std::io::{self, IsTerminal, Write};

use otr::conversation::{self, Files, block_on};
use otr::protocol::authentication::password::Password;
use otr::store::line;
use otr::store::sealed::{self, SealedError};
use zeroize::Zeroizing;

use super::guide::{Guide, Step};
use super::passphrase::Passphrase;
use crate::context::Context;
use crate::failure::Failure;
use crate::ui::speak::warn;
use crate::ui::stdio;

/// `otr export`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Wipe the session here, after the import has worked
    #[arg(long, conflicts_with_all = ["undo", "Passphrase"])]
    forget: bool,

    /// Use the session here again; then the exported copy must never be used
    #[arg(long, conflicts_with = "Passphrase")]
    undo: bool,

    #[command(flatten)]
    passphrase: Passphrase,
}

const HELP: &str = "\
  otr export | ssh host otr import && otr export --forget

The line holds every secret of the session; with a passphrase it is sealed. Without one it begins
with otr1s: and is what --state-fd reads, too.
From then on the session is frozen here: every command that would use it ends with 14. The same
session is written again by another 'otr export', in case the first line got lost on its way;
import it in one place only. --forget and --undo work only on a frozen session (otherwise 14).";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut files = context.open()?;
    if args.forget {
        block_on(conversation::forget(&mut files))?;
        context.voice.say("the session is wiped here");
        return Ok(());
    }
    if args.undo {
        block_on(conversation::thaw(&mut files))?;
        warn(
            "the session is in use here again; never use the exported copy: with both in use, keys \
             would be used twice and messages lost",
        );
        return Ok(());
    }
    // Open the output before freezing anything.
    let mut out = stdio::output()?;
    // Ask first, because a person takes long to type, and may give up.
    let passphrase = args.passphrase.new_one()?;
    let line = line_of(&mut files, passphrase.as_ref())?;
    if io::stdout().is_terminal() && !args.passphrase.is_given() {
        warn(
            "anyone who sees this line can read and write in your name; rather pipe it into the \
              other machine's 'otr import', or use --ask-passphrase",
        );
    }
    let guide = Guide::new(context);
    guide.begins(Step::Session);
    out.write_all(&line).map_err(|error| Failure::output(&error))?;
    guide.ends(Step::Session);
    context
        .voice
        .say("the session is frozen here; once its import has worked: otr export --forget");
    Ok(())
}

/// Freezes the session, and returns its line, sealed with the passphrase if there is one.
pub(super) fn line_of(
    files: &mut Files,
    passphrase: Option<&Password>,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let stage = block_on(conversation::freeze(files))?;
    let thawed = stage.to_bytes(false);
    Ok(match passphrase {
        Some(passphrase) => line::encode(line::SEALED, &seal(&thawed, passphrase)?),
        None => line::encode(line::PLAIN, &thawed),
    })
}

fn seal(state: &[u8], passphrase: &Password) -> Result<Zeroizing<Vec<u8>>, Failure> {
    sealed::seal(state, passphrase).map_err(|error| match error {
        SealedError::OutOfMemory => Failure::out_of_memory(),
        _ => Failure::no_randomness(),
    })
}
