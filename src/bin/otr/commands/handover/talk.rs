//! What both ends of a handover need: the session that has no name to invent, its postbox, the lines of the
//! other side, and the end, after which nothing is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use otr::conversation::{self, Conversation, Event, Files, Until, block_on};
use otr::postbox::api::{Discard, Token};
use otr::postbox::client::{Client, Patience, Stop, Url};
use otr::protocol::session::stored::Stage;
use otr::store::{Name, RoleLock};

use super::message::{LINE, Line, Why};
use crate::commands::{code, stored, whom};
use crate::context::Context;
use crate::ending::{self, Guard};
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use crate::ui::notices;
use crate::ui::speak::warn;
use crate::worker;

/// How long the session's lock is waited for when the session ends.
const SIGNAL_WAIT: Duration = Duration::from_secs(2);
/// How long the end of a session may take, with all calls.
const LEAVING: Duration = Duration::from_secs(15);
/// How much of that the other side has to hear that it was refused, and to close.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a signal waits for the session to end by itself: somewhat longer than that may take.
const ENDING: Duration = Duration::from_secs(20);
/// How long a signal may take before a second one ends the process at once. A terminal and a program that passes
/// on what comes to it may bring the same one twice.
const PATIENCE: Duration = Duration::from_secs(1);

/// The context of the session that a code's number names at this end.
pub(super) fn session(context: &Context, end: &str, number: u32) -> Result<Context, Failure> {
    Ok(context.of(format!("{end}-{number}").parse::<Name>()?))
}

/// Refuses a session that was named, and a state in descriptors.
pub(super) fn names_itself(context: &Context, verb: &str) -> Result<(), Failure> {
    if context.origins.was_typed("session") || context.state_fd.is_some() {
        let what = format!("{verb} has a session of its own, named by the code's number");
        return Err(Failure::new(Code::Usage, what, "leave out --session and --state-fd"));
    }
    Ok(())
}

/// The way to the postbox at this URL. What is no URL is refused by who calls it.
pub(super) fn route_to(route: &RouteArgs, url: &str) -> RouteArgs {
    Url::parse(url).map_or_else(|_| route.clone(), |url| route.in_one_room(&url))
}

/// The postbox at this URL. One in the same room may be called by `http://`, without an option.
pub(super) fn postbox(context: &Context, route: &RouteArgs, url: &str) -> Result<Client, Failure> {
    let client = whom::connect(url, &route_to(route, url))?;
    Ok(client.telling(notices::of_postbox(context.voice)))
}

/// What the other side has said.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) lines: Vec<Line>,
    pub(super) closed: bool,
}

/// Waits until the other side says something, or has closed.
pub(super) fn hear(
    conversation: &mut Conversation<Files>,
    client: &Client,
    until: Until,
    wait: Option<Duration>,
) -> Result<Heard, Failure> {
    let mut heard = Heard::default();
    let mut text = Vec::new();
    let deliver = |event: Event<'_>| {
        match event {
            Event::Part { offset, end, text: part, .. } => {
                if offset == 0 {
                    text.clear();
                }
                if text.len() < LINE {
                    text.extend_from_slice(part);
                }
                if end {
                    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    // What a later version says besides is no matter of ours.
                    heard.lines.extend(Line::parse(line));
                }
            }
            Event::Closed => heard.closed = true,
            _ => {}
        }
        Ok(())
    };
    let counts = block_on(conversation.collect(client, until, wait, deliver))?;
    heard.closed |= counts.closed;
    if client.is_stopped() && heard.lines.is_empty() && !heard.closed {
        return Err(interrupted());
    }
    Ok(heard)
}

/// Says something to the other side.
pub(super) fn say(
    conversation: &mut Conversation<Files>,
    client: &Client,
    line: &Line,
) -> Result<(), Failure> {
    Ok(block_on(conversation.send(&mut client.clone(), &line.to_bytes()))?)
}

/// What there is to do besides, when the session ends.
#[derive(Clone, Copy, Default)]
pub(super) struct Last {
    /// What the other side is to be told before.
    pub(super) refusal: Option<Why>,
    /// The token under which the reply came: who has answered later is not to wait for us.
    pub(super) reply: Option<Token>,
}

/// Wipes the session; its invite, if that was not answered, and what is to be handed out.
fn wiped(files: &mut Files) -> Result<(Option<Vec<u8>>, conversation::Last), Failure> {
    let invite = match stored::take(files)?.into_snapshot().stage {
        Stage::Inviting(inviting) => Some(inviting.invite().to_vec()),
        Stage::Session(_) => None,
    };
    Ok((invite, block_on(conversation::end(files, None, false))?))
}

/// Makes these calls, but waits for them no longer than until the deadline.
fn in_time(
    deadline: Instant,
    calls: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let (tell, told) = channel();
    worker::start(move || drop(tell.send(calls())))?;
    let left = deadline.saturating_duration_since(Instant::now());
    told.recv_timeout(left).unwrap_or_else(|_| {
        Err(Failure::new(Code::Postbox, "the postbox did not answer in time", ""))
    })
}

/// Tells the other side that nothing is taken, and takes out of the postbox what it had sent and still says,
/// until it has closed; where it has said nothing yet, only what is there.
fn refuse(files: Files, client: &Client, why: Why) -> Result<(), Failure> {
    let mut conversation = Conversation::open(files);
    let is_there = block_on(conversation.status())?.authentication.secret;
    if is_there {
        say(&mut conversation, client, &Line::Refuse(why))?;
    }
    let until = if is_there { Until::Closed } else { Until::Empty };
    let collected = conversation.collect(client, until, Some(DRAIN), |_| Ok(()));
    // What is left there expires.
    drop(block_on(collected));
    Ok(())
}

