//! `otr get`: takes what another person hands over with `otr put`.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otr::conversation::{Cause, Conversation, Event, Files, Until, block_on};
use otr::postbox::api::{Address, MAX_WAIT, PacketStatus};
use otr::postbox::client::{Client, Patience, Stop};

use super::message::Line;
use super::place::{Place, Refusal, check_output};
use super::taking::{Ended, Taking, Wanted, unasked};
use super::talk::{self, Ending, Last};
use crate::commands::code::{self, Spoken};
use crate::commands::{meeting, stored};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process;
use crate::route::RouteArgs;
use crate::ui::speak::warn;

/// `otr get`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The code that the other person has told; without it, it is asked for, and '-' reads it from stdin
    #[arg(value_name = "CODE")]
    code: Option<String>,

    /// Take it without asking
    #[arg(short, long)]
    yes: bool,

    /// Put it at PATH, or into PATH if that is a directory; '-' is stdout
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::AnyPath)]
    output: Option<PathBuf>,

    /// Write it to stdout, a directory as a tar stream
    #[arg(long, conflicts_with = "output")]
    to_stdout: bool,

    /// The postbox of a code that names none [default: the usual one]
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    postbox: Option<String>,

    #[command(flatten)]
    route: RouteArgs,
}

const HELP: &str = "\
  otr get 417-guitar-vanish@box.example       asks, and puts it into this directory
  otr get -o ~/Downloads                      asks for the code first
  otr get --yes --to-stdout CODE | tar x      a directory, by another tar

It says what is offered, and writes nothing before you have agreed; a short text is shown at once. The
name is the other person's, with '_' for what could do harm in it. What is there is never replaced.
stdout gets the path at which it is, or the text. If the network fails, it goes on when that is
back; if it is killed, the same command in the same directory goes on. Ctrl-C ends it at both ends; a
second one ends it here at once, and may leave something.
Exit status: 0 it is here, whole; 4 you said no, or it holds what could do harm; 13 the name is taken;
10 no room; 6 it came incomplete; 7 the other side ended it; 5 the code was wrong; 8 no such code.";

/// How long the first packet may take, once the other side has our answer: it is there already, unless the
/// network fails in this moment.
const FIRST: Duration = Duration::from_secs(20);
/// How long to wait for somebody to hand it over, before saying what that may mean.
const UNHEARD: Duration = Duration::from_secs(10);

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    talk::names_itself(context, "get")?;
    if args.code.as_deref() == Some("-") && !args.yes && !io::stderr().is_terminal() {
        return Err(unasked().failure);
    }
    if let Some(output) = args.output.as_deref().filter(|output| *output != Path::new("-")) {
        check_output(output)?;
    }
    let spoken = code::given(args.code.as_deref().unwrap_or_default())?;
    let number = spoken.code.number();
    let context = &talk::session(context, "get", number)?;
    // Before anything of ours lies in the postbox.
    let (ending, guard) = Ending::begin()?;
    let taking = got(context, args, &spoken, &ending);
    ending.left();
    drop(guard);
    taking?.report()
}

/// Takes what the code is for.
fn got(
    context: &Context,
    args: &Args,
    spoken: &Spoken,
    ending: &Ending,
) -> Result<Taking, Failure> {
    let number = spoken.code.number();
    let Met { mut files, client, alone } = met(context, args, spoken, ending)?;
    let client = client.lasting(Patience::Endless);
    process::lock_pages();
    let work = Arc::new(Mutex::new(None::<PathBuf>));
    let theirs = Arc::clone(&work);
    ending.instead(&files, &client, number, move || {
        if let Some(work) = theirs.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Place::clear(&work);
        }
    });
    let mut held = stored::take(&mut files)?;
    let session = held.session()?;
    let (of, received) = (session.identity(), session.received());
    drop(held);
    let wanted = Wanted { yes: args.yes, output: args.output.clone(), stdout: args.to_stdout };
    let taking = Taking::new(context.voice, wanted, (number, of), ending.clone(), work);
    run_to_end(context, files, &client, (number, received, alone), taking)
}

