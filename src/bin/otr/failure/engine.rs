//! What stopped the engine of a conversation, for a person: its exit code, and what to do about it.

use std::borrow::Cow;
use std::fmt;

use otr::conversation::{Cause, Doing, Error, ErrorKind};
use otr::postbox::client;
use otr::protocol::handshake::invite::InviteError;
use otr::protocol::handshake::{InvitingError, RespondError};
use otr::protocol::ratchet::StepError;
use otr::protocol::session::SealError;
use otr::protocol::session::verify::VerifyError;
use otr::store::StoreError;

use super::{Code, Failure};

const ENDED: &str = "the session has been ended; begin a new one over another channel";
const FAULT: &str = "this is a fault of otr";
const MEMORY: &str = "raise the limit (ulimit -v), or end other programs";
const NOTHING_SENT: &str = "nothing was sent";
const LATER: &str = "nothing of this message was sent: try again later";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code.kind(), failure)
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        match cause.into_inner().downcast() {
            Ok(failure) => *failure,
            Err(error) => match error.downcast::<StoreError>() {
                Ok(error) => Self::from(*error),
                Err(error) => match error.downcast::<client::Error>() {
                    Ok(error) => Self::from(*error),
                    Err(error) => Self::new(Code::Failed, error.to_string(), ""),
                },
            },
        }
    }
}

impl Code {
    /// The engine's kind of error for this code.
    fn kind(self) -> ErrorKind {
        match self {
            Self::Failed => ErrorKind::Failed,
            Self::Usage => ErrorKind::Usage,
            Self::NoSession => ErrorKind::NoSession,
            Self::Refused => ErrorKind::Refused,
            Self::NotAuthentic => ErrorKind::NotAuthentic,
            Self::CutShort => ErrorKind::CutShort,
            Self::Closed => ErrorKind::Closed,
            Self::NothingYet => ErrorKind::NothingYet,
            Self::Postbox => ErrorKind::Unreachable,
            Self::Full => ErrorKind::Full,
            Self::UnsafeState => ErrorKind::Unsafe,
            Self::Expired => ErrorKind::Expired,
            Self::Exists => ErrorKind::Exists,
            Self::NotReady => ErrorKind::NotReady,
            Self::Busy => ErrorKind::Busy,
        }
    }

    /// The code for this kind of error: each kind has one.
    pub(super) fn of(kind: ErrorKind) -> Self {
        Self::ALL.into_iter().find(|code| code.kind() == kind).unwrap_or(Self::Failed)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, what, hint) = (Code::of(error.kind()), error.to_string(), hint(&error));
        match error {
            Error::Effect(cause) => cause.into(),
            Error::Waiting(count, cause) => {
                let hint = match count {
                    1 => "a packet waits, and the next command posts it".to_owned(),
                    count => format!("{count} packets wait, and the next command posts them"),
                };
                Self { hint: hint.into(), ..cause.into() }
            }
            Error::Taken(error) => match Self::from(*error) {
                failure if matches!(failure.code, Code::Postbox | Code::Full) => failure.taken(),
                failure => Self { taken: Some(true), ..failure },
            },
            Error::NotBegun(error) => match Self::from(*error) {
                failure if matches!(failure.code, Code::Postbox | Code::Full) => {
                    Self::new(Code::NotReady, what, LATER)
                }
                failure => failure,
            },
            Error::NothingFits(cause) => {
                let failure = Self::from(cause);
                let hint = format!("nothing of this message was sent: {}", failure.hint);
                Self { code, hint: hint.into(), ..failure }
            }
            _ => Self::new(code, what, hint),
        }
    }
}

/// What to do about what the engine itself has found.
fn hint(error: &Error) -> Cow<'static, str> {
    let hint = match error {
        Error::Damaged => "its keys are lost: wipe it with 'otr close' and begin a new session",
        Error::StateVersion(_) => "use the otr that made it",
        Error::Frozen => "use it there, or thaw it here with 'otr export --undo'",
        Error::NotFrozen => "nothing has changed",
        Error::NobodyAnswered => "begin again with 'otr init'",
        Error::NoReply => {
            "take it with 'otr recv', or show the invite again with 'otr init --again'"
        }
        Error::Another(Doing::Posting) => "nothing was posted in the other one",
        Error::Another(Doing::Sending) => "nothing was sent in the other one",
        Error::Another(Doing::Receiving) => {
            "this command has taken nothing; 'otr status' shows the other one"
        }
        Error::PeerClosed => "end it here too with 'otr close'",
        Error::Unconfirmed | Error::Seal(SealError::Unconfirmed) => {
            "take a packet of it with 'otr recv' first"
        }
        Error::Over | Error::Untold(..) => "whoever is there does not know the secret",
        Error::NearlyOver => "'otr send' or 'otr close' tells the other side and wipes it",
        Error::QueueFull(..) => "this one was not taken: send it again when the others are out",
        Error::Changed => "what was written may come once more; look at it with 'otr status'",
        Error::NotCollected => "it lies in the postbox still, and need not be sent again",
        Error::Breach => "its otr may be of another version",
        Error::Lost => "send it again",
        Error::NotShownOpened => "ask the other side, in another way",
        Error::SomebodyBetween => ENDED,
        Error::WrongGuess { code: true } => {
            "the code is used up and the session has been ended; begin anew with another code"
        }
        Error::WrongGuess { code: false } => {
            "the session has been ended; begin a new one, tell the other side, and agree on the \
             secret"
        }
        Error::Respond(error) => respond(*error),
        Error::Inviting(InvitingError::OutOfMemory) => MEMORY,
        Error::Verify(error) => verify(*error),
        Error::Step(error) => step(*error),
        Error::Inviting(InvitingError::NoRandomness) | Error::Seal(SealError::NoRandomness) => {
            NOTHING_SENT
        }
        Error::WorkerEnded | Error::Seal(_) => FAULT,
        _ => "",
    };
    hint.into()
}

fn respond(error: RespondError) -> &'static str {
    match error {
        RespondError::Invite(InviteError::Version(_)) => "one of the two is too old: update it",
        RespondError::Invite(InviteError::Flags) => "update it",
        RespondError::SecretAsked => "give it with --ask-secret, --secret-file or --secret-fd",
        RespondError::SecretTakenOff => "ask for another one, over another channel",
        RespondError::NoRandomness => NOTHING_SENT,
        RespondError::OutOfMemory => MEMORY,
        RespondError::Invite(InviteError::Malformed)
        | RespondError::BadPublicKey
        | RespondError::Expired => "ask for another one",
    }
}

fn verify(error: VerifyError) -> &'static str {
    match error {
        VerifyError::PeerAsked => "answer that first, without --question",
        VerifyError::Waiting => "take its next packet with 'otr recv'",
        VerifyError::NothingAsked => "ask it yourself",
        VerifyError::AskedAnew => "nothing was compared: try again",
        VerifyError::Ended => "whoever is there does not know the secret",
        VerifyError::Step(error) => step(error),
        VerifyError::Seal(SealError::NoRandomness) | VerifyError::NoRandomness => NOTHING_SENT,
        VerifyError::Seal(_) => FAULT,
        VerifyError::OutOfMemory => MEMORY,
        VerifyError::QuestionTooLong => "",
    }
}

fn step(error: StepError) -> &'static str {
    match error {
        StepError::NoRandomness => NOTHING_SENT,
        StepError::Exhausted | StepError::BadPublicKey => "begin a new one with 'otr init'",
    }
}
