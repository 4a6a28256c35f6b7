//! A stream with a limit to every kind of waiting, which takes no more memory than it must.

use super::caller::Caller;
use super::limits::{BUFFER, SMALL_BUFFER, STALL_TIME};
use crate::postbox::storage::budget::{Budget, Charge, Purpose};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::time::{Instant, Sleep, sleep_until};
use zeroize::Zeroizing;

/// Up to this many bytes in several parts are written as one: that costs the system less, and most
/// answers are that short.
const SHORT: usize = 512;

/// A stream whose writes fail when the other side takes nothing for too long, or an answer too
/// slowly, and whose reads stay small until it is busy.
pub(crate) struct Paced<S> {
    stream: Take<S>,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
    /// Wakes the reader when no write waits any more.
    reader: Option<Waker>,
    budget: Arc<Budget>,
    /// The charge for large reads.
    wide: Option<Charge>,
    caller: Arc<Caller>,
}

impl<S: AsyncRead> Paced<S> {
    pub(crate) fn new(stream: S, budget: &Arc<Budget>, caller: &Arc<Caller>) -> Self {
        let (budget, caller) = (Arc::clone(budget), Arc::clone(caller));
        let stream = AsyncReadExt::take(stream, 0);
        Self { stream, stall: None, reader: None, budget, wide: None, caller }
    }
}

impl<S> Paced<S> {
    fn pace<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stall.take().is_some() {
                self.caller.keeps(None);
                if let Some(reader) = self.reader.take() {
                    reader.wake();
                }
            }
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| {
            let now = Instant::now();
            self.caller.keeps(Some(now));
            let stall = now + STALL_TIME;
            Box::pin(sleep_until(self.caller.answer_by().map_or(stall, |by| by.min(stall))))
        });
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Paced<S> {
    fn take_in(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // hyper offers more room after a read that filled its buffer.
        let most = if self.wide.is_some() { BUFFER } else { SMALL_BUFFER };
        self.stream.set_limit(most as u64);
        let (before, offered) = (buffer.filled().len(), buffer.remaining());
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            self.caller.pauses();
        }
        ready!(read)?;
        let filled = buffer.filled().len() - before == SMALL_BUFFER;
        if filled && offered > SMALL_BUFFER && self.wide.is_none() {
            self.wide = Charge::new(&self.budget, Purpose::Speed, BUFFER).ok();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.take_in(cx, buffer))?;
        if buffer.filled().len() > before {
            self.caller.sent().map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        } else if self.caller.hung_up(cx.waker()) {
            return Poll::Pending;
        } else if self.stall.is_some() {
            // Reporting the end now would close the connection while the rest of an answer waits.
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(self.stream.get_mut()).poll_write(cx, bytes);
        self.pace(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let stream = Pin::new(self.stream.get_mut());
        let written = if length <= SHORT {
            let mut whole = Zeroizing::new([0; SHORT]);
            let mut at = 0;
            for part in parts {
                whole[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            stream.poll_write(cx, &whole[..length])
        } else {
            stream.poll_write_vectored(cx, parts)
        };
        self.pace(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(self.stream.get_mut()).poll_flush(cx);
        self.pace(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(self.stream.get_mut()).poll_shutdown(cx);
        self.pace(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postbox::server::callers::Callers;
    use crate::postbox::server::limits::HEAD_COST;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;

    async fn read(paced: &mut Paced<&[u8]>) -> usize {
        let mut buffer = vec![0; BUFFER];
        let mut buffer = ReadBuf::new(&mut buffer);
        poll_fn(|cx| Pin::new(&mut *paced).poll_read(cx, &mut buffer)).await.unwrap();
        buffer.filled().len()
    }

    #[tokio::test]
    async fn who_brings_much_is_read_in_large_pieces_while_there_is_memory_for_it() {
        let bytes = vec![7; 4 * BUFFER];
        for (cap, second) in [(16 * BUFFER, BUFFER), (BUFFER, SMALL_BUFFER)] {
            let budget = Budget::new(cap);
            let mut paced = Paced::new(&bytes[..], &budget, &Caller::operator());
            assert_eq!(read(&mut paced).await, SMALL_BUFFER);
            assert_eq!(read(&mut paced).await, second);
            assert_eq!(budget.used() > 0, second == BUFFER);
            drop(paced);
            assert_eq!(budget.used(), 0);
        }
        let mut short = Paced::new(&bytes[..100], &Budget::new(1 << 20), &Caller::operator());
        assert_eq!(read(&mut short).await, 100);
        assert!(short.wide.is_none());
    }

    #[tokio::test]
    async fn what_comes_of_a_head_is_charged_until_it_is_whole() {
        let budget = Budget::new(1 << 20);
        let all = Arc::<Callers>::default();
        let (caller, _here) = Caller::enter(&all, &budget);
        let bytes = [7; 300];
        let mut paced = Paced::new(&bytes[..], &budget, &caller);
        assert_eq!(read(&mut paced).await, 300);
        assert_eq!(budget.used(), HEAD_COST);
        let call = caller.calls();
        assert_eq!(budget.used(), 0);
        *paced.stream.get_mut() = &bytes[..100];
        assert_eq!(read(&mut paced).await, 100);
        assert_eq!(budget.used(), 0, "a call charges its own body");
        let waits = caller.waits();
        *paced.stream.get_mut() = &bytes[..100];
        assert_eq!(read(&mut paced).await, 100);
        assert_eq!(budget.used(), HEAD_COST, "the next request has to wait");
        drop((waits, call));

        let full = Budget::new(16);
        let (caller, _here) = Caller::enter(&Arc::default(), &full);
        let mut paced = Paced::new(&bytes[..], &full, &caller);
        let mut buffer = vec![0; BUFFER];
        let mut buffer = ReadBuf::new(&mut buffer);
        let came = poll_fn(|cx| Pin::new(&mut paced).poll_read(cx, &mut buffer)).await;
        assert_eq!(came.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }

    /// Takes a byte now and then, never with a long pause.
    #[tokio::test]
    async fn who_takes_an_answer_too_slowly_does_not_get_it() {
        let (stream, mut slow) = tokio::io::duplex(16);
        let caller = Caller::operator();
        let call = caller.calls();
        let mut paced = Paced::new(stream, &Budget::new(1 << 20), &caller);
        let body = crate::postbox::server::reply::Body::Whole(bytes::Bytes::from_static(b"x"));
        let answering = call.answer(body);
        caller.answer_until(Instant::now() + Duration::from_millis(300));
        let reading = tokio::spawn(async move {
            while slow.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let began = Instant::now();
        let came = paced.write_all(&vec![7; 1 << 20]).await;
        assert_eq!(came.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < STALL_TIME);
        drop((answering, paced));
        reading.await.unwrap();
    }
}
