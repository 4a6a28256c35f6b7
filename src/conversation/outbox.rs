//! Packets that wait to be handed out. They are stored before that, and forgotten afterwards, so
//! that the next process hands them out, whatever ends this one in between.

#[cfg(feature = "client")]
use super::cause::Cause;
use super::driver::{Host, Notice, Outlet, OutletKind};
use super::error::{Doing, Error};
use super::transaction::Transaction;
use crate::kind::ErrorKind;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::{K_MIN, Packet, size};
use crate::protocol::randomness::Randomness;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::verify::Ending;
use crate::protocol::session::{Identity, OutboxKind, QueueFull, Session, nothing_frames};

/// Hands out the packets that wait in the session `of`; returns whether there were any. The caller
/// is the session's one sender. If failed checks have ended the session and handing out fails, the
/// session is wiped without another attempt.
///
/// Packets that a postbox refuses for their size stay and are reported, but do not block later
/// ones.
pub async fn hand_out_waiting<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    of: Option<Identity>,
) -> Result<bool, Error> {
    let (any, refused) = hand_out_fitting(host, outlet, &[], of).await?;
    if refused.iter().any(|packet| packet.len() == size(K_MIN)) {
        // Not even the smallest packet gets through.
        return Err(outlet.too_large(size(K_MIN)).into());
    }
    tell_refused(host, &refused);
    Ok(any)
}

/// Like [`hand_out_waiting`], after these keys; also returns the packets that were refused for
/// their size.
pub(super) async fn hand_out_fitting<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    keys: &[[u8; PUBLISHED_KEY]],
    of: Option<Identity>,
) -> Result<(bool, Vec<Packet>), Error> {
    let packets = match Transaction::begin(host).await?.stage {
        // The outlet belongs to the session with which the caller began.
        Stage::Session(session) if of.is_some_and(|of| !of.is(&session.identity())) => {
            return Err(Error::Another(Doing::Posting));
        }
        Stage::Session(session) => session.waiting().to_vec(),
        Stage::Inviting(_) => return Err(Error::NoReply),
    };
    if packets.is_empty() {
        return Ok((false, packets));
    }
    let refused = match (outlet.hand_out(keys, &packets).await, outlet.kind()) {
        (Ok(refused), _) => refused,
        (Err(cause), OutletKind::Stream) => return Err(cause.into()),
        (Err(cause), OutletKind::Postbox) => {
            wipe_untold(host, of, &cause.to_string()).await?;
            return Err(Error::Waiting(packets.len(), cause));
        }
    };
    match outlet.kind() {
        OutletKind::Stream => kept_to_resend(host, packets).await.map(|()| (true, Vec::new())),
        OutletKind::Postbox => posted(host, packets, &refused).await.map(|stay| (true, stay)),
    }
}

/// Hands out one packet: the oldest that waits, and if none does and it is for `cover`, one that says nothing. The
/// caller is the session's one sender.
#[cfg(feature = "client")]
pub(super) async fn one<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    of: Option<Identity>,
    cover: bool,
) -> Result<(), Error> {
    let mut transaction = Transaction::begin(host).await?;
    let (session, randomness) = transaction.session_and_randomness()?;
    if session.peer_closed() {
        return Err(Error::PeerClosed);
    }
    let mut changed = queue_step(session, randomness)?;
    if cover && session.waiting().is_empty() {
        greet(session, randomness)?;
        changed = true;
    }
    if changed {
        transaction.commit().await?;
    } else {
        drop(transaction);
    }
    hand_out_fitting(host, &mut OneByOne(outlet), &[], of).await.map(drop)
}

/// Queues the step of a check that is to be taken, if there is one and room for it; returns whether the caller must
/// still store the state.
#[cfg(feature = "client")]
pub(super) fn queue_step(
    session: &mut Session,
    randomness: &mut dyn Randomness,
) -> Result<bool, Error> {
    if !session.has_room(size(K_MIN)) {
        return Ok(false);
    }
    let step = session.seal_pending(randomness)?;
    step.map_or(Ok(false), |step| queue(session, step).map(|()| true))
}

/// An outlet that takes the first packet only, so that the others stay.
#[cfg(feature = "client")]
struct OneByOne<'a, O>(&'a mut O);

#[cfg(feature = "client")]
impl<O: Outlet> Outlet for OneByOne<'_, O> {
    fn kind(&self) -> OutletKind {
        self.0.kind()
    }

    fn largest(&self) -> usize {
        self.0.largest()
    }

    async fn hand_out(
        &mut self,
        keys: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        let first = packets.get(..1).unwrap_or_default();
        let mut stay = self.0.hand_out(keys, first).await?;
        stay.extend(1..packets.len());
        Ok(stay)
    }

    fn too_large(&self, bytes: usize) -> Cause {
        self.0.too_large(bytes)
    }
}

