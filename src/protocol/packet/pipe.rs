//! The frames of a pipe: PIPE says which run of which end a packet belongs to, STREAM carries a part
//! of a stream, TAKEN says how much of one has arrived at its place.

use core::ops::Range;

use super::head::{FRAME_HEAD, FrameError, put_head};
use crate::protocol::wire::{Reader, Sink};

/// Bytes of a PIPE frame.
pub(crate) const PIPE_FRAME: usize = FRAME_HEAD + 8 + 8 + 1;
/// Bytes of a STREAM frame around its bytes: head, stream, offset, flags.
pub(crate) const STREAM_HEAD: usize = FRAME_HEAD + 8 + 8 + 1;
/// Bytes of a TAKEN frame.
pub(crate) const TAKEN_FRAME: usize = FRAME_HEAD + 8 + 8 + 8 + 1;
/// How many STREAM frames, and how many TAKEN frames, a packet may hold.
pub(crate) const PARTS_MAX: usize = 64;

/// Frame types.
pub(super) const STREAM: u8 = 2;
pub(super) const PIPE: u8 = 7;
pub(super) const TAKEN: u8 = 8;

const LAST: u8 = 1;
const OVER: u8 = 2;
const END: u8 = 1;
const ABORT: u8 = 2;

/// Whose packet it is: each process that runs a pipe draws a number of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The sender's run.
    pub from: u64,
    /// The receiver's run, as far as the sender knows it; else 0.
    pub to: u64,
    /// Whether the sender will open no more streams.
    pub last: bool,
    /// Whether the sender has ended its pipe, with whatever was on its way.
    pub over: bool,
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPart {
    /// The stream's number.
    pub stream: u64,
    /// Where in the stream the part begins, in bytes.
    pub offset: u64,
    /// Whether the stream ends with this part.
    pub end: bool,
    /// Whether the stream is broken off, in both directions.
    pub abort: bool,
    /// The range of its bytes in the body; may be empty.
    pub bytes: Range<usize>,
}

/// How much of a stream has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The stream's number.
    pub stream: u64,
    /// How many bytes have arrived at their place.
    pub taken: u64,
    /// Up to which offset the other side may send. Never falls.
    pub limit: u64,
    /// Whether the end has been taken, too.
    pub end: bool,
    /// Whether nothing more is known of the stream here: it has ended, or was broken off.
    pub gone: bool,
}

/// The frames of a pipe in one packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipeFrames {
    /// Whose they are.
    pub head: Head,
    /// Parts of streams.
    pub parts: Vec<StreamPart>,
    /// What was taken.
    pub taken: Vec<Taken>,
}

/// The two lowest bits of a byte that has no others.
fn flags(byte: u8) -> Result<(bool, bool), FrameError> {
    if byte > 3 { Err(FrameError::Flags) } else { Ok((byte & 1 != 0, byte & 2 != 0)) }
}

impl PipeFrames {
    /// Reads a PIPE frame, which stands before the others.
    pub(super) fn begin(field: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(field);
        let (from, to) = (reader.u64()?, reader.u64()?);
        let (last, over) = flags(reader.u8()?)?;
        reader.end()?;
        if from == 0 {
            return Err(FrameError::Pipe);
        }
        Ok(Self { head: Head { from, to, last, over }, ..Self::default() })
    }

    /// Reads a STREAM frame that begins at `start` in the body.
    pub(super) fn add_part(&mut self, field: &[u8], start: usize) -> Result<(), FrameError> {
        let mut reader = Reader::new(field);
        let (stream, offset) = (reader.u64()?, reader.u64()?);
        let (end, abort) = flags(reader.u8()?)?;
        let after = start + field.len();
        let bytes = after - reader.rest().len()..after;
        if offset.checked_add(bytes.len() as u64).is_none() {
            return Err(FrameError::Length);
        }
        self.parts.push(StreamPart { stream, offset, end, abort, bytes });
        if self.parts.len() > PARTS_MAX { Err(FrameError::Pipe) } else { Ok(()) }
    }

    /// Reads a TAKEN frame.
    pub(super) fn add_taken(&mut self, field: &[u8]) -> Result<(), FrameError> {
        let mut reader = Reader::new(field);
        let (stream, taken, limit) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (end, gone) = flags(reader.u8()?)?;
        reader.end()?;
        self.taken.push(Taken { stream, taken, limit, end, gone });
        if self.taken.len() > PARTS_MAX { Err(FrameError::Pipe) } else { Ok(()) }
    }
}

/// Writes PIPE.
pub(crate) fn put_pipe(out: &mut dyn Sink, head: &Head) {
    put_head(out, PIPE, 17);
    out.u64(head.from);
    out.u64(head.to);
    out.u8(if head.last { LAST } else { 0 } | if head.over { OVER } else { 0 });
}

/// Writes the head of a STREAM frame whose bytes, as many as its range, follow it.
pub(crate) fn put_stream_head(out: &mut dyn Sink, part: &StreamPart) {
    // A packet has at most a MiB.
    put_head(out, STREAM, u32::try_from(part.bytes.len() + 17).unwrap_or(u32::MAX));
    out.u64(part.stream);
    out.u64(part.offset);
    out.u8(if part.end { END } else { 0 } | if part.abort { ABORT } else { 0 });
}

/// Writes TAKEN.
pub(crate) fn put_taken(out: &mut dyn Sink, taken: &Taken) {
    put_head(out, TAKEN, 25);
    out.u64(taken.stream);
    out.u64(taken.taken);
    out.u64(taken.limit);
    out.u8(if taken.end { END } else { 0 } | if taken.gone { ABORT } else { 0 });
}
