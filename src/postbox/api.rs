//! What the postbox and those who call it agree on: paths, media types, sizes, limits, and how
//! the records in a body are written.
//!
//! Tokens and addresses travel in bodies only, never in a URL or a header, where proxies log them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Takes packets; the answer's body is how many were stored, in decimal, from the beginning.
pub(crate) const POST: &str = "/v1/post";
/// Gives the packets that lie under the addresses of tokens; takes nothing away.
pub(crate) const COLLECT: &str = "/v1/collect";
/// Throws packets away, each by its token and hash.
pub(crate) const DISCARD: &str = "/v1/discard";
/// Says of each address whether a packet is held, was collected, or is unknown.
pub(crate) const GONE: &str = "/v1/gone";
/// Gives the keys that were published for addresses.
pub(crate) const REVEALED: &str = "/v1/revealed";

/// In the answer of a post: the seconds for which all of its packets lie there, uncollected.
pub(crate) const KEEPS: &str = "otr-keeps";

/// Media type of raw records and raw packet streams.
pub(crate) const RAW: &str = "application/octet-stream";
/// Media type of lines.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The smallest packet, bytes; every packet is a power of two (protocol, section 4).
pub(crate) const MIN_PACKET: usize = 1 << 12;
/// The largest packet, bytes (protocol, section 4).
pub(crate) const MAX_PACKET: usize = 1 << 20;
/// A raw packet of 2^k bytes follows the byte `RAW_BASE + k` (protocol, section 4).
pub(crate) const RAW_BASE: u8 = 0xE9;
/// A raw published key follows this byte.
pub(crate) const RAW_KEY: u8 = 0xC0;
/// A raw proof of work, for the packet behind it, follows this byte.
pub(crate) const RAW_WORK: u8 = 0xC1;
/// Begins a line that holds a packet.
pub(crate) const LINE_PACKET: &str = "otr1p:";
/// Begins a line that holds a reply: a packet of 8,192 bytes to everybody but the two ends.
pub(crate) const LINE_REPLY: &str = "otr1r:";
/// Begins a line that holds a published key.
pub(crate) const LINE_KEY: &str = "otr1k:";
/// Begins a line that holds a proof of work, for the packet in the next line.
pub(crate) const LINE_WORK: &str = "otr1w:";

/// The longest that one `collect` or `gone` waits; a longer wish is cut to this. Below the minute
/// after which proxies and address translators commonly drop a silent connection.
pub(crate) const MAX_WAIT: Duration = Duration::from_mins(1);
/// Records in one body. A receiver may ask for all of its 4,096 skipped numbers and some more.
pub(crate) const MAX_RECORDS: usize = 8_192;
/// Different packets under one address: room for junk that someone put there, no store of it.
pub(crate) const MAX_UNDER_ADDRESS: usize = 4;

/// Names a packet's place: the first 32 bytes of the packet.
pub(crate) type Address = [u8; 32];
/// The right to collect and discard what lies under the address that is its hash.
pub(crate) type Token = [u8; 32];
/// A published Poly1305 key.
pub(crate) type Key = [u8; 32];
/// SHA-256 of a packet's bytes.
pub(crate) type PacketHash = [u8; 32];

/// The address that a token opens (protocol, section 3).
pub(crate) fn address_of(token: &Token) -> Address {
    Sha256::new().chain_update(b"otr/1 address").chain_update(token).finalize().into()
}

/// How records are written in a body. An answer takes the form of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One after another, nothing between them; packets and keys after their type byte.
    Raw,
    /// A line each, unpadded base64url; packets and keys after their prefix.
    Text,
}

impl Form {
    /// Raw where the request says `application/octet-stream`, lines otherwise: what curl sends
    /// by itself is lines.
    pub(crate) fn of_media_type(value: Option<&str>) -> Self {
        let essence = value.and_then(|v| v.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(RAW) { Self::Raw } else { Self::Text }
    }

    /// The media type of an answer in this form.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Raw => RAW,
            Self::Text => TEXT,
        }
    }
}

/// One record of a `discard`, 96 bytes: token 32 ‖ packet hash 32 ‖ published key 32, or zeros.
pub(crate) struct Discard {
    /// Whose hash is the address.
    pub(crate) token: Token,
    /// Which of the packets under that address.
    pub(crate) hash: PacketHash,
    /// The key to publish, where there is one.
    pub(crate) key: Option<Key>,
}

impl Discard {
    /// Size in bytes.
    pub(crate) const SIZE: usize = 96;

    /// The record that throws a packet away and publishes no key.
    pub(crate) fn without_key(token: &Token, hash: &PacketHash) -> [u8; Self::SIZE] {
        let mut record = [0; Self::SIZE];
        record[..32].copy_from_slice(token);
        record[32..64].copy_from_slice(hash);
        record
    }

    /// Takes a record apart.
    pub(crate) fn from_record(record: &[u8; Self::SIZE]) -> Self {
        let third = |n: usize| std::array::from_fn(|i| record[n * 32 + i]);
        let key: Key = third(2);
        Self { token: third(0), hash: third(1), key: (key != [0; 32]).then_some(key) }
    }
}

/// What `gone` says of an address, one byte each in the order asked (then a newline, in text).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A packet lies there.
    Held = b'h' as isize,
    /// None lies there, and one was discarded within the time that packets live.
    Collected = b'c' as isize,
    /// Never here, expired, or lost with a restart.
    Unknown = b'u' as isize,
}

/// A record of `N` bytes from its line (without the line's end); `None` when it is not one.
pub(crate) fn record_of_line<const N: usize>(line: &[u8]) -> Option<[u8; N]> {
    let mut record = [0; N];
    match URL_SAFE_NO_PAD.decode_slice(line, &mut record) {
        Ok(length) if length == N => Some(record),
        _ => None,
    }
}

/// Writes one published key: the byte 0xC0 or `otr1k:`, then address 32 ‖ key 32.
pub(crate) fn write_key(out: &mut Vec<u8>, form: Form, address: &Address, key: &Key) {
    match form {
        Form::Raw => {
            out.push(RAW_KEY);
            out.extend_from_slice(address);
            out.extend_from_slice(key);
        }
        Form::Text => {
            out.extend_from_slice(LINE_KEY.as_bytes());
            let joined = [address.as_slice(), key.as_slice()].concat();
            out.extend_from_slice(URL_SAFE_NO_PAD.encode(joined).as_bytes());
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_sends_by_itself_is_lines() {
        assert_eq!(Form::of_media_type(Some("application/x-www-form-urlencoded")), Form::Text);
        assert_eq!(Form::of_media_type(None), Form::Text);
        assert_eq!(Form::of_media_type(Some("Application/Octet-Stream; x=y")), Form::Raw);
    }

    #[test]
    fn a_record_is_exactly_as_long_as_it_must_be_and_canonical() {
        let line = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(record_of_line::<32>(line.as_bytes()), Some([7; 32]));
        assert_eq!(record_of_line::<96>(line.as_bytes()), None);
        assert_eq!(record_of_line::<32>(&line.as_bytes()[..42]), None);
        let mut loose = line.into_bytes();
        loose[42] = b'd'; // the same 32 bytes, with unused bits that are not zero
        assert_eq!(record_of_line::<32>(&loose), None);
    }

    #[test]
    fn a_key_of_zeros_is_none() {
        assert!(Discard::from_record(&[0; 96]).key.is_none());
        assert_eq!(Discard::from_record(&[1; 96]).key, Some([1; 32]));
    }
}
