//! Host names, in a root directory whose `nsswitch.conf` names modules that a static program must
//! not load: most desktops have such a file, and the program may be copied there from elsewhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "../postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postbox::Postbox;
use server::NameServer;
use support::{Run, feed, own_address, tool};

/// Where a test's name server is; each has a last byte of its own.
fn name_server(last: u8) -> Ipv4Addr {
    let [one, two, three, _] = own_address().octets();
    Ipv4Addr::new(one, two, three, last)
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A root with the binary, the files that tell how names are looked up, and nothing else.
struct Root(tempfile::TempDir);

impl Root {
    fn new(hosts: &str, resolv: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs chroot: run it as root");
        let root = tempfile::Builder::new().prefix("otr-root-").tempdir_in("/dev/shm").unwrap();
        let root = Self(root);
        for folder in ["etc", "dir", "lib/x86_64-linux-gnu", "lib64"] {
            fs::create_dir_all(root.path(folder)).unwrap();
        }
        fs::set_permissions(root.path("dir"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(support::binary(), root.path("otr")).unwrap();
        let modules = "hosts: mymachines mdns4_minimal myhostname resolve files dns\n";
        for (file, text) in [("nsswitch.conf", modules), ("hosts", hosts), ("resolv.conf", resolv)]
        {
            fs::write(root.path("etc").join(file), text).unwrap();
        }
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `otr` in that root; the files that it opens are written to `opened`.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = tool("strace", "strace");
        command.args(["-f", "-qq", "-e", "trace=open,openat,execve", "-o"]);
        command.arg(self.path("opened")).arg("chroot").arg(self.0.path()).arg("/otr");
        command.args(arguments).env("OTR_DIR", "/dir");
        command.env_remove("OTR_POSTBOX").env_remove("OTR_PROXY");
        command
    }

    fn otr(&self, arguments: &[&str]) -> Run {
        feed(&mut self.command(arguments), b"")
    }

    /// A new code, for which the postbox is called.
    fn code(&self, url: &str, more: &[&str]) -> Run {
        let session = "x";
        let call = ["-s", session, "init", "--anew", "--postbox", url, "--plain-http", "--code"];
        self.otr(&[&call[..], more].concat())
    }

    /// The files below `/etc` and of the C library that the last command opened.
    fn opened(&self) -> Vec<String> {
        let all = fs::read_to_string(self.path("opened")).unwrap();
        // What `chroot` itself opens comes before.
        let own = all.split("execve(\"/otr\"").nth(1).expect("it has run");
        let quoted = own.lines().filter_map(|line| line.split('"').nth(1));
        let is_asked = |path: &&str| path.starts_with("/etc") || path.contains(".so");
        quoted.filter(is_asked).map(str::to_owned).collect()
    }
}

#[track_caller]
fn no_module(opened: &[String]) {
    for path in opened {
        let named = Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
        assert!(["hosts", "resolv.conf", "localtime"].contains(&&*named), "{opened:?}");
    }
}

#[test]
fn no_verb_that_names_a_host_loads_a_module() {
    let at = name_server(1);
    let _names = NameServer::start(at, &[("dns.test", HERE), ("large.test", HERE)], "large.test");
    let root = Root::new("127.0.0.1 file.test\n", &format!("nameserver {at}\n"));
    let postbox = Postbox::start(&[]);
    let port = postbox.url.rsplit(':').next().unwrap();
    for name in ["file.test", "dns.test", "large.test", "dns.test."] {
        let code = root.code(&format!("http://{name}:{port}"), &[]).text();
        assert!(code.contains(name), "{code}");
        no_module(&root.opened());
    }
    // A proxy's name; nobody listens there.
    let proxy = "socks5h://file.test:1";
    let said = root.code("http://box.test", &["--proxy", proxy]).fails(9);
    assert!(said.contains("refused"), "{said}");
    no_module(&root.opened());
    // Where the postbox itself listens.
    for (public, admin) in [("file.test:0", "dns.test:0"), ("localhost:0", "127.0.0.1:0")] {
        let mut command = root.command(&["postbox", "--listen", public, "--admin", admin]);
        let serving = Postbox::run(command.stdin(Stdio::null()));
        assert!(serving.url.starts_with("http://127.0.0.1:"), "{}", serving.url);
        no_module(&root.opened());
    }
    let said = root.otr(&["postbox", "--listen", "nowhere.test:0"]).fails(1);
    assert!(said.contains("no address is known for that name"), "{said}");
    let said = root.otr(&["postbox", "--listen", "nonsense"]).fails(2);
    assert!(said.contains("ADDRESS:PORT"), "{said}");
}

/// If the program calls the C library's `getaddrinfo` anywhere, even for a literal address, it is
/// linked in; only that function reads this file.
#[test]
fn the_program_holds_nothing_of_the_c_librarys_lookup() {
    let program = fs::read(support::binary()).unwrap();
    let file = b"/etc/gai.conf";
    assert!(!program.windows(file.len()).any(|part| part == file));
}

#[test]
fn this_machine_is_known_without_a_look_at_any_file() {
    let root = Root::new("192.0.2.1 localhost\n", "nameserver 192.0.2.2\n");
    let postbox = Postbox::start(&[]);
    let port = postbox.url.rsplit(':').next().unwrap();
    for host in ["localhost", "LocalHost.", "box.localhost", "127.0.0.1"] {
        root.code(&format!("http://{host}:{port}"), &[]).ok();
        assert_eq!(root.opened(), [""; 0], "{host}");
    }
}

#[test]
fn no_such_name_and_no_name_server_are_two_things() {
    let at = name_server(2);
    let names = NameServer::start(at, &[("box.a.test", HERE)], "");
    let root = Root::new("", &format!("search a.test\nnameserver {at}\n"));
    let said = root.code("http://nowhere.test", &[]).fails(9);
    assert!(said.contains("no address is known"), "{said}");
    let mut asked = names.asked();
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["nowhere.test", "nowhere.test.a.test"]);
    // Nobody listens there: the system says so at once.
    let root = Root::new("", &format!("nameserver {}\n", name_server(3)));
    let said = root.code("http://nowhere.test", &[]).fails(9);
    assert!(said.contains("no name server answers"), "{said}");
}

#[test]
fn the_search_list_and_a_second_server_are_used() {
    let at = name_server(4);
    let _names = NameServer::start(at, &[("box.a.test", HERE)], "");
    let away = name_server(5);
    let resolv = format!("nameserver {away}\nnameserver {at}\nsearch b.test a.test\n");
    let root = Root::new("", &resolv);
    let postbox = Postbox::start(&[]);
    let port = postbox.url.rsplit(':').next().unwrap();
    root.code(&format!("http://box:{port}"), &[]).ok();
}

#[test]
fn an_onion_is_shown_to_no_name_server() {
    let at = name_server(6);
    let names = NameServer::start(at, &[], "");
    let root = Root::new("", &format!("search a.test\nnameserver {at}\n"));
    root.code("http://box.test", &["--proxy", "socks5h://abc.onion:9050"]).fails(9);
    root.code("http://abc.onion", &[]).fails(9);
    root.otr(&["postbox", "--listen", "abc.onion:0"]).fails(1);
    assert_eq!(names.asked(), [""; 0]);
}

/// An address whose packets go nowhere: a listener whose queue is full answers none.
struct Silent(#[allow(dead_code, reason = "held open")] Vec<std::os::fd::OwnedFd>, Vec<TcpStream>);

impl Silent {
    fn at(address: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &address).unwrap();
        listen(&listener, 0).unwrap();
        let mut silent = Self(vec![listener], Vec::new());
        let patience = Duration::from_millis(500);
        while let Ok(stream) = TcpStream::connect_timeout(&address, patience) {
            silent.1.push(stream);
            assert!(silent.1.len() < 64, "its queue has an end");
        }
        silent
    }
}

/// Tried one after another, the two would take more than half a minute.
#[test]
fn an_address_that_is_silent_costs_a_moment() {
    let postbox = Postbox::start(&[]);
    let port: u16 = postbox.url.rsplit(':').next().unwrap().parse().unwrap();
    let addresses = [name_server(7), name_server(8)];
    let _silent = addresses.map(|address| Silent::at((address, port).into()));
    let [one, two] = addresses;
    let root = Root::new(&format!("{one} box.test\n{two} box.test\n127.0.0.1 box.test\n"), "");
    let began = Instant::now();
    root.code(&format!("http://box.test:{port}"), &[]).ok();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}
