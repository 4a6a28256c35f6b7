//! Why the engine stopped.

use std::fmt;

use super::cause::Cause;
use crate::kind::ErrorKind;
use crate::protocol::authentication::verify::FAILURES_MAX;
use crate::protocol::handshake::invite::InviteError;
use crate::protocol::handshake::{InvitingError, RespondError};
use crate::protocol::ratchet::StepError;
use crate::protocol::session::SealError;
use crate::protocol::session::verify::VerifyError;

/// During which operation another session took the place of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Handing out what waited.
    Posting,
    /// Sending.
    Sending,
    /// Receiving.
    Receiving,
}

/// Why the engine stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An effect failed.
    Effect(Cause),
    /// The state is damaged.
    Damaged,
    /// The state is of a version that this library does not know.
    StateVersion(u8),
    /// The session was exported and is frozen here.
    Frozen,
    /// The session was not exported, or is in use again.
    NotFrozen,
    /// Nobody answered the invite before it expired; it was wiped.
    NobodyAnswered,
    /// Nobody has answered the invite yet.
    NoReply,
    /// Another invite or session took the place of the one with which this operation began.
    Another(Doing),
    /// The other side has closed.
    PeerClosed,
    /// The session uses a secret, and the other side has not yet shown that it knows it.
    Unconfirmed,
    /// Failed checks of a secret have ended the session, and it was wiped.
    Over,
    /// Failed checks have ended the session, but the other side must still be told.
    NearlyOver,
    /// Failed checks have ended the session, and it was wiped, but the other side could not be
    /// told, for this reason. The kind says what matters to the caller: that it was wiped, or why
    /// it could not be told.
    Untold(String, ErrorKind),
    /// This many packets wait already, which is the limit; and, if handing them out was tried, why
    /// that failed.
    QueueFull(usize, Option<Box<Error>>),
    /// This many packets wait, and could not be handed out.
    Waiting(usize, Cause),
    /// The sealed packet is stored and goes out later, because it could not go out now for this
    /// reason.
    Taken(Box<Error>),
    /// The message was not taken, because earlier packets could not be handed out.
    NotBegun(Box<Error>),
    /// Not even the smallest packet gets through; no part of the message was sent.
    NothingFits(Cause),
    /// A delivery was not finished: none of it is stored, and the next receiver gets it again.
    Undelivered,
    /// A long message was truncated, for this reason.
    Truncated(Box<Error>),
    /// The other side breaks the rules of streams.
    Breach,
    /// A thread of the library has panicked.
    WorkerEnded,
    /// A long message was given up while its packets went to a postbox.
    Abandoned,
    /// The posted packets were not collected within the time for which the caller waited.
    NotCollected,
    /// The postbox does not have a packet that was posted: it has lost the packet, or the packet
    /// has expired.
    Lost,
    /// The postbox says that a packet was collected, but nothing shows that it was opened.
    NotShownOpened,
    /// Something that ignores the order of changes has changed the session, such as a restored
    /// backup.
    Changed,
    /// OPENING does not match the commitment: somebody is in between. The session was wiped.
    SomebodyBetween,
    /// The one guess at the code or secret was wrong; the session was wiped.
    WrongGuess {
        /// Whether it was a code.
        code: bool,
    },
    /// No invite could be made.
    Inviting(InvitingError),
    /// The invite could not be answered.
    Respond(RespondError),
    /// A check of a secret could not take its step.
    Verify(VerifyError),
    /// No number to send under.
    Step(StepError),
    /// A packet could not be sealed.
    Seal(SealError),
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Effect(cause) | Self::Waiting(_, cause) => cause.kind(),
            Self::Damaged | Self::StateVersion(_) => ErrorKind::Unsafe,
            Self::Frozen | Self::NotFrozen | Self::NoReply | Self::Unconfirmed => {
                ErrorKind::NotReady
            }
            Self::NobodyAnswered | Self::Respond(RespondError::Expired) => ErrorKind::Expired,
            Self::Another(_) => ErrorKind::NoSession,
            Self::PeerClosed => ErrorKind::Closed,
            Self::Over | Self::NearlyOver | Self::SomebodyBetween | Self::WrongGuess { .. } => {
                ErrorKind::NotAuthentic
            }
            Self::Untold(_, kind) => *kind,
            Self::QueueFull(..) => ErrorKind::Full,
            Self::NotCollected => ErrorKind::NothingYet,
            Self::Lost | Self::NotShownOpened => ErrorKind::CutShort,
            Self::Taken(error) => match error.kind() {
                ErrorKind::Full => ErrorKind::Unreachable,
                kind => kind,
            },
            Self::Truncated(error) => match error.kind() {
                kind @ (ErrorKind::NotAuthentic | ErrorKind::Closed | ErrorKind::NoSession) => kind,
                _ => ErrorKind::CutShort,
            },
            Self::NotBegun(error) => match error.kind() {
                ErrorKind::Full | ErrorKind::Unreachable => ErrorKind::NotReady,
                kind => kind,
            },
            Self::Verify(error) => match error {
                VerifyError::Seal(error) => Self::Seal(*error).kind(),
                VerifyError::QuestionTooLong => ErrorKind::Usage,
                VerifyError::AskedAnew => ErrorKind::Busy,
                VerifyError::Ended => ErrorKind::NotAuthentic,
                VerifyError::PeerAsked | VerifyError::Waiting | VerifyError::NothingAsked => {
                    ErrorKind::NotReady
                }
                _ => ErrorKind::Failed,
            },
            Self::NothingFits(_) | Self::Seal(SealError::Unconfirmed) => ErrorKind::NotReady,
            Self::Inviting(InvitingError::PostboxTooLong) => ErrorKind::Usage,
            Self::Respond(RespondError::SecretTakenOff) => ErrorKind::NotAuthentic,
            Self::Breach
            | Self::Respond(
                RespondError::Invite(_) | RespondError::SecretAsked | RespondError::BadPublicKey,
            ) => ErrorKind::Refused,
            Self::Inviting(_)
            | Self::Respond(_)
            | Self::Undelivered
            | Self::Abandoned
            | Self::WorkerEnded
            | Self::Changed
            | Self::Step(_)
            | Self::Seal(_) => ErrorKind::Failed,
        }
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self::Effect(cause)
    }
}

