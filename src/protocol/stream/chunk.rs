//! Buffers for the bytes of streams, which are used again and again: making and wiping one for each read
//! would cost more than sealing what is in it.

use core::ops::Deref;
use std::collections::VecDeque;

use zeroize::Zeroizing;

/// Bytes of a buffer: what a pipe of Linux holds by default.
pub const CHUNK: usize = 64 << 10;
/// How many buffers are kept for later.
const KEPT: usize = 64;

/// Some bytes of a stream, at most [`CHUNK`]. The buffer is wiped when it is dropped; until then older bytes
/// may lie behind those that are in use.
pub struct Chunk {
    buffer: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Chunk {
    /// The whole buffer, to be read into; then call [`filled`](Self::filled).
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The first `count` bytes of the buffer are in use now.
    pub fn filled(&mut self, count: usize) {
        self.used = count.min(self.buffer.len());
    }

    /// Adds as many of these bytes as there is room for; returns the others.
    fn add<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let room = self.buffer.get_mut(self.used..).unwrap_or_default();
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        if let Some(place) = room.get_mut(..now.len()) {
            place.copy_from_slice(now);
        }
        self.used += now.len();
        later
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.used).unwrap_or_default()
    }
}

/// Buffers for later.
#[derive(Default)]
pub(super) struct Pool(Vec<Chunk>);

impl Pool {
    /// An empty buffer.
    pub(super) fn take(&mut self) -> Chunk {
        let new = || Chunk { buffer: Zeroizing::new(vec![0; CHUNK]), used: 0 };
        let mut chunk = self.0.pop().unwrap_or_else(new);
        chunk.used = 0;
        chunk
    }

    pub(super) fn give_back(&mut self, chunk: Chunk) {
        if self.0.len() < KEPT {
            self.0.push(chunk);
        }
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
