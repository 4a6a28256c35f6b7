//! Bytes → text lines and raw items, appended to a buffer that the caller reuses.

use std::num::NonZeroUsize;

use sha2::{Digest, Sha256};

use super::base64url::{self, encoded_len};
use super::item::Kind;
use super::marks::{INVITE_LINE, KEY_LINE, MARKER_LEN, PACKET_LINE, REPLY_LINE};
use super::{CHECK_BYTES, KEY_BYTES, is_packet_length};

pub use super::marks::KEY_LEAD;
pub use super::raw::packet_lead;

/// The narrowest lines: the first one has room for a marker and something after it, and an invite
/// has few enough lines for a reader to try its checksum at the end of each.
pub const MIN_COLUMNS: usize = 32;

/// How wide lines may be; where this is optional, `None` means one line per item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrap(NonZeroUsize);

impl Wrap {
    /// Lines of `columns` characters, the marker included; `None` if fewer than 32.
    pub fn new(columns: usize) -> Option<Self> {
        NonZeroUsize::new(columns).filter(|columns| columns.get() >= MIN_COLUMNS).map(Self)
    }
}

/// Appends `otr1i:`, the invite bytes and the first four bytes of their SHA-256.
pub fn invite(out: &mut Vec<u8>, invite: &[u8], wrap: Option<Wrap>) {
    let mut bytes = invite.to_vec();
    bytes.extend_from_slice(&Sha256::digest(invite)[..CHECK_BYTES]);
    line(out, Kind::Invite, &bytes, wrap);
}

/// Appends `otr1r:` and a reply of 8,192 bytes.
pub fn reply(out: &mut Vec<u8>, reply: &[u8], wrap: Option<Wrap>) {
    line(out, Kind::Reply, reply, wrap);
}

/// Appends `otr1p:` and a packet of 2^k bytes.
pub fn packet(out: &mut Vec<u8>, packet: &[u8], wrap: Option<Wrap>) {
    line(out, Kind::Packet, packet, wrap);
}

/// Appends `otr1k:` and a published key.
pub fn key(out: &mut Vec<u8>, key: &[u8; KEY_BYTES], wrap: Option<Wrap>) {
    line(out, Kind::Key, key, wrap);
}

/// Appends a packet of 2^k bytes, or a reply, in the raw form. For a large packet, rather write
/// [`packet_lead`] and the packet itself. Bytes of any other length are not a packet: then this
/// appends nothing and returns `false`.
pub fn raw_packet(out: &mut Vec<u8>, packet: &[u8]) -> bool {
    let Some(lead) = packet_lead(packet.len()) else { return false };
    out.push(lead);
    out.extend_from_slice(packet);
    true
}

/// Appends a published key in the raw form.
pub fn raw_key(out: &mut Vec<u8>, key: &[u8; KEY_BYTES]) {
    out.push(KEY_LEAD);
    out.extend_from_slice(key);
}

fn line(out: &mut Vec<u8>, kind: Kind, bytes: &[u8], wrap: Option<Wrap>) {
    let marker = match kind {
        Kind::Invite => INVITE_LINE,
        Kind::Reply => REPLY_LINE,
        Kind::Packet => PACKET_LINE,
        Kind::Key => KEY_LINE,
    };
    out.extend_from_slice(marker.as_bytes());
    let begin = out.len();
    out.resize(begin + encoded_len(bytes.len()), 0);
    base64url::encode(bytes, &mut out[begin..]);
    if let Some(Wrap(columns)) = wrap {
        let text = out.split_off(begin);
        wrap_to(out, kind, &text, columns.get());
    }
    out.push(b'\n');
}

/// Appends `text` with line breaks; the marker is already on the first line.
fn wrap_to(out: &mut Vec<u8>, kind: Kind, text: &[u8], columns: usize) {
    let (mut done, mut width) = (0, columns - MARKER_LEN);
    while text.len() - done > width {
        // A reader takes the first line end at which a packet could be complete for the packet's
        // end.
        let misleading = kind == Kind::Packet && ends_a_packet(done + width);
        let next = done + width - usize::from(misleading);
        out.extend_from_slice(&text[done..next]);
        out.push(b'\n');
        (done, width) = (next, columns);
    }
    out.extend_from_slice(&text[done..]);
}

fn ends_a_packet(characters: usize) -> bool {
    let bytes = base64url::decoded_len(characters);
    encoded_len(bytes) == characters && is_packet_length(bytes)
}
