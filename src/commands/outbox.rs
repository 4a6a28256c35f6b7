//! What waits to be handed out, to the postbox or on stdout.
//!
//! What is sealed is stored before it is handed out, and forgotten when the postbox has it, or it is
//! written out: whatever ends a command in between, the next one hands it out.

use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::{K_MIN, size};
use otr::protocol::session::stored::Stage;
use otr::protocol::session::verify::Ending;
use otr::protocol::session::{Identity, QueueFull, Session, nothing_frames};
use otr::store::Store;

use super::emit::Emitter;
use super::ending::untold;
use super::held::{Held, no_reply_yet};
use super::sealing::{no_number, not_sealed};
use crate::context::{Context, now};
use crate::failure::{Code, Failure};
use crate::postbox::client::Client;
use crate::randomness::System;
use crate::ui::speak::warn;

/// Posts what waits for it in the session `of`. The caller is the session's one sender. One that
/// failed checks have ended is wiped where that fails, which is not tried twice: code 5.
///
/// What is refused for its size stays, is told, and is in nobody's way.
pub(super) fn post_waiting(
    context: &Context,
    store: &mut Store,
    client: &Client,
    of: Option<Identity>,
) -> Result<(), Failure> {
    let refused = post_fitting(context, store, client, of)?;
    if refused.iter().any(|packet| packet.len() == size(K_MIN)) {
        // No packet at all comes through.
        return Err(client.too_large(size(K_MIN)));
    }
    tell_refused(&refused);
    Ok(())
}

/// As [`post_waiting`]; gives the packets that are refused for their size.
pub(super) fn post_fitting(
    context: &Context,
    store: &mut Store,
    client: &Client,
    of: Option<Identity>,
) -> Result<Vec<Vec<u8>>, Failure> {
    let packets = match Held::take(store, context.lock_wait)?.stage {
        // The postbox is that of the session in which the command began.
        Stage::Session(session) if of.is_some_and(|of| !of.is(&session.identity())) => {
            return Err(Failure::another_session("nothing was posted in the other one"));
        }
        Stage::Session(session) => session.waiting().to_vec(),
        Stage::Inviting(_) => return Err(no_reply_yet()),
    };
    if packets.is_empty() {
        return Ok(packets);
    }
    let refused = match client.post_fitting(&packets) {
        Ok(refused) => refused,
        Err(failure) => {
            wipe_untold(context, store, of, &failure.what)?;
            let hint = match packets.len() {
                1 => "a packet waits, and the next command posts it".to_owned(),
                count => format!("{count} packets wait, and the next command posts them"),
            };
            return Err(Failure { hint: hint.into(), ..failure });
        }
    };
    let (mut stay, mut posted) = (Vec::new(), Vec::new());
    for (at, packet) in packets.into_iter().enumerate() {
        if refused.contains(&at) { stay.push(packet) } else { posted.push(packet) }
    }
    let mut held = match Held::take(store, context.lock_wait) {
        // The session was ended while they went out.
        Err(failure) if failure.code == Code::NoSession => return Ok(Vec::new()),
        other => other?,
    };
    let Stage::Session(session) = &mut held.stage else { return Ok(Vec::new()) };
    if !posted.is_empty() && session.handed_out(&posted) {
        session.note_posted(&posted, now());
        held.keep()?;
    }
    Ok(stay)
}

/// Tells of packets that an earlier command has taken, and that are refused for their size.
pub(super) fn tell_refused(packets: &[Vec<u8>]) {
    let Some(largest) = packets.iter().map(Vec::len).max() else { return };
    let which = match packets.len() {
        1 => format!("a packet of {} KiB that waits is refused for its size", largest >> 10),
        count => format!(
            "{count} packets that wait, of up to {} KiB, are refused for their size",
            largest >> 10
        ),
    };
    warn(format_args!(
        "{which}, and what comes after goes by; 'otr send --last --stdout' writes out what waits, for \
         'otr recv --stdin'"
    ));
}

/// Writes out what waits for it; whether anything did. They stay as the last packets, for `--last`.
/// The caller is the session's one sender.
pub(super) fn print_waiting(
    context: &Context,
    store: &mut Store,
    keys: &[[u8; PUBLISHED_KEY]],
    emitter: &mut Emitter,
) -> Result<bool, Failure> {
    let packets = match Held::take(store, context.lock_wait)?.stage {
        Stage::Session(session) => session.waiting().to_vec(),
        Stage::Inviting(_) => return Err(no_reply_yet()),
    };
    if packets.is_empty() {
        return Ok(false);
    }
    emitter.packets(keys, &packets)?;
    let mut held = Held::take(store, context.lock_wait)?;
    if let Stage::Session(session) = &mut held.stage
        && session.waiting() == packets
    {
        session.keep(packets);
        held.keep()?;
    }
    Ok(true)
}

/// Puts a packet in line; the state is still to be stored.
pub(super) fn queue(session: &mut Session, packet: Vec<u8>) -> Result<(), Failure> {
    session.queue(packet).map_err(|QueueFull| {
        let what = format!("{} packets wait already, which is the most", session.waiting().len());
        let hint = "this one was not taken: send it again when the others are out";
        Failure::new(Code::Full, what, hint)
    })
}

/// Puts a packet that says nothing in line to be posted, so that the answering side learns that its
/// reply came, and gets the words to compare, without anybody having to write first.
pub(super) fn greet(session: &mut Session) -> Result<(), Failure> {
    let mut reservation = session.reserve(1, &mut System).map_err(no_number)?;
    let sealed = reservation.seal_frames(K_MIN, &nothing_frames(), &mut System);
    queue(session, sealed.map_err(not_sealed)?)
}

/// Wipes the session `of` if failed checks have ended it, with what it owes the other side still in
/// it, since that could not be handed out: code 5. Whether whoever is there learns of the end is not
/// worth the keys.
pub(super) fn wipe_untold(
    context: &Context,
    store: &mut Store,
    of: Option<Identity>,
    why: &str,
) -> Result<(), Failure> {
    let held = match Held::take(store, context.lock_wait) {
        Ok(held) => held,
        Err(failure) if failure.code == Code::NotAuthentic => return Err(failure),
        // What the caller has to say is more.
        Err(_) => return Ok(()),
    };
    match &held.stage {
        Stage::Session(session)
            if session.ending() != Ending::GoesOn
                && of.is_none_or(|of| of.is(&session.identity())) =>
        {
            held.wipe()?;
            Err(untold(why))
        }
        _ => Ok(()),
    }
}
