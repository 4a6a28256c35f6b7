//! How to reach a postbox: through which proxy or Tor, and with which trusted certificates.
//!
//! Nothing of it comes from the environment: `HTTP_PROXY` and the like are ignored, so that no call
//! takes a route that the user did not choose.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::RootCertStore;
use ureq::config::AutoHeaderValue;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{Connector as _, RustlsConnector};
use ureq::{Agent, ProxyProtocol};

use super::dial::{CONNECT_TIME, Dial, Known, Names};
use super::error::{Error, Why};
use super::url::Url;
use crate::postbox::pem;

/// The time for a body, in either direction: 8 MiB at 28 KB a second.
const BODY_TIME: Duration = Duration::from_mins(5);
/// The time to connect, where another postbox can be called instead.
const NEXT: Duration = Duration::from_secs(5);
/// The same through a proxy or Tor.
const NEXT_BY_PROXY: Duration = Duration::from_secs(25);

/// Where Tor takes connections unless `--proxy` says otherwise, or else where Tor Browser does.
const TOR: &str = "socks5h://127.0.0.1:9050";
/// How long an unused connection is kept: less than the postbox keeps it (20 s), so that a call
/// does not begin on one that is about to end.
const IDLE_TIME: Duration = Duration::from_secs(12);
/// Bytes to read at a time; larger buffers made no long message faster.
const INPUT: usize = 32 << 10;
/// Bytes to write at a time.
const OUTPUT: usize = 32 << 10;
/// The same for a long message, which took a twentieth less time than with a quarter of it.
const LONG_OUTPUT: usize = 512 << 10;
/// Bytes of an answer's head: the postbox sends about 200.
const HEAD: usize = 16 << 10;
/// The first byte of a certificate in DER form; PEM begins with a hyphen or a remark.
const DER: u8 = 0x30;

/// How to reach a postbox; by default directly, and by `https://` except on this machine.
#[derive(Clone, Default)]
pub struct Route {
    /// Through Tor, each packet by a circuit of its own; `proxy` says where Tor listens.
    pub tor: bool,
    /// Through this proxy.
    pub proxy: Option<Proxy>,
    /// The trusted certificates, instead of the usual authorities'.
    pub authorities: Option<Authorities>,
    /// Also by `http://` to another machine, where everyone on the way sees what the postbox sees.
    pub plain_http: bool,
}

impl Route {
    /// Whether this postbox is called directly, and so sees the caller's address.
    pub fn is_direct(&self, url: &Url) -> bool {
        !self.tor && self.proxy.is_none() && !url.is_onion()
    }

    /// Refuses a URL whose calls could be read on the way, unless that is allowed, and a URL that
    /// the given proxy cannot reach.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        if url.is_open() && !self.plain_http {
            return Err(Error::new(url.host(), Why::InTheClear));
        }
        if url.socket().is_some() && (self.tor || self.proxy.is_some()) {
            return Err(Error::new(url.host(), Why::SocketThroughProxy));
        }
        Ok(())
    }
}

/// A SOCKS 5 proxy that resolves names itself: `socks5h://HOST:PORT`.
#[derive(Clone)]
pub struct Proxy(ureq::Proxy);

/// The text does not name such a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadProxy;

impl fmt::Display for BadProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use socks5h://HOST:PORT, a proxy that resolves names itself")
    }
}

impl std::error::Error for BadProxy {}

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let read = ureq::Proxy::new(text).map_err(|_| BadProxy)?;
        let takes = read.protocol() == ProxyProtocol::Socks5h && text.starts_with("socks5h://");
        if takes { Ok(Self(read)) } else { Err(BadProxy) }
    }
}

/// The certificates of authorities that are trusted.
#[derive(Clone)]
pub struct Authorities(RootCerts);

/// Why a file holds no certificates that could be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadAuthorities {
    /// It is in DER form.
    Der,
    /// It is damaged.
    Damaged,
    /// It holds a key and no certificate.
    Key,
    /// It holds no certificate in PEM form.
    Empty,
    /// The certificate of this number in it, from 1, is damaged.
    DamagedCertificate(usize),
}

impl fmt::Display for BadAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Der => f.write_str("it is in DER form"),
            Self::Damaged => f.write_str("it is damaged"),
            Self::Key => f.write_str("it holds a key and no certificate"),
            Self::Empty => f.write_str("it holds no certificate in PEM form"),
            Self::DamagedCertificate(number) => write!(f, "certificate {number} in it is damaged"),
        }
    }
}

