//! Guides a person at a terminal when a command prints something for somebody else: where it begins
//! and ends, to whom it goes, and what to type next. In a pipe, none of this appears.

use crate::ui::speak::Voice;

/// What a command hands over.
#[derive(Clone, Copy)]
pub(super) enum Handed {
    Invite,
    /// An invite whose reply goes to a postbox.
    InviteToPostbox,
    Code,
    Reply,
    /// A reply after which this side must wait for the other side's first packet.
    ReplyWithSecret,
    Message,
    Question,
    Answer,
    Step,
    Farewell,
    Session,
    Tokens,
    Spent,
}

impl Handed {
    /// Its name, and what to do with it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Invite => (
                "the invite",
                "give it to the other person, who answers with 'otr respond'; then give their reply \
                 to 'otr recv'",
            ),
            Self::InviteToPostbox => (
                "the invite",
                "give it to the other person, who answers with 'otr respond'; then 'otr send' and \
                 'otr recv' find the reply in the postbox",
            ),
            Self::Code => (
                "the code",
                "tell it to the other person, and to nobody else: it works once, with 'otr respond \
                 --code'; then 'otr send' and 'otr recv' find the reply in the postbox",
            ),
            Self::Reply => (
                "the reply",
                "give it to the person who made the invite, for 'otr recv'; then both of you can write, \
                 with 'otr send'",
            ),
            Self::ReplyWithSecret => (
                "the reply",
                "give it to the person who made the invite, for 'otr recv'; you can write when your own \
                 'otr recv' has taken a first packet of theirs",
            ),
            Self::Message => {
                ("the message", "give it to the other person, who reads it with 'otr recv'")
            }
            Self::Question => (
                "the question",
                "give it to the other person, for 'otr recv'; what comes back is for 'otr recv' here",
            ),
            Self::Answer => ("the answer", FOR_RECV),
            Self::Step => ("a step of the check", FOR_RECV),
            Self::Farewell => ("the farewell", FOR_RECV),
            Self::Session => {
                ("the session", "give it to 'otr import' on the other machine, and to nobody else")
            }
            Self::Tokens => (
                "the list of tokens",
                "post it to the postbox, at /v1/collect, and give the answer to 'otr recv --stdin'",
            ),
            Self::Spent => {
                ("the list of what to discard", "post it to the postbox, at /v1/discard")
            }
        }
    }

    /// Says that it follows.
    pub(super) fn begins(self, voice: Voice) {
        let (name, _) = self.words();
        voice.guide(format_args!("what follows is {name}"));
    }

    /// Says what to do with it, after all of it has been written.
    pub(super) fn ends(self, voice: Voice) {
        let (name, what) = self.words();
        voice.guide(format_args!("that was {name}: {what}"));
    }
}

const FOR_RECV: &str = "give it to the other person, for 'otr recv'";
