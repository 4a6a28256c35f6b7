//! Questions to the name servers, as `/etc/resolv.conf` has them: servers, `search`, `ndots`,
//! `timeout`, `attempts`, `use-vc`, `edns0` and `no-aaaa`.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use resolv_conf::{Config, ScopedIp};
use rsdns::clients::std::Client;
use rsdns::clients::{ClientConfig, EDns, ProtocolStrategy};
use rsdns::message::RCode;
use rsdns::records::data::{A, Aaaa, RData};
use rsdns::records::{Class, RecordSet};

use super::{LOOKUP_TIME, NoAddress};

const PATH: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// The most servers to ask; C libraries do not look at more either.
const SERVERS: usize = 3;
/// The most search domains to try; the C library's limit for decades.
const ENDINGS: usize = 6;
/// A question by UDP is asked again after this time: one of its two packets was lost.
const AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for IPv6 addresses once those of IPv4 have come (RFC 8305, 3).
const OTHER_FAMILY: Duration = Duration::from_millis(50);
/// Bytes of the largest answer.
const ANSWER: usize = 65_535;

/// The addresses of a name in lower case, without a dot at its end; `absolute` where it had one.
pub(super) fn addresses(name: &str, absolute: bool) -> Result<Vec<IpAddr>, NoAddress> {
    // Other resolvers skip lines that they do not understand, too.
    let (mut config, _) = Config::parse_with_errors(&fs::read(PATH).unwrap_or_default());
    config.nameservers = config.get_nameservers_or_local();
    config.nameservers.truncate(SERVERS);
    let until = Instant::now() + LOOKUP_TIME;
    let mut last = NoAddress::Unknown;
    for candidate in candidates(name, absolute, &config) {
        match both_families(&candidate, &config, until) {
            // This name got an answer, so the next name is worth asking.
            Err(NoAddress::Unknown) => {}
            Err(other) => last = other,
            found => return found,
        }
    }
    Err(last)
}

/// The names to ask for, in turn.
fn candidates(name: &str, absolute: bool, config: &Config) -> Vec<String> {
    let alone = [name.to_owned()];
    if absolute {
        return alone.into();
    }
    let endings = config.get_last_search_or_domain().take(ENDINGS);
    let longer = endings.map(|ending| format!("{name}.{}", ending.trim_matches('.')));
    let longer = longer.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    // No name server is told of an onion, whatever is appended to it.
    let longer =
        longer.filter(|longer| longer != name && longer.rsplit('.').next() != Some("onion"));
    let dots = name.bytes().filter(|&byte| byte == b'.').count();
    if dots >= config.ndots as usize {
        alone.into_iter().chain(longer).collect()
    } else {
        longer.chain(alone).collect()
    }
}

/// The addresses of both families, asked for in parallel.
fn both_families(name: &str, config: &Config, until: Instant) -> Result<Vec<IpAddr>, NoAddress> {
    let (answers, answered) = channel();
    ask_beside(name, config, until, &answers, |found: A| found.address.into());
    if !config.no_aaaa {
        ask_beside(name, config, until, &answers, |found: Aaaa| found.address.into());
    }
    drop(answers);
    let mut all = Err(NoAddress::Unknown);
    let mut until = until;
    loop {
        match answered.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Ok(found)) => {
                if found.iter().any(IpAddr::is_ipv4) {
                    until = until.min(Instant::now() + OTHER_FAMILY);
                }
                all = Ok([all.unwrap_or_default(), found].concat());
            }
            Ok(Err(why)) if why != NoAddress::Unknown => all = all.map_err(|_| why),
            Ok(Err(_)) => {}
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => return all.map_err(|_| NoAddress::NoServer),
        }
    }
}

/// The outcome of asking for one family.
type Answer = Result<Vec<IpAddr>, NoAddress>;

fn ask_beside<D: RData + 'static>(
    name: &str,
    config: &Config,
    until: Instant,
    answers: &Sender<Answer>,
    address: fn(D) -> IpAddr,
) {
    let (name, config, answers) = (name.to_owned(), config.clone(), answers.clone());
    // The receiver may be gone. Without a thread the other family has to suffice.
    let work = move || drop(answers.send(ask(&name, &config, until, address)));
    drop(Builder::new().spawn(work));
}

