//! Sending, apart from the state: numbers that were taken out of it, and the sealing of packets
//! with them ([`crate::protocol::session::Session::reserve`]).

use core::mem;

use zeroize::Zeroizing;

use crate::protocol::crypto::primitives::TAG;
use crate::protocol::crypto::secret::Secret;
use crate::protocol::packet::frame::{
    self, DATA_HEAD, FRAME_HEAD, Frames, OPENING_FRAME, front, text_start,
};
use crate::protocol::packet::receipt::Receipt;
use crate::protocol::packet::{self, BODY_START, Header, K_MAX, K_MIN, Packet};
use crate::protocol::randomness::{NoRandomness, Randomness};
use crate::protocol::ratchet::chain::Chain;
use crate::protocol::ratchet::skipped::Position;

/// Numbers reserved for sending, with the keys that seal them, apart from the state.
pub struct Reservation {
    pub(super) index: u32,
    pub(super) transcript: [u8; 32],
    pub(super) chain: Chain,
    pub(super) end: u32,
    pub(super) header: Header,
    pub(super) opening: Option<Secret<32>>,
    /// Whether text may be sent yet.
    pub(super) text: bool,
    /// Whether the parts of messages say that their sender waits to hear that they were opened.
    pub(super) receipts: bool,
}

/// Why a reserved number could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// All numbers of the reservation have been used.
    UsedUp,
    /// The frames do not fit into the packet, or its size is not valid.
    Size,
    /// No randomness; the number is spent.
    NoRandomness,
    /// Text before the peer has shown that it knows the secret.
    Unconfirmed,
}

impl From<NoRandomness> for SealError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// A part of a message to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The message's number.
    pub message: u64,
    /// Where in the message the part begins, in bytes.
    pub offset: u64,
    /// Whether the message ends with this part.
    pub end: bool,
    /// Its length in bytes.
    pub length: usize,
}

impl Reservation {
    /// CK and HC of the next packet.
    #[cfg(test)]
    pub(crate) fn chain_bytes(&self) -> ([u8; 32], [u8; 32]) {
        (*self.chain.keys.bytes(), *self.chain.headers.bytes())
    }

    /// How many numbers are left.
    pub fn left(&self) -> u32 {
        self.end - self.chain.next
    }

    /// Position of the next packet.
    pub fn position(&self) -> Position {
        Position { chain: self.index, number: self.chain.next }
    }

    /// Takes the numbers that are left.
    #[must_use]
    pub fn take_rest(&mut self) -> Self {
        let rest = Self {
            index: self.index,
            transcript: self.transcript,
            chain: self.chain.duplicate(),
            end: self.end,
            header: self.header.duplicate(),
            opening: self.opening.as_ref().map(Secret::duplicate),
            text: self.text,
            receipts: self.receipts,
        };
        self.end = self.chain.next;
        rest
    }

    /// From now on the parts of messages say that their sender waits to hear that they were opened: a receiver
    /// that discards packets later discards these soon. There is a little less room in them.
    pub fn ask_for_receipts(&mut self) {
        self.receipts = true;
    }

    /// Bytes of the frames in front of the caller's, in one of these packets.
    fn front(&self) -> usize {
        front(self.opening.is_some())
    }

    /// Where in a packet the text of a message begins: the caller writes the text there before
    /// sealing.
    pub fn text_start(&self) -> usize {
        text_start(self.opening.is_some())
    }

    /// How many bytes of text a packet of size class `k` (12 to 20) holds.
    pub fn room(&self, k: u8) -> usize {
        let behind = if self.receipts { FRAME_HEAD } else { 0 };
        packet::size(k.clamp(K_MIN, K_MAX)) - TAG - self.text_start() - behind
    }

    /// The smallest size class, from `least` on, that holds `length` bytes of text.
    pub fn fit(&self, length: usize, least: u8) -> Option<u8> {
        (least.max(K_MIN)..=K_MAX).find(|&k| self.room(k) >= length)
    }

