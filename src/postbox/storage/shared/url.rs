//! Where the store is: `redis://HOST:PORT`, with TLS `rediss://`, and for the other ways to run one
//! `redis+cluster://HOST:PORT,HOST:PORT` and `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`.

use zeroize::Zeroizing;

/// The ports where no other is named.
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;
/// What such a URL looks like.
const SHAPE: &str = "a store's address is redis://HOST:PORT, redis+cluster://HOST:PORT,HOST:PORT or \
     redis+sentinel://HOST:PORT,HOST:PORT/MASTER; with TLS it begins with rediss";

/// How the store's servers find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One server, or a cluster: it says which.
    Plain,
    /// A cluster.
    Cluster,
    /// Sentinels, who know where this master is.
    Sentinel(String),
}

/// A store's URL, taken apart.
pub struct StoreUrl {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
}

impl StoreUrl {
    /// Reads a URL, or says what one looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(SHAPE)?;
        let (scheme, way) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(SHAPE),
        };
        let (shown, rest) = match rest.rsplit_once('@') {
            Some((shown, rest)) => (Some(shown), rest),
            None => (None, rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (kind, port) = match (way, path) {
            ("", "" | "0") => (Kind::Plain, PORT),
            ("cluster", "") => (Kind::Cluster, PORT),
            ("sentinel", master) if !master.is_empty() => {
                (Kind::Sentinel(master.to_owned()), SENTINEL_PORT)
            }
            _ => return Err(SHAPE),
        };
        let hosts: Option<Vec<_>> = hosts.split(',').map(|one| host(one, port)).collect();
        let hosts = hosts.filter(|hosts| hosts.len() == 1 || kind != Kind::Plain).ok_or(SHAPE)?;
        let (user, password) = match shown.map(|shown| shown.split_once(':').unwrap_or((shown, "")))
        {
            Some((user, password)) => (Some(user), Some(password)),
            None => (None, None),
        };
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        Ok(Self {
            kind,
            tls,
            hosts,
            user: given(user),
            password: given(password).map(Zeroizing::new),
        })
    }

    /// Whether it has a password in it.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }
}

/// `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.
fn host(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok().filter(|&port| port > 0)?)
        }
        _ => (text, default),
    };
    let plain = |sign: char| sign.is_ascii_alphanumeric() || ".-_:[]".contains(sign);
    (!host.is_empty() && host.chars().all(plain)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_run_a_store_has_its_url() {
        let all = |text: &str| {
            let url = StoreUrl::parse(text).unwrap();
            (url.kind, url.tls, url.hosts)
        };
        let at = |host: &str, port| (host.to_owned(), port);
        assert_eq!(all("redis://box"), (Kind::Plain, false, vec![at("box", 6379)]));
        assert_eq!(all("rediss://[::1]:7/0"), (Kind::Plain, true, vec![at("[::1]", 7)]));
        let two = vec![at("a", 1), at("b", 6379)];
        assert_eq!(all("redis+cluster://a:1,b"), (Kind::Cluster, false, two));
        let two = vec![at("a", 1), at("b", 26_379)];
        let master = Kind::Sentinel("mine".to_owned());
        assert_eq!(all("rediss+sentinel://a:1,b/mine"), (master, true, two));
        let url = StoreUrl::parse("redis://me:p@ss:w@box:9").unwrap();
        assert_eq!((url.user.as_deref(), url.hosts), (Some("me"), vec![at("box", 9)]));
        assert_eq!(url.password.as_deref().map(String::as_str), Some("p@ss:w"));
        assert!(StoreUrl::parse("redis://:x@box").unwrap().has_password());
        for wrong in [
            "box:6379",
            "http://box",
            "redis://",
            "redis://a,b",
            "redis://a:0",
            "redis://a:x",
            "redis://a/1",
            "redis+cluster://a,",
            "redis+sentinel://a",
            "redis+other://a",
            "redis://a b",
        ] {
            assert!(StoreUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
