//! Whether the characters collected so far are a complete item.

use sha2::{Digest, Sha256};

use super::base64url::{decode, decoded_len, encoded_len};
use super::item::{Item, Kind, Reason};
use super::pool::Pool;
use super::{CHECK_BYTES, KEY_BYTES, MIN_INVITE_BYTES, REPLY_BYTES, is_packet_length};

/// The answer.
pub(super) enum Whole {
    /// It is.
    Item(Item),
    /// It has the length of an item, but is not one.
    Bad(Reason),
    /// More may come.
    No,
}

/// Examines an item's characters, all of them base64url.
pub(super) fn whole(kind: Kind, text: &[u8], pool: &mut Pool) -> Whole {
    let bytes = decoded_len(text.len());
    if encoded_len(bytes) != text.len() {
        return Whole::No;
    }
    match kind {
        Kind::Invite if bytes >= MIN_INVITE_BYTES + CHECK_BYTES => {
            invite(text).map_or(Whole::No, |bytes| Whole::Item(Item::Invite(bytes)))
        }
        Kind::Reply if bytes == REPLY_BYTES => packet(text, bytes, pool, Item::Reply),
        Kind::Packet if is_packet_length(bytes) => packet(text, bytes, pool, Item::Packet),
        Kind::Key if bytes == KEY_BYTES => {
            let mut key = [0; KEY_BYTES];
            decode(text, &mut key).map_or_else(Whole::Bad, |()| Whole::Item(Item::Key(key)))
        }
        _ => Whole::No,
    }
}

/// Why an item that nothing follows is not complete.
pub(super) fn last_reason(kind: Kind, text: &[u8]) -> Reason {
    match kind {
        Kind::Invite => invite(text).err().unwrap_or(Reason::Length),
        Kind::Reply | Kind::Packet | Kind::Key => Reason::Length,
    }
}

fn packet(text: &[u8], bytes: usize, pool: &mut Pool, item: fn(Vec<u8>) -> Item) -> Whole {
    let mut buffer = pool.take(bytes);
    match decode(text, &mut buffer) {
        Ok(()) => Whole::Item(item(buffer)),
        Err(reason) => {
            pool.put(buffer);
            Whole::Bad(reason)
        }
    }
}

/// The invite's bytes; verifies and removes the checksum.
fn invite(text: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut bytes = vec![0; decoded_len(text.len())];
    decode(text, &mut bytes)?;
    let end = bytes.len().checked_sub(CHECK_BYTES).filter(|&end| end > 0).ok_or(Reason::Length)?;
    if Sha256::digest(&bytes[..end])[..CHECK_BYTES] != bytes[end..] {
        return Err(Reason::Checksum);
    }
    bytes.truncate(end);
    Ok(bytes)
}
