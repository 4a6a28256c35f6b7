//! `recv` from a postbox: applies the options, runs the engine, and tells the outcome.

use std::mem;
use std::time::{Duration, Instant};

use otr::conversation::{Collecting, Files, Until, block_on, pause_apart};
use otr::postbox::client::{Client, Patience};
use otr::protocol::ratchet::address_index::LOOK_AHEAD;
use otr::protocol::session::stored::Stage;
use otr::store::ErrorKind;

use super::delivery::{Delivery, Way};
use super::outcome::Outcome;
use super::{Args, keep_calls};
use crate::commands::cover::{self, Covering};
use crate::commands::stored;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process;
use crate::ui::{notices, units};

/// How often a `send` that waits for the reply checks whether a parallel `recv` has taken it.
const GLANCE: Duration = Duration::from_millis(300);

/// How long a `send` may take for that, in which nobody else receives.
const REPLYING: Duration = Duration::from_secs(40);

pub(super) fn run(
    context: &Context,
    args: &Args,
    files: Files,
    client: &Client,
) -> Result<u8, Failure> {
    let way = if args.wait.is_some() { Way::PostboxInTime } else { Way::Postbox };
    let mut delivery = Delivery::new(context, args, way)?;
    // A `send` that has just taken the reply makes its calls at moments of their own.
    let lock_wait = context.lock_wait + if client.isolates() { REPLYING } else { Duration::ZERO };
    let _receiver = files.store.lock_receiver(lock_wait)?;
    let patience = match args.wait {
        _ if args.all => Patience::Brief,
        Some(wait) => Patience::For(wait),
        None => Patience::Endless,
    };
    let until = match args.count {
        _ if args.all => Until::Empty,
        _ if args.follow => Until::Closed,
        count => Until::Messages(count.unwrap_or(1)),
    };
    let patient = client.lasting(patience).telling(notices::of_postbox(context.voice));
    cover::check(client, args.cover)?;
    let cover = args.cover.map(|cover| Covering::start(&files, context.lock_wait, client, cover));
    let cover = cover.transpose()?;
    let mut collecting = block_on(Collecting::open(files, patient, args.look_ahead, until))?;
    if cover.is_some() {
        collecting.leaves_posting();
    }
    block_on(collecting.take_up())?;
    // From here on the command may sleep for days.
    process::lock_pages();
    block_on(collecting.receive(&mut delivery, args.wait))?;
    drop(cover);
    let why = why(args, &collecting, &delivery);
    let mut outcome = Outcome::new(way, args.exec.is_some());
    outcome.counts = mem::take(&mut collecting.counts);
    let code = outcome.tell(context, collecting.session())?;
    if let Some(why) = why {
        context.voice.say(why);
    }
    keep_calls::hand_over(client);
    Ok(code)
}

/// Why it ends, where that cannot be seen: it was to go on, or to bring more.
fn why(args: &Args, collecting: &Collecting<Files>, delivery: &Delivery) -> Option<String> {
    if !args.follow && args.count.is_none() {
        None
    } else if collecting.counts.closed {
        Some("the other side has closed the session: nothing more will come".to_owned())
    } else if collecting.is_done(delivery) {
        None
    } else {
        let wait = args.wait.unwrap_or_default().as_secs();
        Some(format!("nothing more came for {}", units::age(wait)))
    }
}

/// Waits for the reply on behalf of `send`; code 14 if it does not come.
pub(crate) fn take_reply(
    context: &Context,
    mut files: Files,
    client: &Client,
    wait: Duration,
) -> Result<Files, Failure> {
    let deadline = Instant::now() + wait;
    let _receiver = loop {
        match files.store.lock_receiver(GLANCE) {
            // A parallel `recv` waits for it.
            Err(error) if error.kind() == ErrorKind::Busy => {
                if matches!(stored::take(&mut files)?.stage, Stage::Session(_)) {
                    return Ok(files);
                }
                if Instant::now() >= deadline {
                    return Err(not_answered());
                }
            }
            other => break other?,
        }
    };
    let open = Collecting::open(files, client.clone(), LOOK_AHEAD, Until::Messages(0));
    let mut collecting = block_on(open)?;
    // A parallel `recv` may have taken the reply just before.
    if let Some(session) = collecting.session() {
        context.voice.say(notices::opened(session.used_secret()));
    }
    let answered = block_on(collecting.reply(Some(deadline)))?;
    // What is sent now is not to follow the first packet, which has just gone out.
    pause_apart(client)?;
    let mut outcome = Outcome::default();
    outcome.counts = mem::take(&mut collecting.counts);
    outcome.tell_refused(context.voice);
    if answered { Ok(collecting.into_host()) } else { Err(not_answered()) }
}

fn not_answered() -> Failure {
    let what = "nobody has answered the invite yet";
    Failure::new(Code::NotReady, what, "nothing was sent: try again later")
}