impl std::error::Error for BadAuthorities {}

impl Authorities {
    /// Reads the certificates of a PEM file, each of which must be valid.
    pub fn from_pem(file: &[u8]) -> Result<Self, BadAuthorities> {
        if file.first() == Some(&DER) {
            return Err(BadAuthorities::Der);
        }
        let (mut found, mut others) = (Vec::<Certificate<'static>>::new(), false);
        for item in parse_pem(pem::without_mark(file)) {
            match item {
                Ok(PemItem::Certificate(certificate)) => found.push(certificate),
                Ok(_) => others = true,
                Err(_) => return Err(BadAuthorities::Damaged),
            }
        }
        if found.is_empty() {
            return Err(if others { BadAuthorities::Key } else { BadAuthorities::Empty });
        }
        for (number, certificate) in (1..).zip(&found) {
            // A damaged one would be skipped, and nobody would see the reason.
            if RootCertStore::empty().add(certificate.der().into()).is_err() {
                return Err(BadAuthorities::DamagedCertificate(number));
            }
        }
        Ok(Self(RootCerts::new_with_certs(&found)))
    }
}

/// Makes connections to one postbox.
pub(super) struct Connector {
    proxy: Option<ureq::Proxy>,
    socket: Option<PathBuf>,
    /// Whether each address travels by a connection of its own, at a moment of its own.
    pub(super) isolates: bool,
    /// Whether the proxy must take a user name for each: Tor then keeps their circuits apart.
    demands: bool,
    /// Whether nobody has said where Tor is.
    looks_for_tor: bool,
    pub(super) known: Arc<Known>,
    roots: RootCerts,
    connect_time: Duration,
}

impl Connector {
    pub(super) fn new(url: &Url, route: &Route, is_only: bool) -> Result<Self, Error> {
        route.check(url)?;
        // An onion is reached by Tor alone; a proxy that reaches it is Tor, even if it was only given as a proxy.
        let tor = route.tor || url.is_onion();
        let proxy = match (&route.proxy, tor) {
            (Some(proxy), _) => Some(proxy.0.clone()),
            (None, true) => Proxy::from_str(TOR).ok().map(|proxy| proxy.0),
            (None, false) => None,
        };
        let roots = match &route.authorities {
            Some(authorities) => authorities.0.clone(),
            None => RootCerts::WebPki,
        };
        let socket = url.socket().map(Path::to_owned);
        let is_one_user = !tor && proxy.as_ref().is_some_and(|proxy| proxy.username().is_some());
        let known = Arc::<Known>::default();
        known.joins.store(is_one_user, Ordering::Relaxed);
        let looks_for_tor = route.proxy.is_none() && tor;
        let isolates = proxy.is_some();
        let connect_time = match (is_only, isolates) {
            (true, _) => CONNECT_TIME,
            (false, true) => NEXT_BY_PROXY,
            (false, false) => NEXT,
        };
        let demands = tor;
        Ok(Self { proxy, socket, isolates, demands, looks_for_tor, known, roots, connect_time })
    }

    /// An agent with connections of its own: if addresses are isolated, by a circuit that no other
    /// agent shares, since Tor gives each SOCKS user its own.
    pub(super) fn agent(&self) -> Result<Agent, Why> {
        self.agent_writing(OUTPUT)
    }

    /// The same for a long message.
    pub(super) fn agent_for_long(&self) -> Result<Agent, Why> {
        self.agent_writing(LONG_OUTPUT)
    }

    /// Whether calls get user names that we make up; else the proxy has one for all.
    fn makes_names(&self) -> bool {
        self.demands || self.proxy.as_ref().is_some_and(|proxy| proxy.username().is_none())
    }

