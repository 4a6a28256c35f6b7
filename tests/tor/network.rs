//! A private Tor network on loopback, from Debian's `tor`: authorities, relays, one client, one
//! process with the onion services. Nothing of it knows of, or calls, the real one.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::control::Control;
use crate::place::set_mode;
use crate::support::{feed, free_ports, own_address, tool, until};

/// Three make a majority of two: what one of them misses does not stop the network.
const AUTHORITIES: usize = 3;
/// With the authorities, which relay too, two more than a path of three needs.
const RELAYS: usize = 2;
/// Seconds between two votes: the least that tor takes in a network for tests.
const VOTE: u32 = 10;
/// Seconds for a vote to reach the others, and for the consensus: likewise.
const DELAY: u32 = 2;

/// An onion service.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// The Unix socket that it leads to.
    pub(crate) socket: PathBuf,
    /// Whether each connection begins with a line that tells of its circuit.
    pub(crate) tells_circuits: bool,
}

/// A running network; it ends with this.
pub(crate) struct Network {
    folder: tempfile::TempDir,
    address: Ipv4Addr,
    /// For otr: where a caller may do without a user name, Tor takes none here. It must not come
    /// to that.
    socks: u16,
    /// For curl, which offers to do without.
    socks_for_curl: u16,
    processes: Vec<Child>,
}

impl Drop for Network {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
        }
        for process in &mut self.processes {
            let _ = process.wait();
        }
    }
}

impl Network {
    /// Brings one up; returns when its client and the services know the network.
    pub(crate) fn start(services: &[Service]) -> Self {
        let folder = tempfile::Builder::new().prefix("otr-tor-").tempdir_in("/dev/shm").unwrap();
        let address = own_address();
        let authorities: Vec<String> = (0..AUTHORITIES).map(|n| format!("auth{n}")).collect();
        let relays: Vec<String> = (0..RELAYS).map(|n| format!("relay{n}")).collect();
        let ports = free_ports(address, 2 * AUTHORITIES + RELAYS + 2);
        let (dir_ports, ports) = ports.split_at(AUTHORITIES);
        let (or_ports, ports) = ports.split_at(AUTHORITIES);
        let (relay_ports, ports) = ports.split_at(RELAYS);
        let (socks, socks_for_curl) = (ports[0], ports[1]);
        let mut network = Self { folder, address, socks, socks_for_curl, processes: Vec::new() };

        let known: Vec<String> = std::thread::scope(|scope| {
            let network = &network;
            let making: Vec<_> = (authorities.iter().zip(dir_ports).zip(or_ports))
                .map(|((name, dir), or)| scope.spawn(move || network.authority(name, *dir, *or)))
                .collect();
            making.into_iter().map(|keys| keys.join().unwrap()).collect()
        });
        let known = known.concat();
        for ((name, dir_port), or_port) in authorities.iter().zip(dir_ports).zip(or_ports) {
            let votes = voting(name, address, *dir_port);
            network.run(name, &(known.clone() + &relaying(address, *or_port) + &votes));
        }
        for (name, port) in relays.iter().zip(relay_ports) {
            network.run(name, &(known.clone() + &relaying(address, *port)));
        }
        let socks = format!(
            "SocksPort {address}:{socks} PreferSOCKSNoAuth\nSocksPort {address}:{socks_for_curl}\n"
        );
        network.run("client", &(known.clone() + &socks));
        let services: String = services.iter().map(|service| network.serving(service)).collect();
        network.run("onion", &(known + "SocksPort 0\n" + &services));
        for name in ["client", "onion"] {
            let mut control = network.control(name);
            until(&format!("{name} knows the network"), || {
                control.ask("GETINFO status/bootstrap-phase")[0].contains("TAG=done")
            });
        }
        network
    }

    /// Where the client takes connections, as `--proxy` names it.
    pub(crate) fn proxy(&self) -> String {
        format!("socks5h://{}:{}", self.address, self.socks)
    }

    /// The same for curl.
    pub(crate) fn proxy_for_curl(&self, user: &str) -> String {
        format!("socks5h://{user}:x@{}:{}", self.address, self.socks_for_curl)
    }

