//! Answers: their bodies, streamed, and the headers that all of them have.

use super::form::TEXT;
use super::keys::Keys;
use super::outgoing::{Charged, Packets, Piece};
use crate::postbox::storage::budget::{Budget, Charge, Full, Purpose};
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An answer on its way out.
pub(crate) type Answer = Response<Body>;

/// The body of an answer.
pub(crate) enum Body {
    /// Nothing, or a few words.
    Whole(Bytes),
    /// Some bytes, and their charge.
    Charged(Bytes, Arc<Charge>),
    /// Packets, and how many of their bytes are left.
    Packets(Packets, u64),
    /// Published keys.
    Keys(Keys),
}

impl Body {
    /// All of these bytes, charged until the caller has them.
    pub(crate) fn charged(bytes: impl Into<Bytes>, budget: &Arc<Budget>) -> Result<Self, Full> {
        let bytes = bytes.into();
        let charge = Charge::new(budget, Purpose::Answers, bytes.len())?;
        Ok(Self::Charged(bytes, Arc::new(charge)))
    }

    /// All of these packets.
    pub(crate) fn packets(packets: Packets) -> Self {
        let left = packets.size();
        Self::Packets(packets, left)
    }
}

impl hyper::body::Body for Body {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let piece = match self.get_mut() {
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then_some(Piece::Short(bytes))
            }
            Self::Charged(bytes, charge) => {
                let bytes = std::mem::take(bytes);
                (!bytes.is_empty()).then(|| Piece::Charged(Charged::new(bytes, charge)))
            }
            Self::Keys(keys) => keys.next().map(Piece::Charged),
            Self::Packets(packets, left) => {
                let piece = packets.next();
                *left -= piece.as_ref().map_or(0, Buf::remaining) as u64;
                piece
            }
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) | Self::Charged(bytes, _) => {
                SizeHint::with_exact(bytes.len() as u64)
            }
            Self::Packets(_, left) => SizeHint::with_exact(*left),
            Self::Keys(keys) => keys.size().map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// An answer of this kind, which no cache may keep.
pub(crate) fn answer(status: StatusCode, media_type: &'static str, body: Body) -> Answer {
    answer_in(HeaderMap::new(), status, media_type, body)
}

/// The same, with its header fields in an existing, empty map: hyper keeps the last map for the
/// next request, so that a connection with one post after another needs no other.
pub(crate) fn answer_in(
    headers: HeaderMap,
    status: StatusCode,
    media_type: &'static str,
    body: Body,
) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
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

/// How many packets were stored.
pub(crate) fn count(stored: u64) -> Body {
    Body::Whole(if stored == 1 { Bytes::from_static(b"1\n") } else { format!("{stored}\n").into() })
}

/// 204.
pub(crate) fn nothing() -> Answer {
    answer(StatusCode::NO_CONTENT, TEXT, Body::Whole(Bytes::new()))
}

/// The same answer, asking the caller to try again later.
pub(crate) fn retry(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(super::limits::RETRY_AFTER));
    answer
}