impl From<InvitingError> for Error {
    fn from(error: InvitingError) -> Self {
        Self::Inviting(error)
    }
}

impl From<RespondError> for Error {
    fn from(error: RespondError) -> Self {
        Self::Respond(error)
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}

impl From<StepError> for Error {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Effect(cause) | Self::Waiting(_, cause) | Self::NothingFits(cause) => {
                cause.fmt(f)
            }
            Self::Damaged => f.write_str("the state is damaged"),
            Self::StateVersion(version) => {
                write!(f, "the state has version {version}, which this otr does not know")
            }
            Self::Frozen => f.write_str("the session was exported and is frozen here"),
            Self::NotFrozen => f.write_str("the session was not exported, or is in use again"),
            Self::NobodyAnswered => f.write_str(
                "nobody answered the invite before it expired; its keys have been wiped",
            ),
            Self::NoReply => f.write_str("no reply to the invite yet"),
            Self::Another(_) => f.write_str(
                "the session was ended meanwhile, and another one has begun under its name",
            ),
            Self::PeerClosed => f.write_str("the other side has closed the session"),
            Self::Unconfirmed | Self::Seal(SealError::Unconfirmed) => {
                f.write_str("the other side has not shown yet that it knows the secret")
            }
            Self::Over | Self::NearlyOver | Self::Verify(VerifyError::Ended) => write!(
                f,
                "{FAILURES_MAX} checks of a secret have failed: the session has been ended"
            ),
            Self::Untold(why, _) => {
                write!(f, "{}, but the other side was not told: {why}", Self::Over)
            }
            Self::QueueFull(count, None) => {
                write!(f, "{count} packets are waiting already, which is the limit")
            }
            Self::QueueFull(count, Some(error)) => {
                write!(f, "{}, and {error}", Self::QueueFull(*count, None))
            }
            Self::Taken(error) => error.fmt(f),
            Self::NotBegun(error) => match error.kind() {
                ErrorKind::Full | ErrorKind::Unreachable => {
                    write!(f, "earlier packets are waiting to be posted: {error}")
                }
                _ => error.fmt(f),
            },
            Self::Undelivered => f.write_str("earlier text could not be delivered"),
            Self::Truncated(error) => write!(f, "the message is truncated: {error}"),
            Self::Breach => f.write_str("the other side breaks the rules of pipes"),
            Self::WorkerEnded => f.write_str("a thread has ended before its work was done"),
            Self::Abandoned => f.write_str("the message was given up"),
            Self::NotCollected => {
                f.write_str("the other side has not collected the message in the time given")
            }
            Self::Lost => f.write_str(
                "the postbox has lost a part of the message, or nobody collected it in time",
            ),
            Self::NotShownOpened => f.write_str(
                "the message was taken out of the postbox, but nothing shows that it was opened",
            ),
            Self::Changed => f.write_str("the session was changed by something else meanwhile"),
            Self::SomebodyBetween => f.write_str("somebody is in between"),
            Self::WrongGuess { code: true } => f.write_str(
                "somebody tried with a wrong code: a typing error, or somebody who guesses, \
                 possibly the postbox's operator",
            ),
            Self::WrongGuess { code: false } => {
                f.write_str("the other side does not know the secret, or somebody is in between")
            }
            Self::Inviting(InvitingError::PostboxTooLong) => {
                f.write_str("the postbox's address is too long")
            }
            Self::Respond(error) => respond(*error, f),
            Self::Inviting(InvitingError::OutOfMemory) => {
                f.write_str(verify(VerifyError::OutOfMemory))
            }
            Self::Verify(VerifyError::Step(error)) => Self::Step(*error).fmt(f),
            Self::Verify(VerifyError::Seal(error)) => Self::Seal(*error).fmt(f),
            Self::Verify(error) => f.write_str(verify(*error)),
            Self::Step(StepError::NoRandomness)
            | Self::Seal(SealError::NoRandomness)
            | Self::Inviting(InvitingError::NoRandomness) => {
                f.write_str("the system gave no randomness")
            }
            Self::Step(StepError::Exhausted | StepError::BadPublicKey) => {
                f.write_str("this session has used its last number")
            }
            Self::Seal(SealError::UsedUp | SealError::Size) => {
                f.write_str("the packet could not be sealed")
            }
        }
    }
}

