//! Packets on their way out: raw, many of their blocks at a time from where they lie, or as lines
//! of text, encoded a window at a time.

use crate::postbox::api::{Form, LINE_PACKET, RAW_BASE};
use crate::postbox::store::packet::{BLOCK, Packet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, Bytes};
use std::io::IoSlice;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a packet that are encoded at a time: a multiple of three, so that nothing is kept from
/// one window to the next, and no more than what a connection is charged for.
const WINDOW: usize = 9 * 1024;

/// Packets, as they go out. They stay in memory until they are out, also when they are discarded
/// meanwhile.
pub(crate) struct Packets {
    form: Form,
    waiting: std::vec::IntoIter<Arc<Packet>>,
    /// The packet whose prefix went out last.
    begun: Option<Arc<Packet>>,
}

impl Packets {
    /// All of these.
    pub(crate) fn new(form: Form, packets: Vec<Arc<Packet>>) -> Self {
        Self { form, waiting: packets.into_iter(), begun: None }
    }

    /// How many bytes go out, of what has not begun.
    pub(crate) fn size(&self) -> u64 {
        self.waiting.as_slice().iter().map(|packet| written_size(self.form, packet.len())).sum()
    }
}

impl Iterator for Packets {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if let Some(packet) = self.begun.take() {
            return Some(match self.form {
                Form::Raw => Piece::Raw(Raw { packet, at: 0 }),
                Form::Text => Piece::Line(Line::new(packet)),
            });
        }
        let packet = self.waiting.next()?;
        let prefix = match self.form {
            Form::Raw => raw_prefix(packet.len()),
            Form::Text => LINE_PACKET.as_bytes(),
        };
        self.begun = Some(packet);
        Some(Piece::Short(Bytes::from_static(prefix)))
    }
}

/// A part of an answer's body.
pub(crate) enum Piece {
    /// A few bytes.
    Short(Bytes),
    /// A raw packet.
    Raw(Raw),
    /// A packet in base64url, and the line's end.
    Line(Line),
}

/// The rest of a packet from byte `at` on.
pub(crate) struct Raw {
    packet: Arc<Packet>,
    at: usize,
}

/// The rest of a packet's line.
pub(crate) struct Line {
    packet: Arc<Packet>,
    /// How far the packet is encoded.
    encoded: usize,
    /// What is encoded of it and not out yet.
    window: Zeroizing<Vec<u8>>,
    at: usize,
    /// Bytes of the line behind the window.
    behind: usize,
}

impl Line {
    fn new(packet: Arc<Packet>) -> Self {
        let behind = line_size(packet.len());
        let mut line =
            Self { packet, encoded: 0, window: Zeroizing::new(Vec::new()), at: 0, behind };
        line.encode();
        line
    }

    /// Encodes the next window.
    fn encode(&mut self) {
        let end = (self.encoded + WINDOW).min(self.packet.len());
        let mut plain = Zeroizing::new(Vec::with_capacity(WINDOW));
        while self.encoded < end {
            let block = self.packet.block(self.encoded / BLOCK);
            let from = self.encoded % BLOCK;
            let part = block.get(from..BLOCK.min(from + end - self.encoded)).unwrap_or_default();
            plain.extend_from_slice(part);
            self.encoded += part.len();
        }
        self.window.resize(WINDOW / 3 * 4 + 1, 0);
        // It is long enough by its constant.
        let mut length = URL_SAFE_NO_PAD.encode_slice(&plain, &mut self.window).unwrap_or_default();
        if end == self.packet.len() {
            self.window[length] = b'\n';
            length += 1;
        }
        self.window.truncate(length);
        self.at = 0;
        self.behind -= length;
    }
}

impl Buf for Raw {
    fn remaining(&self) -> usize {
        self.packet.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        self.packet.block(self.at / BLOCK).get(self.at % BLOCK..).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let begun = self.at / BLOCK;
        let blocks = (begun..self.packet.blocks()).map(|number| self.packet.block(number));
        let mut count = 0;
        for (slot, block) in out.iter_mut().zip(blocks) {
            *slot = IoSlice::new(if count == 0 { self.chunk() } else { block });
            count += 1;
        }
        count
    }

    fn advance(&mut self, count: usize) {
        self.at = (self.at + count).min(self.packet.len());
    }
}

impl Buf for Line {
    fn remaining(&self) -> usize {
        self.window.len() - self.at + self.behind
    }

    fn chunk(&self) -> &[u8] {
        &self.window[self.at..]
    }

