//! `otr close`: tells the other side, publishes the MAC keys, wipes whatever happens.

use std::sync::Arc;
use std::time::Duration;

use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::K_MIN;
use otr::protocol::randomness::Randomness;
use otr::protocol::session::stored::Stage;
use otr::protocol::session::{Session, close_frames};
use otr::store::{Search, Store};

use super::emit::Emitter;
use super::guide::Handed;
use super::held::{load_even_frozen, tell_dropped, warn_dropped};
use super::owed;
use super::sealing::{no_number, not_sealed};
use crate::commands::whom;
use crate::context::Context;
use crate::failure::Failure;
use crate::options::Form;
use crate::postbox::client::{Client, Reach};
use crate::randomness::System;
use crate::ui::speak::warn;

/// How long a `send` that is at work may take to end first.
const GRACE: Duration = Duration::from_secs(1);

/// `otr close`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tell nobody and publish nothing: only wipe
    #[arg(long, conflicts_with = "stdout")]
    silent: bool,

    /// Wipe every session at once, telling nobody
    #[arg(long, conflicts_with_all = ["silent", "raw", "wrap", "state_fd"])]
    all: bool,

    #[command(flatten)]
    ways: Ways,
}

/// How the last packets leave.
#[derive(clap::Args)]
pub(crate) struct Ways {
    /// Write the last packets to stdout even if the session has a postbox; nobody is called
    #[arg(long)]
    stdout: bool,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    form: Form,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.all {
        return wipe_all(context);
    }
    end(context, &args.ways, args.silent)?
}

/// Ends the session, whatever happens; tells the other side unless it is to be `silent`. The outer
/// failure: it is not wiped. The inner one: it is, but not all of the rest was done.
pub(super) fn end(
    context: &Context,
    ways: &Ways,
    silent: bool,
) -> Result<Result<(), Failure>, Failure> {
    let mut store = context.open()?;
    // A terminal that cannot take the last packets does not keep the session alive.
    let emitter = Emitter::new(&ways.form).map(|out| out.guided(context.voice, Handed::Farewell));
    // What a short `send` has taken is out, or in the state; the end waits for nothing longer.
    let _sender = if silent { None } else { store.lock_sender(GRACE.min(context.lock_wait)).ok() };
    let lock = store.lock_state(context.lock_wait)?;
    let last = match load_even_frozen(&store, &lock) {
        Ok(stored) if !silent && !stored.frozen => last_packets(context, stored.stage, ways),
        Ok(stored) => {
            if let (Stage::Session(session), false) = (&stored.stage, stored.frozen) {
                warn_dropped(session.waiting().len());
            }
            Ok(Last::default())
        }
        Err(failure) => Err(failure),
    };
    // The state that holds the keys is gone before the packet that uses them is out.
    store.wipe(&lock)?;
    drop(lock);
    Ok(last.map_err(|failure| told_nobody(&failure)).and_then(|last| hand_over(&last, emitter)))
}

/// The session is wiped by now.
fn hand_over(last: &Last, emitter: Result<Emitter, Failure>) -> Result<(), Failure> {
    match &last.client {
        // Nothing to say needs no stdout.
        None if last.keys.is_empty() && last.packets.is_empty() => Ok(()),
        None => {
            let mut emitter = emitter?;
            emitter.packets(&last.keys, &last.packets)?;
            emitter.end();
            Ok(())
        }
        Some(client) => {
            let posted = client.post(&last.packets);
            // Also where that failed: what was read shows itself as read, and not as lost.
            let discarded = client.discard(&last.spent);
            posted.map_err(|failure| {
                warn_dropped(last.waiting);
                told_nobody(&failure)
            })?;
            discarded.map_err(|failure| Failure {
                what: format!("wiped, but the last MAC keys are not published: {}", failure.what)
                    .into(),
                hint: "".into(),
                ..failure
            })
        }
    }
}

/// What goes out at the end.
#[derive(Default)]
struct Last {
    keys: Vec<[u8; PUBLISHED_KEY]>,
    packets: Vec<Vec<u8>>,
    /// How many of these had been taken by earlier commands.
    waiting: usize,
    /// Where the packets go, and what is discarded there.
    client: Option<Client>,
    spent: Vec<[u8; 96]>,
}

fn last_packets(context: &Context, stage: Stage, ways: &Ways) -> Result<Last, Failure> {
    if matches!(stage, Stage::Inviting(_)) {
        return Ok(Last::default());
    }
    let client = if ways.stdout { None } else { whom::client(&stage, &ways.reach)? };
    let client = client.map(|client| client.speaking(context.voice));
    let Stage::Session(mut session) = stage else { return Ok(Last::default()) };
    let keys = session.take_published();
    // Whether they go to the postbox or, with --stdout, elsewhere.
    let mut packets = session.waiting().to_vec();
    let waiting = packets.len();
    let spent = if client.is_some() { session.collected() } else { Vec::new() };
    packets.extend(session.seal_owed(&mut System).map_err(owed::explain)?);
    packets.extend(farewell(&mut session, &mut System)?);
    Ok(Last { keys, packets, waiting, client, spent })
}

/// The packet that tells the other side, unless that one has closed.
pub(super) fn farewell(
    session: &mut Session,
    randomness: &mut dyn Randomness,
) -> Result<Option<Vec<u8>>, Failure> {
    if session.peer_closed() {
        return Ok(None);
    }
    let frames = close_frames(session.sent());
    let mut reservation = session.reserve(1, randomness).map_err(no_number)?;
    reservation.seal_frames(K_MIN, &frames, randomness).map_err(not_sealed).map(Some)
}

fn told_nobody(failure: &Failure) -> Failure {
    let what = format!("wiped, but the other side was not told: {}", failure.what);
    Failure::new(failure.code, what, "tell it in another way")
}

fn wipe_all(context: &Context) -> Result<(), Failure> {
    let mut wiped = 0;
    let mut failed = None;
    for directory in Search::new(&context.options).all()? {
        directory.forget_guesses();
        let directory = Arc::new(directory);
        for name in directory.sessions()? {
            let mut store = Store::in_directory(Arc::clone(&directory), &name);
            // Panic waits for nobody: what another process has in hand it may still write, so the
            // lock is asked for, but not for long.
            let result = store.lock_state(context.lock_wait).and_then(|lock| {
                if let Ok(loaded) = store.load(&lock) {
                    tell_dropped(&loaded.bytes);
                }
                store.wipe(&lock)
            });
            match result {
                Ok(()) => wiped += 1,
                Err(error) => {
                    warn(format_args!("session '{name}' is not wiped: {error}"));
                    failed = Some(Failure::from(error).code);
                }
            }
        }
    }
    if let Some(code) = failed {
        return Err(Failure::new(code, "not every session was wiped", "try again"));
    }
    context.voice.say(format_args!("{wiped} wiped"));
    Ok(())
}
