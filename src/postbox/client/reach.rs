//! How a postbox is reached: the proxy or Tor in front of it, whose certificates count.
//!
//! Nothing of it comes from the environment but what is named in `--help`: `HTTP_PROXY` and the
//! like are passed over, so that no call leaves by a way that nobody chose.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_rustls::rustls::RootCertStore;
use ureq::config::AutoHeaderValue;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::{Connector as _, RustlsConnector};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::dial::{CONNECT_TIME, Dial, Names};
use super::url::Url;
use crate::failure::{Code, Failure};
use crate::postbox::pem;

/// For a body, in either direction: 8 MiB at 28 KB a second.
const BODY_TIME: Duration = Duration::from_mins(5);

/// Where Tor takes connections unless `--proxy` says otherwise.
const TOR: &str = "socks5h://127.0.0.1:9050";
/// How long an unused connection is kept: less than the postbox keeps it (20 s), so that a call
/// does not begin on one that is about to end.
const IDLE_TIME: Duration = Duration::from_secs(12);
/// Bytes that are read at a time; more made no long message faster.
const INPUT: usize = 32 << 10;
/// Bytes that are written at a time.
const OUTPUT: usize = 32 << 10;
/// The same of a long message, which took a twentieth less with it than with a quarter of it.
const LONG_OUTPUT: usize = 512 << 10;
/// Bytes of an answer's head: the postbox sends some 200.
const HEAD: usize = 16 << 10;
/// The first byte of a certificate in DER form; PEM begins with a hyphen or a remark.
const DER: u8 = 0x30;

/// How to reach a postbox
#[derive(Clone, clap::Args)]
pub(crate) struct Reach {
    /// Call the postbox through Tor, for each packet by a circuit of its own
    #[arg(long)]
    tor: bool,

    /// Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT;
    /// with --tor, where Tor listens [default there: port 9050 of this machine]
    #[arg(long, value_name = "URL", env = "OTR_PROXY", hide_env_values = true, value_parser = proxy)]
    proxy: Option<Proxy>,

    /// Trust the certificates in FILE (PEM) instead of the usual authorities
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ca_file: Option<PathBuf>,

    /// Call a postbox on another machine by http://, where all on the way see what it sees
    #[arg(long)]
    plain_http: bool,
}

impl Reach {
    /// Whether that postbox is called straight from here, and so sees who calls.
    pub(crate) fn is_direct(&self, url: &Url) -> bool {
        !self.tor && self.proxy.is_none() && !url.is_onion()
    }

    /// Refuses a URL whose calls could be read on the way, unless that was asked for, and one to which
    /// no proxy leads where one was given.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Failure> {
        if url.is_open() && !self.plain_http {
            let host = url.host();
            return Err(Failure::new(
                Code::Usage,
                format!("http://{host} is not encrypted: all on the way would see what it sees"),
                "use https://, or --plain-http if that is what you want",
            ));
        }
        if url.socket().is_some() && (self.tor || self.proxy.is_some()) {
            return Err(Failure::new(
                Code::Usage,
                format!("{} is a Unix socket, to which no proxy leads", url.host()),
                "nobody was called: leave --tor, --proxy and OTR_PROXY out",
            ));
        }
        Ok(())
    }
}

/// Connections to one postbox are made with this.
pub(super) struct Connector {
    proxy: Option<Proxy>,
    socket: Option<PathBuf>,
    /// Whether each address travels by a circuit of its own.
    pub(super) isolates: bool,
    roots: RootCerts,
}

impl Connector {
    pub(super) fn new(url: &Url, reach: &Reach) -> Result<Self, Failure> {
        reach.check(url)?;
        let proxy = match (&reach.proxy, reach.tor) {
            (Some(proxy), _) => Some(proxy.clone()),
            (None, true) => proxy(TOR).ok(),
            (None, false) => None,
        };
        if url.is_onion() && proxy.is_none() {
            let what = "an .onion address is reached through Tor only";
            return Err(Failure::new(Code::Usage, what, "use --tor"));
        }
        let roots = match &reach.ca_file {
            Some(path) => certificates(path)?,
            None => RootCerts::WebPki,
        };
        let socket = url.socket().map(Path::to_owned);
        // What takes a call to an onion is Tor, also where it was only called a proxy.
        Ok(Self { proxy, socket, isolates: reach.tor || url.is_onion(), roots })
    }

    /// One that keeps its connections for itself: where addresses are isolated, by a circuit that
    /// no other agent shares, since Tor gives each SOCKS user its own.
    pub(super) fn agent(&self) -> Result<Agent, Failure> {
        self.agent_writing(OUTPUT)
    }

    /// The same for a long message.
    pub(super) fn agent_for_long(&self) -> Result<Agent, Failure> {
        self.agent_writing(LONG_OUTPUT)
    }

    fn agent_writing(&self, output: usize) -> Result<Agent, Failure> {
        let proxy = match &self.proxy {
            Some(proxy) if self.isolates => Some(isolated(proxy)?),
            other => other.clone(),
        };
        let tls = TlsConfig::builder().root_certs(self.roots.clone()).build();
        let config = Agent::config_builder()
            .proxy(proxy)
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What names a program tells it from others.
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_response_header_size(HEAD)
            .input_buffer_size(INPUT)
            .output_buffer_size(output)
            .max_idle_age(IDLE_TIME)
            .timeout_connect(Some(CONNECT_TIME))
            .timeout_send_body(Some(BODY_TIME))
            .timeout_recv_body(Some(BODY_TIME));
        let dial =
            Dial { socket: self.socket.clone(), isolates: self.isolates && self.proxy.is_some() };
        let connector = dial.chain(RustlsConnector::default());
        Ok(Agent::with_parts(config.build(), connector, Names))
    }
}

