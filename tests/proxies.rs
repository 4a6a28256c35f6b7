//! The examples in `packaging/` for nginx and Caddy, run as they are but for names, ports and paths:
//! a conversation goes through, and neither keeps a line or a byte of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

mod place;
#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod server;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use place::{Place, code, text};
use server::Postbox;
use support::{free_ports, own_address, tool, until};

/// A proxy in front of a postbox.
struct Front {
    place: Place,
    postbox: Postbox,
    proxy: Child,
    /// Everything that was there when it had started.
    files: BTreeSet<PathBuf>,
    url: String,
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

impl Front {
    /// A postbox on a Unix socket, and the proxy that `prepare` makes ready to lead from an address
    /// to that socket, with a certificate and its key.
    fn start(prepare: impl FnOnce(&Parts) -> Command) -> Self {
        let place = Place::new();
        let address = own_address();
        let socket = place.path("postbox.sock").display().to_string();
        let listen = format!("unix:{socket}");
        let postbox = Postbox::run(server::otr().args(["postbox", "--listen", &listen]));
        let made = rcgen::generate_simple_self_signed([address.to_string()]).unwrap();
        fs::write(place.path("cert"), made.cert.pem()).unwrap();
        fs::write(place.path("key"), made.signing_key.serialize_pem()).unwrap();
        let home = place.path("home");
        fs::create_dir(&home).unwrap();
        let at = format!("{address}:{}", free_ports(address, 1)[0]);
        let parts = Parts {
            at: at.clone(),
            socket,
            cert: place.path("cert").display().to_string(),
            key: place.path("key").display().to_string(),
            home: home.display().to_string(),
        };
        let mut command = prepare(&parts);
        let said = fs::File::create(place.path("said")).unwrap();
        let both = said.try_clone().unwrap();
        command.current_dir(&home).stdin(Stdio::null()).stdout(said).stderr(both);
        let proxy = command.spawn().unwrap();
        let mut front =
            Self { files: BTreeSet::new(), url: format!("https://{at}"), place, postbox, proxy };
        until("the proxy listens", || TcpStream::connect(&at).is_ok());
        front.files = files(&home);
        front
    }

    fn otr(&self, who: &str, arguments: &[&str], input: &[u8]) -> std::process::Output {
        let mut command = self.place.otr(&[&["-s", who], arguments].concat());
        command.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY");
        if arguments[0] != "init" {
            command.arg("--ca-file").arg(self.place.path("cert"));
        }
        command.timeout(std::time::Duration::from_mins(1)).write_stdin(input).output().unwrap()
    }

    #[track_caller]
    fn ok(&self, who: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.otr(who, arguments, input);
        assert!(output.status.success(), "{who} {arguments:?}: {}", text(&output.stderr));
        output.stdout
    }

    fn conversation(&self) {
        let invite = self.ok("alice", &["init", "--postbox", &self.url], b"");
        self.ok("bob", &["respond", "--yes"], &invite);
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| self.ok("bob", &["recv"], b""));
            self.ok("alice", &["send"], b"hello");
            waiting.join().unwrap()
        });
        assert_eq!(waiting, b"hello");
        let long = vec![b'x'; 5 << 20];
        self.ok("bob", &["send"], &long);
        assert!(self.ok("alice", &["recv"], b"") == long);
        self.ok("alice", &["close"], b"");
        assert_eq!(code(&self.otr("bob", &["recv"], b"")), 7);
    }

    /// Nothing was written since the start, nor said.
    fn kept_nothing(&mut self) {
        let home = self.place.path("home");
        assert_eq!(files(&home), self.files, "no file has come");
        self.proxy.kill().unwrap();
        self.proxy.wait().unwrap();
        let said = fs::read_to_string(self.place.path("said")).unwrap();
        for trace in ["v1/", "POST", "otr", "127."] {
            assert!(!said.contains(trace), "{said}");
        }
        self.postbox.signal("TERM");
    }
}

/// What takes the place of the names in an example.
struct Parts {
    at: String,
    socket: String,
    cert: String,
    key: String,
    home: String,
}

/// All files below a directory, with their sizes as a part of the name; but for the one with the
/// proxy's own number, which it may write after it has begun to listen.
fn files(below: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(below).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if entry.file_name() != "pid" {
            all.insert(path.join(entry.metadata().unwrap().len().to_string()));
        }
    }
    all
}

/// An example, each of these texts in it replaced.
fn example(name: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    changes.iter().fold(fs::read_to_string(path).unwrap(), |text, (from, to)| {
        assert!(text.contains(from), "{name} has no {from:?}");
        text.replace(from, to)
    })
}

#[test]
fn nginx_passes_a_conversation_on_and_keeps_nothing() {
    let mut front = Front::start(|parts| {
        let server = example(
            "nginx.conf",
            &[
                ("listen 443 ssl;", &format!("listen {} ssl;", parts.at)),
                ("listen [::]:443 ssl;", ""),
                ("/etc/ssl/box.example.pem", &parts.cert),
                ("/etc/ssl/private/box.example.key", &parts.key),
                ("/run/otr-postbox.sock", &parts.socket),
            ],
        );
        let home = &parts.home;
        let whole = format!(
            // One process, which the test ends with certainty.
            "daemon off; master_process off; pid {home}/pid; error_log stderr error;\n\
            events {{ worker_connections 256; }}\nhttp {{\n\
            client_body_temp_path {home}/bodies; proxy_temp_path {home}/answers;\n{server}\n}}\n"
        );
        fs::write(Path::new(home).join("nginx.conf"), whole).unwrap();
        let mut nginx = tool_of_root("nginx", "nginx-light");
        nginx.args(["-c", "nginx.conf", "-p", home]);
        nginx
    });
    front.conversation();
    front.kept_nothing();
}

#[test]
fn caddy_passes_a_conversation_on_and_keeps_nothing() {
    let mut front = Front::start(|parts| {
        let tls = format!("https://{} {{\n\ttls {} {}", parts.at, parts.cert, parts.key);
        let file = example(
            "Caddyfile",
            &[
                // No port of the machine's own, and no certificate authority.
                (
                    "{\n\tlog default",
                    "{\n\tadmin off\n\tauto_https disable_redirects\n\tlog default",
                ),
                ("box.example {", &tls),
                ("unix//run/otr-postbox.sock", &format!("unix/{}", parts.socket)),
            ],
        );
        fs::write(Path::new(&parts.home).join("Caddyfile"), file).unwrap();
        let mut caddy = tool("caddy", "caddy");
        caddy.args(["run", "--config", "Caddyfile"]);
        caddy.env("HOME", &parts.home).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        caddy
    });
    front.conversation();
    front.kept_nothing();
}

/// A program of `/usr/sbin`, which not everybody's PATH has.
fn tool_of_root(program: &str, package: &str) -> Command {
    let path = Path::new("/usr/sbin").join(program);
    if path.is_file() { support::clean(path) } else { tool(program, package) }
}
