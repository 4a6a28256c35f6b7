//! How a command reaches its postbox: the options, and the client that is made from them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use otr::postbox::client::{Authorities, BadAuthorities, Client, Proxy, Route, Url, Urls};

use crate::failure::{Code, Failure};

/// How to reach a postbox
#[derive(Clone, Default, clap::Args)]
pub(crate) struct RouteArgs {
    /// Call the postbox through Tor, for each packet by a circuit of its own and at a moment of its own
    /// [an .onion is always called so]
    #[arg(long)]
    tor: bool,

    /// Call the postbox through this proxy, which also resolves its name: socks5h://HOST:PORT;
    /// with --tor, where Tor listens [default there: port 9050 of this machine, or 9150]
    #[arg(long, value_name = "URL", env = "OTR_PROXY", hide_env_values = true)]
    proxy: Option<Proxy>,

    /// Trust the certificates in FILE (PEM) instead of the usual authorities
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ca_file: Option<PathBuf>,

    /// Call a postbox on another machine by http://, where all on the way see what it sees
    #[arg(long)]
    plain_http: bool,
}

impl RouteArgs {
    /// Whether this postbox is called directly, and so sees the caller's address.
    pub(crate) fn is_direct(&self, url: &Url) -> bool {
        self.route(None).is_direct(url)
    }

    /// Those of these postboxes that are called directly: if one is called through Tor, all are.
    pub(crate) fn direct<'a>(&self, urls: &'a Urls) -> impl Iterator<Item = &'a Url> {
        let all = urls.iter().all(|url| self.is_direct(url));
        urls.iter().filter(move |_| all)
    }

    /// Refuses a URL that this route cannot reach, or whose calls could be read on the way.
    pub(crate) fn check(&self, url: &Url) -> Result<(), Failure> {
        Ok(self.route(None).check(url)?)
    }

    /// The postboxes, by this route; no call is made yet.
    pub(crate) fn client(&self, urls: Urls) -> Result<Client, Failure> {
        let authorities = self.ca_file.as_deref().map(authorities).transpose()?;
        Ok(Client::new(urls, &self.route(authorities))?)
    }

    /// The same; a postbox in the same room, by its address, may be called by `http://`, but not through a
    /// proxy or Tor, which are elsewhere.
    pub(crate) fn in_one_room(&self, url: &Url) -> Self {
        let near = self.is_direct(url) && is_near(url.host());
        Self { plain_http: self.plain_http || near, ..self.clone() }
    }

    /// The way to a postbox of this machine's own, at whatever address.
    pub(crate) fn to_own() -> Self {
        Self { plain_http: true, ..Self::default() }
    }

    fn route(&self, authorities: Option<Authorities>) -> Route {
        let Self { tor, proxy, plain_http, .. } = self.clone();
        Route { tor, proxy, authorities, plain_http }
    }
}

/// Whether a host is an address that no router carries beyond its own network.
fn is_near(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Err(_) => false,
    }
}

/// The certificates of `--ca-file`.
fn authorities(path: &Path) -> Result<Authorities, Failure> {
    const TAKES: &str = "it takes one certificate or more, in PEM form";
    let unfit = |why: &str, hint: &'static str| {
        Failure::new(Code::Usage, format!("--ca-file {}: {why}", path.display()), hint).about(path)
    };
    let file = std::fs::read(path).map_err(|error| unfit(&error.to_string(), TAKES))?;
    Authorities::from_pem(&file).map_err(|error| {
        let hint = match error {
            BadAuthorities::Der => {
                "openssl x509 -inform der -in FILE -out FILE.pem makes PEM of it"
            }
            _ => TAKES,
        };
        unfit(&error.to_string(), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_for_one_room_and_no_way_out_of_it() {
        let direct = RouteArgs::default();
        let tor = RouteArgs { tor: true, ..RouteArgs::default() };
        let proxy = RouteArgs { proxy: "socks5h://127.0.0.1:1".parse().ok(), ..direct.clone() };
        for (url, directly, through) in [
            ("http://192.168.1.5:7363", true, false),
            ("http://[fe80::1]:7363", true, false),
            ("http://198.51.100.7", false, false),
            ("http://box.example", false, false),
            ("https://box.example", true, true),
        ] {
            let url = Url::parse(url).unwrap();
            let goes = |route: &RouteArgs| route.in_one_room(&url).check(&url).is_ok();
            assert_eq!(goes(&direct), directly, "{}", url.host());
            assert_eq!((goes(&tor), goes(&proxy)), (through, through), "{}", url.host());
        }
    }
}
