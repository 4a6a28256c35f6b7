//! A packet's address: where it lies in a postbox. Only somebody who has the token, whose hash the
//! address is, can collect the packet.

use crate::protocol::crypto::{labels, primitives};

/// Bytes of an address.
pub const ADDRESS: usize = 32;

/// The address, 32 bytes, of a token.
pub fn address(token: &[u8; 32]) -> [u8; 32] {
    primitives::sha256(&[labels::ADDRESS, token])
}