    fn agent_writing(&self, output: usize) -> Result<Agent, Why> {
        let proxy = match &self.proxy {
            Some(proxy) if self.makes_names() => Some(isolated(proxy)?),
            other => other.clone(),
        };
        let tls = TlsConfig::builder().root_certs(self.roots.clone()).build();
        let config = Agent::config_builder()
            .proxy(proxy)
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A user agent would tell the program from others.
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_response_header_size(HEAD)
            .input_buffer_size(INPUT)
            .output_buffer_size(output)
            .max_idle_age(IDLE_TIME)
            .timeout_connect(Some(self.connect_time))
            .timeout_send_body(Some(BODY_TIME))
            .timeout_recv_body(Some(BODY_TIME));
        let (socket, known) = (self.socket.clone(), Arc::clone(&self.known));
        let (demands, looks_for_tor) = (self.demands, self.looks_for_tor);
        let dial = Dial { socket, demands, made_up: self.makes_names(), looks_for_tor, known };
        let connector = dial.chain(RustlsConnector::default());
        Ok(Agent::with_parts(config.build(), connector, Names))
    }
}

/// The same proxy with a user name that no other agent has.
fn isolated(proxy: &ureq::Proxy) -> Result<ureq::Proxy, Why> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| Why::NoRandomness)?;
    let name = |half: &[u8]| URL_SAFE_NO_PAD.encode(half);
    ureq::Proxy::builder(ProxyProtocol::Socks5h)
        .host(proxy.host())
        .port(proxy.port())
        .username(&name(&random[..16]))
        .password(&name(&random[16..]))
        .resolve_target(false)
        .build()
        .map_err(|_| Why::BadProxy)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn route(tor: bool, plain_http: bool) -> Route {
        Route { tor, plain_http, ..Route::default() }
    }

    fn connector(url: &str, route: &Route) -> Result<Connector, Error> {
        Connector::new(&Url::parse(url).unwrap(), route, true)
    }

    #[test]
    fn nothing_goes_in_the_clear_unless_asked_for() {
        for close in ["http://127.0.0.1:7363", "http://localhost", "http://[::1]:1", "https://box"]
        {
            assert!(connector(close, &route(false, false)).is_ok(), "{close}");
        }
        for open in ["http://box.example", "http://10.0.0.1", "http://localhost.example"] {
            assert!(connector(open, &route(false, false)).is_err(), "{open}");
            assert!(connector(open, &route(false, true)).is_ok(), "{open}");
            // Tor's exit is on the way, too.
            assert!(connector(open, &route(true, false)).is_err(), "{open}");
        }
    }

    #[test]
    fn an_onion_is_never_asked_of_the_name_server() {
        for onion in ["http://abc.onion", "https://ABC.ONION:1", "http://abc.onion."] {
            for tor in [false, true] {
                let connector = connector(onion, &route(tor, false)).unwrap();
                assert!(connector.demands && connector.proxy.is_some(), "{onion}");
            }
        }
    }

    #[test]
    fn a_proxy_that_takes_calls_to_an_onion_is_tor() {
        let by = |proxy: &str| Route { proxy: proxy.parse().ok(), ..route(false, false) };
        let calls = |url, proxy| connector(url, &by(proxy)).unwrap();
        assert!(calls("http://abc.onion", "socks5h://127.0.0.1:1").demands);
        assert!(calls("http://abc.onion", "socks5h://x:y@127.0.0.1:1").demands);
        // Calls are kept apart all the same, as far as the proxy takes names.
        let another = calls("https://box.example", "socks5h://127.0.0.1:1");
        assert!(another.isolates && !another.demands && !another.known.joins.load(Relaxed));
        let one_user = calls("https://box.example", "socks5h://x:y@127.0.0.1:1");
        assert!(one_user.isolates && one_user.known.joins.load(Relaxed));
        assert!(!connector("https://box.example", &route(false, false)).unwrap().isolates);
    }

    #[test]
    fn to_a_unix_socket_leads_no_proxy() {
        let socket = "unix:/run/box";
        assert!(connector(socket, &route(false, false)).is_ok());
        assert!(connector(socket, &route(true, false)).is_err());
        let route = Route { proxy: "socks5h://127.0.0.1:1".parse().ok(), ..route(false, false) };
        assert!(connector(socket, &route).is_err());
    }

    #[test]
    fn a_proxy_resolves_names_itself() {
        assert!(!Proxy::from_str("socks5h://127.0.0.1:9050").unwrap().0.resolve_target());
        for wrong in ["socks5://h:1", "socks4://h:1", "socks4a://h:1", "http://h:1", "h:1", ""] {
            assert!(Proxy::from_str(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_agent_of_tor_is_another_user() {
        let connector = connector("http://abc.onion", &route(true, false)).unwrap();
        let user = || {
            let agent = connector.agent().unwrap();
            let proxy = agent.config().proxy().unwrap();
            (proxy.username().unwrap().to_owned(), proxy.password().unwrap().to_owned())
        };
        let ((a, b), (c, d)) = (user(), user());
        assert!(a != c && b != d);
        assert!(!connector.agent().unwrap().config().proxy().unwrap().resolve_target());
    }
}
