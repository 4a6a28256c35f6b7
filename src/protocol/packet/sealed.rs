//! A sealed packet: what a session keeps and hands out, and what carries it.

use core::fmt;
use core::ops::Deref;

use super::{ADDRESS, size_class};

/// A sealed packet, of a valid size. Anyone may see its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet(Vec<u8>);

impl Packet {
    /// These bytes, if they have a valid size. Only opening them shows what they hold.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        size_class(bytes.len()).map(|_| Self(bytes))
    }

    /// The address under which it lies in a postbox.
    pub fn address(&self) -> [u8; ADDRESS] {
        // No packet is that short.
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
