//! Checks from outside that a postbox cannot keep anything.

use crate::support::*;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn what_it_may_not_is_refused_by_the_kernel() {
    let output =
        otr().args(["postbox", "--show-confinement", "--require-confinement"]).output().unwrap();
    let (said, warned) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}{warned}");
    for what in [
        "write a file",
        "read /etc/passwd",
        "run /bin/true",
        "connect elsewhere",
        "connect by a socket that listened",
        "start a thread",
        "signal another process",
        "take capabilities",
    ] {
        assert!(said.contains(&format!("{what}: refused (")), "{said}");
    }
    assert!(is_shut_in(warned.lines().next().unwrap()), "{warned}");
}

/// With what this machine's Landlock refuses in brackets.
fn is_shut_in(said: &str) -> bool {
    said.starts_with("otr: shut in: Landlock (files")
        && said.ends_with("), seccomp, no capabilities")
}

#[test]
fn it_says_at_its_start_how_far_it_is_shut_in_and_serves_so() {
    let postbox = Postbox::start(&["--require-confinement"]);
    assert!(is_shut_in(&postbox.said[0]), "{:?}", postbox.said);
    let status = status(&postbox);
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "Threads:\t1"] {
        assert!(status.lines().any(|l| l == line), "{line} in {status}");
    }
    // This test runs as root: what it could do, and could get back, is gone.
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let line = format!("{set}:\t0000000000000000");
        assert!(status.lines().any(|l| l == line), "{line} in {status}");
    }
    let locked = !status.contains("VmLck:\t       0 kB");
    assert_eq!(postbox.said[1] == "otr: memory locked", locked, "{:?}{status}", postbox.said);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", postbox.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(core.split_whitespace().nth(4) == Some("0"), "{core}");
}

fn status(postbox: &Postbox) -> String {
    std::fs::read_to_string(format!("/proc/{}/status", postbox.child.id())).unwrap()
}

/// Locked memory that came to an end would end the process with it: less than all of it is none.
#[test]
fn where_too_little_memory_may_be_locked_it_says_so_and_serves() {
    let mut command = Command::new("prlimit");
    command.args(["--memlock=1048576:1048576", "setpriv", "--bounding-set=-all"]);
    command.args(["--inh-caps=-all", env!("CARGO_BIN_EXE_otr"), "postbox"]);
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--memory",
        "16M",
        "--work",
        "0",
        "--require-confinement",
    ]);
    let postbox = Postbox::run(&mut command);
    let memory = "otr: memory not locked: ulimit -l is 1024, and 81920 are needed";
    assert!(is_shut_in(&postbox.said[0]), "{:?}", postbox.said);
    assert_eq!(postbox.said[1], memory);
    for n in 0..8 {
        let answer = postbox.post(&raw(&Place::new(n).packet(20, 1)));
        assert_eq!(answer.both(), (201, "1\n"));
    }
    assert!(status(&postbox).contains("VmLck:\t       0 kB"));
}

/// Every system call of a postbox that is used in every way: it opens nothing, writes to sockets
/// alone, and asks for nothing that the walls refuse.
#[test]
fn under_load_it_writes_to_sockets_and_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-yy", "-o"]).arg(&trace).arg(env!("CARGO_BIN_EXE_otr"));
    strace.args(["postbox", "--listen", "127.0.0.1:0", "--memory", "8M", "--ttl", "2s"]);
    let available = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    assert!(available.is_ok(), "this test needs the Debian package strace");
    let postbox = Postbox::run(&mut strace);
    for n in 0..300 {
        let place = Place::new(n);
        let packet = place.packet(12 + n % 5, 1);
        postbox.post(&raw(&packet));
        postbox.call("/v1/collect", Form::Raw, &place.token);
        postbox.call("/v1/discard", Form::Raw, &place.spent(&packet, [1; 32]));
        postbox.call("/v1/gone", Form::Text, line(&place.address()).as_bytes());
        postbox.call("/v1/revealed", Form::Raw, &place.address());
        postbox.call("/nowhere", Form::Text, b"junk");
    }
    postbox.call("/v1/collect?wait=1", Form::Raw, &[1; 32]);
    get(&mut postbox.connect(), "/", "text/html");
    let id = Command::new("pgrep").args(["-P", &postbox.child.id().to_string()]).output().unwrap();
    let id = String::from_utf8(id.stdout).unwrap();
    assert!(Command::new("kill").arg(id.trim()).status().unwrap().success());
    let (_, said) = postbox.end();
    assert_eq!(said, "otr: the postbox ends; 0 packets are lost with it\n");

    let trace = std::fs::read_to_string(&trace).unwrap();
    let serving = trace.split("OTR_POSTBOX=").nth(1).expect("the line was written");
    let calls = serving.lines().skip(1).filter_map(|line| line.split_once(' '));
    let (mut sent, mut last_words) = (0, 0);
    for (_, call) in calls.map(|(id, call)| (id, call.trim_start())) {
        let name = call.split('(').next().unwrap_or_default();
        assert!(!name.starts_with("open") && !name.starts_with("exec"), "{call}");
        // Where the standard library's own assertions are on, it looks whether what it closes is open.
        assert!(name == "fcntl" || !call.contains(" EPERM "), "{call}");
        if !["write", "writev", "sendto", "sendmsg", "pwrite64"].contains(&name) {
            continue;
        }
        if call.starts_with("write(2<") && call.contains("otr: the postbox ends") {
            last_words += 1;
        } else {
            let target = call.split_once('<').map_or("", |(_, rest)| rest);
            let inward = target.starts_with("anon_inode:[eventfd]");
            let socket = target.starts_with("TCP:") || target.starts_with("UNIX");
            assert!(inward || socket, "{call}");
            sent += usize::from(socket);
        }
    }
    assert!(sent >= 1800, "{sent} answers were seen");
    assert_eq!(last_words, 1);
}

/// A packet that was discarded is nowhere in the memory of the process any more.
#[test]
fn a_discarded_packet_is_overwritten() {
    let postbox = Postbox::start(&[]);
    let place = Place::new(1);
    let mut packet = place.packet(14, 0);
    // A pattern that no code has: found wherever a part of the packet is left.
    for (n, word) in packet[32..].chunks_mut(8).enumerate() {
        word.copy_from_slice(&(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(n as u64 + 1)).to_be_bytes());
    }
    // Two patterns of the middle of different blocks.
    let seen = |postbox: &Postbox| -> usize {
        let memory = memory_of(postbox.child.id());
        [5000, 9008, 13000]
            .map(|at| memory.windows(32).filter(|window| *window == &packet[at..at + 32]).count())
            .iter()
            .sum()
    };
    postbox.post(&raw(&packet));
    assert!(seen(&postbox) >= 3, "the search finds what is there");
    postbox.call("/v1/collect", Form::Raw, &place.token);
    postbox.call("/v1/discard", Form::Raw, &place.spent(&packet, [1; 32]));
    let deadline = Instant::now() + PATIENCE;
    while seen(&postbox) > 0 {
        assert!(Instant::now() < deadline, "{} pieces are left", seen(&postbox));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// All writable memory of a process. Only root may read that of one which can't be dumped.
fn memory_of(id: u32) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let memory = std::fs::File::open(format!("/proc/{id}/mem")).expect("this test runs as root");
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let mut all = Vec::new();
    for map in maps.lines().filter(|line| line.contains(" rw")) {
        let (begin, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut part = vec![0; usize::try_from(end - begin).unwrap()];
        if memory.read_exact_at(&mut part, begin).is_ok() {
            all.extend(part);
        }
    }
    all
}
