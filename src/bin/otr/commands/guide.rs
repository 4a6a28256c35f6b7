//! What now: after each step at a terminal one line that says what it was, to whom it goes, and what to
//! type next. All of these lines are here, so that they agree. In a pipe, none of this appears.

use crate::context::Context;
use crate::ui::speak::Voice;

/// A step of a conversation, after which somebody has to do something.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Invite,
    /// An invite whose reply goes to a postbox.
    InviteToPostbox,
    Code,
    /// A code for `otr get`, for which this command waits.
    CodeToGet,
    /// The same, where the postbox is called by `http://` through more than one room.
    CodeToGetOpenly,
    Reply,
    /// A reply after which this side must wait for the other side's first packet.
    ReplyWithSecret,
    /// A reply that lies in a postbox.
    ReplyPosted,
    /// The reply has come.
    Opened,
    Message,
    /// A message that lies in a postbox.
    Posted,
    /// A message that waits in the session.
    Waits,
    /// A message was read.
    Received,
    Words,
    Question,
    Answer,
    Check,
    Farewell,
    /// The session is gone, and the other side finds that in the postbox.
    FarewellPosted,
    /// The session is gone, and the other side does not learn it.
    Wiped,
    Session,
    Tokens,
    Spent,
}

impl Step {
    /// What was written to stdout for somebody else, if anything.
    fn output(self) -> Option<&'static str> {
        Some(match self {
            Self::Invite | Self::InviteToPostbox => "the invite",
            Self::Code | Self::CodeToGet | Self::CodeToGetOpenly => "the code",
            Self::Reply | Self::ReplyWithSecret => "the reply",
            Self::Message => "the message",
            Self::Question => "the question",
            Self::Answer => "the answer",
            Self::Check => "a step of the check",
            Self::Farewell => "the farewell",
            Self::Session => "the session",
            Self::Tokens => "the list of tokens",
            Self::Spent => "the list of what to discard",
            Self::ReplyPosted
            | Self::Opened
            | Self::Posted
            | Self::Waits
            | Self::Received
            | Self::Words
            | Self::FarewellPosted
            | Self::Wiped => return None,
        })
    }

    /// What to do now; `otr` is what this person types to mean this session.
    fn next(self, otr: &str) -> String {
        match self {
            Self::Invite => format!(
                "give it to the other person, who answers with 'otr respond'; then give their reply to \
                 '{otr} recv'"
            ),
            Self::InviteToPostbox => format!(
                "give it to the other person, who answers with 'otr respond'; then '{otr} send' and \
                 '{otr} recv' find the reply in the postbox"
            ),
            Self::Code => format!(
                "tell it to the other person, and to nobody else: it works once, with 'otr respond \
                 --code'; then '{otr} send' and '{otr} recv' find the reply in the postbox"
            ),
            Self::CodeToGet => {
                "tell it to the other person, and to nobody else: they type 'otr get' and the code, once; \
                 this command waits for that"
                    .to_owned()
            }
            Self::CodeToGetOpenly => {
                "tell it to the other person, and to nobody else: they type 'otr get --plain-http' and the \
                 code, once; this command waits for that"
                    .to_owned()
            }
            Self::Reply => format!(
                "give it to the person who made the invite, for 'otr recv'; then both of you can write, \
                 here with '{otr} send'"
            ),
            Self::ReplyWithSecret => format!(
                "give it to the person who made the invite, for 'otr recv'; you can write when your own \
                 '{otr} recv' has taken a first packet of theirs"
            ),
            Self::ReplyPosted => format!(
                "the reply is in the postbox; '{otr} recv' waits for what the other side says"
            ),
            Self::Opened => format!(
                "now '{otr} send' writes to the other person, and '{otr} words' checks who that is"
            ),
            Self::Message => format!(
                "give it to the other person, who reads it with 'otr recv'; what comes back is for \
                 '{otr} recv' here"
            ),
            Self::Posted => format!(
                "the message is in the postbox for the other person, who reads it with 'otr recv'; \
                 '{otr} recv' waits for the answer"
            ),
            Self::Waits => format!(
                "the message waits in the session: the next '{otr} send' or '{otr} recv' posts it"
            ),
            Self::Received => {
                format!("that was for you; '{otr} send' answers the person who wrote it")
            }
            Self::Words => format!(
                "read them to each other where you know the voice; then '{otr} words --same', or \
                 --differ if the other person has others"
            ),
            Self::Question => format!(
                "give it to the other person, for 'otr recv'; what comes back is for '{otr} recv' here"
            ),
            Self::Answer | Self::Check | Self::Farewell => {
                "give it to the other person, for 'otr recv'".to_owned()
            }
            Self::FarewellPosted => {
                "nothing is left of the session here; the other person's next 'otr recv' says so"
                    .to_owned()
            }
            Self::Wiped => {
                "nothing is left of the session here, and the other person was not told".to_owned()
            }
            Self::Session => {
                "give it to 'otr import' on the other machine, and to nobody else".to_owned()
            }
            Self::Tokens => format!(
                "post it to the postbox, at /v1/collect, and give the answer to '{otr} recv --stdin'"
            ),
            Self::Spent => "post it to the postbox, at /v1/discard".to_owned(),
        }
    }
}

/// Says what now.
#[derive(Clone)]
pub(super) struct Guide {
    voice: Voice,
    otr: String,
}

impl Guide {
    pub(super) fn new(context: &Context) -> Self {
        let otr = if context.origins.was_typed("session") {
            format!("otr -s {}", context.name)
        } else {
            "otr".to_owned()
        };
        Self { voice: context.voice, otr }
    }

    /// What follows on the screen is the output of this step.
    pub(super) fn begins(&self, step: Step) {
        if let Some(output) = step.output() {
            self.voice.announce(format_args!("what follows is {output}"));
        }
    }

    /// The step is done, and its output is written.
    pub(super) fn ends(&self, step: Step) {
        let next = step.next(&self.otr);
        match step.output() {
            Some(output) => self.voice.guide(format_args!("that was {output}: {next}")),
            None => self.voice.guide(next),
        }
    }
}
