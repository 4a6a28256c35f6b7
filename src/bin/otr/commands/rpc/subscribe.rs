//! A subscription: a thread that takes what comes for a session, and gives it to the client.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use otr::conversation::{Collecting, Cover, Error, Files, Until, block_on};
use otr::postbox::client::{self, Patience};
use otr::protocol::ratchet::address_index::LOOK_AHEAD;
use otr::store::RoleLock;
use serde_json::json;

use super::answer::Answer;
use super::call::{Call, wrong};
use super::client::Client;
use super::delivery::Delivery;
use super::envelope;
use super::ledger::Ledger;
use crate::commands::cover::Covering;
use crate::commands::{stored, whom};
use crate::failure::{Code, Failure};
use crate::process;
use crate::worker;

/// How many parts may be given before one is acknowledged, unless the call says so.
const CREDIT: usize = 16;

/// How long the call of a postbox that is away may keep a subscription that ends.
const LONGEST_END: Duration = Duration::from_mins(1);

/// What the thread begins with.
struct Ready {
    collecting: Collecting<Files>,
    /// Ends before the session is free for another receiver.
    _cover: Option<Covering>,
    _receiver: RoleLock,
}

/// Begins one. The answer is given before anything else is told of it.
pub(super) fn subscribe(call: &Call, answer: Answer) {
    let until = match call.params.text("until") {
        None | Some("closed") => match call.params.number("count") {
            Some(count) => Until::Messages(count),
            None => Until::Closed,
        },
        Some("empty") => Until::Empty,
        Some(_) => {
            let what = "'until' is \"closed\" or \"empty\"";
            return answer
                .give(Err(wrong(what, "leave it out to go on until the other side closes")));
        }
    };
    let chosen = directory(call).and_then(|files| Ok((files, cover_of(call, until)?)));
    let (files, cover) = match chosen {
        Ok(chosen) => chosen,
        Err(failure) => return answer.give(Err(failure)),
    };
    let (number, ledger) = delivery(call);
    let done = ready(call, number, &ledger, (until, cover))
        .and_then(|ready| start(call, number, &ledger, (ready, files)));
    match done {
        Ok(go) => {
            answer.give(Ok(json!({ "subscription": number })));
            drop(go);
        }
        Err(failure) => {
            call.client.delivered(number, ended);
            answer.give(Err(failure));
        }
    }
}

/// Begins the delivery that a call asks for.
pub(super) fn delivery(call: &Call) -> (u64, Arc<Ledger>) {
    let credit = call.params.number("credit").and_then(|credit| usize::try_from(credit).ok());
    let (name, tag) = (&call.context.name, call.params.text("tag"));
    call.client.deliver(name, credit.unwrap_or(CREDIT), tag)
}

/// Where messages of more than one part go, if the call says so.
pub(super) fn directory(call: &Call) -> Result<Option<PathBuf>, Failure> {
    let Some(named) = call.params.text("files") else { return Ok(None) };
    let path = std::path::absolute(named).ok().filter(|path| path.is_dir());
    let what = || wrong(format!("'files' is no directory: {named}"), "make it first");
    path.ok_or_else(what).map(Some)
}

/// The cover that the call asks for.
fn cover_of(call: &Call, until: Until) -> Result<Option<Cover>, Failure> {
    let constant = call.params.is_set("constant");
    match call.seconds("cover") {
        Some(_) if until != Until::Closed => {
            let hint = "leave 'count' and 'until' out";
            Err(wrong("'cover' is for a subscription that lasts until the other side closes", hint))
        }
        Some(time) if constant => Ok(Some(Cover::Constant(time))),
        Some(time) => Ok(Some(Cover::Mean(time))),
        None if constant => Err(wrong("'constant' says how 'cover' goes", "give 'cover', too")),
        None => Ok(None),
    }
}

/// Starts the thread, which goes on when what this returns is dropped.
fn start(
    call: &Call,
    number: u64,
    ledger: &Arc<Ledger>,
    (ready, files): (Ready, Option<PathBuf>),
) -> Result<Sender<()>, Failure> {
    let wait = call.seconds("wait");
    let (client, ledger) = (Arc::clone(&call.client), Arc::clone(ledger));
    let (go, answered) = channel::<()>();
    worker::start(move || {
        // The answer comes first.
        let _ = answered.recv();
        let delivery = Delivery::new(&client, number, &ledger).into_files(files);
        run(&client, (number, &ledger), delivery, ready, wait);
    })?;
    Ok(go)
}

