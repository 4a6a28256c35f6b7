//! Frames: what a packet's body is made of, before the zeros that fill it [RFC 9000, 12.4].
//!
//! A frame is `type u8 | length u32 | bytes`. Types from 0x80 on are skipped; an unknown one below
//! is refused.

use core::ops::Range;

use super::wire::{Malformed, Reader, Sink};

/// Bytes of a frame's head: type and length.
pub const FRAME_HEAD: usize = 5;
/// Bytes of a DATA frame around its text: head, message number, offset, flags.
pub const DATA_HEAD: usize = FRAME_HEAD + 8 + 8 + 1;
/// Bytes of an OPENING frame.
pub const OPENING_FRAME: usize = FRAME_HEAD + 32;
/// Bytes of the longest question of a VERIFY frame.
pub const QUESTION_MAX: usize = 1024;

const DATA: u8 = 1;
const OPENING: u8 = 3;
const VERIFY: u8 = 4;
const CLOSE: u8 = 5;
const NOTHING: u8 = 6;
const FIRST_SKIPPED: u8 = 0x80;
const FLAG_END: u8 = 1;

/// Why a body is not a row of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame runs past the end, or has the wrong length for its type.
    Length,
    /// A type below 0x80 that this version does not know.
    Unknown,
    /// Unknown flag bits.
    Flags,
    /// Not only zeros behind the last frame.
    Padding,
    /// A part of a message without text that is not an empty message.
    Empty,
    /// More than one DATA in a packet.
    Twice,
    /// An unknown VERIFY step, or a starter that is neither side.
    Verify,
}

impl From<Malformed> for FrameError {
    fn from(_: Malformed) -> Self {
        Self::Length
    }
}

/// A part of a message; `text` lies in the body that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The message's number.
    pub message: u64,
    /// Where in the message this part begins.
    pub offset: u64,
    /// Whether the message ends with this part.
    pub end: bool,
    /// Where in the body the text is.
    pub text: Range<usize>,
}

/// What one body holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// The part of a message, if any.
    pub data: Option<Data>,
    /// The inviter's nonce, where OPENING was the first frame of any type.
    pub opening: Option<[u8; 32]>,
    /// An OPENING that was not the first frame.
    pub misplaced_opening: bool,
    /// CLOSE: the next message number.
    pub close: Option<u64>,
    /// How many NOTHING frames.
    pub nothing: usize,
    /// Starter (0 I, 1 R) and step of each VERIFY frame, in order, with its place in the body.
    pub verify: Vec<Verify>,
    /// Frames of types that are skipped.
    pub skipped: usize,
}

/// A step of checking a secret inside the session; its fields lie in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// 1 to 4.
    pub step: u8,
    /// Whether the inviting side started this run.
    pub started_by_inviter: bool,
    /// The starter's count of runs.
    pub attempt: u32,
    /// Where in the body the step's own fields are.
    pub fields: Range<usize>,
}

/// Reads a plain body.
///
/// # Errors
/// [`FrameError`]: the packet is refused.
pub fn parse(body: &[u8]) -> Result<Frames, FrameError> {
    let mut frames = Frames::default();
    let mut reader = Reader::new(body);
    let mut count = 0;
    while !reader.is_empty() {
        let kind = reader.u8()?;
        if kind == 0 {
            // Zeros from here on; compared in runs of 64 so that a megabyte costs little.
            let rest = reader.rest();
            let zeros = rest.chunks(64).all(|run| run.iter().fold(0, |or, byte| or | byte) == 0);
            return if zeros { Ok(frames) } else { Err(FrameError::Padding) };
        }
        let length = usize::try_from(reader.u32()?).map_err(|_| FrameError::Length)?;
        let start = body.len() - reader.rest().len();
        let field = reader.take(length)?;
        frames.add(kind, field, start, count == 0)?;
        count += 1;
    }
    Ok(frames)
}

impl Frames {
    fn add(&mut self, kind: u8, field: &[u8], start: usize, first: bool) -> Result<(), FrameError> {
        match kind {
            DATA if self.data.is_some() => return Err(FrameError::Twice),
            DATA => self.data = Some(parse_data(field, start)?),
            OPENING => {
                let nonce = field.try_into().map_err(|_| FrameError::Length)?;
                if first {
                    self.opening = Some(nonce);
                } else {
                    self.misplaced_opening = true;
                }
            }
            VERIFY => self.verify.push(parse_verify(field, start)?),
            CLOSE => {
                let next = field.try_into().map_err(|_| FrameError::Length)?;
                self.close = Some(u64::from_be_bytes(next));
            }
            NOTHING if field.is_empty() => self.nothing += 1,
            NOTHING => return Err(FrameError::Length),
            FIRST_SKIPPED.. => self.skipped += 1,
            // Type 2 is reserved: this version does not speak it.
            _ => return Err(FrameError::Unknown),
        }
        Ok(())
    }
}

fn parse_data(field: &[u8], start: usize) -> Result<Data, FrameError> {
    let mut reader = Reader::new(field);
    let message = reader.u64()?;
    let offset = reader.u64()?;
    let flags = reader.u8()?;
    if flags & !FLAG_END != 0 {
        return Err(FrameError::Flags);
    }
    let end = flags & FLAG_END != 0;
    let text = reader.rest();
    if text.is_empty() && !(offset == 0 && end) {
        return Err(FrameError::Empty);
    }
    let after = start + field.len();
    Ok(Data { message, offset, end, text: after - text.len()..after })
}

fn parse_verify(field: &[u8], start: usize) -> Result<Verify, FrameError> {
    let mut reader = Reader::new(field);
    let step = reader.u8()?;
    let started_by_inviter = match reader.u8()? {
        0 => true,
        1 => false,
        _ => return Err(FrameError::Verify),
    };
    let attempt = reader.u32()?;
    let length = reader.rest().len();
    let fits = match step {
        1 => (32..=32 + QUESTION_MAX).contains(&length),
        2 => length == 64,
        3 => length == 32,
        4 => length == 0,
        _ => return Err(FrameError::Verify),
    };
    if !fits {
        return Err(FrameError::Length);
    }
    let after = start + field.len();
    Ok(Verify { step, started_by_inviter, attempt, fields: after - length..after })
}

/// Writes OPENING with the inviter's nonce.
pub(crate) fn put_opening(out: &mut dyn Sink, nonce: &[u8; 32]) {
    put_head(out, OPENING, 32);
    out.put(nonce);
}

/// Writes CLOSE with the next message number.
pub(crate) fn put_close(out: &mut dyn Sink, next_message: u64) {
    put_head(out, CLOSE, 8);
    out.u64(next_message);
}

/// Writes NOTHING.
pub(crate) fn put_nothing(out: &mut dyn Sink) {
    put_head(out, NOTHING, 0);
}

/// Writes the head of a DATA frame whose text of `length` bytes follows it.
pub(crate) fn put_data_head(out: &mut dyn Sink, message: u64, offset: u64, end: bool, length: u32) {
    put_head(out, DATA, length + 17);
    out.u64(message);
    out.u64(offset);
    out.u8(if end { FLAG_END } else { 0 });
}

fn put_head(out: &mut dyn Sink, kind: u8, length: u32) {
    out.u8(kind);
    out.u32(length);
}
