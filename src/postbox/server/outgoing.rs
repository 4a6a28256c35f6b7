//! Packets on their way out: raw, written straight from many of their blocks at a time, or as lines
//! of text, encoded a window at a time.

use super::form::Form;
use crate::armor::marks::{PACKET_LEAD, PACKET_LINE};
use crate::postbox::storage::budget::{Budget, Charge, Full, Purpose};
use crate::postbox::storage::packet::{BLOCK, Packet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, Bytes};
use std::io::IoSlice;
use std::sync::Arc;
use std::vec::IntoIter;
use zeroize::Zeroizing;

/// Bytes of a packet that are encoded at a time: a multiple of three, so that nothing is kept from
/// one window to the next.
const WINDOW: usize = 6 * 1024;

/// Packets that are going out. They stay in memory until they are out, even if they are discarded
/// meanwhile.
pub(crate) enum Packets {
    /// Each straight from its blocks, after its prefix.
    Raw {
        /// Those that have not begun.
        waiting: Waiting,
        /// The packet whose prefix went out last.
        begun: Option<Arc<Packet>>,
    },
    /// All of them as one piece, so that only one window waits for the caller.
    Text(Option<Waiting>),
}

/// Queued packets, and the charge for the queue and the window.
pub(crate) struct Waiting {
    packets: IntoIter<Arc<Packet>>,
    _charge: Charge,
}

impl Waiting {
    fn sizes(&self) -> impl Iterator<Item = usize> {
        self.packets.as_slice().iter().map(|packet| packet.len())
    }

    /// How long all of them are as lines.
    fn lines_size(&self) -> usize {
        self.sizes().map(|size| PACKET_LINE.len() + (size * 4).div_ceil(3) + 1).sum()
    }
}

impl Packets {
    /// All of these.
    ///
    /// # Errors
    /// [`Full`] if there is no memory for their list and a window.
    pub(crate) fn new(
        form: Form,
        packets: Vec<Arc<Packet>>,
        budget: &Arc<Budget>,
    ) -> Result<Self, Full> {
        let window = if form == Form::Text { WINDOW / 3 * 4 } else { 0 };
        let bytes = packets.capacity() * size_of::<Arc<Packet>>() + window;
        let charge = Charge::new(budget, Purpose::Answers, bytes)?;
        let waiting = Waiting { packets: packets.into_iter(), _charge: charge };
        Ok(match form {
            Form::Raw => Self::Raw { waiting, begun: None },
            Form::Text => Self::Text(Some(waiting)),
        })
    }

    /// How many bytes will go out in total.
    pub(crate) fn size(&self) -> u64 {
        let size = match self {
            Self::Raw { waiting, .. } => waiting.sizes().map(|size| 1 + size).sum(),
            Self::Text(waiting) => waiting.as_ref().map_or(0, Waiting::lines_size),
        };
        size as u64
    }
}

impl Iterator for Packets {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        match self {
            Self::Raw { waiting, begun } => {
                if let Some(packet) = begun.take() {
                    return Some(Piece::Raw(Raw { packet, at: 0 }));
                }
                let packet = waiting.packets.next()?;
                let prefix = raw_prefix(packet.len());
                *begun = Some(packet);
                Some(Piece::Short(Bytes::from_static(prefix)))
            }
            Self::Text(waiting) => waiting.take().map(|all| Piece::Lines(Lines::new(all))),
        }
    }
}

/// A part of an answer's body.
pub(crate) enum Piece {
    /// A few bytes.
    Short(Bytes),
    /// Some bytes, and their charge until they are out.
    Charged(Charged),
    /// A raw packet.
    Raw(Raw),
    /// Packets, a line each.
    Lines(Lines),
}

/// Some bytes, charged until the last owner of the charge is gone.
pub(crate) struct Charged {
    bytes: Bytes,
    _charge: Arc<Charge>,
}

impl Charged {
    pub(crate) fn new(bytes: Bytes, charge: &Arc<Charge>) -> Self {
        Self { bytes, _charge: Arc::clone(charge) }
    }
}

