//! A postbox's URL, taken apart: `https://HOST`, `http://HOST`, or `unix:/PATH` on this machine, each
//! with a path under which the calls are.

use std::borrow::Cow;
use std::path::Path;

use ureq::http::Uri;
use zeroize::Zeroizing;

use crate::postbox::api::UNIX;
use crate::postbox::secret;

/// Bytes of a URL, as in an invite.
const URL_MAX: usize = 1024;
/// Bytes of a Unix socket's path: one less than the system has room for.
const SOCKET_MAX: usize = 107;

/// A postbox's URL, taken apart.
pub struct Url {
    /// The URL without a slash at its end.
    base: String,
    /// For a Unix socket, the whole address without the path of the calls.
    host: String,
    tls: bool,
    /// The header value that shows the post secret in the URL.
    authorization: Option<Zeroizing<String>>,
}

impl PartialEq for Url {
    /// Whether both name one postbox.
    fn eq(&self, other: &Self) -> bool {
        self.base == other.base && self.host == other.host
    }
}

/// The same URL without its post secret, which may be shown.
pub(super) fn without_secret(text: &str) -> Cow<'_, str> {
    match take_apart(text) {
        Some((scheme, _, rest)) => format!("{scheme}{rest}").into(),
        None => text.into(),
    }
}

/// The same URL with this post secret instead of its own; `None` if it has no place for one.
pub fn with_secret(text: &str, secret: &str) -> Option<String> {
    let bare = without_secret(text);
    let (scheme, rest) = bare.split_once("://")?;
    Some(format!("{scheme}://:{secret}@{rest}"))
}

/// The part before user name and password, both of these, and the part after the `@`.
fn take_apart(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find("://")? + 3;
    let end = text[begin..].find(['/', '?', '#']).map_or(text.len(), |at| begin + at);
    let at = begin + text[begin..end].rfind('@')?;
    Some((&text[..begin], &text[begin..at], &text[at + 1..]))
}

impl Url {
    /// Reads a URL, or says why it cannot be called.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "a postbox's address is https://HOST, with a port or a path if need be, \
             or unix:/PATH, without blanks";
        if let Some(path) = text.strip_prefix(UNIX) {
            return Self::of_socket(path);
        }
        if text.len() > URL_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WRONG);
        }
        let (authorization, bare) = match take_apart(text) {
            Some((_, shown, _)) => (Some(authorization(shown)?), without_secret(text)),
            None => (None, Cow::Borrowed(text)),
        };
        let uri: Uri = bare.parse().map_err(|_| WRONG)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(WRONG),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(WRONG)?.to_ascii_lowercase();
        if bare.contains(['?', '#']) {
            return Err("a postbox's address holds no query");
        }
        Ok(Self { base: bare.trim_end_matches('/').to_owned(), host, tls, authorization })
    }

    /// `/PATH`, or `/PATH:/PREFIX` as nginx writes it.
    fn of_socket(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "a Unix socket's address is unix:/PATH, whole and without blanks, or \
             unix:/PATH:/PREFIX";
        // Only characters that can be shown and copied, none that change how others look.
        let is_plain = |sign: char| sign.is_ascii_graphic() || sign.is_alphanumeric();
        let (path, prefix) = match text.find(":/") {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        };
        if !text.starts_with('/')
            || path.ends_with('/')
            || text.len() + UNIX.len() > URL_MAX
            || !text.chars().all(is_plain)
        {
            return Err(WRONG);
        }
        let host = format!("{UNIX}/{}", path.trim_start_matches('/'));
        if host.len() - UNIX.len() > SOCKET_MAX {
            return Err("the path of a Unix socket has at most 107 bytes");
        }
        let base = format!("http://localhost{}", prefix.trim_end_matches('/'));
        if prefix.contains(['?', '#']) || base.parse::<Uri>().is_err() {
            return Err(WRONG);
        }
        Ok(Self { base, host, tls: false, authorization: None })
    }

    /// The URL of a call.
    pub(super) fn call(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The header value of a post, if the URL has a post secret.
    pub(super) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|shown| shown.as_str())
    }

    /// Whether the URL has a post secret.
    pub fn has_secret(&self) -> bool {
        self.authorization.is_some()
    }

    /// The host, for errors and questions.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of the Unix socket, if it is one.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix(UNIX).map(Path::new)
    }

    pub(super) fn is_onion(&self) -> bool {
        self.socket().is_none()
            && self.host.trim_end_matches('.').rsplit('.').next() == Some("onion")
    }

    /// Whether whoever is called directly sees from where: not on this machine, nor through Tor.
    pub fn sees_callers(&self) -> bool {
        !self.is_onion() && !self.is_local() && self.socket().is_none()
    }

    fn is_local(&self) -> bool {
        let bare = self.host.trim_matches(['[', ']']);
        let ip = bare.parse::<std::net::IpAddr>();
        let loopback = self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        loopback || self.socket().is_some()
    }

    /// Whether calls to it can be read on the way.
    pub(super) fn is_open(&self) -> bool {
        !self.tls && !self.is_local() && !self.is_onion()
    }
}

