//! Accepts connections, up to the limit.

use super::caller::Caller;
use super::connection::{self, Side};
use super::guests::Origin;
use super::limits::{CONNECTION_COST, HANDSHAKE_TIME, TLS_CONNECTION_COST, UNSENT};
use super::listen::Listener;
use super::state::{Seat, Server};
use super::tls::Tls;
use socket2::SockRef;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// The answer to a connection above the limit, before it is closed.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n\
    cache-control: no-store\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// The pause after an `accept` that failed for lack of descriptors or memory, until some are given
/// back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Turns of the other tasks within which callers leave whose places are needed.
const TURNS: usize = 32;

/// A listener that is registered with the runtime.
enum Gate {
    Tcp(TcpListener, Option<Tls>),
    Unix(UnixListener),
}

/// An open listener for callers.
pub(crate) struct Entrance {
    gate: Gate,
    side: Side,
}

impl Entrance {
    /// Hands a listener to the runtime. The operator's side has no TLS, and needs none where it
    /// listens.
    pub(crate) fn new(listener: Listener, side: Side, tls: Option<Tls>) -> io::Result<Self> {
        let gate = match listener {
            Listener::Tcp(tcp) => {
                tcp.set_nonblocking(true)?;
                // Its connections inherit the option. Without it, the system's own bound has to do.
                let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT);
                Gate::Tcp(TcpListener::from_std(tcp)?, tls.filter(|_| side == Side::Public))
            }
            Listener::Unix(unix) => {
                unix.set_nonblocking(true)?;
                Gate::Unix(UnixListener::from_std(unix)?)
            }
        };
        Ok(Self { gate, side })
    }

    /// Accepts connections until the server stops; returns when the last of them has ended.
    pub(crate) async fn serve(self, server: Arc<Server>) {
        let mut stop = server.stop_signal();
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                taken = self.gate.accept() => match taken {
                    Ok(Taken::Tcp(stream, origin)) => {
                        running.spawn(seated(Arc::clone(&server), self.side, stream, origin));
                    }
                    Ok(Taken::Tls(stream, origin, tls)) => {
                        let server = Arc::clone(&server);
                        running.spawn(seated_tls(server, self.side, (stream, origin), tls));
                    }
                    Ok(Taken::Unix(stream)) => {
                        running.spawn(seated(Arc::clone(&server), self.side, stream, None));
                    }
                    Err(_) => sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = running.join_next() => {}
                _ = stop.changed() => break,
            }
        }
        drop(self);
        while running.join_next().await.is_some() {}
    }
}

/// An accepted connection.
enum Taken {
    Tcp(TcpStream, Option<Origin>),
    Tls(TcpStream, Option<Origin>, TlsAcceptor),
    Unix(UnixStream),
}

impl Gate {
    async fn accept(&self) -> io::Result<Taken> {
        match self {
            Self::Tcp(listener, tls) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let origin = Origin::of(address.ip());
                Ok(match tls {
                    Some(tls) => Taken::Tls(stream, origin, tls.acceptor()),
                    None => Taken::Tcp(stream, origin),
                })
            }
            Self::Unix(listener) => Ok(Taken::Unix(listener.accept().await?.0)),
        }
    }
}

/// As [`seated`], after a handshake.
async fn seated_tls(
    server: Arc<Server>,
    side: Side,
    (stream, origin): (TcpStream, Option<Origin>),
    tls: TlsAcceptor,
) {
    let Some(seat) = seat(&server, TLS_CONNECTION_COST, origin).await else {
        server.refused.busy.fetch_add(1, Relaxed);
        return;
    };
    let (caller, _here) = Caller::enter(&server.callers, seat.budget());
    let stream = tokio::select! {
        stream = timeout(HANDSHAKE_TIME, tls.accept(stream)) => stream,
        () = caller.goes() => return,
    };
    if let Ok(Ok(stream)) = stream {
        let who = (&caller, seat.budget());
        connection::serve(Arc::clone(&server), who, side, stream).await;
    }
}

/// A place for a connection, if need be that of a caller that keeps us waiting.
async fn seat(server: &Server, cost: usize, origin: Option<Origin>) -> Option<Seat<'_>> {
    for _ in 0..TURNS {
        let seat = server.connect(cost, origin);
        if seat.is_some() || !server.makes_room(origin) {
            return seat;
        }
        yield_now().await;
    }
    None
}

/// Serves a connection if there is room for it; the operator's side has room of its own.
async fn seated<S>(server: Arc<Server>, side: Side, mut stream: S, origin: Option<Origin>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let seat = match side {
        Side::Public => seat(&server, CONNECTION_COST, origin).await,
        Side::Admin => server.connect_admin(CONNECTION_COST),
    };
    if let Some(seat) = seat {
        let (caller, _here) = match side {
            Side::Public => {
                let (caller, here) = Caller::enter(&server.callers, seat.budget());
                (caller, Some(here))
            }
            Side::Admin => (Caller::operator(), None),
        };
        let who = (&caller, seat.budget());
        connection::serve(Arc::clone(&server), who, side, stream).await;
    } else {
        server.refused.busy.fetch_add(1, Relaxed);
        // A few bytes into an empty socket buffer: this does not wait, and they need not arrive.
        let _ = stream.write(BUSY).await;
    }
}
