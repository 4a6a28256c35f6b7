//! A postbox's URL, taken apart: `https://HOST`, `http://HOST`, or `unix:/PATH` on this machine, each
//! with a path under which the calls are.

use std::path::Path;

use ureq::http::Uri;

/// What stands before the path of a Unix socket.
pub(crate) const UNIX: &str = "unix:";
/// Bytes of a URL, as in an invite.
const URL_MAX: usize = 1024;
/// Bytes of a Unix socket's path: one less than the system has room for.
const SOCKET_MAX: usize = 107;

/// A postbox's URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// Without a slash at its end.
    base: String,
    /// Of a Unix socket, the whole address but for the path of the calls.
    host: String,
    tls: bool,
}

impl Url {
    /// Reads a URL; why not, where it is none that can be called.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "a postbox's address is https://HOST, with a port or a path if need be, \
             or unix:/PATH";
        if let Some(path) = text.strip_prefix(UNIX) {
            return Self::of_socket(path);
        }
        if text.len() > URL_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WRONG);
        }
        let uri: Uri = text.parse().map_err(|_| WRONG)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(WRONG),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(WRONG)?.to_ascii_lowercase();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') || text.contains(['?', '#']) {
            return Err("a postbox's address holds no name, password or query");
        }
        Ok(Self { base: text.trim_end_matches('/').to_owned(), host, tls })
    }

    /// `/PATH`, or `/PATH:/PREFIX` as nginx writes it.
    fn of_socket(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "a Unix socket's address is unix:/PATH, whole and without blanks, or \
             unix:/PATH:/PREFIX";
        // What is shown and copied, and nothing that changes what is seen.
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
        Ok(Self { base, host, tls: false })
    }

    /// The URL of a call.
    pub(super) fn call(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The host, for errors and questions.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The Unix socket that is called, if it is one.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.host.strip_prefix(UNIX).map(Path::new)
    }

    pub(super) fn is_onion(&self) -> bool {
        self.socket().is_none()
            && self.host.trim_end_matches('.').rsplit('.').next() == Some("onion")
    }

    fn is_local(&self) -> bool {
        let bare = self.host.trim_matches(['[', ']']);
        let ip = bare.parse::<std::net::IpAddr>();
        let loopback = self.host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
        loopback || self.socket().is_some()
    }

    /// Whether what is sent there can be read on the way.
    pub(super) fn is_open(&self) -> bool {
        !self.tls && !self.is_local() && !self.is_onion()
    }
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
