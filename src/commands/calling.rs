//! The postbox of a session: whom to call, and what waits to be posted.
//!
//! What is sealed is stored before it is posted, and forgotten when the postbox has it: whatever
//! ends a command in between, the next one posts it.

use otr::protocol::invite::Invite;
use otr::protocol::packet::K_MIN;
use otr::protocol::session::nothing_frames;
use otr::protocol::stored::Stage;

use super::held::{Held, no_reply_yet};
use super::send::{no_number, not_sealed};
use super::{Context, now};
use crate::failure::{Code, Failure};
use crate::postbox::client::{Client, Reach, Url};
use crate::randomness::System;
use crate::state::Store;

/// The postbox of a session, if it has one.
pub(super) fn client(stage: &Stage, reach: &Reach) -> Result<Option<Client>, Failure> {
    match stage {
        Stage::Session(session) => connect(session.postbox(), reach),
        Stage::Inviting(inviting) => connect(&postbox_of(inviting.invite()), reach),
    }
}

/// The URL in an invite; empty = none.
pub(super) fn postbox_of(invite: &[u8]) -> String {
    Invite::parse(invite).map(|invite| invite.postbox).unwrap_or_default()
}

/// The postbox of that URL.
pub(super) fn connect(url: &str, reach: &Reach) -> Result<Option<Client>, Failure> {
    if url.is_empty() {
        return Ok(None);
    }
    let url = Url::parse(url).map_err(|why| {
        let what = format!("the postbox of this session cannot be called: {why}");
        Failure::new(Code::Refused, what, "begin another session")
    })?;
    Client::new(url, reach).map(Some)
}

/// Posts what waits for it. The caller is the session's one sender.
pub(super) fn post_waiting(
    context: &Context,
    store: &mut Store,
    client: &Client,
) -> Result<(), Failure> {
    let packets = match Held::take(store, context.lock_wait)?.stage {
        Stage::Session(session) => session.unposted().to_vec(),
        Stage::Inviting(_) => return Err(no_reply_yet()),
    };
    if packets.is_empty() {
        return Ok(());
    }
    client.post(&packets).map_err(|failure| Failure {
        hint: "nothing is lost: the next command posts it".into(),
        ..failure
    })?;
    let mut held = Held::take(store, context.lock_wait)?;
    let Stage::Session(session) = &mut held.stage else { return Ok(()) };
    if session.unposted() == packets {
        session.keep_nothing();
        session.note_posted(&packets, now());
        held.keep()?;
    }
    Ok(())
}

/// Posts a packet that says nothing, so that the answering side learns that its reply came, and
/// gets the words to compare, without anybody having to write first.
pub(super) fn greet(context: &Context, store: &mut Store, client: &Client) -> Result<(), Failure> {
    let _sender = store.lock_sender(context.lock_wait)?;
    let mut held = Held::take(store, context.lock_wait)?;
    let session = held.session()?;
    let mut reservation = session.reserve(1, &mut System).map_err(no_number)?;
    let sealed = reservation.seal_frames(K_MIN, &nothing_frames(), &mut System);
    let mut packets = session.unposted().to_vec();
    packets.push(sealed.map_err(not_sealed)?);
    session.keep_unposted(packets);
    held.keep()?;
    post_waiting(context, store, client)
}
