//! Frames: the contents of a packet's body, before the zeros that fill it [RFC 9000, 12.4].
//!
//! A frame is `type u8 | length u32 | bytes`. Types from 0x80 on are skipped; an unknown one below
//! is refused.

use core::ops::Range;

use zeroize::Zeroizing;

use super::BODY_START;
use super::head::put_head;
pub use super::head::{FRAME_HEAD, FrameError};
use super::pipe::{PIPE, PipeFrames, STREAM, TAKEN};
use crate::protocol::wire::{Reader, Sink};

/// Bytes of a DATA frame around its text: head, message number, offset, flags.
pub const DATA_HEAD: usize = FRAME_HEAD + 8 + 8 + 1;
/// Bytes of an OPENING frame.
pub const OPENING_FRAME: usize = FRAME_HEAD + 32;
/// Bytes of a VERIFY frame before its step's own fields: head, step, starter, attempt.
pub const VERIFY_HEAD: usize = FRAME_HEAD + 1 + 1 + 4;
/// Bytes of the longest question of a VERIFY frame.
pub const QUESTION_MAX: usize = 1024;
/// How many VERIFY frames a packet may hold, since the person may be told of each. A sender needs
/// three: two pending steps and a new one.
pub const VERIFY_MAX: usize = 4;

const DATA: u8 = 1;
const OPENING: u8 = 3;
const VERIFY: u8 = 4;
const CLOSE: u8 = 5;
const NOTHING: u8 = 6;
/// The first of those that are skipped by who does not know them.
const RECEIPT: u8 = 0x80;
const FIRST_SKIPPED: u8 = 0x80;
const FLAG_END: u8 = 1;

/// A part of a message; `text` is a range in the parsed body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The message's number.
    pub message: u64,
    /// Where in the message this part begins, in bytes.
    pub offset: u64,
    /// Whether the message ends with this part.
    pub end: bool,
    /// The range of the text in the body.
    pub text: Range<usize>,
}

/// What one body holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// The part of a message, if any.
    pub data: Option<Data>,
    /// The inviter's nonce, if OPENING was the very first frame.
    pub opening: Option<[u8; 32]>,
    /// Whether an OPENING came that was not the first frame.
    pub misplaced_opening: bool,
    /// CLOSE: the next message number.
    pub close: Option<u64>,
    /// How many NOTHING frames.
    pub nothing: usize,
    /// The VERIFY frames, in order.
    pub verify: Vec<Verify>,
    /// The frames of a pipe, if it is a packet of one.
    pub pipe: Option<PipeFrames>,
    /// RECEIPT: whether the sender waits to hear that the packet was opened.
    pub receipt: bool,
    /// Frames of types that are skipped.
    pub skipped: usize,
}

/// A step of checking a secret inside the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// Whether the inviting side started this run.
    pub started_by_inviter: bool,
    /// The starter's count of runs.
    pub attempt: u32,
    /// The step with its fields.
    pub step: Step,
}

/// What a VERIFY frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// 1: the starter asks.
    Ask {
        /// CPace share of the starter.
        share: [u8; 32],
        /// At most [`QUESTION_MAX`] bytes; may be empty.
        question: Zeroizing<String>,
    },
    /// 2: the other side answers.
    Answer {
        /// CPace share of the answerer.
        share: [u8; 32],
        /// Shows that the answerer got the same key.
        mac: [u8; 32],
    },
    /// 3: the starter got the same key, too.
    Confirm {
        /// Shows that it did.
        mac: [u8; 32],
    },
    /// 4: the run is over.
    Stop,
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
            // Zeros from here on, compared 64 at a time so that a megabyte costs little.
            let rest = reader.rest();
            let zeros = rest.chunks(64).all(|run| run.iter().fold(0, |or, byte| or | byte) == 0);
            return if zeros { frames.whole() } else { Err(FrameError::Padding) };
        }
        let length = usize::try_from(reader.u32()?).map_err(|_| FrameError::Length)?;
        let start = body.len() - reader.rest().len();
        let field = reader.take(length)?;
        frames.add(kind, field, start, count == 0)?;
        count += 1;
    }
    frames.whole()
}

