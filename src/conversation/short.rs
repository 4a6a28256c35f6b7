//! A short message: one packet, which is stored with the state that spent its key, and only then
//! handed out.

use std::ops::RangeInclusive;
use std::slice;

use super::driver::{Host, Outlet, OutletKind};
use super::error::{Doing, Error};
use super::outbox::{hand_out_fitting, hand_out_waiting, queue, taken, tell_refused};
use super::pending::settle;
use super::transaction::{Snapshot, Transaction};
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::receipt::Receipt;
use crate::protocol::packet::{K_MIN, Packet, largest_class, size};
use crate::protocol::randomness::Randomness;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::verify::Ending;
use crate::protocol::session::{Identity, Part, Session};

/// The largest size class of a short message, whose packet is kept in the state.
pub const K_SHORT: u8 = 16;

/// A sealed short message.
pub struct Sealed {
    /// Its one packet.
    pub packet: Packet,
    /// Shows the sender that the packet was opened.
    pub receipt: Receipt,
    /// Its number.
    pub message: u64,
}

/// Seals `text` as the one packet of a new message, of one of these size classes; `None` if it does
/// not fit. With `receipt`, it says that its sender waits to hear that it was opened.
pub fn seal_short(
    session: &mut Session,
    text: &[u8],
    sizes: RangeInclusive<u8>,
    receipt: bool,
    randomness: &mut dyn Randomness,
) -> Result<Option<Sealed>, Error> {
    let mut reservation = session.reserve(1, randomness)?;
    if receipt {
        reservation.ask_for_receipts();
    }
    let (least, most) = sizes.into_inner();
    let Some(k) = reservation.fit(text.len(), least).filter(|&k| k <= most) else {
        session.give_back(reservation);
        return Ok(None);
    };
    let message = session.begin_message();
    let part = Part { message, offset: 0, end: true, length: text.len() };
    let (packet, receipt) = reservation.seal_text(k, text, part, randomness)?;
    Ok(Some(Sealed { packet, receipt, message }))
}

/// How to send a short message.
pub struct Short<'a> {
    /// The whole text.
    pub text: &'a [u8],
    /// The smallest size class that its packet may have.
    pub least: u8,
    /// Whether MAC keys are published with it.
    pub publish: bool,
    /// Whether only to queue it, because the postbox could not be reached a moment ago.
    pub later: bool,
    /// Whether the sender waits to hear that it was opened.
    pub receipt: bool,
}

/// A packet that now lies in the postbox.
pub struct Posted {
    /// The packet.
    pub packet: Packet,
    /// Shows the sender that the packet was opened.
    pub receipt: Receipt,
}

/// What happened to a short message.
pub enum Sent {
    /// It was handed out, or is queued.
    Out(Option<Posted>),
    /// It does not fit into one packet that gets through: it must go as a long one, under the
    /// number that it may already have.
    Long(Option<u64>),
}

/// The session, if it may send and if it is the one with which the caller began: text for one
/// person must never go to another.
pub(super) fn may_send<'s>(
    session: &'s mut Session,
    begun: &mut Option<Identity>,
) -> Result<&'s mut Session, Error> {
    let session = same(session, begun)?;
    if session.peer_closed() {
        return Err(Error::PeerClosed);
    }
    if !session.may_send_text() {
        return Err(Error::Unconfirmed);
    }
    Ok(session)
}

/// The session, if it is the one with which the caller began.
pub(super) fn same<'s>(
    session: &'s mut Session,
    begun: &mut Option<Identity>,
) -> Result<&'s mut Session, Error> {
    if !begun.get_or_insert(session.identity()).is(&session.identity()) {
        return Err(Error::Another(Doing::Sending));
    }
    Ok(session)
}

/// The MAC keys to publish with packets that are sealed now.
pub(super) fn published(session: &mut Session, publish: bool) -> Vec<[u8; PUBLISHED_KEY]> {
    if publish { session.take_published() } else { Vec::new() }
}

