//! A whole conversation through Tor: a private network of real `tor` processes, an onion service
//! in front of a postbox that has nothing but a Unix socket, and both ends with `--tor`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod control;
mod network;
#[path = "../place/mod.rs"]
mod place;
#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod server;
#[path = "../support/mod.rs"]
mod support;
mod witness;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use control::{Control, Sighting};
use network::{Network, Service};
use place::{Place, code, text};
use server::Postbox;
use support::{tool, until};
use witness::{Witness, judge};

/// For one command: circuits that break are built anew meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);

#[test]
fn a_conversation_through_tor() {
    let place = Place::new();
    let sockets = ["postbox", "witness"].map(|name| place.path(name));
    let listen = format!("unix:{}", sockets[0].display());
    let postbox = Postbox::run(server::otr().args(["postbox", "--listen", &listen]));
    let witness = Witness::stand(&sockets[1], &sockets[0]);
    let [socket, witnessed] = sockets;
    let network = Network::start(&[
        Service { name: "plain", socket, tells_circuits: false },
        Service { name: "witnessed", socket: witnessed, tells_circuits: true },
    ]);
    let ends = Ends { place, network };
    for service in ["plain", "witnessed"] {
        ends.wait_for(service);
    }
    witness.forget();

    ends.whole_conversation(&postbox);
    ends.addresses_travel_apart(&witness);
    ends.an_idle_recv_has_a_circuit_for_each_token(&witness);
    ends.the_judge_would_have_seen_a_shared_circuit(&witness);
    let (status, said) = {
        postbox.signal("TERM");
        postbox.end()
    };
    assert!(status.success(), "{said}");
}

/// Alice and Bob, and the network between them.
struct Ends {
    place: Place,
    network: Network,
}

