//! A packet that is sealed: what is kept, handed out and carried.

use core::fmt;
use core::ops::Deref;

use super::{ADDRESS, size_class};

/// A sealed packet, of a size that packets have. Its bytes are for anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet(Vec<u8>);

impl Packet {
    /// These bytes, if packets have that size. What they hold shows only when they are opened.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        size_class(bytes.len()).map(|_| Self(bytes))
    }

    /// Under which it lies in a postbox.
    pub fn address(&self) -> [u8; ADDRESS] {
        // None is so short.
        self.0.first_chunk().copied().unwrap_or_default()
    }
}

impl Deref for Packet {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Packet {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Packet> for Vec<u8> {
    fn from(packet: Packet) -> Self {
        packet.0
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Packet({} bytes)", self.len())
    }
}
