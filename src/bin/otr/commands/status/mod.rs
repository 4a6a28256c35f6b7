//! `otr status`: everything worth knowing about the sessions, for a person or, with `--json`, for a
//! program. It never shows a key, a token or an address.

mod report;
mod text;

use std::io::Write;
use std::sync::Arc;

use otr::store::{Name, Search, Store};
use serde_json::{Value, json};

use crate::context::{Context, now};
use crate::failure::{Code, Failure};
use crate::process;
use crate::route::RouteArgs;
use crate::ui::{printable, stdio};
use report::Report;

/// `otr status`
#[derive(clap::Args)]
#[command(after_long_help = SCHEMA)]
pub(crate) struct Args {
    /// Also ask the postbox of each session whether the other side still collects: what has
    /// happened to the packets that were posted last
    #[arg(long)]
    ask: bool,

    #[command(flatten)]
    route: RouteArgs,
}

/// The promise to programs: a new field is not a break; removing a field or changing its meaning
/// is, and raises `version`.
const SCHEMA: &str = "\
All sessions are shown, or with -s NAME on the command line that session, or with --state-fd the one
in that descriptor (nothing is written to OUT: use /dev/null). Ends with 3 if there is none.

--json writes one object:
  version        1
  sessions       an array, empty if there is none; for each session
    name           null with --state-fd
    directory      null with --state-fd; directory_base64 instead if it is not UTF-8
    stage          inviting       no reply has arrived yet
                   open
                   unconfirmed    answering side: no packet of the other side has arrived yet
                   closed         by the other side
                   ended          by three failed checks of a secret; 'otr close' tells and wipes
                   expired        nobody answered the invite by a day after it expired: this command
                                  has wiped its keys, and the next one finds no session
                   frozen         by 'otr export'; the other fields say what it was
                   damaged        the state cannot be read, see problem
                   foreign        the state has a version that this otr does not know
                   busy           another otr holds it, for longer than --lock-wait
    problem        null, or why the state could not be read; then the fields below are null
    role           inviter | responder
    authenticated  [how, …]: empty if nobody has checked who the other side is
                   secret         by a secret or a code that both sides had at the beginning
                   words          by words that were compared ('otr words --same')
                   verify         by a secret that was compared later
    verify         {\"asked\": the other side's question that waits for 'otr verify' (may be
                   empty), or null, \"waits\": whether the other side's step is awaited,
                   \"failures\": how many count, of three}
    created, age   Unix seconds, seconds
    expires        Unix seconds after which nobody answers the invite; null if it never expires,
                   and once it was answered
    postbox        URL or null
    unposted       packets that wait to be posted
    posted         null without --ask, without a postbox, or if it could not be asked; otherwise what
                   happened to the reply, until it was answered, and to the last 8 packets that were
                   posted: {\"collected\": …, \"held\": not collected yet, \"unknown\": lost, or not
                   collected in time, \"since\": Unix seconds of the oldest one held, or null}
    sent           messages that were sent
    received       messages that arrived complete
    missing        [[first, last], …]: ranges of numbers of messages that should have arrived
    skipped        packets that have not arrived, but still can
    lost           packets that can no longer be accepted
    unpublished    MAC keys: {\"waiting\": how many are still to be published, \"fell_out\": how
                   many never will be}
    in_memory      whether the directory is on a memory file system; null with --state-fd, as the
                   next two
    swap           [area, …]: where the system may write the state to
    logout_erases  whether it ends with your last logout
  machine
    lock_limit_too_small  null, or the limit in bytes (ulimit -l): keys may be written to swap";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let route = args.ask.then_some(&args.route);
    let (reports, problem) = reports(context, context.origins.was_typed("session"), route)?;
    let told = if context.json {
        format!("{}\n", printable::json(&json_of(&reports).to_string()))
    } else {
        text::page(&reports, process::lock_limit_too_small())
    };
    let written = stdio::output()?.write_all(told.as_bytes());
    written.map_err(|error| Failure::output(&error))?;
    problem.map_or(Ok(()), Err)
}

/// The object of --json, of one session or of all: without any, it says so by an empty array.
pub(super) fn object(
    context: &Context,
    one: bool,
    ask: Option<&RouteArgs>,
) -> Result<Value, Failure> {
    match reports(context, one, ask)? {
        (reports, Some(failure)) if !reports.is_empty() || one => Err(failure),
        (reports, _) => Ok(json_of(&reports)),
    }
}

fn json_of(reports: &[Report]) -> Value {
    let sessions: Vec<_> = reports.iter().map(Report::json).collect();
    let machine = json!({ "lock_limit_too_small": process::lock_limit_too_small() });
    json!({ "version": 1, "sessions": sessions, "machine": machine })
}

/// The sessions, and what was wrong, if anything; their postboxes are called by the route, if there is one.
fn reports(
    context: &Context,
    one: bool,
    ask: Option<&RouteArgs>,
) -> Result<(Vec<Report>, Option<Failure>), Failure> {
    let (mut reports, mut problem) = match gather(context, one) {
        Ok(reports) => (reports, None),
        Err(failure) if failure.code == Code::NoSession => (Vec::new(), Some(failure)),
        Err(failure) => return Err(failure),
    };
    for report in &mut reports {
        let Some(route) = ask else { break };
        if let Err(failure) = report.ask(route) {
            let name = report.name.as_deref().unwrap_or("--state-fd");
            problem = Some(Failure { what: format!("{name}: {}", failure.what).into(), ..failure });
        }
    }
    Ok((reports, problem))
}

/// The requested sessions; code 3 if there is none.
fn gather(context: &Context, one: bool) -> Result<Vec<Report>, Failure> {
    if let Some(numbers) = context.state_fd {
        return Ok(vec![report(context, &mut Store::from_descriptors(numbers)?, None)?]);
    }
    if one {
        let mut store = Store::open(&context.options, &context.name)?;
        return Ok(vec![report(context, &mut store, Some(&context.name))?]);
    }
    let search = Search::new(&context.options);
    let mut reports = Vec::new();
    for directory in search.all()?.into_iter().map(Arc::new) {
        for name in directory.sessions()? {
            let mut store = Store::in_directory(Arc::clone(&directory), &name);
            match report(context, &mut store, Some(&name)) {
                // The session ended between being listed and being examined.
                Err(failure) if failure.code == Code::NoSession => {}
                report => reports.push(report?),
            }
        }
    }
    if reports.is_empty() { Err(search.nothing().into()) } else { Ok(reports) }
}

fn report(context: &Context, store: &mut Store, name: Option<&Name>) -> Result<Report, Failure> {
    Report::of(store, name, context.lock_wait, now())
}
