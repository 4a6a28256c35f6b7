//! What the postbox and its callers agree on: paths, media types, sizes, limits, and how the
//! records in a body are written.
//!
//! Tokens and addresses travel in bodies only, never in a URL or a header, where proxies log them.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::protocol::crypto::labels;
use crate::protocol::packet::{K_MAX, K_MIN, size};

/// Takes packets; the answer's body is how many were stored, in decimal, from the beginning.
pub(crate) const POST: &str = "/v1/post";
/// Gives the packets that lie under the addresses of tokens; takes nothing away.
pub(crate) const COLLECT: &str = "/v1/collect";
/// Discards packets, each by its token and hash.
pub(crate) const DISCARD: &str = "/v1/discard";
/// Says of each address whether a packet is held, was collected, or is unknown.
pub(crate) const GONE: &str = "/v1/gone";
/// Gives the keys that were published for addresses.
pub(crate) const REVEALED: &str = "/v1/revealed";

/// Stands before the path in the address of a Unix socket.
pub(crate) const UNIX: &str = "unix:";

/// In the answer to a post: the seconds for which the postbox keeps all of its packets, if they are
/// not collected.
pub(crate) const KEEPS: &str = "otr-keeps";

/// Media type of raw records and raw packet streams.
pub(crate) const RAW: &str = "application/octet-stream";

/// The smallest packet, bytes; every packet is a power of two (protocol, section 4).
pub const MIN_PACKET: usize = size(K_MIN);
/// The largest packet, bytes (protocol, section 4).
pub const MAX_PACKET: usize = size(K_MAX);
/// The longest that one `collect` or `gone` waits; longer requests are shortened to this. Below the
/// minute after which proxies and address translators commonly drop a silent connection.
pub const MAX_WAIT: Duration = Duration::from_mins(1);
/// Records in one body. A receiver may ask for all of its 4,096 skipped numbers and some more.
pub const MAX_RECORDS: usize = 8_192;
/// Different packets under one address: a little room in case a stranger puts junk there.
pub const MAX_UNDER_ADDRESS: usize = 4;

/// The address of a packet: its first 32 bytes.
pub type Address = [u8; 32];
/// The right to collect and discard what lies under the address that is its hash.
pub type Token = [u8; 32];
/// A published Poly1305 key.
pub type Key = [u8; 32];
/// SHA-256 of a packet's bytes.
pub type PacketHash = [u8; 32];

/// The first 32 bytes: a packet's address, a record's token.
#[cfg(feature = "client")]
pub(crate) fn front(bytes: &[u8]) -> [u8; 32] {
    let mut front = [0; 32];
    for (to, from) in front.iter_mut().zip(bytes) {
        *to = *from;
    }
    front
}

/// The address that a token opens (protocol, section 3).
pub fn address_of(token: &Token) -> Address {
    Sha256::new_with_prefix(labels::ADDRESS).chain_update(token).finalize().into()
}

/// One record of a `discard`, 96 bytes: token 32 ‖ packet hash 32 ‖ published key 32, or zeros.
pub struct Discard {
    /// The token whose hash is the address.
    pub token: Token,
    /// The hash of the packet under that address.
    pub hash: PacketHash,
    /// The key to publish, if there is one.
    pub key: Option<Key>,
}

impl Discard {
    /// Size in bytes.
    pub const SIZE: usize = 96;

    /// The record that discards a packet and publishes no key.
    pub fn without_key(token: &Token, hash: &PacketHash) -> [u8; Self::SIZE] {
        let mut record = [0; Self::SIZE];
        record[..32].copy_from_slice(token);
        record[32..64].copy_from_slice(hash);
        record
    }

    /// Parses a record.
    pub fn from_record(record: &[u8; Self::SIZE]) -> Self {
        let third = |n: usize| std::array::from_fn(|i| record[n * 32 + i]);
        let key: Key = third(2);
        Self { token: third(0), hash: third(1), key: (key != [0; 32]).then_some(key) }
    }
}

/// The status of a packet, by its address: what `gone` answers, one byte each in the order asked
/// (then a newline, in text).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketStatus {
    /// A packet lies there.
    Held = b'h' as isize,
    /// No packet lies there, and one was discarded within the lifetime of packets.
    Collected = b'c' as isize,
    /// Never here, expired, or lost with a restart.
    Unknown = b'u' as isize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_zeros_is_none() {
        assert!(Discard::from_record(&[0; 96]).key.is_none());
        assert_eq!(Discard::from_record(&[1; 96]).key, Some([1; 32]));
    }
}