/// Takes out of the postbox what lies under the reply's token: of somebody who has answered, too, and would wait
/// for as long as it lies there.
pub(super) fn turn_away(client: &Client, token: Token) -> Result<(), Failure> {
    let found = client.collect(&[token], Duration::ZERO)?;
    let records: Vec<_> =
        found.iter().map(|one| Discard::without_key(&one.token, &one.hash)).collect();
    Ok(client.discard_all(&records)?)
}

/// Takes an invite back that nobody was told of.
pub(super) fn take_back(client: &Client, number: u32, invite: &[u8]) -> Result<(), Failure> {
    let deadline = Instant::now() + LEAVING;
    let client = client.until(&Stop::default()).lasting(Patience::Until(deadline));
    let invite = invite.to_vec();
    in_time(deadline, move || code::withdraw(&client, number, &invite))
}

/// What is done once, by whichever thread.
type Action = Box<dyn FnOnce() + Send>;

/// What a signal ends, and what must not go on meanwhile.
#[derive(Clone, Default)]
pub(super) struct Ending {
    stopped: Arc<AtomicBool>,
    /// Whether the session's thread may wait for what only the signal ends, such as a person's answer.
    pub(super) waits: Arc<AtomicBool>,
    /// Whether the session has been ended by its own thread.
    left: Arc<(Mutex<bool>, Condvar)>,
    /// What ends the session where that thread does not.
    instead: Arc<Mutex<Option<Action>>>,
    /// That no other command is at work in it.
    whole: Arc<Mutex<Option<RoleLock>>>,
    /// Ends the calls that wait.
    pub(super) stop: Stop,
}

impl Ending {
    /// From now on a signal ends the calls that wait, and with them what this command does: before it is told that
    /// [all is left](Self::left), it is not over. A second signal ends it at once.
    pub(super) fn begin() -> Result<(Self, Guard), Failure> {
        let ending = Self::default();
        let ours = ending.clone();
        let guard = ending::first(move || ours.come())?;
        Ok((ending, guard))
    }

    /// Whether a signal has come.
    pub(super) fn has_come(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Refuses a session in which such a command is at work already.
    pub(super) fn alone_in(&self, files: &Files) -> Result<(), Failure> {
        let whole = files.store.lock_whole(Duration::ZERO).map_err(|error| {
            let busy = Failure::from(error);
            if busy.code != Code::Busy {
                return busy;
            }
            let what = "another otr is at work with this code";
            Failure::new(Code::Busy, what, "wait for it, or end it with Ctrl-C where it runs")
        })?;
        *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = Some(whole);
        Ok(())
    }

    /// What ends this session at a signal where its own thread does not, with what is to be cleared away.
    pub(super) fn instead(
        &self,
        files: &Files,
        client: &Client,
        number: u32,
        clean: impl FnOnce() + Send + 'static,
    ) {
        let Some(mut files) = files.another(SIGNAL_WAIT) else { return };
        let (ours, client) = (self.clone(), client.clone());
        let instead = move || {
            // The signal counts, whether the other side hears of it or not.
            drop(ours.leave(&mut files, &client, number, Last::default(), clean));
        };
        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(instead));
    }

    /// Ends the session: it is wiped here, then `clean` is called, the other side is told, and what lies in the
    /// postbox for this end is taken out, the invite under the code's number included. All of it takes no longer
    /// than [`LEAVING`], whatever the postbox does.
    pub(super) fn leave(
        &self,
        files: &mut Files,
        client: &Client,
        number: u32,
        last: Last,
        clean: impl FnOnce(),
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + LEAVING;
        let client = client.until(&Stop::default()).lasting(Patience::Until(deadline));
        if let (Some(why), Some(files)) = (last.refusal, files.another(SIGNAL_WAIT)) {
            let client = client.clone();
            // The person here learns why in any case.
            drop(in_time(deadline, move || refuse(files, &client, why)));
        }
        let ended = wiped(files);
        clean();
        self.release();
        let (invite, farewell) = ended?;
        in_time(deadline, move || {
            if let Some(token) = last.reply {
                turn_away(&client, token)?;
            }
            if let Some(invite) = invite {
                return code::withdraw(&client, number, &invite);
            }
            // Before the last packet: when the other side has that one, it may take the postbox down.
            let discarded = client.discard_all(&farewell.spent);
            client.post(&farewell.packets)?;
            Ok(discarded?)
        })
    }

    /// This command has done what it does; a signal that has come may take effect.
    pub(super) fn left(&self) {
        self.release();
        *self.left.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.left.1.notify_all();
        while self.has_come() {
            std::thread::park();
        }
    }

    fn release(&self) {
        drop(self.whole.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// What a signal does before it ends the process.
    fn come(&self) {
        self.stopped.store(true, Ordering::Release);
        self.stop.stop();
        drop(worker::start(|| {
            std::thread::sleep(PATIENCE);
            ending::at_once();
            warn("ending it at both ends; once more ends it here at once, and may leave something");
        }));
        let left = self.left.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = if self.waits.load(Ordering::Acquire) { Duration::ZERO } else { ENDING };
        let waited = self.left.1.wait_timeout_while(left, wait, |left| !*left);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        let instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(instead) = instead {
            instead();
        }
    }
}

/// What ended a wait that a signal has ended.
pub(super) fn interrupted() -> Failure {
    Failure::new(Code::Failed, "interrupted", "")
}
