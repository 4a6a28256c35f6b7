//! The addresses of a host's name: from the hosts file, or else from the name servers of
//! `/etc/resolv.conf`.
//!
//! We never use the C library's resolver. It loads modules named in `/etc/nsswitch.conf`, and in a
//! static program these crash the process if the system has another C library.

mod dns;
mod hosts;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The time limit of a lookup; with all of three servers away it would take longer than anyone
/// waits.
pub(crate) const LOOKUP_TIME: Duration = Duration::from_secs(15);

/// The longest name that DNS has.
const NAME_MAX: usize = 253;

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoAddress {
    /// All servers that were asked say so.
    Unknown,
    /// No name server answered.
    NoServer,
    /// It is only for Tor, and no name server ever sees it.
    Onion,
}

impl std::fmt::Display for NoAddress {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Unknown => "no address is known for that name",
            Self::NoServer => "no name server answers",
            Self::Onion => "an .onion name has no address",
        })
    }
}

impl std::error::Error for NoAddress {}

/// The addresses of a host, in the order in which they are tried. An address is its own, and
/// `localhost` this machine (RFC 6761): both without a look at any file.
pub fn addresses(host: &str) -> Result<Vec<IpAddr>, NoAddress> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![address]);
    }
    let name = host.to_ascii_lowercase();
    let (absolute, name) = match name.strip_suffix('.') {
        Some(bare) => (true, bare),
        None => (false, name.as_str()),
    };
    match name.rsplit('.').next() {
        Some("localhost") => {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        Some("onion") => return Err(NoAddress::Onion),
        _ => {}
    }
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(NoAddress::Unknown);
    }
    let found = hosts::addresses(name);
    let found = if found.is_empty() { dns::addresses(name, absolute)? } else { found };
    Ok(mixed(found))
}

/// IPv6 first, then the families in turn (RFC 8305), so that a family without a route does not
/// precede all of the other.
fn mixed(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv6);
    let mut four = four.into_iter();
    let mut all = Vec::new();
    for address in six {
        all.push(address);
        all.extend(four.next());
    }
    all.extend(four);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_its_own_and_localhost_is_this_machine() {
        assert_eq!(addresses("192.0.2.7"), Ok(vec![ip("192.0.2.7")]));
        for six in ["[2001:db8::7]", "2001:db8::7"] {
            assert_eq!(addresses(six), Ok(vec![ip("2001:db8::7")]));
        }
        for here in ["localhost", "LOCALHOST.", "box.localhost"] {
            assert_eq!(addresses(here), Ok(vec![ip("127.0.0.1"), ip("::1")]), "{here}");
        }
    }

    #[test]
    fn an_onion_is_asked_of_nobody() {
        for onion in ["onion", "abc.onion", "ABC.Onion."] {
            assert_eq!(addresses(onion), Err(NoAddress::Onion), "{onion}");
        }
    }

    #[test]
    fn the_families_take_turns() {
        let found = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2"].map(ip);
        let order = ["fd00::1", "10.0.0.1", "fd00::2", "10.0.0.2", "10.0.0.3"].map(ip);
        assert_eq!(mixed(found.to_vec()), order);
    }
}
