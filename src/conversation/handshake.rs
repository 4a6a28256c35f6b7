//! How a session begins: the first state is stored before the invite or the reply is handed out,
//! and a guess at a secret is counted before it is tried.

use super::driver::{Host, Notice};
use super::error::{Doing, Error};
use super::transaction::{Transaction, read_even_frozen};
use crate::protocol::handshake::ReplyError;
use crate::protocol::session::Session;
use crate::protocol::session::stored::{Stage, Stored};

/// Stores a new session. If `anew`, it replaces an existing one, which is wiped; at no time is
/// there no session.
pub async fn create<H: Host>(host: &mut H, stage: &Stage, anew: bool) -> Result<(), Error> {
    let lock = host.lock().await?;
    let bytes = stage.to_bytes(false);
    if !anew {
        return Ok(host.create(&lock, &bytes).await?);
    }
    let Ok((before, mut version)) = host.load(&lock).await else {
        // There is no session, or none that can be read.
        host.wipe(&lock).await?;
        return Ok(host.create(&lock, &bytes).await?);
    };
    // A session that is frozen here has moved elsewhere, together with its waiting packets.
    if let Ok(Stored { stage: Stage::Session(session), frozen: false }) = read_even_frozen(&before)
        && !session.waiting().is_empty()
    {
        host.notice(Notice::Dropped(session.waiting().len()));
    }
    Ok(host.replace(&lock, &mut version, &bytes).await?)
}

/// Tries a reply on the stored state. If that spends a guess, the state is stored before the reply
/// is tried.
pub(super) async fn accept<H: Host>(
    transaction: &mut Transaction<'_, H>,
    invite: &[u8],
    reply: &[u8],
) -> Result<Result<Session, ReplyError>, Error> {
    let inviting = match &mut transaction.stage {
        Stage::Inviting(inviting) if inviting.invite() == invite => inviting,
        _ => return Err(Error::Another(Doing::Receiving)),
    };
    let opened = match inviting.open(reply) {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    if inviting.asks_for_secret() {
        transaction.store().await?;
    }
    let now = transaction.now();
    match &transaction.stage {
        Stage::Inviting(inviting) => Ok(inviting.accept(opened, now)),
        Stage::Session(_) => Ok(Err(ReplyError::Bad)),
    }
}
