//! From a request's path to the call that answers it.

use super::calls::{self, Wishes};
use super::page::{self, Look};
use super::reply::{Answer, text};
use super::state::Server;
use super::{admin, body};
use crate::postbox::api::{COLLECT, DISCARD, Form, GONE, POST, REVEALED};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};

/// Answers one request of the public side.
pub(crate) async fn answer(server: &Server, request: Request<Incoming>) -> Answer {
    let (parts, incoming) = request.into_parts();
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let path = parts.uri.path();
    if path == "/" {
        return match parts.method {
            Method::GET | Method::HEAD => page::page(server, Look::wanted(header(ACCEPT))),
            _ => only("GET, HEAD", incoming),
        };
    }
    if ![POST, COLLECT, DISCARD, GONE, REVEALED].contains(&path) {
        body::linger(incoming);
        return text(StatusCode::NOT_FOUND, "nothing is here; GET / says what is\n");
    }
    if parts.method != Method::POST {
        return only("POST", incoming);
    }
    let Some(wishes) = Wishes::of_query(parts.uri.query().unwrap_or_default()) else {
        body::linger(incoming);
        return text(
            StatusCode::BAD_REQUEST,
            "a query may say wait=SECONDS and max=BYTES; tokens and addresses go into the body\n",
        );
    };
    let form = Form::of_media_type(header(CONTENT_TYPE));
    match path {
        POST => calls::post(server, incoming).await,
        COLLECT => calls::collect(server, wishes, form, incoming).await,
        DISCARD => calls::discard(server, form, incoming).await,
        GONE => calls::gone(server, wishes, form, incoming).await,
        _ => calls::revealed(server, form, incoming).await,
    }
}

/// Answers one request of the operator's side.
pub(crate) fn answer_admin(server: &Server, request: Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/metrics") => admin::metrics(server),
        (_, "/healthz" | "/metrics") => only("GET, HEAD", request.into_body()),
        _ => text(StatusCode::NOT_FOUND, "here are /healthz and /metrics\n"),
    }
}

fn only(methods: &'static str, incoming: Incoming) -> Answer {
    body::linger(incoming);
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}
