//! Answers: their bodies, streamed from where the packets lie, and the headers that all have.

use crate::postbox::api::{Form, LINE_PACKET, RAW_BASE, TEXT};
use crate::postbox::store::packet::{BLOCK, Packet};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use zeroize::Zeroizing;

/// An answer on its way out.
pub(crate) type Answer = Response<Body>;

/// Bytes of a packet that become one piece of a line: a multiple of three, and of no block, so
/// that the pieces need no memory between them.
const LINE_PIECE: usize = 3 * 1024;

/// What an answer carries.
pub(crate) enum Body {
    /// Nothing, or a short text.
    Whole(Bytes),
    /// Packets.
    Packets(Packets),
}

/// Packets, as they go out. They stay in memory until they are out, also when they are discarded
/// meanwhile.
pub(crate) struct Packets {
    form: Form,
    waiting: std::vec::IntoIter<Arc<Packet>>,
    current: Option<(Arc<Packet>, usize)>,
    left: u64,
}

impl Packets {
    /// All of these.
    pub(crate) fn new(form: Form, packets: Vec<Arc<Packet>>) -> Self {
        let left = packets.iter().map(|packet| written_size(form, packet.len())).sum();
        Self { form, waiting: packets.into_iter(), current: None, left }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        let Some((packet, at)) = self.current.take() else {
            let packet = self.waiting.next()?;
            let prefix = match self.form {
                Form::Raw => Bytes::from_static(raw_prefix(packet.len())),
                Form::Text => Bytes::from_static(LINE_PACKET.as_bytes()),
            };
            self.current = Some((packet, 0));
            return Some(prefix);
        };
        let (piece, next) = match self.form {
            Form::Raw => (Bytes::from_owner(BlockOf(Arc::clone(&packet), at)), at + 1),
            Form::Text => (line_piece(&packet, at), at + LINE_PIECE),
        };
        let end = match self.form {
            Form::Raw => packet.blocks(),
            Form::Text => packet.len(),
        };
        if next < end {
            self.current = Some((packet, next));
        }
        Some(piece)
    }
}

/// One block of a packet, where it lies.
struct BlockOf(Arc<Packet>, usize);

impl AsRef<[u8]> for BlockOf {
    fn as_ref(&self) -> &[u8] {
        self.0.block(self.1)
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
        Form::Text => LINE_PACKET.len() + (length * 4).div_ceil(3) + 1,
    };
    size as u64
}

/// The base64url of the packet's bytes from `at` on, and the line's end after the last.
fn line_piece(packet: &Packet, at: usize) -> Bytes {
    let end = (at + LINE_PIECE).min(packet.len());
    let mut plain = Zeroizing::new([0; LINE_PIECE]);
    let mut have = 0;
    while at + have < end {
        let (block, from) = ((at + have) / BLOCK, (at + have) % BLOCK);
        let count = (BLOCK - from).min(end - at - have);
        plain[have..have + count].copy_from_slice(&packet.block(block)[from..from + count]);
        have += count;
    }
    let mut line = Zeroizing::new(vec![0; LINE_PIECE / 3 * 4 + 1]);
    // The line is long enough by its constant.
    let mut length =
        URL_SAFE_NO_PAD.encode_slice(&plain[..have], &mut line[..]).unwrap_or_default();
    if end == packet.len() {
        line[length] = b'\n';
        length += 1;
    }
    line.truncate(length);
    Bytes::from_owner(line)
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.get_mut() {
            Self::Whole(bytes) => Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty()),
            Self::Packets(packets) => {
                let piece = packets.next_piece();
                packets.left -= piece.as_ref().map_or(0, Bytes::len) as u64;
                piece
            }
        };
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Packets(packets) => packets.left,
        })
    }
}

/// An answer of that kind. Nothing in it is to be kept by anyone.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    answer
}

/// An answer of a few words.
pub(crate) fn text(status: StatusCode, words: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, Body::Whole(words.into()))
}

/// 204.
pub(crate) fn nothing() -> Answer {
    answer(StatusCode::NO_CONTENT, TEXT, Body::Whole(Bytes::new()))
}

/// The same answer, asking to come again in a while.
pub(crate) fn retry(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(super::limits::RETRY_AFTER));
    answer
}

#[cfg(test)]
mod tests {
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
            let packets = contents.iter().map(|bytes| {
                let mut filling = Filling::new(&budget, 1 << 20);
                filling.push(bytes).unwrap();
                Arc::new(filling.finish().unwrap())
            });
            let mut packets = Packets::new(form, packets.collect());
            let promised = packets.left;
            let mut out = Vec::new();
            while let Some(piece) = packets.next_piece() {
                out.extend_from_slice(&piece);
            }
            let expected: Vec<u8> =
                contents.iter().flat_map(|bytes| written(form, bytes)).collect();
            assert_eq!(promised, out.len() as u64);
            assert!(out == expected);
        }
        assert_eq!(budget.used(), 0);
    }

    fn written(form: Form, bytes: &[u8]) -> Vec<u8> {
        match form {
            Form::Raw => [raw_prefix(bytes.len()), bytes].concat(),
            Form::Text => format!("otr1p:{}\n", URL_SAFE_NO_PAD.encode(bytes)).into_bytes(),
        }
    }
}
