//! The packet: address, salt, sealed header, sealed body, in exactly 2^k bytes that look random.
//!
//! ```text
//! address 32 | salt 32 | header 2308 + 16 | body + 16        12 ≤ k ≤ 20
//! ```

pub mod address;
pub mod frame;
mod head;
pub mod message;
pub mod pipe;
pub mod receipt;
pub(crate) mod runs;
mod sealed;

pub use address::ADDRESS;
use address::address;
pub use sealed::Packet;

use core::ops::Range;

use self::receipt::Receipt;
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{self, KEM_CIPHERTEXT, TAG};
use crate::protocol::crypto::secret::{HeaderKey, PacketKey, Secret, wipe_stack};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::protocol::ratchet::chain::NumberKeys;
use crate::protocol::ratchet::root::{RATCHET_PUBLIC, RatchetPublic};

/// Bytes of a plain header: `dh_pk 32 | kem_ek 1184 | kem_ct 1088 | previous length 4`.
pub const HEADER: usize = RATCHET_PUBLIC + KEM_CIPHERTEXT + 4;
/// Where a packet's body begins.
pub const BODY_START: usize = ADDRESS + SALT + HEADER + TAG;
/// The smallest packet is 2^12 = 4,096 bytes.
pub const K_MIN: u8 = 12;
/// The largest packet is 2^20 = 1,048,576 bytes.
pub const K_MAX: u8 = 20;
/// The largest k whose salt also depends on the text (a second pass over the text costs too much
/// above it).
pub const K_SALTED_BY_TEXT: u8 = 16;

const SALT: usize = 32;
const SALT_FIELD: Range<usize> = ADDRESS..ADDRESS + SALT;
const HEADER_FIELD: Range<usize> = ADDRESS + SALT..BODY_START;

/// Bytes of a packet of size class `k`.
pub const fn size(k: u8) -> usize {
    1 << k
}

/// The largest size class of at most `bytes` bytes; if none is that small, the smallest.
pub fn largest_class(bytes: usize) -> u8 {
    (K_MIN..=K_MAX).rev().find(|&k| size(k) <= bytes).unwrap_or(K_MIN)
}

/// The size class of a packet of `length` bytes, if there is one.
pub fn size_class(length: usize) -> Option<u8> {
    (K_MIN..=K_MAX).find(|&k| size(k) == length)
}

/// The plain header, the same in all packets of a chain.
pub struct Header(pub(crate) Secret<HEADER>);

impl Header {
    pub(crate) fn new(
        key: &RatchetPublic,
        ciphertext: &[u8; KEM_CIPHERTEXT],
        previous_length: u32,
    ) -> Self {
        let mut header = Secret::zeroed();
        let bytes: &mut [u8; HEADER] = header.bytes_mut();
        bytes[..RATCHET_PUBLIC].copy_from_slice(key.bytes());
        bytes[RATCHET_PUBLIC..HEADER - 4].copy_from_slice(ciphertext);
        bytes[HEADER - 4..].copy_from_slice(&previous_length.to_be_bytes());
        Self(header)
    }

