//! The reply to an invite, tried on the stored state.

use otr::protocol::handshake::ReplyError;
use otr::protocol::session::Session;
use otr::protocol::session::stored::Stage;

use crate::commands::held::Held;
use crate::context::now;
use crate::failure::{Code, Failure};

/// Tries a reply on the stored state. Where it spends a guess, that is stored before it is tried.
pub(super) fn accept(
    held: &mut Held<'_>,
    invite: &[u8],
    reply: &[u8],
) -> Result<Result<Session, ReplyError>, Failure> {
    let inviting = match &mut held.stage {
        Stage::Inviting(inviting) if inviting.invite() == invite => inviting,
        _ => return Err(another_invite()),
    };
    let opened = match inviting.open(reply) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    if inviting.asks_for_secret() {
        held.keep_on()?;
    }
    match &held.stage {
        Stage::Inviting(inviting) => Ok(inviting.accept(opened, now())),
        Stage::Session(_) => Ok(Err(ReplyError::Bad)),
    }
}

/// The invite was given up, and another one made.
pub(super) fn another_invite() -> Failure {
    Failure::another_session("this command has taken nothing; 'otr status' shows the other one")
}

/// The one guess at the secret was wrong.
pub(super) fn wrong_guess(code: bool) -> Failure {
    let (what, hint) = if code {
        (
            "somebody tried with a wrong code: a typing error, or somebody who guesses, possibly \
             the postbox's operator",
            "the code is used up and the session has been ended; begin anew with another code",
        )
    } else {
        (
            "the other side does not know the secret, or somebody is in between",
            "the session has been ended; begin a new one, tell the other side, and agree on the \
             secret",
        )
    };
    Failure::new(Code::NotAuthentic, what, hint)
}