/// A proxy of `--proxy`: SOCKS 5 that resolves names itself, nothing else.
fn proxy(text: &str) -> Result<Proxy, &'static str> {
    const WRONG: &str = "use socks5h://HOST:PORT, a proxy that resolves names itself";
    let read = Proxy::new(text).map_err(|_| WRONG)?;
    if read.protocol() != ProxyProtocol::Socks5h || !text.starts_with("socks5h://") {
        return Err(WRONG);
    }
    Ok(read)
}

/// The same proxy for a user that nobody else is.
fn isolated(proxy: &Proxy) -> Result<Proxy, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| Failure::no_randomness())?;
    let name = |half: &[u8]| URL_SAFE_NO_PAD.encode(half);
    Proxy::builder(ProxyProtocol::Socks5h)
        .host(proxy.host())
        .port(proxy.port())
        .username(&name(&random[..16]))
        .password(&name(&random[16..]))
        .resolve_target(false)
        .build()
        .map_err(|_| Failure::new(Code::Usage, "the proxy's address is no good", ""))
}

/// The certificates of `--ca-file`, each of which has to be one.
fn certificates(path: &Path) -> Result<RootCerts, Failure> {
    const TAKES: &str = "it takes one certificate or more, in PEM form";
    let unfit = |why: &str, hint: &'static str| {
        Failure::new(Code::Usage, format!("--ca-file {}: {why}", path.display()), hint).about(path)
    };
    let file = std::fs::read(path).map_err(|error| unfit(&error.to_string(), TAKES))?;
    if file.first() == Some(&DER) {
        let hint = "openssl x509 -inform der -in FILE -out FILE.pem makes PEM of it";
        return Err(unfit("it is in DER form", hint));
    }
    let (mut found, mut others) = (Vec::<Certificate<'static>>::new(), false);
    for item in parse_pem(pem::without_mark(&file)) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => others = true,
            Err(_) => return Err(unfit("it is damaged", TAKES)),
        }
    }
    if found.is_empty() {
        let why = if others {
            "it holds a key and no certificate"
        } else {
            "it holds no certificate in PEM form"
        };
        return Err(unfit(why, TAKES));
    }
    for (number, certificate) in (1..).zip(&found) {
        // Where it is none, it would be passed over, and nobody be trusted for no reason that is seen.
        if RootCertStore::empty().add(certificate.der().into()).is_err() {
            return Err(unfit(&format!("certificate {number} in it is damaged"), TAKES));
        }
    }
    Ok(RootCerts::new_with_certs(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(tor: bool, plain_http: bool) -> Reach {
        Reach { tor, proxy: None, ca_file: None, plain_http }
    }

    fn connector(url: &str, reach: &Reach) -> Result<Connector, Failure> {
        Connector::new(&Url::parse(url).unwrap(), reach)
    }

    #[test]
    fn nothing_goes_in_the_clear_unless_asked_for() {
        for close in ["http://127.0.0.1:7363", "http://localhost", "http://[::1]:1", "https://box"]
        {
            assert!(connector(close, &reach(false, false)).is_ok(), "{close}");
        }
        for open in ["http://box.example", "http://10.0.0.1", "http://localhost.example"] {
            assert!(connector(open, &reach(false, false)).is_err(), "{open}");
            assert!(connector(open, &reach(false, true)).is_ok(), "{open}");
            // Tor's exit is on the way, too.
            assert!(connector(open, &reach(true, false)).is_err(), "{open}");
        }
    }

    #[test]
    fn an_onion_is_never_asked_of_the_name_server() {
        for onion in ["http://abc.onion", "https://ABC.ONION:1", "http://abc.onion."] {
            assert!(connector(onion, &reach(false, true)).is_err(), "{onion}");
            assert!(connector(onion, &reach(true, false)).is_ok(), "{onion}");
        }
    }

    #[test]
    fn a_proxy_that_takes_calls_to_an_onion_is_tor() {
        let reach = Reach { proxy: proxy("socks5h://127.0.0.1:1").ok(), ..reach(false, false) };
        assert!(connector("http://abc.onion", &reach).unwrap().isolates);
        assert!(!connector("https://box.example", &reach).unwrap().isolates);
    }

    #[test]
    fn to_a_unix_socket_leads_no_proxy() {
        let socket = "unix:/run/box";
        assert!(connector(socket, &reach(false, false)).is_ok());
        assert!(connector(socket, &reach(true, false)).is_err());
        let reach = Reach { proxy: proxy("socks5h://127.0.0.1:1").ok(), ..reach(false, false) };
        assert!(connector(socket, &reach).is_err());
    }

    #[test]
    fn a_proxy_resolves_names_itself() {
        assert!(!proxy("socks5h://127.0.0.1:9050").unwrap().resolve_target());
        for wrong in ["socks5://h:1", "socks4://h:1", "socks4a://h:1", "http://h:1", "h:1", ""] {
            assert!(proxy(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_agent_of_tor_is_another_user() {
        let connector = connector("http://abc.onion", &reach(true, false)).unwrap();
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
