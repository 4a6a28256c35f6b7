//! redis-server processes of a test, on loopback, in a directory of their own; they end with it.

use crate::support::{Postbox, otr};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server.
pub(crate) struct Redis {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Redis {
    /// One that keeps nothing on a disk, with these options, too.
    pub(crate) fn start(directory: &Path, options: &[&str]) -> Self {
        Self::start_on(free_port(), directory, options)
    }

    fn start_on(port: u16, directory: &Path, options: &[&str]) -> Self {
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--maxmemory", "64mb", "--logfile", "", "--repl-diskless-sync-delay", "0"]);
        command.arg("--dir").arg(directory).args(options);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server");
        let redis = Self { child, port };
        // Where it wants a password, that is an answer, too.
        redis
            .answers(if options.contains(&"--requirepass") { "NOAUTH" } else { "PONG" }, &["PING"]);
        redis
    }

    /// What redis-cli says.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(arguments);
        let output = command.output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until it says this.
    pub(crate) fn answers(&self, expected: &str, arguments: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        while !self.cli(arguments).contains(expected) {
            assert!(Instant::now() < deadline, "{arguments:?}: {}", self.cli(arguments));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What each server of a cluster is told.
fn member(bus: &str) -> [&str; 6] {
    ["--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1000"]
}

/// Some servers, how postboxes call them, and their secret.
pub(crate) struct Store {
    pub(crate) servers: Vec<Redis>,
    pub(crate) url: String,
    pub(crate) directory: TempDir,
}

impl Store {
    /// One server.
    pub(crate) fn single(options: &[&str]) -> Self {
        let directory = directory();
        let server = Redis::start(directory.path(), options);
        Self { url: server.url(), servers: vec![server], directory }
    }

    /// Three masters, and three replicas behind them: the master of number n is n - 3.
    pub(crate) fn cluster() -> Self {
        let directory = directory();
        let servers: Vec<Redis> = (0..6)
            .map(|number| {
                let own = directory.path().join(number.to_string());
                std::fs::create_dir(&own).unwrap();
                let bus = free_port().to_string();
                Redis::start(&own, &member(&bus))
            })
            .collect();
        let id = |server: &Redis| server.cli(&["CLUSTER", "MYID"]).trim().to_owned();
        for (number, server) in servers.iter().enumerate() {
            server.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            if let Some(range) = [("0", "5460"), ("5461", "10922"), ("10923", "16383")].get(number)
            {
                server.cli(&["CLUSTER", "ADDSLOTSRANGE", range.0, range.1]);
            }
            let bus = server.cli(&["CONFIG", "GET", "cluster-port"]);
            let bus = bus.split_whitespace().nth(1).unwrap().to_owned();
            servers[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &server.port.to_string(), &bus]);
        }
        for server in &servers {
            server.answers("cluster_known_nodes:6", &["CLUSTER", "INFO"]);
        }
        for (master, replica) in servers[..3].iter().zip(&servers[3..]) {
            replica.cli(&["CLUSTER", "REPLICATE", &id(master)]);
        }
        for server in &servers {
            server.answers("cluster_state:ok", &["CLUSTER", "INFO"]);
        }
        for (master, replica) in servers[..3].iter().zip(&servers[3..]) {
            replica.answers("master_link_status:up", &["INFO", "replication"]);
            master.answers("connected_slaves:1", &["INFO", "replication"]);
        }
        let ports = servers[..2].iter().map(|server| format!("127.0.0.1:{}", server.port));
        let url = format!("redis+cluster://{}", ports.collect::<Vec<_>>().join(","));
        Self { servers, url, directory }
    }

    /// Kills the master of this number, and starts it again, empty, when its replica has its place.
    pub(crate) fn fail_over(&mut self, number: usize) {
        let bus = self.servers[number].cli(&["CONFIG", "GET", "cluster-port"]);
        let bus = bus.split_whitespace().nth(1).unwrap().to_owned();
        let port = self.servers[number].port;
        self.servers[number].signal("KILL");
        self.servers[number].child.wait().unwrap();
        self.servers[number + 3].answers("role:master", &["INFO", "replication"]);
        let own = self.directory.path().join(number.to_string());
        self.servers[number] = Redis::start_on(port, &own, &member(&bus));
    }

    /// A postbox with its packets there.
    pub(crate) fn front(&self, options: &[&str]) -> Postbox {
        let secret = self.directory.path().join("secret");
        Postbox::run(
            otr()
                .args(["postbox", "--listen", "127.0.0.1:0", "--require-confinement"])
                .args(["--store", &self.url, "--store-secret"])
                .arg(secret)
                .args(options),
        )
    }
}

fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    secret(&directory.path().join("secret"));
    directory
}

/// A secret for postboxes.
fn secret(path: &Path) {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    file.unwrap().write_all(&[7; 32]).unwrap();
}