impl Ends {
    /// An end's command line; alice names Tor, bob has it in his environment.
    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = support::clean(support::binary());
        command.args(["-s", who]).args(arguments).env("OTR_DIR", self.place.path("dir"));
        command.env_remove("OTR_POSTBOX").env("OTR_PROXY", self.network.proxy());
        let calls = !matches!(arguments[0], "init" | "expect");
        if who.starts_with("alice") && calls {
            command.args(["--tor", "--proxy", &self.network.proxy()]).env_remove("OTR_PROXY");
        }
        command
    }

    #[track_caller]
    fn run(&self, who: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = assert_cmd::Command::from_std(self.command(who, arguments));
        command.timeout(PATIENCE).write_stdin(input).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, who: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(who, arguments, input);
        assert!(output.status.success(), "{who} {arguments:?}: {}", text(&output.stderr));
        output.stdout
    }

    fn url(&self, service: &str) -> String {
        format!("http://{}", self.network.onion(service))
    }

    /// Calls by a SOCKS user of its own, as anybody's curl would.
    fn curl(&self, user: &str, url: &str, more: &[&str]) -> Command {
        let proxy = self.network.proxy_for_curl(user);
        let mut curl = tool("curl", "curl");
        curl.args(["-sf", "--max-time", "30", "--proxy", &proxy, url]).args(more);
        curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        curl
    }

    fn wait_for(&self, service: &str) {
        until(&format!("{service} answers"), || {
            self.curl("waiting", &self.url(service), &["--max-time", "5"])
                .output()
                .unwrap()
                .status
                .success()
        });
    }

    /// Two who have met through that service.
    fn pair(&self, [one, other]: [&str; 2], service: &str) {
        let invite = self.ok(one, &["init", "--postbox", &self.url(service)], b"");
        assert_eq!(self.ok(other, &["respond", "--yes"], &invite), b"");
        self.ok(one, &["send"], b"one\n");
        assert_eq!(self.ok(other, &["recv"], b""), b"one\n");
    }

    fn whole_conversation(&self, postbox: &Postbox) {
        self.pair(["alice", "bob"], "plain");
        self.ok("bob", &["send"], b"two\n");
        let waiting = self.spawn("bob", &["recv"]);
        self.until_open("plain", 1);
        only_unix_sockets(postbox.child.id());
        assert_eq!(self.ok("alice", &["recv"], b""), b"two\n");
        // Past what one packet holds: several addresses, each by its circuit.
        let long = vec![b'x'; 3 << 20];
        self.ok("alice", &["send"], &long);
        assert!(waiting.wait_with_output().unwrap().stdout == long);
        self.ok("alice", &["close"], b"");
        assert_eq!(code(&self.run("bob", &["recv"], b"")), 7);
        self.ok("bob", &["close"], b"");
    }

    /// What the operator could note: no two addresses ever came by one circuit.
    fn addresses_travel_apart(&self, witness: &Witness) {
        let mut control = self.network.control("client");
        control.watch_streams();
        self.pair(["alice2", "bob2"], "witnessed");
        for turn in ["two\n", "three\n"] {
            self.ok("bob2", &["send"], turn.as_bytes());
            assert_eq!(self.ok("alice2", &["recv"], b""), turn.as_bytes());
        }
        let circuits = judge(&witness.seen()).unwrap();
        witness.forget();
        let sightings = control.streams_to(&self.network.onion("witnessed"));
        // More if a call had not arrived yet when its command had ended.
        let begun = isolated(&sightings);
        assert!(begun.as_ref().is_ok_and(|begun| *begun >= circuits), "{begun:?}: {sightings:?}");
        assert!(circuits >= 8, "{circuits}: a reply, a greeting, messages and their collection");
    }

    fn an_idle_recv_has_a_circuit_for_each_token(&self, witness: &Witness) {
        self.until_none_is_open("witnessed");
        witness.forget();
        let tokens = self.ok("bob2", &["expect", "--raw"], b"");
        let expected: BTreeSet<_> = tokens.chunks(32).map(witness::opened_by).collect();
        assert_eq!(expected.len(), 2, "the next of this chain, and the first of the next");
        let mut idle = self.spawn("bob2", &["recv"]);
        let open = self.until_open("witnessed", 2);
        assert_eq!(isolated(&open), Ok(2), "it asks for nothing else: {open:?}");
        // A call that an earlier command gave up may still come through: it counts as one more
        // circuit, which must not carry a second address either.
        until("what 'otr expect' names was asked for", || {
            let asked: BTreeSet<_> = witness.seen().into_values().flatten().collect();
            asked.is_superset(&expected)
        });
        let circuits = judge(&witness.seen()).unwrap();
        assert!(circuits >= 2, "{circuits}");
        idle.kill().unwrap();
        idle.wait().unwrap();
        self.until_none_is_open("witnessed");
        witness.forget();
    }

    /// The same user for two tokens: both judges say so.
    fn the_judge_would_have_seen_a_shared_circuit(&self, witness: &Witness) {
        let tokens = self.ok("bob2", &["expect", "--raw"], b"");
        let url = self.url("witnessed") + "/v1/collect?wait=20";
        let mut calls: Vec<Child> = (tokens.chunks(32).zip(["first", "second"]))
            .map(|(token, name)| {
                let file = self.place.path(name);
                fs::write(&file, token).unwrap();
                let body = format!("@{}", file.display());
                let raw = "content-type: application/octet-stream";
                self.curl("both", &url, &["-H", raw, "--data-binary", &body]).spawn().unwrap()
            })
            .collect();
        let open = self.until_open("witnessed", 2);
        assert_eq!(isolated(&open), Ok(1), "two streams, {open:?}");
        until("the calls have come through", || {
            witness.seen().values().any(|addresses| addresses.len() == 2)
        });
        assert!(judge(&witness.seen()).is_err());
        for call in &mut calls {
            call.kill().unwrap();
            call.wait().unwrap();
        }
    }

    fn spawn(&self, who: &str, arguments: &[&str]) -> Child {
        let mut command = self.command(who, arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.spawn().unwrap()
    }

    /// Waits until what earlier commands began is over, as far as the client's end goes.
    fn until_none_is_open(&self, service: &str) {
        let mut control: Control = self.network.control("client");
        until("no stream is open", || {
            control.open_streams(&self.network.onion(service)).is_empty()
        });
    }

    /// Waits until so many streams to a service are open.
    fn until_open(&self, service: &str, count: usize) -> Vec<Sighting> {
        let mut control: Control = self.network.control("client");
        let mut open = Vec::new();
        until(&format!("{count} streams are open"), || {
            open = control.open_streams(&self.network.onion(service));
            open.len() >= count
        });
        open
    }
}

/// Each stream had a SOCKS user, and no circuit carried streams of two; how many circuits.
fn isolated(seen: &[Sighting]) -> Result<usize, String> {
    let pairs: BTreeSet<&Sighting> = seen.iter().collect();
    let users: BTreeSet<&str> = pairs.iter().map(|one| one.user.as_str()).collect();
    let circuits: BTreeSet<&str> = pairs.iter().map(|one| one.circuit.as_str()).collect();
    if users.contains("") {
        return Err("a stream came without a user".to_owned());
    }
    if users.len() != circuits.len() || circuits.len() != pairs.len() {
        return Err(format!("{} users on {} circuits", users.len(), circuits.len()));
    }
    Ok(circuits.len())
}

/// All sockets of that process are Unix sockets: there is no address that it could know.
fn only_unix_sockets(id: u32) {
    let unix = fs::read_to_string(format!("/proc/{id}/net/unix")).unwrap();
    let known: BTreeSet<&str> =
        unix.lines().skip(1).filter_map(|line| line.split_whitespace().nth(6)).collect();
    let mut count = 0;
    // Only root may look into a process that can't be dumped.
    for entry in fs::read_dir(format!("/proc/{id}/fd")).expect("this test runs as root") {
        let target = fs::read_link(entry.unwrap().path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        if let Some(inode) = target.strip_prefix("socket:[") {
            assert!(known.contains(inode.trim_end_matches(']')), "{target}");
            count += 1;
        }
    }
    assert!(count >= 2, "its door, and a caller: {count}");
}
