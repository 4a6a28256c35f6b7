//! A packet's address: where it lies in a postbox. Only who has the token before the hash can collect
//! the packet.

use crate::protocol::crypto::{labels, primitives};

/// Bytes of an address.
pub const ADDRESS: usize = 32;

/// The address, 32 bytes, that a token opens.
pub fn address(token: &[u8; 32]) -> [u8; 32] {
    primitives::sha256(&[labels::ADDRESS, token])
}
