//! Armor: converts what travels between two ends, lines of text or a raw stream, from and to bytes.
//!
//! Text has one item per line: `otr1p:` (packet), `otr1k:` (published key), `otr1r:` (reply) or
//! `otr1i:` (invite), followed by unpadded base64url whose unused bits are zero; an invite is
//! followed by the first four bytes of its SHA-256. A raw stream has, for each item, one byte that
//! never occurs in UTF-8, followed by the item's bytes: 0xE9 + k precedes a packet of 2^k bytes,
//! 0xC0 a published key. A raw reply is a packet with k = 13. (`docs/protocol.md`, section 4.)
//!
//! [`Scanner`] reads either form and tells them apart by the first byte, even where one follows the
//! other; text may be wrapped, quoted, quoted-printable or UTF-16. [`encode`] writes them. Nothing
//! here decrypts, authenticates or stores anything: an item has the right length and alphabet (an
//! invite also the right checksum), and no more is known about it.
//!
//! ```
//! use otr::armor::{Item, Scanner, encode};
//!
//! let mut line = Vec::new();
//! encode::key(&mut line, &[7; 64], None);
//!
//! let mut scanner = Scanner::new();
//! let room = scanner.space(); // read(2) goes straight in here
//! room[..line.len()].copy_from_slice(&line);
//! scanner.filled(line.len());
//! assert!(matches!(scanner.next_item(), Some(Item::Key(key)) if key == [7; 64]));
//! ```

mod base64url;
pub mod encode;
mod item;
pub(crate) mod marks;
mod pool;
mod raw;
mod scanner;
mod soft;
mod text;
mod whole;
mod wide;

use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::handshake::reply::REPLY;
use crate::protocol::packet;

pub use encode::Wrap;
pub use item::{Damaged, Item, Kind, Reason};
pub use scanner::{Form, Scanner};

/// The smallest packet has 2^12 bytes.
pub const MIN_K: u32 = packet::K_MIN as u32;
/// The largest packet has 2^20 bytes.
pub const MAX_K: u32 = packet::K_MAX as u32;
/// Bytes of a reply.
pub const REPLY_BYTES: usize = REPLY;
/// Bytes of a published key: address 32, key 32.
pub const KEY_BYTES: usize = PUBLISHED_KEY;
/// Bytes of the shortest invite: no share, no postbox.
pub const MIN_INVITE_BYTES: usize = 1292;
/// Bytes of the longest invite: together with its length it must fit under a code's number (4,016).
pub const MAX_INVITE_BYTES: usize = 4014;
/// Bytes of SHA-256 that follow an invite.
pub const CHECK_BYTES: usize = 4;

/// Whether a packet can have this many bytes.
fn is_packet_length(bytes: usize) -> bool {
    bytes.is_power_of_two() && (MIN_K..=MAX_K).contains(&bytes.trailing_zeros())
}
