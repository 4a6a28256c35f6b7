//! A postbox on a Unix socket, a proxy in front of it, and two who talk through both.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::people::{ok, otr};
use crate::place::{Place, code};
use crate::postbox::{self as server, Postbox};
use crate::support::{self, free_ports, own_address, tool, until};

/// A proxy in front of a postbox.
pub(crate) struct Front {
    pub(crate) place: Place,
    postbox: Postbox,
    proxy: Child,
    /// Everything that was there when it had started.
    files: BTreeSet<PathBuf>,
    /// Where the proxy listens, without a scheme.
    pub(crate) at: String,
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
    pub(crate) fn start(prepare: impl FnOnce(&Parts) -> Command) -> Self {
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
        let mut front = Self { files: BTreeSet::new(), at, place, postbox, proxy };
        until("the proxy listens", || TcpStream::connect(&front.at).is_ok());
        front.files = files(&home);
        front
    }

    fn otr(&self, who: &str, arguments: &[&str], input: &[u8]) -> std::process::Output {
        otr(&self.place, who, arguments, input)
    }

    #[track_caller]
    fn ok(&self, who: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        ok(&self.place, who, arguments, input)
    }

    /// Two who talk from the first word to the last, by this URL.
    pub(crate) fn conversation(&self, url: &str) {
        let invite = self.ok("alice", &["init", "--postbox", url], b"");
        self.ok("bob", &["respond", "--yes", "--ca-file", "cert"], &invite);
        let arguments = |verb: &'static str| [verb, "--ca-file", "cert"];
        let waiting = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| self.ok("bob", &arguments("recv"), b""));
            self.ok("alice", &arguments("send"), b"hello");
            waiting.join().unwrap()
        });
        assert_eq!(waiting, b"hello");
        let long = vec![b'x'; 5 << 20];
        self.ok("bob", &arguments("send"), &long);
        assert!(self.ok("alice", &arguments("recv"), b"") == long);
        self.ok("alice", &arguments("close"), b"");
        assert_eq!(code(&self.otr("bob", &arguments("recv"), b"")), 7);
        self.ok("bob", &["close", "--silent"], b"");
    }

    /// Nothing was written since the start, nor said.
    pub(crate) fn kept_nothing(&mut self) {
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
pub(crate) struct Parts {
    pub(crate) at: String,
    pub(crate) socket: String,
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) home: String,
}

/// What a proxy writes of itself, maybe after it has begun to listen: its number, its configuration.
const OF_ITSELF: [&str; 2] = ["pid", "autosave.json"];

/// All files below a directory, with their sizes as a part of the name; but for what is of the proxy
/// itself.
fn files(below: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(below).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if OF_ITSELF.iter().all(|own| entry.file_name() != *own) {
            all.insert(path.join(entry.metadata().unwrap().len().to_string()));
        }
    }
    all
}

/// An example, each of these texts in it replaced.
pub(crate) fn example(name: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name);
    changes.iter().fold(fs::read_to_string(path).unwrap(), |text, (from, to)| {
        assert!(text.contains(from), "{name} has no {from:?}");
        text.replace(from, to)
    })
}

/// nginx with this in its `http { }`, writing below `home` alone.
pub(crate) fn nginx(home: &str, http: &str) -> Command {
    let whole = format!(
        // One process, which the test ends with certainty.
        "daemon off; master_process off; pid {home}/pid; error_log stderr error;\n\
        events {{ worker_connections 256; }}\nhttp {{\n\
        client_body_temp_path {home}/bodies; proxy_temp_path {home}/answers;\n{http}\n}}\n"
    );
    fs::write(Path::new(home).join("nginx.conf"), whole).unwrap();
    let mut nginx = tool_of_root("nginx", "nginx-light");
    nginx.args(["-c", "nginx.conf", "-p", home]);
    nginx
}

/// A program of `/usr/sbin`, which not everybody's PATH has.
pub(crate) fn tool_of_root(program: &str, package: &str) -> Command {
    let path = Path::new("/usr/sbin").join(program);
    if path.is_file() { support::clean(path) } else { tool(program, package) }
}