/// The rest of a packet from byte `at` on.
pub(crate) struct Raw {
    packet: Arc<Packet>,
    at: usize,
}

/// The rest of packets that go out as lines.
pub(crate) struct Lines {
    waiting: Waiting,
    /// The packet that is being encoded, and how far it is.
    begun: Option<(Arc<Packet>, usize)>,
    /// Bytes that are encoded and not out yet.
    window: Zeroizing<Vec<u8>>,
    at: usize,
    /// Bytes of all lines behind the window.
    behind: usize,
}

impl Lines {
    fn new(waiting: Waiting) -> Self {
        let behind = waiting.lines_size();
        let window = Zeroizing::new(Vec::with_capacity(PACKET_LINE.len() + WINDOW / 3 * 4 + 1));
        let mut lines = Self { waiting, begun: None, window, at: 0, behind };
        lines.encode();
        lines
    }

    /// Encodes the next window: a part of one line.
    fn encode(&mut self) {
        self.window.clear();
        let (packet, from) = if let Some(begun) = self.begun.take() {
            begun
        } else {
            let Some(packet) = self.waiting.packets.next() else { return };
            self.window.extend_from_slice(PACKET_LINE.as_bytes());
            (packet, 0)
        };
        let end = (from + WINDOW).min(packet.len());
        let plain = plain(&packet, from, end);
        let text = self.window.len();
        self.window.resize(text + (plain.len() * 4).div_ceil(3), 0);
        // It is long enough.
        let _ = URL_SAFE_NO_PAD.encode_slice(&plain, &mut self.window[text..]);
        if end == packet.len() {
            self.window.push(b'\n');
        } else {
            self.begun = Some((packet, end));
        }
        self.at = 0;
        self.behind -= self.window.len();
    }
}

/// The packet's bytes from `from` to `end`.
fn plain(packet: &Packet, mut from: usize, end: usize) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(end - from));
    while from < end {
        let at = from % BLOCK;
        let part = packet.block(from / BLOCK).get(at..BLOCK.min(at + end - from));
        let part = part.unwrap_or_default();
        plain.extend_from_slice(part);
        from += part.len();
    }
    plain
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

impl Buf for Lines {
    fn remaining(&self) -> usize {
        self.window.len() - self.at + self.behind
    }

    fn chunk(&self) -> &[u8] {
        &self.window[self.at..]
    }

    /// The window, and nothing after it: hyper writes from many pieces at once and would put the
    /// next piece right after the window. So no room is left for that.
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
            Self::Short(bytes) | Self::Charged(Charged { bytes, .. }) => bytes.remaining(),
            Self::Raw(raw) => raw.remaining(),
            Self::Lines(lines) => lines.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Short(bytes) | Self::Charged(Charged { bytes, .. }) => bytes.chunk(),
            Self::Raw(raw) => raw.chunk(),
            Self::Lines(lines) => lines.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Short(bytes) | Self::Charged(Charged { bytes, .. }) => bytes.chunks_vectored(out),
            Self::Raw(raw) => raw.chunks_vectored(out),
            Self::Lines(lines) => lines.chunks_vectored(out),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Short(bytes) | Self::Charged(Charged { bytes, .. }) => bytes.advance(count),
            Self::Raw(raw) => raw.advance(count),
            Self::Lines(lines) => lines.advance(count),
        }
    }
}

/// The byte before a raw packet of this length.
fn raw_prefix(length: usize) -> &'static [u8] {
    const ALL: [u8; 32] = {
        let mut all = [0; 32];
        let mut k = 0;
        while k < 0xFF - PACKET_LEAD {
            all[k as usize] = PACKET_LEAD + k;
            k += 1;
        }
        all
    };
    let k = length.trailing_zeros() as usize;
    ALL.get(k..=k).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::postbox::storage::packet::Filling;

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
                let packets = Packets::new(form, packets.collect(), &budget).unwrap();
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

    /// Writes the queue as hyper does: many parts of many pieces at once, of which the system takes
    /// no more than `step` bytes.
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