/// Asks each server in turn, and all of them again, until one answers.
fn ask<D: RData>(name: &str, config: &Config, until: Instant, address: fn(D) -> IpAddr) -> Answer {
    let rounds = config.attempts.max(1) as usize;
    let servers = config.nameservers.iter().filter_map(at);
    let servers: Vec<SocketAddr> = servers.collect();
    for server in servers.iter().cycle().take(rounds * servers.len()) {
        let left = until.saturating_duration_since(Instant::now());
        let time = Duration::from_secs(config.timeout.into()).max(AGAIN).min(left);
        if time.is_zero() {
            break;
        }
        match ask_server(name, *server, config, time) {
            Ok(found) => return Ok(found.rdata.into_iter().map(address).collect()),
            Err(rsdns::Error::NoAnswer | rsdns::Error::BadResponseCode(RCode::NXDOMAIN)) => {
                return Err(NoAddress::Unknown);
            }
            Err(error) if is_about_the_name(&error) => return Err(NoAddress::Unknown),
            // This server is away or of no use: try the next.
            Err(_) => {}
        }
    }
    Err(NoAddress::NoServer)
}

fn ask_server<D: RData>(
    name: &str,
    server: SocketAddr,
    config: &Config,
    time: Duration,
) -> rsdns::Result<RecordSet<D>> {
    let strategy = if config.use_vc { ProtocolStrategy::Tcp } else { ProtocolStrategy::Udp };
    // As elsewhere: an old server may not know it.
    let edns =
        if config.edns0 { EDns::On { version: 0, udp_payload_size: 1232 } } else { EDns::Off };
    let config = ClientConfig::with_nameserver(server)
        .set_query_lifetime(time)
        .set_query_timeout(Some(AGAIN))
        .set_protocol_strategy(strategy)
        .set_edns(edns)
        .set_buffer_size(0);
    let mut answer = vec![0; ANSWER];
    let size = Client::new(config)?.query_raw(name, D::RTYPE, Class::IN, &mut answer)?;
    RecordSet::from_msg(&answer[..size])
}

/// Whether this name cannot be asked for at all.
fn is_about_the_name(error: &rsdns::Error) -> bool {
    use rsdns::Error as E;
    matches!(
        error,
        E::DomainNameLabelInvalidChar(..)
            | E::DomainNameLabelTooLong(_)
            | E::DomainNameLabelIsEmpty
            | E::DomainNameTooLong(_)
    )
}

/// A server's address; `fe80::1%eth0` becomes an address with that interface's number.
fn at(server: &ScopedIp) -> Option<SocketAddr> {
    let ScopedIp::V6(ip, Some(zone)) = server else {
        return Some((IpAddr::from(server), PORT).into());
    };
    let number = zone.parse().ok().or_else(|| interface(zone))?;
    Some(SocketAddrV6::new(*ip, PORT, 0, number).into())
}

#[cfg(target_os = "linux")]
fn interface(name: &str) -> Option<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    netdevice::name_to_index(any, name).ok()
}

#[cfg(not(target_os = "linux"))]
fn interface(_: &str) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, file: &str) -> Vec<String> {
        candidates(name, false, &Config::parse(file).unwrap())
    }

    #[test]
    fn endings_are_tried_as_the_file_says() {
        let file = "search a.example b.example.";
        assert_eq!(asked("box", file), ["box.a.example", "box.b.example", "box"]);
        assert_eq!(asked("box.x", file), ["box.x", "box.x.a.example", "box.x.b.example"]);
        let file = "options ndots:2\nsearch a.example";
        assert_eq!(asked("box.x", file), ["box.x.a.example", "box.x"]);
        assert_eq!(asked("box", ""), ["box"]);
        assert_eq!(asked("box", "domain example"), ["box.example", "box"]);
        let config = Config::parse("search a.example").unwrap();
        assert_eq!(candidates("box", true, &config), ["box"]);
        assert_eq!(asked("box", "search ."), ["box"]);
        assert_eq!(asked("box", "search abc.onion"), ["box"]);
    }

    #[test]
    fn a_server_may_lie_behind_one_interface() {
        let server = |text: &str| at(&text.parse().unwrap()).map(|at| at.to_string());
        assert_eq!(server("10.0.0.1").as_deref(), Some("10.0.0.1:53"));
        assert_eq!(server("fd00::1").as_deref(), Some("[fd00::1]:53"));
        assert_eq!(server("fe80::1%7").as_deref(), Some("[fe80::1%7]:53"));
        #[cfg(target_os = "linux")]
        assert_eq!(server("fe80::1%lo").as_deref(), Some("[fe80::1%1]:53"));
        assert_eq!(server("fe80::1%nowhere9"), None);
    }
}