    pub(crate) fn bytes(&self) -> &[u8; HEADER] {
        self.0.bytes()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The sender's ratchet key.
    pub(crate) fn key(&self) -> RatchetPublic {
        let mut key = [0; RATCHET_PUBLIC];
        key.copy_from_slice(&self.bytes()[..RATCHET_PUBLIC]);
        RatchetPublic::copy_of(&key)
    }

    /// The ciphertext encapsulated to the receiver's ratchet key.
    pub(crate) fn ciphertext(&self) -> [u8; KEM_CIPHERTEXT] {
        let mut ciphertext = [0; KEM_CIPHERTEXT];
        ciphertext.copy_from_slice(&self.bytes()[RATCHET_PUBLIC..HEADER - 4]);
        ciphertext
    }

    /// `dh_pk ‖ kem_ek ‖ kem_ct`: what a turn hash begins with.
    pub(crate) fn turn_input(&self) -> &[u8] {
        &self.bytes()[..HEADER - 4]
    }

    /// How many packets the sender's previous chain had.
    pub(crate) fn previous_length(&self) -> u32 {
        let mut length = [0; 4];
        length.copy_from_slice(&self.bytes()[HEADER - 4..]);
        u32::from_be_bytes(length)
    }

    /// SHA-256 of the plain header, to which later packets of the chain are held.
    pub(crate) fn hash(&self) -> [u8; 32] {
        primitives::sha256(&[self.bytes()])
    }
}

/// The part of `packet` that holds the plain body, before sealing and after opening.
pub(crate) fn body(packet: &[u8]) -> &[u8] {
    packet.get(BODY_START..packet.len().saturating_sub(TAG)).unwrap_or_default()
}

/// Like [`body`], to be filled.
pub(crate) fn body_mut(packet: &mut [u8]) -> &mut [u8] {
    let end = packet.len().saturating_sub(TAG);
    packet.get_mut(BODY_START..end).unwrap_or_default()
}

/// Seals `packet`, whose plain body is in place, under the keys of one number. The receipt will
/// show that the other side has opened it.
pub(crate) fn seal(
    keys: &NumberKeys,
    header: &Header,
    packet: &mut [u8],
    randomness: &mut dyn Randomness,
) -> Result<Receipt, NoRandomness> {
    let mut fresh = Secret::<32>::zeroed();
    randomness.fill(Draw::PacketFresh, fresh.bytes_mut())?;
    let salt = if packet.len() <= size(K_SALTED_BY_TEXT) {
        let text_hash = primitives::sha256(&[header.bytes(), body(packet)]);
        let mut salt_key = Secret::<32>::zeroed();
        primitives::expand(keys.packet.bytes(), &[labels::SALT], salt_key.bytes_mut());
        primitives::hmac(salt_key.bytes(), &[fresh.bytes(), &text_hash])
    } else {
        *fresh.bytes()
    };
    packet[..ADDRESS].copy_from_slice(&address(keys.token.bytes()));
    packet[SALT_FIELD].copy_from_slice(&salt);

    let (front, field) = packet[..BODY_START].split_at_mut(HEADER_FIELD.start);
    field[..HEADER].copy_from_slice(header.bytes());
    primitives::seal(header_key(&keys.header, &salt).bytes(), front, field);

    let (front, body) = packet.split_at_mut(BODY_START);
    let key = body_key(&keys.packet, &salt);
    primitives::seal(key.bytes(), front, body);
    let receipt = Receipt::new(&mut primitives::poly1305_key(key.bytes()));
    wipe_stack();
    Ok(receipt)
}

/// The AEAD key of the header.
fn header_key(key: &HeaderKey, salt: &[u8; 32]) -> Secret<32> {
    let mut out = Secret::zeroed();
    primitives::hkdf(salt, &[key.bytes()], &[labels::HEADER], out.bytes_mut());
    out
}

/// The AEAD key of the body.
fn body_key(key: &PacketKey, salt: &[u8; 32]) -> Secret<32> {
    let mut out = Secret::zeroed();
    primitives::hkdf(salt, &[key.bytes()], &[labels::BODY], out.bytes_mut());
    out
}

/// The part of a packet that was made with other keys, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// The header.
    Header,
    /// The body.
    Body,
}

/// The salt of a packet of at least 64 bytes.
fn salt_of(packet: &[u8]) -> [u8; 32] {
    let mut salt = [0; SALT];
    salt.copy_from_slice(&packet[SALT_FIELD]);
    salt
}

/// Opens the header of `packet` (of a valid size), which stays unchanged.
pub(crate) fn open_header(key: &HeaderKey, packet: &[u8]) -> Result<Header, Unopened> {
    let mut field = Secret::<{ HEADER + TAG }>::zeroed();
    field.bytes_mut().copy_from_slice(&packet[HEADER_FIELD]);
    let key = header_key(key, &salt_of(packet));
    primitives::open(key.bytes(), &packet[..HEADER_FIELD.start], field.bytes_mut())
        .map_err(|_| Unopened::Header)?;
    wipe_stack();
    Ok(Header(field.part(0)))
}

/// The key that opened a body. It is kept until the packet has been judged, then wiped.
pub(crate) struct BodyKey(Secret<32>);

impl BodyKey {
    /// The one-time Poly1305 key that may be published once the packet can no longer be accepted.
    pub(crate) fn poly1305_key(&self) -> [u8; 32] {
        let key = primitives::poly1305_key(self.0.bytes());
        wipe_stack();
        key
    }

    /// Encrypts the body again. The same text under the same key gives the same bytes, so the key
    /// still serves only one text.
    pub(crate) fn close(&self, packet: &mut [u8]) {
        let (front, body) = packet.split_at_mut(BODY_START);
        primitives::seal(self.0.bytes(), front, body);
        wipe_stack();
    }
}

/// Opens the body of `packet` (of a valid size) in place.
pub(crate) fn open_body(key: &PacketKey, packet: &mut [u8]) -> Result<BodyKey, Unopened> {
    let key = body_key(key, &salt_of(packet));
    let (front, body) = packet.split_at_mut(BODY_START);
    primitives::open(key.bytes(), front, body).map_err(|_| Unopened::Body)?;
    wipe_stack();
    Ok(BodyKey(key))
}