/// The session, whose one receiver this is from now on.
fn ready(
    call: &Call,
    number: u64,
    ledger: &Arc<Ledger>,
    (until, cover): (Until, Option<Cover>),
) -> Result<Ready, Failure> {
    let mut files = call.context.open()?;
    let stage = stored::take(&mut files)?.into_snapshot().stage;
    let Some(url) = whom::postbox_of_stage(&stage) else {
        let hint = "give its packets to the method 'receive'";
        return Err(Failure::new(Code::NotReady, "the session has no postbox", hint));
    };
    let client = call.rpc.postbox(&url)?.until(&ledger.stop).lasting(Patience::Endless);
    let client = client.telling(listener(&call.client, number, ledger));
    if cover.is_some() && !client.isolates() {
        let hint =
            "without --tor or --proxy for 'otr rpc' the postbox sees who calls: leave it out";
        return Err(wrong("'cover' would hide nothing", hint));
    }
    let receiver = files.store.lock_receiver(call.context.lock_wait)?;
    let begin = |cover| Covering::start(&files, call.context.lock_wait, &client, cover);
    let cover = cover.map(begin).transpose()?;
    let mut collecting = block_on(Collecting::open(files, client, LOOK_AHEAD, until))?;
    if cover.is_some() {
        collecting.leaves_posting();
    }
    Ok(Ready { collecting, _cover: cover, _receiver: receiver })
}

/// Tells the client when the postbox is away, and back.
fn listener(client: &Arc<Client>, number: u64, ledger: &Arc<Ledger>) -> client::Listener {
    let (client, ledger) = (Arc::clone(client), Arc::clone(ledger));
    Arc::new(move |notice| {
        let delivery = Delivery::new(&client, number, &ledger);
        match notice {
            client::Notice::Unreachable(error) => {
                delivery.event("postbox_away", json!({ "why": error.to_string() }));
            }
            client::Notice::Back(_) => delivery.event("postbox_back", json!({})),
            _ => {}
        }
    })
}

fn run(
    client: &Arc<Client>,
    (number, ledger): (u64, &Arc<Ledger>),
    mut delivery: Delivery,
    ready: Ready,
    wait: Option<Duration>,
) {
    let told = follow(&mut delivery, ready, ledger, wait);
    let mut params = match told {
        Ok(reason) => json!({ "reason": reason }),
        Err(_) if ledger.stop.is_asked() => json!({ "reason": "stopped" }),
        Err(failure) => json!({ "reason": "failed", "error": envelope::error(&failure) }),
    };
    ledger.name(&mut params, number);
    // Before those who wait for the end go on.
    client.out.tell("ended", &params);
    client.delivered(number, ended);
}

/// Takes what comes, until the end; says which.
fn follow(
    delivery: &mut Delivery,
    mut ready: Ready,
    ledger: &Ledger,
    wait: Option<Duration>,
) -> Result<&'static str, Failure> {
    let collecting = &mut ready.collecting;
    if collecting.session().is_none() {
        let deadline = wait.map(|wait| Instant::now() + wait);
        if !block_on(collecting.reply(deadline))? {
            return if ledger.stop.is_asked() { Ok("stopped") } else { Err(Error::NoReply.into()) };
        }
        delivery.event("opened", json!({}));
    }
    block_on(collecting.take_up())?;
    // From here on it may wait for days.
    process::lock_pages();
    block_on(collecting.receive(delivery, wait))?;
    Ok(if ledger.stop.is_asked() {
        "stopped"
    } else if collecting.counts.closed {
        "closed"
    } else if collecting.is_done(delivery) {
        "enough"
    } else {
        "nothing_more"
    })
}

/// Why an acknowledgement was not stored.
pub(super) fn ended() -> Failure {
    let hint = "the message comes again to the next subscription";
    Failure::new(Code::Refused, "the subscription has ended before this was stored", hint)
}

/// Acknowledges a part of a message.
pub(super) fn acknowledge(call: &Call, answer: Answer) {
    let number = |name| call.params.number(name).unwrap_or_default();
    match call.client.delivery(number("subscription")) {
        Some(ledger) => ledger.takes(number("message"), number("offset"), answer),
        None => answer.give(Err(none())),
    }
}

/// Ends a subscription, and waits until its session is free for others.
pub(super) fn unsubscribe(call: &Call) -> super::call::Done {
    let number = call.params.number("subscription").unwrap_or_default();
    let ledger = call.client.delivery(number).ok_or_else(none)?;
    ledger.stop();
    if ledger.is_over(LONGEST_END) {
        return Ok(json!({}));
    }
    let hint = "it ends by itself when its call of the postbox does";
    Err(Failure::new(Code::Busy, "the subscription has not ended yet", hint))
}

fn none() -> Failure {
    Failure::new(Code::Refused, "there is no such subscription", "it may have ended")
}