/// `USER:SECRET`, as curl shows it.
fn authorization(pair: &str) -> Result<Zeroizing<String>, &'static str> {
    let (user, word) = pair.split_once(':').unwrap_or((pair, ""));
    if !secret::is_sound(word) || !secret::is_plain(user) {
        return Err("a postbox's address holds no name and no password but a post secret, as \
             https://:SECRET@HOST");
    }
    Ok(secret::shown(user, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_http_or_https_and_nothing_more() {
        let url = Url::parse("https://Box.example:8443/otr/").unwrap();
        assert_eq!(url.call("/v1/post"), "https://Box.example:8443/otr/v1/post");
        assert_eq!(url.host(), "box.example");
        assert_eq!(url.socket(), None);
        for wrong in [
            "",
            "box.example",
            "ftp://box.example",
            "https://",
            "https:///x",
            "https://u:p@box",
            "https://box/?q",
            "https://box/#f",
            "https://b\u{f6}x",
            "https://box /",
            "file:///etc",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_post_secret_stands_where_a_password_does_and_is_not_shown() {
        let text = "https://:0123456789abcdef@box.example:8443/otr";
        let url = Url::parse(text).unwrap();
        assert_eq!(url.call("/v1/post"), "https://box.example:8443/otr/v1/post");
        assert_eq!(url.authorization(), Some("Basic OjAxMjM0NTY3ODlhYmNkZWY="));
        let bare = "https://box.example:8443/otr";
        assert_eq!(without_secret(text), bare);
        assert!(url == Url::parse(bare).unwrap(), "one postbox");
        assert_eq!(with_secret(bare, "0123456789abcdef").as_deref(), Some(text));
        assert_eq!(with_secret(text, "x").as_deref(), Some("https://:x@box.example:8443/otr"));
        assert_eq!(with_secret("unix:/run/box", "x"), None);
        for plain in ["https://box/a@b", "unix:/run/a@b", "", "x"] {
            assert_eq!(without_secret(plain), plain);
        }
        for wrong in ["https://0123456789abcdef@box", "https://:short@box", "https://a@:x@box"] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_unix_socket_is_a_whole_path_and_may_have_a_prefix() {
        for (text, host, call) in [
            ("unix:/run/box", "unix:/run/box", "http://localhost/v1/post"),
            ("unix:///run/box.onion", "unix:/run/box.onion", "http://localhost/v1/post"),
            ("unix:/home/j\u{f6}rg/a:b", "unix:/home/j\u{f6}rg/a:b", "http://localhost/v1/post"),
            ("unix:/run/box:/", "unix:/run/box", "http://localhost/v1/post"),
            ("unix:/run/box:/otr/x/", "unix:/run/box", "http://localhost/otr/x/v1/post"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), &url.call("/v1/post")[..]), (host, call));
            assert_eq!(url.socket(), Some(Path::new(&host[5..])));
            assert!(!url.is_open() && !url.is_onion());
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for wrong in [
            "unix:",
            "unix:box",
            "unix:./box",
            "unix:/",
            "unix:/run/",
            "unix:/run/my box",
            "unix:/run/box\u{202e}",
            "unix:/run/box\n",
            "unix:/run/box:/otr?x",
            &long,
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Url::parse(&long[..long.len() - 1]).is_ok());
    }
}