/// Sends a short message in the session `begun`; if that is `None`, in the stored session, which it
/// notes there. `known` is an earlier snapshot, used if nobody has stored since.
///
/// # Errors
/// With [`Error::Taken`] the packet waits in the state and goes out later; with any other error it
/// does not. If a stream failed under it, [`resend`](super::resend) hands out the same bytes once
/// more.
pub async fn short<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    begun: &mut Option<Identity>,
    known: Option<Snapshot<H>>,
    short: &Short<'_>,
) -> Result<Sent, Error> {
    let mut known = known;
    let by_postbox = outlet.kind() == OutletKind::Postbox;
    // A full queue is emptied once.
    loop {
        let _sender = host.become_sender(false).await?;
        let transaction = match known.take() {
            Some(known) => Transaction::resume(host, known).await?,
            None => Transaction::begin(host).await?,
        };
        let mut transaction = with_pending(transaction, outlet).await?;
        let (session, randomness) = transaction.session_and_randomness()?;
        let session = may_send(session, begun)?;
        let most = if by_postbox { largest_class(outlet.largest()).min(K_SHORT) } else { K_SHORT };
        let sizes = short.least..=most;
        let sealed = seal_short(session, short.text, sizes, short.receipt, randomness)?;
        let Some(sealed) = sealed else {
            return Ok(Sent::Long(None));
        };
        outlet.sealed(&sealed.packet, &sealed.receipt);
        let keys = published(session, short.publish && !by_postbox);
        if !by_postbox && session.waiting().is_empty() {
            session.keep(vec![sealed.packet.clone()]);
            transaction.commit().await?;
            outlet.hand_out(&keys, &[sealed.packet]).await?;
            return Ok(Sent::Out(None));
        }
        if let Err(full) = queue(session, sealed.packet.clone()) {
            let waiting = session.waiting().len();
            // Nothing is stored yet. If the other packets can be handed out, there will be room.
            drop(transaction);
            if let Err(error) = hand_out_waiting(host, outlet, *begun).await {
                debug_assert!(matches!(full, Error::QueueFull(..)), "{full}");
                return Err(Error::QueueFull(waiting, Some(error.into())));
            }
            if by_postbox {
                // What stays is too large to be posted, so this message does not wait for it.
                return Ok(Sent::Long(None));
            }
            continue;
        }
        let host = transaction.commit_for_host().await?;
        if !by_postbox {
            // What was promised earlier stays promised until it is handed out.
            hand_out_fitting(host, outlet, &keys, *begun).await.map_err(taken)?;
            return Ok(Sent::Out(None));
        }
        if short.later {
            return Ok(Sent::Out(None));
        }
        return post(host, outlet, begun, sealed).await;
    }
}

/// Sends short messages to a postbox in one step: one state holds the packets of them all, which are then
/// handed out together. Returns how many it has taken, from the first on; the rest is to be sent one by one,
/// and so is the first if it has taken none.
///
/// # Errors
/// Those of [`short`], for all that it has taken.
pub(super) async fn together<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    begun: &mut Option<Identity>,
    texts: &[&[u8]],
) -> (usize, Result<(), Error>) {
    let _sender = match host.become_sender(false).await {
        Ok(sender) => sender,
        Err(cause) => return (0, Err(cause.into())),
    };
    let sealed = match seal_together(host, outlet, begun, texts).await {
        Ok(sealed) if !sealed.is_empty() => sealed,
        other => return (0, other.map(drop)),
    };
    match post_together(host, outlet, begun, &sealed).await {
        Ok(refused) => (sealed.len() - refused, Ok(())),
        Err(error) => (sealed.len(), Err(error)),
    }
}

/// Seals as many messages as fit into packets of the smallest size, and these into the queue, and stores
/// that.
async fn seal_together<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    begun: &mut Option<Identity>,
    texts: &[&[u8]],
) -> Result<Vec<Packet>, Error> {
    let transaction = Transaction::begin(host).await?;
    let mut transaction = with_pending(transaction, outlet).await?;
    let (session, randomness) = transaction.session_and_randomness()?;
    let session = may_send(session, begun)?;
    let mut all = Vec::new();
    for text in texts {
        if !session.has_room(size(K_MIN)) {
            break;
        }
        let Some(sealed) = seal_short(session, text, K_MIN..=K_MIN, false, randomness)? else {
            break;
        };
        outlet.sealed(&sealed.packet, &sealed.receipt);
        queue(session, sealed.packet.clone())?;
        all.push(sealed.packet);
    }
    if !all.is_empty() {
        transaction.commit().await?;
    }
    Ok(all)
}