/// Takes what comes, and ends the session, unless the same command may go on with it later.
fn run_to_end(
    context: &Context,
    files: Files,
    client: &Client,
    (number, received, alone): (u32, u64, bool),
    mut taking: Taking,
) -> Result<Taking, Failure> {
    let other = files.another(context.lock_wait);
    let mut conversation = Conversation::open(files);
    let taken = await_first(context, &mut conversation, client, alone)
        .and_then(|()| taking.resume(received))
        .and_then(|()| take(&mut conversation, client, &mut taking));
    let mut last = Last::default();
    let ended = match taken {
        Err(Ended::Later(failure)) if !taking.ending.has_come() => return Err(goes_on(failure)),
        Err(Ended::Refused(Refusal { why, failure })) => {
            // The other side may take its time to hear of it.
            taking.give_up();
            last.refusal = Some(why).filter(|_| !taking.closed);
            Err(failure)
        }
        Err(Ended::Over(failure) | Ended::Later(failure)) => Err(failure),
        Ok(()) => Ok(()),
    };
    if let Some(mut files) = other {
        let ending = taking.ending.clone();
        let left = ending.leave(&mut files, client, number, last, || taking.clear());
        // Where it has failed, the session may have ended already, and this adds nothing.
        if let (Err(failure), Ok(())) = (left, &ended) {
            warn(format_args!("the other side may not know that it is here: {failure}"));
        }
    }
    ended.map(|()| taking)
}

/// What only has to be tried again, which the hint says.
fn goes_on(failure: Failure) -> Failure {
    if !matches!(failure.code, Code::Postbox | Code::Full) {
        return failure;
    }
    Failure { hint: "the same command in the same directory goes on".into(), ..failure }
}

/// Tells the other side that all is in its place. That is so, whatever the other side has to say, and a signal
/// does not make it untrue.
fn told_done(conversation: &mut Conversation<Files>, client: &Client) -> Result<(), Ended> {
    let mut told = talk::say(conversation, client, &Line::Done);
    if told.is_err() && client.is_stopped() {
        let brief = client.until(&Stop::default()).lasting(Patience::Brief);
        told = talk::say(conversation, &brief, &Line::Done);
    }
    match told {
        // It has heard of it from an earlier run.
        Err(failure) if failure.code != Code::Closed => Err(Ended::of(failure)),
        _ => Ok(()),
    }
}

/// Takes message after message until all is here.
fn take(
    conversation: &mut Conversation<Files>,
    client: &Client,
    taking: &mut Taking,
) -> Result<(), Ended> {
    let mut first = Some(FIRST);
    loop {
        // Before anything is awaited: an earlier run may have been killed before it could answer.
        if taking.is_done {
            return told_done(conversation, client);
        }
        if let Some(answer) = taking.answer() {
            talk::say(conversation, client, &answer).map_err(Ended::of)?;
        }
        let wait = first.take().filter(|_| !taking.has_begun());
        let deliver = |event: Event<'_>| taking.event(&event).map_err(Cause::from);
        let collected = block_on(conversation.collect(client, Until::Messages(1), wait, deliver));
        if let Some(refusal) = taking.refusal.take() {
            return Err(Ended::Refused(refusal));
        }
        if taking.is_done {
            continue;
        }
        if client.is_stopped() {
            return Err(Ended::Refused(Refusal::interrupted()));
        }
        let counts = match collected.map_err(Failure::from) {
            Err(failure) if wait.is_some() && failure.code == Code::Postbox => {
                // It is not known yet whether the code was right.
                first = wait;
                continue;
            }
            collected => collected.map_err(Ended::of)?,
        };
        if taking.has_to_answer() {
            continue;
        }
        if taking.closed || counts.closed {
            let what = "the other side has ended it before all was here";
            let hint = "nothing of it was kept: ask for it again";
            return Err(Ended::Over(Failure::new(Code::Closed, what, hint)));
        } else if wait.is_some() && counts.whole == 0 && !is_confirmed(conversation)? {
            return Err(Ended::Over(wrong_code()));
        } else if std::mem::take(&mut taking.was_cut) {
            warn("the other side was cut off; waiting for it to go on ('otr put --resume')");
        }
    }
}

/// Whether the other side has shown that it knows the code.
fn is_confirmed(conversation: &mut Conversation<Files>) -> Result<bool, Ended> {
    let status = block_on(conversation.status()).map_err(|error| Ended::of(error.into()))?;
    Ok(status.authentication.secret)
}

/// The session of the code, at this end.
struct Met {
    files: Files,
    client: Client,
    /// Whether nobody else has answered, as far as is known.
    alone: bool,
}

