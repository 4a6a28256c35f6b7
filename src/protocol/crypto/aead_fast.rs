//! ChaCha20-Poly1305 (RFC 8439) by ring, whose assembler is faster on processors without AVX-512.
//! The same interface as `aead_rustcrypto.rs`. Nonces are zero: each key serves once.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

/// Bytes of a Poly1305 tag.
pub const TAG: usize = 16;

/// The tag does not match: wrong key, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unopened;

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Seals in place: all but the last 16 bytes of `buffer` are plaintext, the last 16 become the tag.
/// A buffer under 16 bytes is wiped.
pub fn seal(key: &[u8; 32], ad: &[u8], buffer: &mut [u8]) {
    let Some((text, tag_field)) = buffer.split_last_chunk_mut::<TAG>() else {
        return buffer.zeroize();
    };
    let tag = cipher(key)
        .and_then(|cipher| cipher.seal_in_place_separate_tag(nonce(), Aad::from(ad), text).ok());
    match tag {
        Some(tag) => tag_field.copy_from_slice(tag.as_ref()),
        // This happens only above 256 GiB, which no packet reaches; even then text must not leave
        // in clear.
        None => buffer.zeroize(),
    }
}

/// Opens in place `ciphertext ‖ tag`; the plaintext is all but the last 16 bytes.
///
/// # Errors
/// [`Unopened`]; the contents of `buffer` are then meaningless.
pub fn open(key: &[u8; 32], ad: &[u8], buffer: &mut [u8]) -> Result<(), Unopened> {
    let (text, tag) = buffer.split_last_chunk_mut::<TAG>().ok_or(Unopened)?;
    let cipher = cipher(key).ok_or(Unopened)?;
    cipher
        .open_in_place_separate_tag(nonce(), Aad::from(ad), (*tag).into(), text, 0..)
        .map(|_| ())
        .map_err(|_| Unopened)
}
