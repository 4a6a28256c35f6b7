//! What `GET /` shows: a page to a browser, text to curl, JSON to a program.

use super::calls::busy;
use super::form::TEXT;
use super::reply::{Answer, Body, answer};
use super::state::Server;
use crate::postbox::api::{MAX_RECORDS, MAX_UNDER_ADDRESS, MAX_WAIT};
use crate::postbox::storage::budget::Budget;
use hyper::StatusCode;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use std::sync::Arc;

/// No script, no frame, nothing from other sites: only the style in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// How the page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A page.
    Html,
    /// Lines for a terminal.
    Text,
    /// For a program.
    Json,
}

impl Look {
    /// The first of the accepted types that we have. `*/*`, which curl sends, is text.
    pub(crate) fn wanted(accept: Option<&str>) -> Self {
        let mut types = accept.unwrap_or_default().split(',');
        types
            .find_map(|one| match one.split(';').next().unwrap_or_default().trim() {
                "text/html" => Some(Self::Html),
                "application/json" => Some(Self::Json),
                "text/plain" | "*/*" => Some(Self::Text),
                _ => None,
            })
            .unwrap_or(Self::Text)
    }
}

/// The page, in this look.
pub(crate) fn page(server: &Server, budget: &Arc<Budget>, look: Look) -> Answer {
    let (template, media_type) = match look {
        Look::Html => (include_str!("page.html"), "text/html; charset=utf-8"),
        Look::Text => (include_str!("page.txt"), TEXT),
        Look::Json => (include_str!("page.json"), "application/json"),
    };
    let choices = server.choices;
    let (ttl, size): (String, fn(usize) -> String) = match look {
        Look::Json => (choices.ttl.as_secs().to_string(), |bytes| bytes.to_string()),
        Look::Html | Look::Text => (duration(choices.ttl.as_secs()), size),
    };
    let whole = template
        .replace("{version}", env!("CARGO_PKG_VERSION"))
        .replace("{ttl}", &ttl)
        .replace("{memory}", &size(choices.memory))
        .replace("{max_packet}", &size(choices.max_packet))
        .replace("{max_under_address}", &MAX_UNDER_ADDRESS.to_string())
        .replace("{max_records}", &MAX_RECORDS.to_string())
        .replace("{max_wait}", &MAX_WAIT.as_secs().to_string());
    let price = server.gate.price(&server.store);
    let whole = whole
        .replace("{work_bits}", &price.map_or(0, |price| price.bits).to_string())
        .replace("{work_salt}", &price.map(|price| price.salt_text()).unwrap_or_default())
        .replace("{work}", &work(price.map(|price| price.bits)));
    let Ok(body) = Body::charged(whole, budget) else { return busy(server) };
    let mut page = answer(StatusCode::OK, media_type, body);
    let headers = page.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (VARY, "Accept"),
    ] {
        let name: HeaderName = name;
        headers.insert(name, HeaderValue::from_static(value));
    }
    page
}

/// The work that a post has to show now.
fn work(bits: Option<u8>) -> String {
    bits.map_or_else(|| "none".to_owned(), |bits| format!("{bits} zero bits, 16 times"))
}

/// Whole units only: `90 minutes`, never `1.5 hours`.
fn duration(seconds: u64) -> String {
    let (number, unit) = match seconds {
        s if s % 3600 == 0 => (s / 3600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Whole units only.
fn size(bytes: usize) -> String {
    match bytes {
        b if b % (1 << 30) == 0 => format!("{} GiB", b >> 30),
        b if b % (1 << 20) == 0 => format!("{} MiB", b >> 20),
        b => format!("{} KiB", b >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_a_page_curl_text_and_a_program_what_it_asks_for() {
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(Look::wanted(Some(firefox)), Look::Html);
        assert_eq!(Look::wanted(Some("*/*")), Look::Text);
        assert_eq!(Look::wanted(None), Look::Text);
        assert_eq!(Look::wanted(Some("application/json")), Look::Json);
    }

    #[test]
    fn numbers_are_said_in_whole_units() {
        let durations = [86_400, 90 * 60, 1].map(duration);
        assert_eq!(durations, ["24 hours", "90 minutes", "1 second"]);
        assert_eq!([256 << 20, 1 << 30, 4096].map(size), ["256 MiB", "1 GiB", "4 KiB"]);
    }
}
