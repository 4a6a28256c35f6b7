//! redis-server processes of a test, on loopback, in a directory of their own; they end with it.

use crate::support::{Postbox, otr};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
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
        command.args(["--repl-diskless-sync", "yes", "--repl-diskless-load", "swapdb"]);
        command.arg("--dir").arg(directory).args(options);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server");
        let redis = Self { child, port };
        // Where it wants a password, that is an answer, too.
        redis
            .answers(if options.contains(&"--requirepass") { "NOAUTH" } else { "PONG" }, &["PING"]);
        redis
    }

    fn sentinel(config: &Path) -> Self {
        let port = free_port();
        let mut command = Command::new("redis-server");
        command.arg(config).args(["--sentinel", "--bind", "127.0.0.1", "--logfile", ""]);
        let child = command.args(["--port", &port.to_string()]).stdout(Stdio::null()).spawn();
        let sentinel = Self { child: child.expect("redis-server"), port };
        sentinel.answers("PONG", &["PING"]);
        sentinel
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

    /// One server that speaks TLS alone, by the name of localhost, and the authority's certificate.
    pub(crate) fn with_tls() -> (Self, PathBuf) {
        let directory = directory();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("cert"), made.cert.pem()).unwrap();
        std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let (cert, key) = (path("cert"), path("key"));
        let options = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", cert.display().to_string()),
            ("--tls-key-file", key.display().to_string()),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        let options: Vec<&str> =
            options.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        let server = Redis::start(directory.path(), &options);
        let url = format!("rediss://localhost:{port}");
        (Self { servers: vec![server], url, directory }, cert)
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

    /// Kills the server of this number.
    pub(crate) fn kill(&mut self, number: usize) {
        self.servers[number].signal("KILL");
        self.servers[number].child.wait().unwrap();
    }

    /// Kills the master of this number, and starts it again, empty, when its replica has its place.
    pub(crate) fn fail_over(&mut self, number: usize) {
        let bus = self.servers[number].cli(&["CONFIG", "GET", "cluster-port"]);
        let bus = bus.split_whitespace().nth(1).unwrap().to_owned();
        let port = self.servers[number].port;
        self.kill(number);
        self.servers[number + 3].answers("role:master", &["INFO", "replication"]);
        let own = self.directory.path().join(number.to_string());
        self.servers[number] = Redis::start_on(port, &own, &member(&bus));
    }

    /// One server, a replica of it, and a sentinel, who makes the replica the master if it dies: in this
    /// order.
    pub(crate) fn with_sentinel() -> Self {
        let directory = directory();
        let master = Redis::start(directory.path(), &[]);
        let port = master.port.to_string();
        let replica = Redis::start(directory.path(), &["--replicaof", "127.0.0.1", &port]);
        replica.answers("master_link_status:up", &["INFO", "replication"]);
        let config = directory.path().join("sentinel.conf");
        let lines = [
            format!("sentinel monitor mine 127.0.0.1 {port} 1"),
            "sentinel down-after-milliseconds mine 500".to_owned(),
            "sentinel failover-timeout mine 2000".to_owned(),
        ];
        std::fs::write(&config, lines.join("\n")).unwrap();
        let sentinel = Redis::sentinel(&config);
        let seen = replica.port.to_string();
        sentinel.answers(&seen, &["SENTINEL", "REPLICAS", "mine"]);
        let url = format!("redis+sentinel://127.0.0.1:{}/mine", sentinel.port);
        Self { servers: vec![master, replica, sentinel], url, directory }
    }

    /// Kills a server, and starts it again at once, empty.
    pub(crate) fn restart(&mut self, number: usize) {
        let port = self.servers[number].port;
        self.servers[number].signal("KILL");
        self.servers[number].child.wait().unwrap();
        self.servers[number] = Redis::start_on(port, self.directory.path(), &[]);
    }

    /// A cluster of one server, which tells its name in the place of its address.
    pub(crate) fn with_a_name() -> Self {
        let directory = directory();
        let bus = free_port().to_string();
        let mut options = member(&bus).to_vec();
        options.extend(["--cluster-preferred-endpoint-type", "hostname"]);
        options.extend(["--cluster-announce-hostname", "node-1.invalid"]);
        let server = Redis::start(directory.path(), &options);
        server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        server.answers("cluster_state:ok", &["CLUSTER", "INFO"]);
        let url = server.url();
        Self { servers: vec![server], url, directory }
    }

    /// Starts another replica, empty, in the place of the one that [`Self::with_sentinel`] had.
    pub(crate) fn replace_replica(&mut self) {
        let port = self.servers[0].port.to_string();
        let options = ["--replicaof", "127.0.0.1", &port];
        self.servers[1] = Redis::start(self.directory.path(), &options);
    }

    /// A postbox with its packets there.
    pub(crate) fn front(&self, options: &[&str]) -> Postbox {
        let secret = self.directory.path().join("secret");
        Postbox::run(
            otr()
                .args(["postbox", "--listen", "127.0.0.1:0", "--require-confinement"])
                .env("OTR_STORE", &self.url)
                .arg("--store-secret")
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