    /// The `.onion` name of a service.
    pub(crate) fn onion(&self, service: &str) -> String {
        let path = self.path("onion").join(service).join("hostname");
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// The control port of one of the processes.
    pub(crate) fn control(&self, name: &str) -> Control {
        let path = self.path(name).join("control");
        // The socket is there a moment before anybody listens at it.
        let mut stream = None;
        until(&format!("{name} is up"), || {
            stream = UnixStream::connect(&path).ok();
            stream.is_some()
        });
        Control::new(stream.unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn place(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        set_mode(&path, 0o700);
        path
    }

    /// Makes the keys of an authority; the line by which all know it.
    fn authority(&self, name: &str, dir_port: u16, or_port: u16) -> String {
        let keys = self.place(name).join("keys");
        fs::create_dir(&keys).unwrap();
        set_mode(&keys, 0o700);
        let listens = format!("{}:{dir_port}", self.address);
        let mut certify = tool("tor-gencert", "tor");
        certify.args(["--create-identity-key", "--passphrase-fd", "0", "-m", "12"]);
        certify.args(["-a", &listens, "-i", "authority_identity_key"]);
        certify.args(["-s", "authority_signing_key", "-c", "authority_certificate"]);
        feed(certify.current_dir(&keys), b"password\n").ok();
        let certificate = fs::read_to_string(keys.join("authority_certificate")).unwrap();
        let identity = word_after(&certificate, "fingerprint ").to_owned();

        // tor names the key of an authority only where it could run as one.
        let torrc = self.path(name).join("names-its-key");
        let nobody = "DirAuthority nobody 127.0.0.1:1 FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\n";
        let relaying = relaying(self.address, or_port);
        fs::write(&torrc, self.common(name) + nobody + &relaying).unwrap();
        let said = feed(tor(&torrc).arg("--list-fingerprint"), b"").text();
        let last = said.trim().lines().last().unwrap();
        let fingerprint: String = last.split(' ').skip(1).collect();
        format!(
            "DirAuthority {name} orport={or_port} no-v2 v3ident={identity} {listens} {fingerprint}\n"
        )
    }

    /// What all of them are told.
    fn common(&self, name: &str) -> String {
        let place = self.place(name);
        let place = place.display();
        // Whatever becomes of this process, they end, too.
        let us = std::process::id();
        format!(
            "TestingTorNetwork 1\nDataDirectory {place}\nNickname {name}\n\
            ControlPort unix:{place}/control\nCookieAuthentication 0\n\
            __OwningControllerProcess {us}\nLog notice file {place}/log\nShutdownWaitLength 0\n\
            PathsNeededToBuildCircuits 0.67\nGeoIPFile /dev/null\nGeoIPv6File /dev/null\n"
        )
    }

    fn serving(&self, service: &Service) -> String {
        let place = self.place("onion").join(service.name);
        let (place, socket) = (place.display(), service.socket.display());
        let tells =
            if service.tells_circuits { "HiddenServiceExportCircuitID haproxy\n" } else { "" };
        format!("HiddenServiceDir {place}\nHiddenServicePort 80 unix:{socket}\n{tells}")
    }

    fn run(&mut self, name: &str, settings: &str) {
        let torrc = self.place(name).join("torrc");
        fs::write(&torrc, self.common(name) + settings).unwrap();
        let child = tor(&torrc).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        self.processes.push(child);
    }
}

fn tor(torrc: &Path) -> std::process::Command {
    let mut tor = tool("tor", "tor");
    tor.args(["--quiet", "--defaults-torrc", "/dev/null", "-f"]).arg(torrc);
    tor
}

fn relaying(address: Ipv4Addr, port: u16) -> String {
    format!("Address {address}\nORPort {address}:{port}\nSocksPort 0\nAssumeReachable 1\n")
}

fn voting(name: &str, address: Ipv4Addr, port: u16) -> String {
    format!(
        "DirPort {address}:{port}\nAuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\n\
        ContactInfo {name}@test.invalid\n\
        TestingV3AuthInitialVotingInterval {VOTE}\nTestingV3AuthInitialVoteDelay {DELAY}\n\
        TestingV3AuthInitialDistDelay {DELAY}\nV3AuthVotingInterval {VOTE}\n\
        V3AuthVoteDelay {DELAY}\nV3AuthDistDelay {DELAY}\nV3AuthNIntervalsValid 2\n\
        TestingAuthDirTimeToLearnReachability 0\nTestingMinExitFlagThreshold 0\n\
        TestingDirAuthVoteExit *\nTestingDirAuthVoteHSDir *\nTestingDirAuthVoteGuard *\n"
    )
}

fn word_after<'a>(text: &'a str, label: &str) -> &'a str {
    let rest = text.split(label).nth(1).unwrap_or_else(|| panic!("no {label}in {text}"));
    rest.split_whitespace().next().unwrap()
}
