//! One connection: HTTP/1.1, with an end to every kind of waiting.

use super::http;
use super::limits::{BUFFER, HEAD, HEAD_TIME, HEADERS, SMALL_BUFFER, STALL_TIME};
use super::state::Server;
use crate::postbox::store::budget::{Budget, Charge, Purpose};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Which side of the postbox a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Everybody's.
    Public,
    /// The operator's.
    Admin,
}

/// Serves a connection to its end. What goes wrong on it is nobody's business but the caller's.
pub(crate) async fn serve<S>(server: Arc<Server>, side: Side, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stop = server.stop_signal();
    let calls = service_fn(|request| {
        let server = Arc::clone(&server);
        async move {
            Ok::<_, Infallible>(match side {
                Side::Public => http::answer(&server, request).await,
                Side::Admin => http::answer_admin(&server, &request),
            })
        }
    });
    let paced =
        Paced { stream, stall: None, budget: Arc::clone(server.store.budget()), wide: None };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .max_header_size(HEAD)
        .max_headers(HEADERS)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(paced), calls);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A stream whose writes fail when the other side takes nothing for too long, and whose reads stay
/// small until it brings much.
struct Paced<S> {
    stream: S,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
    budget: Arc<Budget>,
    /// What large reads cost.
    wide: Option<Charge>,
}

impl<S> Paced<S> {
    fn pace<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_TIME)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.wide.is_some() || buffer.remaining() <= SMALL_BUFFER {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        // hyper offers more room after a read that has filled what there was.
        let mut small = ReadBuf::new(buffer.initialize_unfilled_to(SMALL_BUFFER));
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut small))?;
        let count = small.filled().len();
        buffer.advance(count);
        if count == SMALL_BUFFER {
            self.wide = Charge::new(&self.budget, Purpose::Speed, BUFFER).ok();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pace(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.pace(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.pace(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.pace(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

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
            let wide = None;
            let mut paced =
                Paced { stream: &bytes[..], stall: None, budget: Arc::clone(&budget), wide };
            assert_eq!(read(&mut paced).await, SMALL_BUFFER);
            assert_eq!(read(&mut paced).await, second);
            assert_eq!(budget.used() > 0, second == BUFFER);
            drop(paced);
            assert_eq!(budget.used(), 0);
        }
        let mut short =
            Paced { stream: &bytes[..100], stall: None, budget: Budget::new(1 << 20), wide: None };
        assert_eq!(read(&mut short).await, 100);
        assert!(short.wide.is_none());
    }
}
