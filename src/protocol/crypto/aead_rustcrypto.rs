//! ChaCha20-Poly1305 (RFC 8439) by the `chacha20poly1305` crate. Nonces are zero: each key serves
//! once.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use zeroize::Zeroize;

/// Bytes of a Poly1305 tag.
pub const TAG: usize = 16;

/// The tag does not match: wrong key, or changed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unopened;

/// Seals in place: all but the last 16 bytes of `buffer` are plaintext, the last 16 become the tag.
/// A buffer under 16 bytes is wiped.
pub fn seal(key: &[u8; 32], ad: &[u8], buffer: &mut [u8]) {
    let Some((text, tag_field)) = buffer.split_last_chunk_mut::<TAG>() else {
        return buffer.zeroize();
    };
    let cipher = ChaCha20Poly1305::new(&(*key).into());
    match cipher.encrypt_inout_detached(&[0; 12].into(), ad, text.into()) {
        Ok(tag) => *tag_field = tag.into(),
        // This happens only above 256 GiB, which no packet reaches; even then text must not leave
        // in clear.
        Err(_) => buffer.zeroize(),
    }
}

/// Opens in place `ciphertext ‖ tag`; the plaintext is all but the last 16 bytes.
///
/// # Errors
/// [`Unopened`]; the contents of `buffer` are then meaningless.
pub fn open(key: &[u8; 32], ad: &[u8], buffer: &mut [u8]) -> Result<(), Unopened> {
    let (text, tag) = buffer.split_last_chunk_mut::<TAG>().ok_or(Unopened)?;
    let cipher = ChaCha20Poly1305::new(&(*key).into());
    cipher
        .decrypt_inout_detached(&[0; 12].into(), ad, text.into(), &(*tag).into())
        .map_err(|_| Unopened)
}
