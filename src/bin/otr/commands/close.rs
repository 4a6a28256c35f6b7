//! `otr close`: tells the other side, publishes the MAC keys, and wipes the session whatever
//! happens.

use std::sync::Arc;
use std::time::Duration;

use otr::conversation::{self, Files, Last, Notice, block_on, discard_last};
use otr::postbox::client::Client;
use otr::store::{Search, Store};

use super::emit::Emitter;
use super::guide::{Guide, Step};
use super::whom::connect;
use crate::context::Context;
use crate::failure::Failure;
use crate::options::Form;
use crate::route::RouteArgs;
use crate::ui::notices;
use crate::ui::speak::warn;

/// How long to wait for a running `send` to end first.
const GRACE: Duration = Duration::from_secs(1);

/// `otr close`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only wipe: tell nobody and publish nothing
    #[arg(long, conflicts_with = "stdout")]
    silent: bool,

    /// Wipe every session at once, telling nobody
    #[arg(long, conflicts_with_all = ["silent", "raw", "wrap", "state_fd"])]
    all: bool,

    #[command(flatten)]
    ways: Ways,
}

/// How to hand out the last packets.
#[derive(clap::Args)]
pub(crate) struct Ways {
    /// Write the last packets to stdout even if the session has a postbox, without calling it
    #[arg(long)]
    stdout: bool,

    /// Through Tor or a proxy, make the last calls all at once, which shows that they belong together
    #[arg(long, conflicts_with = "stdout")]
    now: bool,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    form: Form,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.all {
        return wipe_all(context);
    }
    end(context, &args.ways, args.silent)?.map_or(Ok(()), Err)
}

/// Ends the session, whatever happens; tells the other side unless `silent`. Returns why something
/// other than the wiping failed, if so.
///
/// # Errors
/// The session is not wiped.
pub(super) fn end(
    context: &Context,
    ways: &Ways,
    silent: bool,
) -> Result<Option<Failure>, Failure> {
    // A terminal that cannot take the last packets must not keep the session alive.
    let emitter = Emitter::new(&ways.form).map(|out| out.guided(context, Step::Farewell));
    let mut last = wiped(context, silent)?;
    let told = match last.fault.take() {
        Some(fault) => Err(told_nobody(&fault.into())),
        None => hand_over(context, &last, ways, emitter),
    };
    Ok(told.err())
}

/// Wipes the session, whatever happens; returns what tells the other side, unless `silent`.
fn wiped(context: &Context, silent: bool) -> Result<Last, Failure> {
    let mut files = context.open()?;
    // By then a short `send` has handed out its packet or stored it; do not wait for anything
    // longer.
    let grace = GRACE.min(context.lock_wait);
    let _sender = if silent { None } else { files.store.lock_sender(grace).ok() };
    Ok(block_on(conversation::end(&mut files, None, silent))?)
}

/// The same, for a program, which learns why there is nothing to tell, if so.
pub(super) fn wipe(context: &Context, silent: bool) -> Result<Last, Failure> {
    let mut last = wiped(context, silent)?;
    match last.fault.take() {
        Some(fault) => Err(told_nobody(&fault.into())),
        None => Ok(last),
    }
}

/// Posts the last packets.
pub(super) fn post(client: Result<Client, Failure>, last: &Last, now: bool) -> Result<(), Failure> {
    let client = client.map_err(|failure| told_nobody(&failure))?;
    client.know(&last.elsewhere);
    let posted = client.post(&last.packets);
    // Discard even if posting failed, so that packets that were read do not appear lost.
    let discarded = if now {
        client.discard_all(&last.spent).map_err(Failure::from)
    } else {
        discard_last(&client, &last.spent).map_err(Failure::from)
    };
    posted.map_err(|error| {
        if last.waiting > 0 {
            notices::tell(&Notice::Dropped(last.waiting));
        }
        told_nobody(&error.into())
    })?;
    discarded.map_err(|error| Failure {
        what: format!("wiped, but the last MAC keys are not published: {}", error.what).into(),
        hint: "".into(),
        ..error
    })
}

/// Hands out the last packets; the session is wiped by now.
fn hand_over(
    context: &Context,
    last: &Last,
    ways: &Ways,
    emitter: Result<Emitter, Failure>,
) -> Result<(), Failure> {
    let postbox = last.postbox.as_deref().filter(|_| !ways.stdout);
    let client = postbox.map(|url| connect(url, &ways.route));
    match client {
        // Without anything to write there is no need for stdout.
        None if last.keys.is_empty() && last.packets.is_empty() => {
            Guide::new(context).ends(Step::Wiped);
            Ok(())
        }
        None => {
            let mut emitter = emitter?;
            emitter.packets(&last.keys, &last.packets)?;
            emitter.end();
            Ok(())
        }
        Some(client) => {
            let told = client.map(|client| client.telling(notices::of_postbox(context.voice)));
            post(told, last, ways.now)?;
            Guide::new(context).ends(Step::FarewellPosted);
            Ok(())
        }
    }
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
            let store = Store::in_directory(Arc::clone(&directory), &name);
            let mut files = Files::new(store, context.lock_wait, notices::of_engine(context.voice));
            // An emergency cannot wait. Another process may still write what it has in memory, so
            // try to get the lock, but not for long.
            let result = block_on(conversation::end(&mut files, None, true));
            match result {
                Ok(_) => wiped += 1,
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
