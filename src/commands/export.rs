//! `otr export`: a session leaves as one line of text, and is frozen here first, so that no key is
//! ever used in two places.

use std::io::{self, IsTerminal, Write};

use otr::protocol::authentication::password::Password;
use otr::protocol::session::stored::{Expired, Stage, Stored};
use otr::store::sealed::{self, SealedError};
use otr::store::{Store, line};
use zeroize::Zeroizing;

use super::guide::Handed;
use super::held::{nobody_answered, parse_even_frozen};
use super::passphrase::Passphrase;
use crate::context::{Context, now};
use crate::failure::{Code, Failure};
use crate::ui::speak::warn;
use crate::ui::stdio;

/// `otr export`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Wipe the session here, after the import was seen to work
    #[arg(long, conflicts_with_all = ["undo", "Passphrase"])]
    forget: bool,

    /// Use the session here again; the exported copy must never be used then
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
session is written again by another 'otr export', should the first line have been lost on its way;
import it in one place only. --forget and --undo work on a frozen session alone (else 14).";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut store = context.open()?;
    if args.forget {
        return forget(context, &mut store);
    }
    if args.undo {
        return thaw(context, &mut store);
    }
    // Before anything is frozen.
    let mut out = stdio::output()?;
    // First, for a person takes long to type, and may give up.
    let passphrase = args.passphrase.new_one()?;
    let stage = freeze(context, &mut store)?;
    let thawed = stage.to_bytes(false);
    let line = match passphrase {
        Some(passphrase) => line::encode(line::SEALED, &seal(&thawed, &passphrase)?),
        None => line::encode(line::PLAIN, &thawed),
    };
    if io::stdout().is_terminal() && !args.passphrase.is_given() {
        warn(
            "whoever sees this line can read and write in your name; rather pipe it into the \
              other machine's 'otr import', or use --ask-passphrase",
        );
    }
    Handed::Session.begins(context.voice);
    out.write_all(&line).map_err(|error| Failure::output(&error))?;
    Handed::Session.ends(context.voice);
    context
        .voice
        .say("the session is frozen here; once its import has worked: otr export --forget");
    Ok(())
}

/// Stores the session as frozen, unless it is already, and gives it.
fn freeze(context: &Context, store: &mut Store) -> Result<Stage, Failure> {
    // A `send` or `recv` at work ends first: what it has begun is still to be stored.
    let _sender = store.lock_sender(context.lock_wait)?;
    let _receiver = store.lock_receiver(context.lock_wait)?;
    let lock = store.lock_state(context.lock_wait)?;
    let mut loaded = store.load(&lock)?;
    let mut stored = parse_even_frozen(&loaded.bytes)?;
    match stored.stage.expire(now()) {
        Expired::Nothing if stored.frozen => {}
        Expired::Nothing | Expired::Numbers => {
            store.replace(&lock, &mut loaded.version, &stored.stage.to_bytes(true))?;
        }
        Expired::Invite => {
            store.wipe(&lock)?;
            return Err(nobody_answered());
        }
    }
    Ok(stored.stage)
}

fn seal(state: &[u8], passphrase: &Password) -> Result<Zeroizing<Vec<u8>>, Failure> {
    sealed::seal(state, passphrase).map_err(|error| match error {
        SealedError::OutOfMemory => Failure::out_of_memory(),
        _ => Failure::no_randomness(),
    })
}

fn forget(context: &Context, store: &mut Store) -> Result<(), Failure> {
    let lock = store.lock_state(context.lock_wait)?;
    frozen(&store.load(&lock)?.bytes)?;
    store.wipe(&lock)?;
    context.voice.say("the session is wiped here");
    Ok(())
}

fn thaw(context: &Context, store: &mut Store) -> Result<(), Failure> {
    let lock = store.lock_state(context.lock_wait)?;
    let mut loaded = store.load(&lock)?;
    let mut stored = frozen(&loaded.bytes)?;
    if stored.stage.expire(now()) == Expired::Invite {
        store.wipe(&lock)?;
        return Err(nobody_answered());
    }
    store.replace(&lock, &mut loaded.version, &stored.stage.to_bytes(false))?;
    warn(
        "the session is in use here again; never use the exported copy: with both in use, keys \
          would serve twice and messages be lost",
    );
    Ok(())
}

/// The stored state, which must be frozen: code 14.
fn frozen(bytes: &Zeroizing<Vec<u8>>) -> Result<Stored, Failure> {
    let stored = parse_even_frozen(bytes)?;
    if stored.frozen {
        return Ok(stored);
    }
    let what = "the session was not exported, or is thawed";
    Err(Failure::new(Code::NotReady, what, "nothing has changed"))
}