/// The session of the code: begun now, or by a run that was killed.
fn met(context: &Context, args: &Args, spoken: &Spoken, ending: &Ending) -> Result<Met, Failure> {
    let connect = |url: &str| {
        let client = talk::postbox(context, &args.route, url)?;
        Ok(client.until(&ending.stop))
    };
    let find = || meeting::find((args.postbox.as_deref(), false), spoken, connect);
    match context.prepare() {
        Err(failure) if failure.code == Code::Exists => {}
        Err(failure) => return Err(failure),
        Ok(files) => {
            ending.alone_in(&files)?;
            let found = find()?;
            return answered(files, &found, spoken, ending);
        }
    }
    // That of a run that was killed, unless another invite lies under the number by now.
    let mut files = context.open()?;
    ending.alone_in(&files)?;
    let mut held = stored::take(&mut files)?;
    let session = held.session()?;
    let (reply, records) = (session.reply().map(<[u8]>::to_vec), session.collected());
    let url = session.postbox().unwrap_or_default().to_owned();
    drop(held);
    match find() {
        Ok(found) if !records.contains(&found.fetched.record) => {
            warn("an earlier transfer by this number was not ended; it is given up");
            // The other side of that one is told, if it is there.
            let number = spoken.code.number();
            drop(ending.leave(&mut files, &connect(&url)?, number, Last::default(), || {}));
            ending.alone_in(&files)?;
            return answered(context.prepare()?, &found, spoken, ending);
        }
        Err(failure) if failure.code != Code::NothingYet => return Err(failure),
        _ => {}
    }
    context.voice.say("it goes on where an earlier 'otr get' was stopped");
    let client = connect(&url)?;
    if let Some(reply) = reply {
        meeting::post(&reply, &client).map_err(goes_on)?;
        meeting::take_away(&mut files, &client)?;
    }
    Ok(Met { files, client, alone: true })
}

/// Answers the invite; if a signal comes meanwhile, the other side is told.
fn answered(
    mut files: Files,
    found: &meeting::Found,
    spoken: &Spoken,
    ending: &Ending,
) -> Result<Met, Failure> {
    if ending.has_come() {
        return Err(talk::interrupted());
    }
    let (client, number) = (&found.client, spoken.code.number());
    ending.instead(&files, client, number, || {});
    let answered = found.reply(&mut files, spoken, false);
    if answered.is_err() && ending.has_come() {
        drop(ending.leave(&mut files, client, number, Last::default(), || {}));
    }
    answered.map_err(goes_on)?;
    let alone = found.is_there().unwrap_or(true);
    meeting::take_away(&mut files, client)?;
    Ok(Met { files, client: client.clone(), alone })
}

/// Waits until the other side has our answer, and has shown that it knows the code. Whoever does not know it
/// takes the answer, and says nothing; whoever has heard of another's answer before takes none.
fn await_first(
    context: &Context,
    conversation: &mut Conversation<Files>,
    client: &Client,
    alone: bool,
) -> Result<(), Ended> {
    let Some(address) = reply_address(context).map_err(Ended::of)? else { return Ok(()) };
    let mut waits = UNHEARD;
    loop {
        let status = client.gone(&[address], waits.min(MAX_WAIT));
        let status = status.map_err(|error| Ended::of(error.into()))?;
        if status.first() != Some(&PacketStatus::Held) || is_confirmed(conversation)? {
            return Ok(());
        }
        if client.is_stopped() {
            return Err(Ended::Refused(Refusal::interrupted()));
        }
        if !alone {
            return Err(Ended::Over(wrong_code()));
        }
        if waits == UNHEARD {
            context.voice.say("the other side is not there at the moment; waiting for it");
        }
        waits = MAX_WAIT;
    }
}

/// The address of our reply, as long as the other side has not shown that it has it.
fn reply_address(context: &Context) -> Result<Option<Address>, Failure> {
    let mut files = context.open()?;
    let mut held = stored::take(&mut files)?;
    let session = held.session()?;
    let reply = session.reply().filter(|_| !session.is_confirmed());
    Ok(reply.and_then(<[u8]>::first_chunk).copied())
}

fn wrong_code() -> Failure {
    let what =
        "the other side did not accept the code: it was wrong, or somebody else has tried it";
    Failure::new(Code::NotAuthentic, what, "ask for another code; this one is used up")
}
