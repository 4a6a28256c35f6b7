//! What a check of a secret owes the other side, and how it is handed over.

use otr::protocol::session::stored::Stage;
use otr::protocol::session::verify::{Ending, VerifyError};
use otr::protocol::session::{Identity, SealError};
use otr::store::Store;

use super::emit::Emitter;
use super::ending::{over, untold};
use super::held::Held;
use super::outbox::{self, wipe_untold};
use super::sealing::{no_number, not_sealed};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::postbox::client::Client;
use crate::randomness::System;

/// Where packets go.
pub(super) enum Way<'a> {
    Print(&'a mut Emitter),
    Post(&'a Client),
}

impl<'a> Way<'a> {
    /// To the postbox, if there is one to be called.
    pub(super) fn of(client: Option<&'a Client>, emitter: &'a mut Emitter) -> Self {
        client.map_or(Self::Print(emitter), Self::Post)
    }
}

/// Hands out what is owed, before anything else goes; stored first. Where failed checks end the
/// session, it is wiped then: code 5. The caller is the session's one sender.
pub(super) fn settle(context: &Context, store: &mut Store, way: Way<'_>) -> Result<(), Failure> {
    let mut held = Held::take(store, context.lock_wait)?;
    let Stage::Session(session) = &mut held.stage else { return Ok(()) };
    let (over, of) = (session.ending() != Ending::GoesOn, session.identity());
    let given = match session.seal_owed(&mut System).map_err(explain)? {
        Some(packet) => hand_over(context, held, packet, way),
        None if over => hand_out(context, held.let_go(), of, way),
        None => return Ok(()),
    };
    // Wipes it where that was its last packet, even if it could not be given out.
    let on = match &given {
        Err(failure) if over => wipe_untold(context, store, Some(of), &failure.what),
        _ => Held::take(store, context.lock_wait).map(drop),
    };
    match (given, on) {
        (Ok(()), on) => on,
        (Err(failure), Err(over))
            if over.code == Code::NotAuthentic && failure.code != Code::NotAuthentic =>
        {
            Err(Failure { code: failure.code, ..untold(&failure.what) })
        }
        (given, _) => given,
    }
}

/// Stores the session with a packet that it has sealed, and then hands that out.
pub(super) fn hand_over(
    context: &Context,
    mut held: Held<'_>,
    packet: Vec<u8>,
    way: Way<'_>,
) -> Result<(), Failure> {
    let Stage::Session(session) = &mut held.stage else { return Ok(()) };
    let of = session.identity();
    outbox::queue(session, packet)?;
    hand_out(context, held.keep_open()?, of, way).map_err(Failure::taken)
}

/// Hands out what waits for it in the session `of`.
fn hand_out(
    context: &Context,
    store: &mut Store,
    of: Identity,
    way: Way<'_>,
) -> Result<(), Failure> {
    match way {
        Way::Print(emitter) => outbox::print_waiting(context, store, &[], emitter).map(drop),
        Way::Post(client) => outbox::post_waiting(context, store, client, Some(of)),
    }
}

pub(super) fn explain(error: VerifyError) -> Failure {
    let not_ready =
        |what: &'static str, hint: &'static str| Failure::new(Code::NotReady, what, hint);
    match error {
        VerifyError::QuestionTooLong => {
            Failure::new(Code::Usage, "the question is longer than 1,024 bytes", "")
        }
        VerifyError::PeerAsked => {
            not_ready("the other side has asked already", "answer that first, without --question")
        }
        VerifyError::Waiting => not_ready(
            "the other side's last step has not come yet",
            "take its next packet with 'otr recv'",
        ),
        VerifyError::NothingAsked => {
            not_ready("the other side has taken its question back", "ask it yourself")
        }
        VerifyError::AskedAnew => {
            let what = "the other side's question has changed meanwhile";
            Failure::new(Code::Busy, what, "nothing was compared: try again")
        }
        VerifyError::Ended => over(),
        VerifyError::Step(error) => no_number(error),
        VerifyError::Seal(error) => not_sealed(error),
        VerifyError::NoRandomness => not_sealed(SealError::NoRandomness),
        VerifyError::OutOfMemory => Failure::out_of_memory(),
    }
}
