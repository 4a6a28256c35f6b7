//! The outcome of a run of `recv`: counted while it runs, told on stderr and by the exit code at
//! the end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use otr::conversation::{Counts, Error, Rejected};
use otr::protocol::session::Session;

use super::delivery::Way;
use crate::commands::guide::{Guide, Step};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::notices;
use crate::ui::speak::{Voice, warn};

/// How many refusals are kept with their reason before they are only counted.
const REASONS: usize = 16;

/// The outcome of the run.
#[derive(Default)]
pub(super) struct Outcome {
    /// What the engine has counted.
    pub(super) counts: Counts,
    /// Published keys in the input.
    pub(super) keys: u64,
    /// Lines that are not ours.
    pub(super) unrelated: u64,
    way: Way,
    exec: bool,
    /// Items that did not reach the engine.
    refused: u64,
    reasons: BTreeMap<Cow<'static, str>, u64>,
}

impl Outcome {
    /// Counts an item that does not reach the engine.
    pub(super) fn refuse(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.refused += 1;
        let reason = reason.into();
        if self.reasons.len() < REASONS || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// An empty outcome; with `exec`, messages are for a command.
    pub(super) fn new(way: Way, exec: bool) -> Self {
        Self { way, exec, ..Self::default() }
    }

    /// How many items were not accepted.
    fn refused(&self) -> u64 {
        self.refused + self.counts.rejected()
    }

    /// Says what was not accepted, and why.
    pub(super) fn tell_refused(&self, voice: Voice) {
        let engine = self.counts.rejected.iter().map(|(why, count)| (reason(*why), *count));
        let others = self.reasons.iter().map(|(why, count)| (&**why, *count));
        let all: BTreeMap<&str, u64> = engine.chain(others).collect();
        for (reason, count) in all {
            match count {
                1 => voice.say(format_args!("refused {reason}")),
                _ => voice.say(format_args!("refused {reason} ({count} times)")),
            }
        }
    }

    /// Tells the user the outcome; returns the exit code.
    pub(super) fn tell(self, context: &Context, session: Option<&Session>) -> Result<u8, Failure> {
        let voice = context.voice;
        self.tell_refused(voice);
        if self.unrelated > 0 {
            voice.say(format_args!("passed over {} not ours", lines(self.unrelated)));
        }
        if self.counts.left > 0 {
            warn(format_args!(
                "{} left for another run: --output takes one message",
                packets(self.counts.left)
            ));
        }
        if self.counts.lost > 0 {
            warn(format_args!("{} can no longer be accepted", packets(self.counts.lost)));
        }
        if let (Some(session), true, Way::Stdin) = (session, self.counts.replied, self.way) {
            voice.say(notices::opened(session.used_secret()));
            Guide::new(context).ends(Step::Opened);
        }
        let missing = session.map(Session::missing).unwrap_or_default();
        if !missing.is_empty() && (self.counts.packets > 0 || self.counts.closed) {
            voice.say(format_args!("not here (yet): {}", messages(&missing)));
        }
        let unconfirmed =
            session.is_some_and(|session| session.used_secret() && !session.is_confirmed());
        let is_for_answer = self.counts.whole > 0 && !self.counts.closed && !self.exec;
        let code = self.code(&missing, unconfirmed)?;
        if is_for_answer {
            Guide::new(context).ends(Step::Received);
        }
        Ok(code)
    }

    fn code(self, missing: &[(u64, u64)], unconfirmed: bool) -> Result<u8, Failure> {
        if !self.counts.truncated.is_empty() {
            let what = format!("{} ended before the end", messages(&each(&self.counts.truncated)));
            return Err(Failure::new(Code::CutShort, what, "ask the other side to send it again"));
        }
        if !self.counts.rests.is_empty() {
            let rests = messages(&each(&self.counts.rests));
            let (what, hint) = if self.exec {
                let what = format!("the rest of {rests} was passed over: it had begun before");
                (what, "ask the other side to send it again")
            } else {
                let what = format!("only the rest of {rests} is in this output");
                (what, "its beginning is where an earlier recv wrote it")
            };
            return Err(Failure::new(Code::CutShort, what, hint));
        }
        if self.counts.closed && !missing.is_empty() {
            let what = format!("the other side has closed, and {} did not come", messages(missing));
            return Err(Failure::new(
                Code::CutShort,
                what,
                "what is on its way can still be received",
            ));
        }
        if self.counts.whole > 0 {
            return Ok(0);
        }
        if self.counts.closed {
            return Err(Error::PeerClosed.into());
        }
        if self.counts.replied || self.counts.packets > 0 {
            return Ok(0);
        }
        if self.way != Way::Stdin {
            let hint = if unconfirmed { UNCONFIRMED } else { "look again later" };
            let what = match self.way {
                Way::PostboxInTime => "nothing came in the time given",
                Way::Postbox | Way::Stdin => "nothing is there",
            };
            return Err(Failure::new(Code::NothingYet, what, hint));
        }
        if self.refused() > 0 || self.unrelated > 0 {
            let hint = if unconfirmed {
                UNCONFIRMED
            } else {
                "it is damaged, was here before, or is meant for another session"
            };
            return Err(Failure::new(Code::Refused, "nothing in this was accepted", hint));
        }
        if self.keys > 0 {
            return Ok(0);
        }
        Err(Failure::new(Code::NothingYet, "stdin is empty", "give it packets or the reply"))
    }
}

/// Why something was not accepted, for a person.
pub(crate) fn reason(why: Rejected) -> &'static str {
    match why {
        Rejected::Size => "a packet of a wrong length",
        Rejected::Unexpected => {
            "a packet that is not expected: it was here before, or is of another session"
        }
        Rejected::Altered => "a packet that does not open: it was changed on its way",
        Rejected::Part => "a part of a message that was here before",
        Rejected::Twice => "a packet that came twice",
        Rejected::ReplyToResponder => "a reply: it is for the side that made the invite",
        Rejected::ReplyToAnswered => "a reply: the invite was answered already",
        Rejected::ReplyToAnother => "a reply to another invite, or a damaged one",
        Rejected::BadReply => "a reply that holds the invite's key and does not fit it",
        Rejected::SecondReply => "a second reply to this invite: somebody else has it too",
        Rejected::NoReply => "a packet that lay where the reply should",
        Rejected::Elsewhere => "a packet of a pipe: 'otr pipe' takes it",
        _ => "a packet that breaks the protocol",
    }
}

/// Groups numbers into runs.
fn each(messages: &[u64]) -> Vec<(u64, u64)> {
    messages.iter().map(|number| (*number, *number)).collect()
}

/// Why nothing may ever come to the answering side: with different secrets the two sides share no
/// keys, and this side cannot tell the other side's packets from a stranger's.
const UNCONFIRMED: &str = "the other side has not shown yet that it knows the secret: if it says that yours was wrong, \
     end this with 'otr close'";

fn lines(count: u64) -> String {
    if count == 1 { "1 line that is".to_owned() } else { format!("{count} lines that are") }
}

fn packets(count: u64) -> String {
    if count == 1 { "1 packet".to_owned() } else { format!("{count} packets") }
}

/// `message 3`, `messages 3, 5-7`.
fn messages(runs: &[(u64, u64)]) -> String {
    /// More runs than this are counted, not listed.
    const LISTED: usize = 8;
    let list: Vec<String> = runs
        .iter()
        .take(LISTED)
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    let one = matches!(runs, [run] if run.0 == run.1);
    let more = runs.len().saturating_sub(LISTED);
    let and = if more > 0 { format!(" and {more} more runs") } else { String::new() };
    format!("{} {}{and}", if one { "message" } else { "messages" }, list.join(", "))
}