fn respond(error: RespondError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match error {
        RespondError::Invite(InviteError::Version(version)) => {
            return write!(f, "the invite has version {version}, which this otr does not know");
        }
        RespondError::Invite(InviteError::Flags) => {
            "the invite asks for something that this otr does not know"
        }
        RespondError::Invite(InviteError::Malformed) | RespondError::BadPublicKey => {
            "this is not a valid invite"
        }
        RespondError::Expired => "the invite has expired",
        RespondError::SecretAsked => "the invite asks for a secret, but none was given",
        RespondError::SecretTakenOff => {
            "the invite does not ask for the secret: somebody removed that on the way"
        }
        RespondError::OutOfMemory => verify(VerifyError::OutOfMemory),
        RespondError::NoRandomness => "the system gave no randomness",
    })
}

fn verify(error: VerifyError) -> &'static str {
    match error {
        VerifyError::QuestionTooLong => "the question is longer than 1,024 bytes",
        VerifyError::PeerAsked => "the other side has asked already",
        VerifyError::Waiting => "the other side's last step has not arrived yet",
        VerifyError::NothingAsked => "the other side has withdrawn its question",
        VerifyError::AskedAnew => "the other side's question has changed meanwhile",
        VerifyError::Ended => "the session has been ended",
        VerifyError::Step(_) => "this session has used its last number",
        VerifyError::Seal(_) => "the packet could not be sealed",
        VerifyError::NoRandomness => "the system gave no randomness",
        VerifyError::OutOfMemory => "not enough memory: a secret or a passphrase takes 64 MiB",
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Effect(cause) | Self::Waiting(_, cause) | Self::NothingFits(cause) => Some(cause),
            Self::QueueFull(_, Some(error))
            | Self::Taken(error)
            | Self::Truncated(error)
            | Self::NotBegun(error) => Some(error),
            _ => None,
        }
    }
}
