//! From a request's path to the call that answers it.

use super::admin;
use super::body::{Upload, linger};
use super::caller::Caller;
use super::calls::{self, Wishes};
use super::form::Form;
use super::limits::REQUEST;
use super::page::{self, Look};
use super::reply::{Answer, text};
use super::state::Server;
use crate::postbox::api::{COLLECT, DISCARD, GONE, POST, REVEALED};
use crate::postbox::secret;
use crate::postbox::storage::budget::Budget;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Version};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What a request asks for, copied out of it: its head fills a buffer of 8 KiB, which is free again
/// while the call waits.
enum Wanted {
    Page(Look),
    Post,
    Collect(Wishes, Form),
    Discard(Form),
    Gone(Wishes, Form),
    Revealed(Form),
    /// Something that does not exist.
    Refused(Answer),
}

/// Answers one request of the public side.
pub(crate) async fn answer(
    server: &Arc<Server>,
    budget: &Arc<Budget>,
    caller: Arc<Caller>,
    request: Request<Incoming>,
) -> Answer {
    let (mut head, body) = request.into_parts();
    caller.brings(REQUEST);
    caller.takes_turns().await;
    let body = Upload::new(body, caller);
    let wanted = wanted(server, &head);
    let mut headers = HeaderMap::new();
    if matches!(wanted, Wanted::Post) {
        headers = std::mem::take(&mut head.headers);
        headers.clear();
    }
    drop(head);
    match wanted {
        Wanted::Page(look) => page::page(server, budget, look),
        Wanted::Post => calls::post(server, budget, headers, body).await,
        Wanted::Collect(wishes, form) => calls::collect(server, budget, wishes, form, body).await,
        Wanted::Discard(form) => calls::discard(server, budget, form, body).await,
        Wanted::Gone(wishes, form) => calls::gone(server, budget, wishes, form, body).await,
        Wanted::Revealed(form) => calls::revealed(server, budget, form, body).await,
        Wanted::Refused(answer) => {
            linger(body);
            answer
        }
    }
}

/// Whether a request names its host exactly once, as HTTP/1.1 demands: given two names, two proxies
/// in a row could each take another one and see two different requests.
fn names_its_host(version: Version, headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(HOST).iter().count();
    hosts == 1 || (hosts == 0 && version < Version::HTTP_11)
}

fn hostless() -> Answer {
    text(StatusCode::BAD_REQUEST, "a request has one Host\n")
}

fn wanted(server: &Server, head: &Parts) -> Wanted {
    if !names_its_host(head.version, &head.headers) {
        return Wanted::Refused(hostless());
    }
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let form = Form::of_media_type(header(CONTENT_TYPE));
    let call: fn(Wishes, Form) -> Wanted = match head.uri.path() {
        "/" => {
            return match head.method {
                Method::GET | Method::HEAD => Wanted::Page(Look::wanted(header(ACCEPT))),
                _ => Wanted::Refused(only("GET, HEAD")),
            };
        }
        POST => |_, _| Wanted::Post,
        COLLECT => Wanted::Collect,
        DISCARD => |_, form| Wanted::Discard(form),
        GONE => Wanted::Gone,
        REVEALED => |_, form| Wanted::Revealed(form),
        _ => {
            let words = "nothing is here; GET / says what is\n";
            return Wanted::Refused(text(StatusCode::NOT_FOUND, words));
        }
    };
    if head.method != Method::POST {
        return Wanted::Refused(only("POST"));
    }
    if let (POST, Some(secret)) = (head.uri.path(), &server.choices.post_secret)
        && !secret::is_shown(header(AUTHORIZATION), secret)
    {
        server.refused.stranger.fetch_add(1, Relaxed);
        return Wanted::Refused(stranger());
    }
    match Wishes::of_query(head.uri.query().unwrap_or_default()) {
        Some(wishes) => call(wishes, form),
        None => Wanted::Refused(text(
            StatusCode::BAD_REQUEST,
            "a query may say wait=SECONDS and max=BYTES; tokens and addresses go into the body\n",
        )),
    }
}

fn stranger() -> Answer {
    let words = "who posts here needs the post secret, as a password: curl -u :SECRET, or -n\n";
    let mut answer = text(StatusCode::UNAUTHORIZED, words);
    let scheme = HeaderValue::from_static("Basic realm=\"otr postbox\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    answer
}

/// Answers one request of the operator's side.
pub(crate) fn answer_admin(server: &Server, request: &Request<Incoming>) -> Answer {
    if !names_its_host(request.version(), request.headers()) {
        return hostless();
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/metrics") => admin::metrics(server),
        (_, "/healthz" | "/metrics") => only("GET, HEAD"),
        _ => text(StatusCode::NOT_FOUND, "here are /healthz and /metrics\n"),
    }
}

fn only(methods: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}