    /// The window, and nothing behind it: hyper, which writes from many pieces at once, would take
    /// the next one for what comes behind the window. So no room is left for that.
    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let (Some((first, others)), true) = (out.split_first_mut(), self.has_remaining()) else {
            return 0;
        };
        *first = IoSlice::new(self.chunk());
        if self.behind == 0 {
            return 1;
        }
        others.fill(IoSlice::new(&[]));
        1 + others.len()
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 && self.has_remaining() {
            let now = count.min(self.window.len() - self.at);
            self.at += now;
            count -= now;
            if self.at == self.window.len() && self.behind > 0 {
                self.encode();
            }
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match self {
            Self::Short(bytes) => bytes.remaining(),
            Self::Raw(raw) => raw.remaining(),
            Self::Line(line) => line.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes.chunk(),
            Self::Raw(raw) => raw.chunk(),
            Self::Line(line) => line.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Short(bytes) => bytes.chunks_vectored(out),
            Self::Raw(raw) => raw.chunks_vectored(out),
            Self::Line(line) => line.chunks_vectored(out),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Short(bytes) => bytes.advance(count),
            Self::Raw(raw) => raw.advance(count),
            Self::Line(line) => line.advance(count),
        }
    }
}

/// The byte before a raw packet of that length.
fn raw_prefix(length: usize) -> &'static [u8] {
    const ALL: [u8; 32] = {
        let mut all = [0; 32];
        let mut k = 0;
        while k < 0xFF - RAW_BASE {
            all[k as usize] = RAW_BASE + k;
            k += 1;
        }
        all
    };
    let k = length.trailing_zeros() as usize;
    ALL.get(k..=k).unwrap_or_default()
}

/// How long a packet of `length` bytes is in a body.
fn written_size(form: Form, length: usize) -> u64 {
    let size = match form {
        Form::Raw => 1 + length,
        Form::Text => LINE_PACKET.len() + line_size(length),
    };
    size as u64
}

/// How long the line of a packet is behind its prefix, its end included.
fn line_size(length: usize) -> usize {
    (length * 4).div_ceil(3) + 1
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::postbox::store::budget::Budget;
    use crate::postbox::store::packet::Filling;

    #[test]
    fn packets_go_out_as_they_came_in() {
        let budget = Budget::new(1 << 22);
        let sizes = [4096, 1 << 17, 8192];
        let contents: Vec<Vec<u8>> =
            sizes.iter().map(|&n| (0..=252).cycle().take(n).collect()).collect();
        for form in [Form::Raw, Form::Text] {
            for step in [1_000, 4_096, 9_001, 1 << 20] {
                let packets = contents.iter().map(|bytes| {
                    let mut filling = Filling::new(&budget, 1 << 20);
                    filling.push(bytes).unwrap();
                    Arc::new(filling.finish().unwrap())
                });
                let packets = Packets::new(form, packets.collect());
                let promised = packets.size();
                let out = taken(&mut packets.collect(), step);
                let expected: Vec<u8> =
                    contents.iter().flat_map(|bytes| written(form, bytes)).collect();
                assert_eq!(promised, out.len() as u64);
                assert!(out == expected);
            }
        }
        assert_eq!(budget.used(), 0);
    }

    /// What is queued, as hyper writes it: many parts of many pieces at once, of which the system
    /// takes no more than `step` bytes.
    fn taken(queue: &mut VecDeque<Piece>, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(first) = queue.front() {
            let mut parts = [IoSlice::new(&[]); 7];
            let mut count = 0;
            for piece in &*queue {
                count += piece.chunks_vectored(&mut parts[count..]);
            }
            assert_eq!(&*parts[0], first.chunk());
            let bytes: Vec<u8> = parts[..count].iter().flat_map(|part| part.to_vec()).collect();
            let mut taken = bytes.len().min(step);
            out.extend_from_slice(&bytes[..taken]);
            while let Some(first) = queue.front_mut().filter(|_| taken > 0) {
                let left = first.remaining();
                first.advance(taken.min(left));
                assert_eq!(first.remaining(), left.saturating_sub(taken));
                taken = taken.saturating_sub(left);
                if !first.has_remaining() {
                    queue.pop_front();
                }
            }
        }
        out
    }

    fn written(form: Form, bytes: &[u8]) -> Vec<u8> {
        match form {
            Form::Raw => [raw_prefix(bytes.len()), bytes].concat(),
            Form::Text => format!("otr1p:{}\n", URL_SAFE_NO_PAD.encode(bytes)).into_bytes(),
        }
    }
}
