//! Armor: what travels between two ends, as lines of text or as a raw stream, ↔ bytes.
//!
//! Text is one item a line, `otr1p:` (packet), `otr1k:` (published key), `otr1r:` (reply) or
//! `otr1i:` (invite) and then unpadded base64url with its unused bits zero; an invite carries the
//! first four bytes of its SHA-256 behind it. A raw stream is, for each item, one byte that
//! never occurs in UTF-8 and then its bytes: 0xE9 + k before a packet of 2^k bytes, 0xC0
//! before a published key. A raw reply is a packet with k = 13. (`docs/protocol.md`, section 4.)
//!
//! [`Scanner`] reads either form and tells them apart by the first byte, also where one follows the
//! other; text may be wrapped, quoted, quoted-printable or UTF-16. [`encode`] writes them.
//! Nothing here opens, checks or keeps anything: an item that comes out has the right length and
//! alphabet (an invite: the right checksum), no more.
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
mod pool;
mod raw;
mod scanner;
mod soft;
mod text;
mod whole;
mod wide;

pub use encode::Wrap;
pub use item::{Damaged, Item, Kind, Reason};
pub use scanner::{Form, Scanner};

/// The smallest packet has 2^12 bytes.
pub const MIN_K: u32 = 12;
/// The largest packet has 2^20 bytes.
pub const MAX_K: u32 = 20;
/// Bytes of a reply.
pub const REPLY_BYTES: usize = 8192;
/// Bytes of a published key: address 32, key 32.
pub const KEY_BYTES: usize = 64;
/// Bytes of the shortest invite: no share, no postbox.
pub const MIN_INVITE_BYTES: usize = 1292;
/// Bytes of the longest invite: what finds room beside its length under a code's number (4,016).
pub const MAX_INVITE_BYTES: usize = 4014;
/// Bytes of SHA-256 behind an invite's text.
pub const CHECK_BYTES: usize = 4;

/// Whether a packet can have this many bytes.
fn is_packet_length(bytes: usize) -> bool {
    bytes.is_power_of_two() && (MIN_K..=MAX_K).contains(&bytes.trailing_zeros())
}
