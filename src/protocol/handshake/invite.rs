//! The invite: what the inviting side publishes, and what the answering side checks in it.
//!
//! ```text
//! version 1 = 0x01 | flags 1 (0x01 = secret) | dh_pk 32 | kem_ek 1184 | commitment 32
//! reply_address 32 | expires 8 | cpace_share 32 (only with the flag) | length 2 ‖ postbox URL
//! ```

use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{self, DH_PUBLIC, KEM_PUBLIC};
use crate::protocol::ratchet::root::RatchetPublic;
use crate::protocol::wire::{Malformed, Reader, Sink};

/// Bytes of the longest postbox URL.
pub const POSTBOX_MAX: usize = 1024;

/// Bytes of the shortest invite, without secret and postbox.
pub const INVITE_MIN: usize = 2 + DH_PUBLIC + KEM_PUBLIC + 32 + 32 + 8 + 2;

/// Bytes of the longest invite.
pub const INVITE_MAX: usize = INVITE_MIN + 32 + POSTBOX_MAX;

const VERSION: u8 = 1;
const FLAG_SECRET: u8 = 0x01;

/// Why bytes are not an invite of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteError {
    /// A version that this program does not know.
    Version(u8),
    /// A flag that this version does not know.
    Flags,
    /// Too short, too long, or a postbox that is not UTF-8 or too long.
    Malformed,
}

impl From<Malformed> for InviteError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// An invite's fields.
pub struct Invite {
    /// The inviter's ratchet key.
    pub key: RatchetPublic,
    /// SHA-256 of the nonce that the inviter reveals in its first chain.
    pub commitment: [u8; 32],
    /// Where the reply goes; the inviter collects it with the token whose hash this is.
    pub reply_address: [u8; 32],
    /// Unix seconds after which the answering side refuses it, never 0; `None`: it has no end.
    pub expires: Option<u64>,
    /// The CPace share, if the invite asks for a secret.
    pub cpace_share: Option<[u8; 32]>,
    /// The postbox's URL, never empty, of at most [`POSTBOX_MAX`] bytes.
    pub postbox: Option<String>,
}

impl Invite {
    /// Reads the bytes of an invite.
    ///
    /// # Errors
    /// [`InviteError`]; only bytes that [`Invite::to_bytes`] would write identically are accepted.
    pub fn parse(bytes: &[u8]) -> Result<Self, InviteError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != VERSION {
            return Err(InviteError::Version(version));
        }
        let flags = reader.u8()?;
        if flags & !FLAG_SECRET != 0 {
            return Err(InviteError::Flags);
        }
        let key = RatchetPublic::read(&mut reader)?;
        let commitment = *reader.array()?;
        let reply_address = *reader.array()?;
        let expires = Some(reader.u64()?).filter(|&time| time != 0);
        let cpace_share = if flags & FLAG_SECRET == 0 { None } else { Some(*reader.array()?) };
        let length = usize::from(reader.u16()?);
        if length > POSTBOX_MAX {
            return Err(InviteError::Malformed);
        }
        let postbox =
            core::str::from_utf8(reader.take(length)?).map_err(|_| InviteError::Malformed)?;
        let postbox = Some(postbox).filter(|url| !url.is_empty()).map(str::to_owned);
        reader.end()?;
        Ok(Self { key, commitment, reply_address, expires, cpace_share, postbox })
    }

    /// The bytes of this invite. A postbox URL of more than [`POSTBOX_MAX`] bytes is refused
    /// earlier, when the invite is made ([`crate::protocol::handshake::Inviting::new`]).
    pub fn to_bytes(&self) -> Vec<u8> {
        self.write(self.cpace_share.as_ref())
    }

    /// Like [`Invite::to_bytes`], with the flag but without the share's 32 bytes: CPace binds the
    /// share to this.
    pub(crate) fn to_bytes_without_share(&self) -> Vec<u8> {
        self.write(None)
    }

    fn write(&self, share: Option<&[u8; 32]>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(INVITE_MAX);
        bytes.u8(VERSION);
        bytes.u8(if self.cpace_share.is_some() { FLAG_SECRET } else { 0 });
        bytes.put(self.key.bytes());
        bytes.put(&self.commitment);
        bytes.put(&self.reply_address);
        bytes.u64(self.expires.unwrap_or_default());
        if let Some(share) = share {
            bytes.put(share);
        }
        let postbox = self.postbox.as_deref().unwrap_or_default();
        let length = u16::try_from(postbox.len()).unwrap_or(u16::MAX);
        bytes.put(&length.to_be_bytes());
        bytes.put(postbox.as_bytes());
        bytes
    }
}

/// The inviter's commitment to its nonce: SHA-256, 32 bytes.
pub(crate) fn commitment(nonce: &[u8; 32]) -> [u8; 32] {
    primitives::sha256(&[labels::COMMITMENT, nonce])
}
