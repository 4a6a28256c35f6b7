//! The reply: 8,192 bytes that only a holder of the invite can tell from any packet.
//!
//! ```text
//! reply_address 32 | salt 32 | AEAD: dh_pk 32 | kem_ek 1184 | kem_ct 1088 | cpace share or random 32
//!                              | packet 0: 4096 | zeros 1680                                   + 16
//! ```

use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{self, KEM_CIPHERTEXT, TAG};
use crate::protocol::crypto::secret::Secret;
use crate::protocol::ratchet::root::RatchetPublic;
use crate::protocol::wire::{Malformed, Reader};

/// Bytes of a reply.
pub const REPLY: usize = 8192;

/// Bytes of packet 0.
pub(crate) const PACKET_0: usize = 4096;
const FRONT: usize = 64;
const PLAIN: usize = REPLY - FRONT - TAG;

/// What a reply holds.
pub(crate) struct ReplyFields {
    pub(crate) key: RatchetPublic,
    pub(crate) ciphertext: [u8; KEM_CIPHERTEXT],
    /// CPace share, or filler.
    pub(crate) last_field: [u8; 32],
    pub(crate) packet_0: Vec<u8>,
    /// Whether the padding is all zeros.
    pub(crate) zeros: bool,
}

fn reply_key(invite: &[u8], salt: &[u8]) -> Secret<32> {
    let mut key = Secret::zeroed();
    let invite_hash = primitives::sha256(&[labels::REPLY, invite]);
    primitives::hkdf(salt, &[&invite_hash], &[labels::REPLY_KEY], key.bytes_mut());
    key
}

/// Seals a reply to `invite`.
pub(crate) fn seal(
    invite: &[u8],
    reply_address: &[u8; 32],
    salt: &[u8; 32],
    fields: &ReplyFields,
) -> Vec<u8> {
    let mut reply = Vec::with_capacity(REPLY);
    reply.extend_from_slice(reply_address);
    reply.extend_from_slice(salt);
    reply.extend_from_slice(fields.key.bytes());
    reply.extend_from_slice(&fields.ciphertext);
    reply.extend_from_slice(&fields.last_field);
    reply.extend_from_slice(&fields.packet_0);
    reply.resize(REPLY, 0);
    let (front, sealed) = reply.split_at_mut(FRONT);
    primitives::seal(reply_key(invite, salt).bytes(), front, sealed);
    reply
}

/// Opens the outer layer; `None` if this is not a reply to `invite`.
pub(crate) fn open(invite: &[u8], reply_address: &[u8; 32], reply: &[u8]) -> Option<ReplyFields> {
    if reply.len() != REPLY || !primitives::equal(&reply[..32], reply_address) {
        return None;
    }
    let (front, sealed) = reply.split_at(FRONT);
    let mut sealed = sealed.to_vec();
    primitives::open(reply_key(invite, &front[32..]).bytes(), front, &mut sealed).ok()?;
    read(&sealed[..PLAIN]).ok()
}

fn read(plain: &[u8]) -> Result<ReplyFields, Malformed> {
    let mut reader = Reader::new(plain);
    Ok(ReplyFields {
        key: RatchetPublic::read(&mut reader)?,
        ciphertext: *reader.array()?,
        last_field: *reader.array()?,
        packet_0: reader.take(PACKET_0)?.to_vec(),
        zeros: reader.rest().iter().all(|byte| *byte == 0),
    })
}
