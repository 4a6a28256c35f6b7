//! What a run of `recv` brought: counted while it goes, told on stderr and as the exit code at the
//! end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use otr::protocol::session::Session;

use crate::commands::authenticated;
use crate::commands::held::peer_has_closed;
use crate::failure::{Code, Failure};
use crate::ui::speak::{Voice, warn};

/// How many different reasons for refusing are told apart before they are only counted.
const REASONS: usize = 16;

/// Where packets come from.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Stdin,
    Postbox,
    /// A postbox at which they are waited for, and no longer than was asked for.
    PostboxInTime,
}

/// The counts.
#[derive(Default)]
pub(super) struct Outcome {
    /// Messages that came out whole.
    pub(super) whole: u64,
    /// Packets that were accepted.
    pub(super) packets: u64,
    /// Messages that were given up.
    pub(super) cut: Vec<u64>,
    /// Messages of which only the rest came out, since an earlier run was ended in the middle.
    rests: Vec<u64>,
    /// Packets that can no longer be accepted.
    pub(super) lost: u64,
    /// Whether the reply to the invite was accepted.
    pub(super) replied: bool,
    /// Whether the peer's CLOSE came.
    pub(super) closed: bool,
    /// Published keys in the input.
    pub(super) keys: u64,
    /// Lines that are not ours.
    pub(super) foreign: u64,
    /// Where packets come from.
    way: Way,
    /// Packets that were not looked at, since the one message is whole.
    pub(super) left: u64,
    /// Packets under addresses where nothing is expected; among those refused.
    pub(super) unexpected: u64,
    refused: u64,
    reasons: BTreeMap<Cow<'static, str>, u64>,
}

impl Outcome {
    /// Counts an item that was not accepted.
    pub(super) fn refuse(&mut self, reason: impl Into<Cow<'static, str>>) {
        self.refused += 1;
        let reason = reason.into();
        if self.reasons.len() < REASONS || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// A message goes on whose beginning an earlier run has written.
    pub(super) fn rest(&mut self, message: u64) {
        warn(format_args!("message {message} goes on where an earlier recv was ended"));
        self.rests.push(message);
    }

    /// Nothing yet, of what is waited for at a postbox, for some time only where that is `timed`.
    pub(super) fn of_postbox(timed: bool) -> Self {
        let way = if timed { Way::PostboxInTime } else { Way::Postbox };
        Self { way, ..Self::default() }
    }

    /// How many items were not accepted.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Says what was not accepted, and why.
    pub(super) fn tell_refused(&self, voice: Voice) {
        for (reason, count) in &self.reasons {
            match count {
                1 => voice.say(format_args!("refused {reason}")),
                _ => voice.say(format_args!("refused {reason} ({count} times)")),
            }
        }
    }

    /// Says what there is to say; the exit code.
    pub(super) fn tell(self, voice: Voice, session: Option<&Session>) -> Result<u8, Failure> {
        self.tell_refused(voice);
        if self.foreign > 0 {
            voice.say(format_args!("passed over {} not ours", lines(self.foreign)));
        }
        if self.left > 0 {
            warn(format_args!(
                "{} left for another run: --output takes one message",
                packets(self.left)
            ));
        }
        if self.lost > 0 {
            warn(format_args!("{} can no longer be accepted", packets(self.lost)));
        }
        if let (Some(session), true, Way::Stdin) = (session, self.replied, self.way) {
            voice.say(authenticated::opened(session));
        }
        let missing = session.map(Session::missing).unwrap_or_default();
        if !missing.is_empty() && (self.packets > 0 || self.closed) {
            voice.say(format_args!("not here (yet): {}", messages(&missing)));
        }
        let unconfirmed =
            session.is_some_and(|session| session.used_secret() && !session.is_confirmed());
        self.code(&missing, unconfirmed)
    }

    fn code(self, missing: &[(u64, u64)], unconfirmed: bool) -> Result<u8, Failure> {
        if !self.cut.is_empty() {
            let what = format!("{} ended before the end", messages(&each(&self.cut)));
            return Err(Failure::new(Code::CutShort, what, "ask the other side to send it again"));
        }
        if !self.rests.is_empty() {
            let what =
                format!("only the rest of {} is in this output", messages(&each(&self.rests)));
            let hint = "its beginning is where an earlier recv wrote it";
            return Err(Failure::new(Code::CutShort, what, hint));
        }
        if self.closed && !missing.is_empty() {
            let what = format!("the other side has closed, and {} did not come", messages(missing));
            return Err(Failure::new(
                Code::CutShort,
                what,
                "what is on its way can still be received",
            ));
        }
        if self.whole > 0 {
            return Ok(0);
        }
        if self.closed {
            return Err(peer_has_closed());
        }
        if self.replied || self.packets > 0 {
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
        if self.refused > 0 || self.foreign > 0 {
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

/// As runs.
fn each(messages: &[u64]) -> Vec<(u64, u64)> {
    messages.iter().map(|number| (*number, *number)).collect()
}

/// Why nothing may ever come to the answering side: with another secret the two have no keys in
/// common, and nothing that the other side says can be told from anybody's words.
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
