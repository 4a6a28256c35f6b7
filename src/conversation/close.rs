//! Ends a conversation: the state that holds the keys is gone before the packet that uses them is
//! handed out.

use std::collections::BTreeMap;

use super::driver::{Host, Notice};
use super::error::{Doing, Error};
use super::transaction::read_even_frozen;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::{K_MIN, Packet};
use crate::protocol::randomness::Randomness;
use crate::protocol::session::stored::Stage;
use crate::protocol::session::{Identity, Session, close_frames};

/// What to hand out at the end, and where.
#[derive(Default)]
pub struct Last {
    /// MAC keys to be published.
    pub keys: Vec<[u8; PUBLISHED_KEY]>,
    /// Packets, the oldest first.
    pub packets: Vec<Packet>,
    /// How many of them were waiting from earlier.
    pub waiting: usize,
    /// The URL of the session's postbox.
    pub postbox: Option<String>,
    /// What to discard there: token, packet hash and key, 96 bytes each.
    pub spent: Vec<[u8; 96]>,
    /// Where packets lie that are to be discarded and do not lie where their address says, by token.
    pub elsewhere: BTreeMap<[u8; 32], u8>,
    /// Why something is missing from all this, if so.
    pub fault: Option<Error>,
}

/// Wipes the session, whatever happens; returns what tells the other side, unless `silent`. With
/// `of`, it ends only the session of this identity.
///
/// # Errors
/// The session is not wiped.
pub async fn end<H: Host>(host: &mut H, of: Option<Identity>, silent: bool) -> Result<Last, Error> {
    let lock = host.lock().await?;
    let loaded = host.load(&lock).await.map_err(Error::from);
    let stored = loaded.and_then(|(bytes, _)| read_even_frozen(&bytes));
    if let (Some(of), Ok(stored)) = (of, &stored)
        && !matches!(&stored.stage, Stage::Session(session) if of.is(&session.identity()))
    {
        return Err(Error::Another(Doing::Sending));
    }
    let last = match stored {
        Ok(stored) if silent || stored.frozen => {
            if let (Stage::Session(session), false) = (&stored.stage, stored.frozen) {
                match session.waiting().len() {
                    0 => {}
                    count => host.notice(Notice::Dropped(count)),
                }
            }
            Last::default()
        }
        Ok(stored) => match stored.stage {
            Stage::Session(session) => last_packets(*session, host.randomness()),
            Stage::Inviting(_) => Last::default(),
        },
        Err(error) => Last { fault: Some(error), ..Last::default() },
    };
    host.wipe(&lock).await?;
    Ok(last)
}

fn last_packets(mut session: Session, randomness: &mut dyn Randomness) -> Last {
    let keys = session.take_published();
    let packets = session.waiting().to_vec();
    let waiting = packets.len();
    let (postbox, spent) = (session.postbox().map(str::to_owned), session.collected());
    let elsewhere = session.elsewhere().clone();
    let mut last = Last { keys, packets, waiting, postbox, spent, elsewhere, fault: None };
    let pending = session.seal_pending(randomness).map_err(Error::from);
    match pending.and_then(|pending| Ok((pending, farewell(&mut session, randomness)?))) {
        Ok((pending, farewell)) => last.packets.extend(pending.into_iter().chain(farewell)),
        // Half of them would be of no use.
        Err(error) => return Last { fault: Some(error), ..Last::default() },
    }
    last
}

/// The packet that tells the other side, unless the other side has closed.
pub fn farewell(
    session: &mut Session,
    randomness: &mut dyn Randomness,
) -> Result<Option<Packet>, Error> {
    if session.peer_closed() {
        return Ok(None);
    }
    let frames = close_frames(session.sent());
    let mut reservation = session.reserve(1, randomness)?;
    Ok(Some(reservation.seal_frames(K_MIN, &frames, randomness)?))
}