/// Posts the queue. Those of these packets that are refused for their size leave it: they are the last ones,
/// because whoever refuses one refuses all that follow. Returns how many they are.
async fn post_together<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    begun: &mut Option<Identity>,
    sealed: &[Packet],
) -> Result<usize, Error> {
    let posted = hand_out_fitting(host, outlet, &[], *begun).await;
    let (_, refused) = posted.map_err(taken)?;
    let (own, others): (Vec<_>, Vec<_>) = refused.into_iter().partition(|one| sealed.contains(one));
    tell_refused(host, &others);
    if !own.is_empty() {
        take_back(host, begun, &own).await.map_err(taken)?;
    }
    Ok(own.len())
}

/// Takes packets that were refused out of the queue.
async fn take_back<H: Host>(
    host: &mut H,
    begun: &mut Option<Identity>,
    packets: &[Packet],
) -> Result<(), Error> {
    let mut transaction = Transaction::begin(host).await?;
    same(transaction.session()?, begun)?.handed_out(packets);
    transaction.commit().await.map(drop)
}

/// Finds out what would prevent a message before a person has typed it. If failed checks have ended
/// the session, tells the other side, and wipes it.
pub async fn look_first<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    begun: &mut Option<Identity>,
    known: Option<Snapshot<H>>,
) -> Result<(), Error> {
    let mut transaction = match known {
        Some(known) => Transaction::resume(host, known).await?,
        None => Transaction::begin(host).await?,
    };
    let ready = transaction.session().and_then(|session| may_send(session, begun).map(drop));
    drop(transaction);
    if matches!(ready, Err(Error::NearlyOver)) {
        let _sender = host.become_sender(false).await?;
        settle(host, outlet).await?;
    }
    ready
}

/// Posts the queue. If this packet is refused for its size, it leaves the queue, and its text goes
/// out in smaller ones.
async fn post<H: Host, O: Outlet>(
    host: &mut H,
    outlet: &mut O,
    begun: &mut Option<Identity>,
    sealed: Sealed,
) -> Result<Sent, Error> {
    let refused = hand_out_fitting(host, outlet, &[], *begun).await;
    let (_, refused) = refused.map_err(taken)?;
    let (own, others): (Vec<_>, Vec<_>) =
        refused.into_iter().partition(|one| *one == sealed.packet);
    tell_refused(host, &others);
    if own.is_empty() {
        return Ok(Sent::Out(Some(Posted { packet: sealed.packet, receipt: sealed.receipt })));
    }
    take_back(host, begun, slice::from_ref(&sealed.packet)).await.map_err(taken)?;
    if sealed.packet.len() == size(K_MIN) {
        return Err(Error::NothingFits(outlet.too_large(size(K_MIN))));
    }
    Ok(Sent::Long(Some(sealed.message)))
}

/// The session, with the pending step of a check queued before any text. For a stream, the step is
/// handed out here.
async fn with_pending<'a, H: Host, O: Outlet>(
    mut transaction: Transaction<'a, H>,
    outlet: &mut O,
) -> Result<Transaction<'a, H>, Error> {
    match &transaction.stage {
        Stage::Session(session) if session.ending() != Ending::GoesOn => {}
        Stage::Session(session)
            if session.has_pending_step() && outlet.kind() == OutletKind::Postbox =>
        {
            let (session, randomness) = transaction.session_and_randomness()?;
            if let Some(packet) = session.seal_pending(randomness)? {
                queue(session, packet)?;
            }
            return Ok(transaction);
        }
        Stage::Session(session) if session.has_pending_step() => {}
        _ => return Ok(transaction),
    }
    let host = transaction.into_host();
    settle(host, outlet).await?;
    Transaction::begin(host).await
}