/// Keeps the packets as the last ones, to be sent again.
async fn kept_to_resend<H: Host>(host: &mut H, packets: Vec<Packet>) -> Result<(), Error> {
    let mut transaction = Transaction::begin(host).await?;
    if let Stage::Session(session) = &mut transaction.stage
        && session.waiting() == packets
    {
        session.keep(packets);
        transaction.commit().await?;
    }
    Ok(())
}

/// Forgets the packets, except those that were `refused`, which it returns.
async fn posted<H: Host>(
    host: &mut H,
    packets: Vec<Packet>,
    refused: &[usize],
) -> Result<Vec<Packet>, Error> {
    let (mut stay, mut posted) = (Vec::new(), Vec::new());
    for (at, packet) in packets.into_iter().enumerate() {
        if refused.contains(&at) { stay.push(packet) } else { posted.push(packet) }
    }
    let mut transaction = match Transaction::begin(host).await {
        // The session was ended while they were handed out.
        Err(error) if error.kind() == ErrorKind::NoSession => return Ok(Vec::new()),
        other => other?,
    };
    let now = transaction.now();
    let Stage::Session(session) = &mut transaction.stage else { return Ok(Vec::new()) };
    if !posted.is_empty() && session.handed_out(&posted) {
        session.note_posted(posted.iter().map(Packet::address), now);
        transaction.commit().await?;
    }
    Ok(stay)
}

/// Reports packets that wait from earlier and that are refused for their size.
pub(super) fn tell_refused<H: Host>(host: &mut H, packets: &[Packet]) {
    if let Some(largest) = packets.iter().map(|packet| packet.len()).max() {
        host.notice(Notice::TooLarge { count: packets.len(), largest });
    }
}

/// Hands out the packets of the last short message once more; returns whether there are any.
/// Packets that have never been handed out go through [`flush`].
pub async fn resend<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    of: Option<Identity>,
) -> Result<bool, Error> {
    let mut transaction = Transaction::begin(host).await?;
    let session = transaction.session()?;
    if of.is_some_and(|of| !of.is(&session.identity())) {
        return Err(Error::Another(Doing::Posting));
    }
    let outbox = session.outbox();
    match outbox.kind {
        OutboxKind::Nothing => return Ok(false),
        OutboxKind::Waiting => {}
        OutboxKind::Message => {
            let packets = outbox.packets.clone();
            drop(transaction);
            let refused = outlet.hand_out(&[], &packets).await?;
            return match refused.first().and_then(|at| packets.get(*at)) {
                Some(packet) => Err(outlet.too_large(packet.len()).into()),
                None => Ok(true),
            };
        }
    }
    drop(transaction);
    flush(host, outlet, of).await.map(|()| true)
}

/// Hands out packets that were queued for later. Becomes the session's one sender for it.
pub async fn flush<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    of: Option<Identity>,
) -> Result<(), Error> {
    let _sender = host.become_sender(false).await?;
    hand_out_waiting(host, outlet, of).await.map(drop).map_err(taken)
}

/// The error when a queued packet could not be handed out: it is still queued, unless the session
/// is gone.
pub(super) fn taken(error: Error) -> Error {
    let is_gone = matches!(error.kind(), ErrorKind::NoSession | ErrorKind::NotAuthentic)
        || matches!(error, Error::Untold(..));
    if is_gone { error } else { Error::Taken(error.into()) }
}

/// Queues a packet; the caller must still store the state.
pub(super) fn queue(session: &mut Session, packet: Packet) -> Result<(), Error> {
    session.queue(packet).map_err(|QueueFull| Error::QueueFull(session.waiting().len(), None))
}

/// Queues a packet that says nothing, so that the answering side learns that its reply arrived, and
/// gets the words to compare, without anybody having to write first.
pub(super) fn greet(session: &mut Session, randomness: &mut dyn Randomness) -> Result<(), Error> {
    let mut reservation = session.reserve(1, randomness)?;
    let sealed = reservation.seal_frames(K_MIN, &nothing_frames(), randomness)?;
    queue(session, sealed)
}

/// Wipes the session `of` if failed checks have ended it, although its pending step could not be
/// handed out: [`Error::Untold`]. Telling the other side about the end is not worth keeping the
/// keys.
pub(super) async fn wipe_untold<H: Host>(
    host: &mut H,
    of: Option<Identity>,
    why: &str,
) -> Result<(), Error> {
    let transaction = match Transaction::begin(host).await {
        Ok(transaction) => transaction,
        Err(error) if error.kind() == ErrorKind::NotAuthentic => return Err(error),
        // The caller's own error says more.
        Err(_) => return Ok(()),
    };
    match &transaction.stage {
        Stage::Session(session)
            if session.ending() != Ending::GoesOn
                && of.is_none_or(|of| of.is(&session.identity())) =>
        {
            transaction.wipe().await?;
            Err(Error::Untold(why.to_owned(), ErrorKind::NotAuthentic))
        }
        _ => Ok(()),
    }
}
