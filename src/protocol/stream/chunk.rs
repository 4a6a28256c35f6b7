//! Buffers for the bytes of streams, which are used again and again: making and wiping one for each read
//! would cost more than sealing what is in it.

use core::mem;
use core::ops::{Deref, Range};
use std::collections::VecDeque;

use zeroize::Zeroizing;

/// Bytes of a buffer: what a pipe of Linux holds by default.
pub const CHUNK: usize = 64 << 10;
/// How many buffers are kept for later.
const KEPT: usize = 64;

/// How many buffers of packets.
const PACKETS_KEPT: usize = 8;

/// Some bytes of a stream: at most [`CHUNK`], or those of a whole packet, in its buffer. It is wiped when it
/// is dropped; until then other bytes may lie around those that are in use.
pub struct Chunk {
    buffer: Zeroizing<Vec<u8>>,
    used: Range<usize>,
}

impl Chunk {
    /// The whole buffer, to be read into; then call [`filled`](Self::filled).
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The first `count` bytes of the buffer are in use now.
    pub fn filled(&mut self, count: usize) {
        self.used = 0..count.min(self.buffer.len());
    }

    /// Adds as many of these bytes as there is room for; returns the others.
    fn add<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = self.buffer.get_mut(self.used.end..).unwrap_or_default();
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(place) = room.get_mut(..now.len()) {
            place.copy_from_slice(now);
        }
        self.used.end += now.len();
        later
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.used.clone()).unwrap_or_default()
    }
}

/// An opened packet, whose buffer may become a [`Chunk`].
pub struct Opened<'a> {
    packet: &'a mut Zeroizing<Vec<u8>>,
    /// Where the plain body begins: what frames say refers to it.
    start: usize,
}

impl<'a> Opened<'a> {
    /// The packet whose plain body begins at this index.
    pub fn new(packet: &'a mut Zeroizing<Vec<u8>>, start: usize) -> Self {
        Self { packet, start }
    }

    /// The bytes at this range of the body, if it has so many; whether they are the last that are wanted.
    pub(super) fn part(&mut self, range: &Range<usize>, is_last: bool) -> Option<Part<'_>> {
        let range = range.start + self.start..range.end + self.start;
        self.packet.get(range.clone())?;
        Some(Part { packet: self.packet, range, is_last })
    }
}

/// Bytes of an opened packet.
pub(super) struct Part<'a> {
    packet: &'a mut Zeroizing<Vec<u8>>,
    range: Range<usize>,
    is_last: bool,
}

impl Part<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        self.packet.get(self.range.clone()).unwrap_or_default()
    }

    /// Whether the packet is large, and holds little else that nobody needs any more: then its buffer is
    /// worth keeping for them.
    pub(super) fn fills_packet(&self) -> bool {
        self.is_last && self.range.len() > CHUNK && self.range.len() > self.packet.len() / 4 * 3
    }

    /// The bytes, without copying them: the packet has none any more.
    pub(super) fn take(self) -> Chunk {
        Chunk { buffer: mem::take(self.packet), used: self.range }
    }
}

/// Buffers for later.
#[derive(Default)]
pub(super) struct Pool {
    chunks: Vec<Chunk>,
    packets: Vec<Zeroizing<Vec<u8>>>,
}

impl Pool {
    /// An empty buffer.
    pub(super) fn take(&mut self) -> Chunk {
        let new = || Chunk { buffer: Zeroizing::new(vec![0; CHUNK]), used: 0..0 };
        let mut chunk = self.chunks.pop().unwrap_or_else(new);
        chunk.used = 0..0;
        chunk
    }

    pub(super) fn give_back(&mut self, chunk: Chunk) {
        if chunk.buffer.len() == CHUNK {
            if self.chunks.len() < KEPT {
                self.chunks.push(chunk);
            }
        } else if self.packets.len() < PACKETS_KEPT {
            self.packets.push(chunk.buffer);
        }
    }

    /// The buffers of packets whose bytes are at their place; those are still in them.
    pub(super) fn take_packets(&mut self) -> Vec<Zeroizing<Vec<u8>>> {
        mem::take(&mut self.packets)
    }

    /// Adds bytes to those in these buffers.
    pub(super) fn gather(&mut self, buffers: &mut VecDeque<Chunk>, mut bytes: &[u8]) {
        if let Some(last) = buffers.back_mut() {
            bytes = last.add(bytes);
        }
        while !bytes.is_empty() {
            let mut chunk = self.take();
            bytes = chunk.add(bytes);
            buffers.push_back(chunk);
        }
    }
}
