//! What both ends of a handover need: the session that has no name to invent, its postbox, the lines of the
//! other side, and the end, after which nothing is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use otr::conversation::{self, Conversation, Event, Files, Until, block_on};
use otr::postbox::client::{Client, Patience, Stop, Url};
use otr::protocol::session::stored::Stage;
use otr::store::Name;

use super::message::{LINE, Line};
use crate::commands::{code, stored, whom};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::route::RouteArgs;
use crate::ui::notices;

/// How long the session's lock is waited for before a signal takes effect.
const SIGNAL_WAIT: Duration = Duration::from_secs(2);

/// How long a signal waits for the session to end by itself.
const ENDING: Duration = Duration::from_secs(15);
/// How long the other side may take to hear that it was refused, and to close.
const DRAIN: Duration = Duration::from_secs(10);

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

/// The postbox at this URL, called for as long as it takes. One in the same room may be called by
/// `http://`, which the code says.
pub(super) fn postbox(context: &Context, route: &RouteArgs, url: &str) -> Result<Client, Failure> {
    let route = Url::parse(url).map_or_else(|_| route.clone(), |url| route.in_one_room(&url));
    let client = whom::connect(url, &route)?;
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

/// Ends the session: it is wiped here, the other side is told, and what lies in the postbox for this end is
/// taken out, the invite under the code's number included.
pub(super) fn leave(files: &mut Files, client: &Client, number: u32) -> Result<(), Failure> {
    let client = client.until(&Stop::default()).lasting(Patience::Brief);
    let invite = match stored::take(files)?.into_snapshot().stage {
        Stage::Inviting(inviting) => Some(inviting.invite().to_vec()),
        Stage::Session(_) => None,
    };
    let last = block_on(conversation::end(files, None, false))?;
    if let Some(invite) = invite {
        return code::withdraw(&client, number, &invite);
    }
    // Before the last packet: when the other side has that one, it may take the postbox down.
    let discarded = client.discard(&last.spent);
    client.post(&last.packets)?;
    Ok(discarded?)
}

/// Takes out of the postbox what the other side still says, until it has closed.
pub(super) fn drain(conversation: &mut Conversation<Files>, client: &Client) {
    let client = client.until(&Stop::default()).lasting(Patience::Brief);
    let collected = conversation.collect(&client, Until::Closed, Some(DRAIN), |_| Ok(()));
    // What is left there expires.
    drop(block_on(collected));
}

/// What a signal ends, and what must not go on meanwhile.
#[derive(Clone, Default)]
pub(super) struct Ending {
    stopped: Arc<AtomicBool>,
    /// Whether the session's thread may wait for what only the signal ends, such as a person's answer.
    pub(super) waits: Arc<AtomicBool>,
    /// Whether the session has been ended by its own thread.
    left: Arc<(Mutex<bool>, Condvar)>,
    /// Ends the calls that wait.
    pub(super) stop: Stop,
}

impl Ending {
    /// Whether a signal has come.
    pub(super) fn has_come(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The session has ended, and nothing is left; a signal that has come may take effect.
    pub(super) fn left(&self) {
        *self.left.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.left.1.notify_all();
        while self.has_come() {
            std::thread::park();
        }
    }

    /// What a signal does: the calls that wait end, and with them the session; where that takes too long, it is
    /// ended here, after `clean`.
    pub(super) fn action(
        &self,
        files: &Files,
        client: &Client,
        number: u32,
        clean: impl FnOnce() + Send + 'static,
    ) -> impl FnOnce() + Send + 'static {
        let (ours, client, other) = (self.clone(), client.clone(), files.another(SIGNAL_WAIT));
        move || {
            ours.stopped.store(true, Ordering::Release);
            ours.stop.stop();
            let left = ours.left.0.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = if ours.waits.load(Ordering::Acquire) { Duration::ZERO } else { ENDING };
            let waited = ours.left.1.wait_timeout_while(left, wait, |left| !*left);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
            clean();
            if let Some(mut files) = other {
                // The signal counts, whether the other side hears of it or not.
                drop(leave(&mut files, &client, number));
            }
        }
    }
}

/// What ended a wait that a signal has ended.
pub(super) fn interrupted() -> Failure {
    Failure::new(Code::Failed, "interrupted", "")
}
