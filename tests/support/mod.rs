//! Two ends of a conversation on one machine, and the shell between them.

#![allow(dead_code, reason = "no test file needs all of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, outside of #[test]"
)]

pub(crate) mod network;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Nothing that a test waits for takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// What `recv` says once of two who have not checked each other; only tests/authentication looks
/// at it.
const UNCHECKED: &str =
    "otr: nobody has checked who the other side is; compare 'otr words' by voice\n";
/// The same with `--json`.
const UNCHECKED_OBJECT: &str = "{\"level\":\"notice\",\"message\":\"nobody has checked who the other \
     side is; compare 'otr words' by voice\"}\n";

/// How a process ended, and what it wrote.
pub(crate) struct Run {
    /// The exit code as a shell gives it: 128 + the signal's number where one ended it.
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Run {
    /// Its stdout; it must have succeeded and said nothing.
    #[track_caller]
    pub(crate) fn quietly(self) -> Vec<u8> {
        assert_eq!((self.code, self.err.as_str()), (0, ""));
        self.out
    }

    /// Its stdout; it must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Vec<u8> {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    #[track_caller]
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.ok()).unwrap()
    }

    /// What it said; it must have failed with this code, without output, and with a message in
    /// otr's form.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}", self.err);
        assert!(self.out.is_empty(), "{} bytes on stdout", self.out.len());
        assert_spoken(&self.err);
        self.err
    }
}

/// Every line begins with `otr: `, with no capital, and ends without a full stop.
#[track_caller]
pub(crate) fn assert_spoken(err: &str) {
    assert!(err.ends_with('\n'), "{err:?}");
    for line in err.lines() {
        let said = line.strip_prefix("otr: ").unwrap_or_else(|| panic!("{err}"));
        assert!(!said.starts_with(char::is_uppercase) && !said.ends_with('.'), "{err}");
    }
}

/// The exit code as a shell gives it.
pub(crate) fn shell_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    assert_cmd::cargo::cargo_bin!("otr").to_path_buf()
}

/// A command with nothing of this shell's settings for otr.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in ["OTR_DIR", "OTR_SESSION", "XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY"] {
        command.env_remove(name);
    }
    command
}

/// The program of a Debian package, which must be installed.
pub(crate) fn tool(program: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|place| place.join(program).is_file());
    assert!(found, "this test needs {program}: apt-get install {package}");
    clean(program)
}

/// Runs a command with this on its stdin.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Run {
    let mut child = start(command);
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        // A program may stop reading for good reason; the exit code tells.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    let err = String::from_utf8(output.stderr)
        .unwrap()
        .replace(UNCHECKED, "")
        .replace(UNCHECKED_OBJECT, "");
    Run { code: shell_code(output.status), out: output.stdout, err }
}

/// Starts a command with all three streams as pipes.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a condition is true.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An address of 127.0.0.0/8 that no other living process has, by the number of this one, of which
/// there are 2^22 at most: a port that the system has just chosen there stays free.
pub(crate) fn own_address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 0x3F), middle, low.max(1))
}

/// Ports that are free there at this moment, all different.
pub(crate) fn free_ports(address: Ipv4Addr, count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind((address, 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Alice, who invites, and Bob, who responds, each in a directory of their own.
pub(crate) struct Pair {
    place: TempDir,
}

impl Pair {
    /// Two who have not met yet.
    pub(crate) fn strangers() -> Self {
        Self { place: tempfile::Builder::new().prefix("otr-test-").tempdir_in("/dev/shm").unwrap() }
    }

    /// Two whose handshake is done.
    pub(crate) fn new() -> Self {
        let pair = Self::strangers();
        pair.shake_hands();
        pair
    }

    pub(crate) fn shake_hands(&self) {
        let invite = self.alice("init", b"").ok();
        let reply = self.bob("respond", &invite).ok();
        self.alice("recv", &reply).ok();
    }

    /// A path next to the two directories.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.place.path().join(file)
    }

    /// The command line `otr ARGS` at that end.
    pub(crate) fn end(&self, who: &str, args: &str) -> Command {
        let mut command = clean(binary());
        command.env("OTR_DIR", self.path(who)).args(args.split_whitespace());
        command.current_dir(self.place.path());
        command
    }

    pub(crate) fn alice(&self, args: &str, input: &[u8]) -> Run {
        feed(&mut self.end("alice", args), input)
    }

    pub(crate) fn bob(&self, args: &str, input: &[u8]) -> Run {
        feed(&mut self.end("bob", args), input)
    }

    /// Alice's packets for this message.
    #[track_caller]
    pub(crate) fn sealed(&self, args: &str, text: &[u8]) -> Vec<u8> {
        self.alice(&format!("send {args}"), text).quietly()
    }

    /// Runs a script, in which `otr` is the binary, `alice` and `bob` are the two, and the working
    /// directory is next to theirs.
    pub(crate) fn sh(&self, script: &str) -> Run {
        feed(&mut self.script(script), b"")
    }

    pub(crate) fn script(&self, script: &str) -> Command {
        let both = "alice() { OTR_DIR=$PLACE/alice otr \"$@\"; }
            bob() { OTR_DIR=$PLACE/bob otr \"$@\"; }\n";
        let mut shell = clean("sh");
        shell.arg("-c").arg(format!("{both}{script}")).current_dir(self.place.path());
        let old = std::env::var_os("PATH").unwrap_or_default();
        let mut paths = vec![binary().parent().unwrap().to_owned()];
        paths.extend(std::env::split_paths(&old));
        shell.env("PATH", std::env::join_paths(paths).unwrap()).env("PLACE", self.place.path());
        shell
    }

    pub(crate) fn state_path(&self, who: &str) -> PathBuf {
        self.path(who).join("default.state")
    }

    /// The bytes of that end's state file.
    pub(crate) fn state(&self, who: &str) -> Vec<u8> {
        fs::read(self.state_path(who)).unwrap()
    }

    /// A message goes each way: the session works.
    #[track_caller]
    pub(crate) fn talk(&self) {
        let text = b"still here\n";
        assert_eq!(self.bob("recv", &self.alice("send", text).ok()).ok(), text);
        assert_eq!(self.alice("recv", &self.bob("send", text).ok()).ok(), text);
    }
}

/// Reproducible chance (`SplitMix64`).
pub(crate) struct Chance(u64);

impl Chance {
    /// The same at each run, unless `OTR_TEST_SEED` says otherwise; a test that fails shows it.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("OTR_TEST_SEED").ok().and_then(|text| text.parse().ok());
        let seed = seed.unwrap_or(20_260_101);
        println!("OTR_TEST_SEED={seed}");
        Self(seed)
    }

    /// Another one, that follows from a number of the first.
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of 0 … below − 1.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % below as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..length.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The two ends of a new terminal: the keyboard's and screen's, and the program's.
pub(crate) fn terminal() -> (File, File) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let path = ptsname(&person, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    (person.into(), rustix::fs::open(path, flags, Mode::empty()).unwrap().into())
}

/// The most memory that a running process ever had, in bytes.
pub(crate) fn peak_memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// The lines of a text, each with its newline.
pub(crate) fn lines(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Whether this process may act as other users: as root, or through sudo.
pub(crate) fn as_user(uid: u32, program: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        tool("setpriv", "util-linux")
    } else {
        let able = tool("sudo", "sudo").args(["-n", "true"]).output().unwrap().status.success();
        assert!(able, "this test acts as two users: run it as root, or allow 'sudo -n'");
        let mut sudo = clean("sudo");
        sudo.args(["-n", "setpriv"]);
        sudo
    };
    command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups");
    command.arg(program).current_dir("/");
    command
}