impl Frames {
    /// A packet is of a message or of a pipe, never of both.
    fn whole(self) -> Result<Self, FrameError> {
        if self.pipe.is_some() && self.data.is_some() { Err(FrameError::Pipe) } else { Ok(self) }
    }

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
            VERIFY if self.verify.len() == VERIFY_MAX => return Err(FrameError::TooManyVerify),
            VERIFY => self.verify.push(parse_verify(field)?),
            CLOSE => {
                let next = field.try_into().map_err(|_| FrameError::Length)?;
                self.close = Some(u64::from_be_bytes(next));
            }
            NOTHING if field.is_empty() => self.nothing += 1,
            NOTHING => return Err(FrameError::Length),
            PIPE if self.pipe.is_some() => return Err(FrameError::Pipe),
            PIPE => self.pipe = Some(PipeFrames::begin(field)?),
            STREAM => self.pipe.as_mut().ok_or(FrameError::Pipe)?.add_part(field, start)?,
            TAKEN => self.pipe.as_mut().ok_or(FrameError::Pipe)?.add_taken(field)?,
            RECEIPT if field.is_empty() => self.receipt = true,
            FIRST_SKIPPED.. => self.skipped += 1,
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

fn parse_verify(field: &[u8]) -> Result<Verify, FrameError> {
    let mut reader = Reader::new(field);
    let step = reader.u8()?;
    let started_by_inviter = match reader.u8()? {
        0 => true,
        1 => false,
        _ => return Err(FrameError::Verify),
    };
    let attempt = reader.u32()?;
    let step = match step {
        1 => {
            let share = *reader.array()?;
            let length = reader.rest().len();
            if length > QUESTION_MAX {
                return Err(FrameError::Length);
            }
            let question = core::str::from_utf8(reader.take(length)?);
            let question = Zeroizing::new(question.map_err(|_| FrameError::Verify)?.to_owned());
            Step::Ask { share, question }
        }
        2 => Step::Answer { share: *reader.array()?, mac: *reader.array()? },
        3 => Step::Confirm { mac: *reader.array()? },
        4 => Step::Stop,
        _ => return Err(FrameError::Verify),
    };
    reader.end()?;
    Ok(Verify { started_by_inviter, attempt, step })
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

/// Writes VERIFY. A question is at most [`QUESTION_MAX`] bytes, which the caller ensures.
pub(crate) fn put_verify(out: &mut dyn Sink, verify: &Verify) {
    let (step, fields): (u8, [&[u8]; 2]) = match &verify.step {
        Step::Ask { share, question } => (1, [share, question.as_bytes()]),
        Step::Answer { share, mac } => (2, [share, mac]),
        Step::Confirm { mac } => (3, [mac, &[]]),
        Step::Stop => (4, [&[], &[]]),
    };
    let length = VERIFY_HEAD - FRAME_HEAD + fields[0].len() + fields[1].len();
    put_head(out, VERIFY, u32::try_from(length).unwrap_or(u32::MAX));
    out.u8(step);
    out.u8(u8::from(!verify.started_by_inviter));
    out.u32(verify.attempt);
    out.put(fields[0]);
    out.put(fields[1]);
}

/// Writes NOTHING.
pub(crate) fn put_nothing(out: &mut dyn Sink) {
    put_head(out, NOTHING, 0);
}

/// Writes RECEIPT.
pub(crate) fn put_receipt(out: &mut dyn Sink) {
    put_head(out, RECEIPT, 0);
}

/// Writes the head of a DATA frame whose text of `length` bytes follows it.
pub(crate) fn put_data_head(out: &mut dyn Sink, message: u64, offset: u64, end: bool, length: u32) {
    put_head(out, DATA, length + 17);
    out.u64(message);
    out.u64(offset);
    out.u8(if end { FLAG_END } else { 0 });
}

/// Bytes of the frames in front of the caller's; `opening` is set for packets of I's first chain.
pub(crate) fn front(opening: bool) -> usize {
    if opening { OPENING_FRAME } else { 0 }
}

/// Where in a packet the text of a message begins. `opening` is set for packets of the inviting
/// side's first turn, in which the opened commitment precedes the text. A packet does not show
/// which kind it is: to rewrite it, one has to know.
pub fn text_start(opening: bool) -> usize {
    BODY_START + front(opening) + DATA_HEAD
}
