//! What a person at a terminal is told of what a command prints for somebody else: where it begins and
//! ends, to whom it goes, and what to type next. Nothing of it in a pipe, where a program has it.

use crate::ui::speak::Voice;

/// What is handed over.
#[derive(Clone, Copy)]
pub(super) enum Handed {
    Invite,
    /// One whose reply goes to a postbox.
    InviteToPostbox,
    Code,
    Reply,
    /// After which this side has to wait for the other's first packet.
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
                "give it to whoever made the invite, for 'otr recv'; then both of you can write, \
                 with 'otr send'",
            ),
            Self::ReplyWithSecret => (
                "the reply",
                "give it to whoever made the invite, for 'otr recv'; you can write when your own \
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
                "post it to the postbox, at /v1/collect, and give what comes to 'otr recv --stdin'",
            ),
            Self::Spent => ("the list of what is spent", "post it to the postbox, at /v1/discard"),
        }
    }

    /// Says that it follows.
    pub(super) fn begins(self, voice: Voice) {
        let (name, _) = self.words();
        voice.guide(format_args!("what follows is {name}"));
    }

    /// Says what to do with it, now that all of it is there.
    pub(super) fn ends(self, voice: Voice) {
        let (name, what) = self.words();
        voice.guide(format_args!("that was {name}: {what}"));
    }
}

const FOR_RECV: &str = "give it to the other person, for 'otr recv'";
