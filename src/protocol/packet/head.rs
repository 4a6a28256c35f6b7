//! The head of a frame, `type u8 | length u32`, and why a body's frames are refused.

use crate::protocol::wire::{Malformed, Sink};

/// Bytes of a frame's head: type and length.
pub const FRAME_HEAD: usize = 5;

/// Why a body is not a sequence of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A frame runs past the end, or has the wrong length for its type.
    Length,
    /// A type below 0x80 that this version does not know.
    Unknown,
    /// Unknown flag bits.
    Flags,
    /// Something other than zeros follows the last frame.
    Padding,
    /// A part without text that is not an empty message.
    Empty,
    /// More than one DATA frame in a packet.
    Twice,
    /// More than [`VERIFY_MAX`](super::frame::VERIFY_MAX) VERIFY frames in a packet.
    TooManyVerify,
    /// An unknown VERIFY step, a starter that is neither side, or a question that is not UTF-8.
    Verify,
    /// STREAM or TAKEN without PIPE before it, or too many of them; two PIPE, or one beside DATA.
    Pipe,
}

impl From<Malformed> for FrameError {
    fn from(_: Malformed) -> Self {
        Self::Length
    }
}

pub(super) fn put_head(out: &mut dyn Sink, kind: u8, length: u32) {
    out.u8(kind);
    out.u32(length);
}
