//! The pending step of a check of a secret, which is handed out before anything else.

use super::driver::{Host, Outlet};
use super::error::Error;
use super::outbox::{hand_out_waiting, queue, wipe_untold};
use super::transaction::Transaction;
use crate::kind::ErrorKind;
use crate::protocol::packet::Packet;
use crate::protocol::session::verify::Ending;

/// Stores and hands out the pending step. If failed checks end the session, it is wiped afterwards
/// ([`Error::Over`]). The caller is the session's one sender.
pub async fn settle<H: Host, O: Outlet>(host: &mut H, outlet: &mut O) -> Result<(), Error> {
    let mut transaction = Transaction::begin(host).await?;
    let Some((session, randomness)) = transaction.any_session() else { return Ok(()) };
    let (over, of) = (session.ending() != Ending::GoesOn, session.identity());
    let given = match session.seal_pending(randomness)? {
        Some(packet) => store_in_line(transaction, packet).await,
        None if over => {
            drop(transaction);
            Ok(())
        }
        None => return Ok(()),
    };
    let given = match given {
        Ok(()) => hand_out_waiting(host, outlet, Some(of)).await.map(drop),
        Err(error) => Err(error),
    };
    // Wipes the session if that was its last packet, even if the packet could not be handed out.
    let on = match &given {
        Err(error) if over => wipe_untold(host, Some(of), &error.to_string()).await,
        _ => Transaction::begin(host).await.map(drop),
    };
    match (given, on) {
        (Ok(()), on) => on,
        (Err(error), Err(over))
            if over.kind() == ErrorKind::NotAuthentic
                && error.kind() != ErrorKind::NotAuthentic =>
        {
            Err(Error::Untold(error.to_string(), error.kind()))
        }
        (given, _) => given,
    }
}

/// Stores the session with a sealed packet, which waits to be handed out from now on.
pub(super) async fn store_in_line<H: Host>(
    mut transaction: Transaction<'_, H>,
    packet: Packet,
) -> Result<(), Error> {
    if let Some((session, _)) = transaction.any_session() {
        queue(session, packet)?;
    }
    transaction.commit().await.map(drop)
}
