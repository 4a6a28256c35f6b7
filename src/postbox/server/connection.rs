//! One connection: HTTP/1.1, with a limit to every kind of waiting.

use super::caller::Caller;
use super::http;
use super::limits::{BUFFER, HEAD, HEAD_TIME, HEADERS};
use super::pace::Paced;
use super::state::Server;
use crate::postbox::storage::budget::Budget;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// The side of the postbox that a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The public side.
    Public,
    /// The operator's side.
    Admin,
}

/// Serves a connection to its end, or until others need its place, and charges the memory for it.
/// Errors on it concern only the caller.
pub(crate) async fn serve<S>(
    server: Arc<Server>,
    (caller, budget): (&Arc<Caller>, &Arc<Budget>),
    side: Side,
    stream: S,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stop = server.stop_signal();
    let calls = service_fn(|request| {
        let (server, caller) = (Arc::clone(&server), Arc::clone(caller));
        let call = caller.calls();
        async move {
            let answer = match side {
                Side::Public => http::answer(&server, budget, caller, request).await,
                Side::Admin => http::answer_admin(&server, &request),
            };
            Ok::<_, Infallible>(answer.map(|body| call.answer(body)))
        }
    });
    let paced = Paced::new(stream, budget, caller);
    let connection = http1::Builder::new()
        .timer(caller.alarm().clone())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(BUFFER)
        .max_header_size(HEAD)
        .max_headers(HEADERS)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(paced), calls);
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = caller.goes() => {}
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
