//! What stands before an item, in a stream of bytes and in a line of text: the one home of all of these
//! (`docs/protocol.md`, section 4; `docs/postbox.md`).

/// The byte before a packet of 2^k bytes is this + k: 0xF5 … 0xFD.
pub(crate) const PACKET_LEAD: u8 = 0xE9;
/// The byte before a published key in a raw stream.
pub const KEY_LEAD: u8 = 0xC0;
/// The byte before a proof of work in the raw body of a post; the packet that it is for follows.
pub(crate) const WORK_LEAD: u8 = 0xC1;

/// What every marker begins with; a letter and a colon follow.
pub(crate) const MARKER: &str = "otr1";
/// Characters of a whole marker.
pub(crate) const MARKER_LEN: usize = MARKER.len() + 2;
/// Begins a line that holds an invite.
pub(crate) const INVITE_LINE: &str = "otr1i:";
/// Begins a line that holds a reply, which is a packet of 8,192 bytes to everybody but the two ends.
pub(crate) const REPLY_LINE: &str = "otr1r:";
/// Begins a line that holds a packet.
pub(crate) const PACKET_LINE: &str = "otr1p:";
/// Begins a line that holds a published key.
pub(crate) const KEY_LINE: &str = "otr1k:";
/// Begins a line that holds a proof of work; the packet that it is for stands in the next line.
#[cfg(feature = "server")]
pub(crate) const WORK_LINE: &str = "otr1w:";
