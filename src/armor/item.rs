//! What a [`Scanner`](super::Scanner) finds.

use std::fmt;

use super::KEY_BYTES;

/// One thing found in the input.
#[derive(PartialEq, Eq)]
pub enum Item {
    /// Invite bytes, 1 to 4,014, without their checksum, which was correct.
    Invite(Vec<u8>),
    /// A reply, 8,192 bytes. (In a raw stream a reply comes as a packet of that size.)
    Reply(Vec<u8>),
    /// A packet, 2^k bytes, 12 ≤ k ≤ 20.
    Packet(Vec<u8>),
    /// A published key: address 32 bytes, Poly1305 key 32 bytes.
    Key([u8; KEY_BYTES]),
    /// Something that was meant to be an item but is not.
    Damaged(Damaged),
}

/// Prints only lengths: nobody reads a megabyte, and an invite does not belong in a log.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invite(bytes) => write!(f, "Invite({} bytes)", bytes.len()),
            Self::Reply(bytes) => write!(f, "Reply({} bytes)", bytes.len()),
            Self::Packet(bytes) => write!(f, "Packet({} bytes)", bytes.len()),
            Self::Key(bytes) => write!(f, "Key({} bytes)", bytes.len()),
            Self::Damaged(damaged) => write!(f, "Damaged({damaged})"),
        }
    }
}

/// Which of the four kinds an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `otr1i:`
    Invite,
    /// `otr1r:`
    Reply,
    /// `otr1p:`, 0xF5 … 0xFD
    Packet,
    /// `otr1k:`, 0xC0
    Key,
}

impl Kind {
    /// The kind whose marker contains this letter.
    pub(super) fn of_letter(letter: u8) -> Option<Self> {
        match letter {
            b'i' => Some(Self::Invite),
            b'r' => Some(Self::Reply),
            b'p' => Some(Self::Packet),
            b'k' => Some(Self::Key),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invite => "invite",
            Self::Reply => "reply",
            Self::Packet => "packet",
            Self::Key => "published key",
        })
    }
}

/// An item that was refused, in words short enough for one line: `packet: wrong length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// What it was meant to be, if that can be told.
    pub kind: Option<Kind>,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind}: {}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

/// Why an item was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An invite whose checksum does not match: it was damaged on its way, and is not merely the
    /// wrong one.
    Checksum,
    /// More or fewer bytes than an item of this kind has.
    Length,
    /// A character that is not in base64url. (A single `=` at the end of a line is
    /// quoted-printable: the line continues in the next.)
    Character,
    /// Nonzero bits after the last byte.
    UnusedBits,
    /// A raw stream continues with a byte that begins no item. The rest is skipped.
    UnknownByte,
    /// A raw stream that ends inside an item.
    CutShort,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "wrong checksum",
            Self::Length => "wrong length",
            Self::Character => "a character that is not base64url",
            Self::UnusedBits => "unused bits that are not zero",
            Self::UnknownByte => "a byte that begins neither packet nor key",
            Self::CutShort => "the input ends inside it",
        })
    }
}