    /// Seals a part of a message in place. `packet` has the size of its class, with the text at
    /// [`Reservation::text_start`]; everything else in it is overwritten. The receipt may be
    /// dropped: it is for a sender who waits to hear that the packet was opened.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_part(
        &mut self,
        packet: &mut [u8],
        part: Part,
        randomness: &mut dyn Randomness,
    ) -> Result<Receipt, SealError> {
        if !self.text {
            return Err(SealError::Unconfirmed);
        }
        let mut head = Vec::with_capacity(DATA_HEAD);
        if part.length > self.room(K_MAX) {
            return Err(SealError::Size);
        }
        let length = u32::try_from(part.length).map_err(|_| SealError::Size)?;
        frame::put_data_head(&mut head, part.message, part.offset, part.end, length);
        let mut behind = Vec::with_capacity(FRAME_HEAD);
        if self.receipts {
            frame::put_receipt(&mut behind);
        }
        self.seal_around(packet, &head, part.length, &behind, randomness)
    }

    /// Seals `text` as this `part` into a new packet of size class `k`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_text(
        &mut self,
        k: u8,
        text: &[u8],
        part: Part,
        randomness: &mut dyn Randomness,
    ) -> Result<(Packet, Receipt), SealError> {
        // Wiped if it does not get sealed.
        let mut packet = Zeroizing::new(vec![0; packet::size(k.clamp(K_MIN, K_MAX))]);
        let room = packet.get_mut(self.text_start()..).and_then(|room| room.get_mut(..text.len()));
        room.filter(|_| part.length == text.len()).ok_or(SealError::Size)?.copy_from_slice(text);
        let receipt = self.seal_part(&mut packet, part, randomness)?;
        let packet = Packet::new(mem::take(&mut *packet)).ok_or(SealError::Size)?;
        Ok((packet, receipt))
    }

    /// Seals frames other than DATA into a packet of size class `k`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_frames(
        &mut self,
        k: u8,
        frames: &[u8],
        randomness: &mut dyn Randomness,
    ) -> Result<Packet, SealError> {
        let text = |frames: Frames| frames.data.is_some() || frames.pipe.is_some();
        if !self.text && frame::parse(frames).is_ok_and(text) {
            return Err(SealError::Unconfirmed);
        }
        let mut packet = vec![0; packet::size(k.clamp(K_MIN, K_MAX))];
        self.seal_around(&mut packet, frames, 0, &[], randomness)?;
        Packet::new(packet).ok_or(SealError::Size)
    }

    /// Where in a packet the frames of a pipe begin: the caller writes them there before sealing.
    pub fn frames_start(&self) -> usize {
        BODY_START + self.front()
    }

    /// How many bytes of frames a packet of size class `k` (12 to 20) holds.
    pub fn frames_room(&self, k: u8) -> usize {
        packet::size(k.clamp(K_MIN, K_MAX)) - TAG - self.frames_start()
    }

    /// The smallest size class that holds `length` bytes of frames.
    pub fn fit_frames(&self, length: usize) -> Option<u8> {
        (K_MIN..=K_MAX).find(|&k| self.frames_room(k) >= length)
    }

    /// Seals `length` bytes of a pipe's frames in place, which begin at
    /// [`frames_start`](Self::frames_start) in `packet`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_pipe(
        &mut self,
        packet: &mut [u8],
        length: usize,
        randomness: &mut dyn Randomness,
    ) -> Result<(), SealError> {
        if !self.text {
            return Err(SealError::Unconfirmed);
        }
        self.seal_around(packet, &[], length, &[], randomness).map(drop)
    }

    /// Seals `opening ‖ frames ‖ text ‖ behind ‖ zeros`; the `text` bytes are already in place.
    fn seal_around(
        &mut self,
        packet: &mut [u8],
        frames: &[u8],
        text: usize,
        behind: &[u8],
        randomness: &mut dyn Randomness,
    ) -> Result<Receipt, SealError> {
        packet::size_class(packet.len()).ok_or(SealError::Size)?;
        if self.left() == 0 {
            return Err(SealError::UsedUp);
        }
        let front = self.front();
        let body = packet::body_mut(packet);
        let used = front + frames.len() + text;
        let rest = body.get_mut(used..).ok_or(SealError::Size)?;
        rest.fill(0);
        rest.get_mut(..behind.len()).ok_or(SealError::Size)?.copy_from_slice(behind);
        if let Some(nonce) = &self.opening {
            let mut opening = Vec::with_capacity(OPENING_FRAME);
            frame::put_opening(&mut opening, nonce.bytes());
            body[..front].copy_from_slice(&opening);
        }
        body[front..front + frames.len()].copy_from_slice(frames);
        let keys = self.chain.advance().map_err(|_| SealError::UsedUp)?;
        Ok(packet::seal(&keys, &self.header, packet, randomness)?)
    }
}

/// The frames of a CLOSE packet: how many messages this side sent in all.
pub fn close_frames(messages: u64) -> Vec<u8> {
    let mut frames = Vec::with_capacity(FRAME_HEAD + 8);
    frame::put_close(&mut frames, messages);
    frames
}

/// The frames of a packet that says nothing: cover, confirmation.
pub fn nothing_frames() -> Vec<u8> {
    let mut frames = Vec::with_capacity(FRAME_HEAD);
    frame::put_nothing(&mut frames);
    frames
}
