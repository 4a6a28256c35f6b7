//! What somebody could do who runs code in the postbox: the test makes system calls in its name,
//! with a debugger.

#![cfg(target_arch = "x86_64")]

use crate::support::*;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::time::Duration;

/// Where in the postbox's stack the bytes lie that are pointed to.
const ADDRESS: &str = "$at";
const TEXT: &str = "($at+64)";
const PATH: &str = "($at+128)";
/// TCP Fast Open: connects in passing.
const MSG_FASTOPEN: &str = "0x20004000";

/// Calls that a server whose sockets are open has no use for, or not with these arguments.
/// `L` is its listener, `C` a connection to it.
const CALLS: &[(&str, u32, &[&str])] = &[
    ("open", 2, &[PATH, "0"]),
    ("openat", 257, &["-100", PATH, "0"]),
    ("openat2", 437, &["-100", PATH, ADDRESS, "24"]),
    ("creat", 85, &[TEXT, "0600"]),
    ("memfd_create", 319, &[TEXT, "0"]),
    ("unlink", 87, &[PATH]),
    ("rename", 82, &[PATH, TEXT]),
    ("mkdir", 83, &[TEXT, "0700"]),
    ("chmod", 90, &[PATH, "0777"]),
    ("execve", 59, &[PATH, "0", "0"]),
    ("fork", 57, &[]),
    ("clone", 56, &["17", "0", "0", "0", "0"]),
    ("clone3", 435, &[ADDRESS, "64"]),
    ("ptrace", 101, &["0", "0", "0", "0"]),
    ("process_vm_readv", 310, &["1", ADDRESS, "1", ADDRESS, "1", "0"]),
    ("kill", 62, &["1", "0"]),
    ("tgkill", 234, &["1", "1", "0"]),
    ("pidfd_open", 434, &["1", "0"]),
    ("mmap a file", 9, &["0", "4096", "1", "2", "C", "0"]),
    ("mmap code", 9, &["0", "4096", "7", "0x22", "-1", "0"]),
    ("mprotect code", 10, &["($at & ~4095)", "4096", "7"]),
    ("socket", 41, &["2", "1", "0"]),
    ("socketpair", 53, &["1", "1", "0", ADDRESS]),
    ("bind", 49, &["L", ADDRESS, "16"]),
    ("listen", 50, &["L", "1"]),
    ("connect", 42, &["L", ADDRESS, "16"]),
    ("shutdown a listener", 48, &["L", "2"]),
    ("sendto with Fast Open", 44, &["L", TEXT, "8", MSG_FASTOPEN, ADDRESS, "16"]),
    ("sendto with Fast Open, no address", 44, &["L", TEXT, "8", MSG_FASTOPEN, "0", "0"]),
    ("sendto an address", 44, &["C", TEXT, "8", "0x4000", ADDRESS, "16"]),
    ("sendto, out of band", 44, &["C", TEXT, "8", "0x4001", "0", "0"]),
    ("sendmsg", 46, &["L", ADDRESS, "0x20000000"]),
    ("sendmmsg", 307, &["L", ADDRESS, "1", "0x20000000"]),
    ("recvmsg", 47, &["C", ADDRESS, "0"]),
    ("recvfrom, who it was", 45, &["C", TEXT, "8", "2", ADDRESS, "0"]),
    ("getpeername", 52, &["C", ADDRESS, TEXT]),
    ("setsockopt SO_BINDTODEVICE", 54, &["L", "1", "25", TEXT, "2"]),
    ("setsockopt TCP_FASTOPEN_CONNECT", 54, &["L", "6", "30", PATH, "4"]),
    ("setsockopt TCP_REPAIR", 54, &["L", "6", "19", PATH, "4"]),
    ("ioctl", 16, &["L", "0x5421", PATH]),
    ("io_uring_setup", 425, &["8", ADDRESS]),
    ("bpf", 321, &["0", ADDRESS, "64"]),
    ("perf_event_open", 298, &[ADDRESS, "0", "-1", "-1", "0"]),
    ("userfaultfd", 323, &["0"]),
    ("keyctl", 250, &["0", "-3", "0"]),
    ("prctl, dumpable", 157, &["4", "1"]),
    ("capset", 126, &[ADDRESS, TEXT]),
    ("setuid", 105, &["0"]),
    ("unshare", 272, &["0x10000000"]),
    ("setns", 308, &["L", "0"]),
    ("mount", 165, &[PATH, PATH, TEXT, "0", "0"]),
    ("chroot", 161, &[PATH]),
    ("prlimit64", 302, &["0", "7", "0", ADDRESS]),
    ("landlock_create_ruleset", 444, &["0", "0", "1"]),
    ("x32's open", 0x4000_0002, &[PATH, "0"]),
];

#[test]
fn no_call_but_those_of_serving_is_made_for_anybody() {
    let outside = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    outside.set_nonblocking(true).unwrap();
    let postbox = Postbox::start(&["--require-confinement"]);
    let mut connection = postbox.connect();
    assert_eq!(call(&mut connection, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
    let script = script(&postbox, outside.local_addr().unwrap().port());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("script");
    std::fs::write(&file, script).unwrap();
    let gdb = Command::new("gdb")
        .args(["-q", "-batch", "-nx", "-readnever", "-p", &postbox.child.id().to_string(), "-x"])
        .arg(&file)
        .output()
        .expect("Debian package gdb");
    let said = String::from_utf8_lossy(&gdb.stdout);
    let came: Vec<(&str, i64)> = said
        .lines()
        .filter_map(|line| line.strip_prefix("@@ ")?.rsplit_once(": "))
        .map(|(what, came)| (what, came.parse().unwrap()))
        .collect();
    assert_eq!(came.len(), CALLS.len(), "{said}{}", String::from_utf8_lossy(&gdb.stderr));
    let refused = -i64::from(rustix::io::Errno::PERM.raw_os_error());
    let through: Vec<_> = came.iter().filter(|(_, came)| *came != refused).collect();
    assert!(through.is_empty(), "{through:?}");

    std::thread::sleep(Duration::from_millis(200));
    let outward = outside.accept();
    assert!(outward.is_err(), "it called out: {outward:?}");
    // And it continues to serve.
    assert_eq!(call(&mut connection, "/v1/collect", Form::Raw, &[1; 32]).status, 204);
    assert_eq!(postbox.post(&raw(&Place::new(1).packet(12, 1))).status, 201);
}

/// What gdb does: saves the registers, makes each call, and puts them back.
fn script(postbox: &Postbox, port: u16) -> String {
    const ARGUMENTS: [&str; 6] = ["rdi", "rsi", "rdx", "r10", "r8", "r9"];
    let id = postbox.child.id();
    let (listener, connection) =
        (descriptor(id, &own_port(postbox), "0A"), descriptor(id, &own_port(postbox), "01"));
    let instruction = system_call_instruction(id);
    let saved: Vec<&str> =
        ["rip", "rax", "rcx", "r11", "orig_rax"].into_iter().chain(ARGUMENTS).collect();
    let mut script =
        "set pagination off\nset confirm off\nset $at=((long)$rsp-8192)&~15\n".to_owned();
    let mut line = |line: String| writeln!(script, "{line}").unwrap();
    for register in &saved {
        line(format!("set $saved_{register}=${register}"));
    }
    let [high, low] = port.to_be_bytes();
    for (offset, bytes) in [
        (0, &[2, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..]),
        (64, b"stolen\0\0"),
        (128, b"/etc/passwd\0"),
    ] {
        for (at, byte) in bytes.iter().enumerate() {
            line(format!("set *(char*)($at+{offset}+{at})={byte}"));
        }
    }
    for (name, number, arguments) in CALLS {
        line("set $orig_rax=-1".to_owned());
        line(format!("set $rip={instruction}\nset $rax={number}"));
        for (register, value) in ARGUMENTS.iter().zip(arguments.iter().chain(&["0"; 6])) {
            let value = match *value {
                "L" => listener.to_string(),
                "C" => connection.to_string(),
                other => other.to_owned(),
            };
            line(format!("set ${register}={value}"));
        }
        line(format!("stepi\nprintf \"@@ {name}: %ld\\n\", (long)$rax"));
    }
    for register in &saved {
        line(format!("set ${register}=$saved_{register}"));
    }
    line("detach".to_owned());
    script
}

fn own_port(postbox: &Postbox) -> String {
    let port: u16 = postbox.url.rsplit_once(':').unwrap().1.parse().unwrap();
    format!(":{port:04X}")
}

/// The descriptor of a socket of this process at this local port, in this state.
fn descriptor(id: u32, port: &str, state: &str) -> u32 {
    let sockets = std::fs::read_to_string(format!("/proc/{id}/net/tcp")).unwrap();
    let inodes: Vec<String> = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words[1].ends_with(port) && words[3] == state)
        .map(|words| format!("socket:[{}]", words[9]))
        .collect();
    let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let found = descriptors
        .map(|entry| entry.unwrap().path())
        .find(|path| inodes.contains(&std::fs::read_link(path).unwrap().display().to_string()));
    found.unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Where in its memory the instruction `syscall` stands.
fn system_call_instruction(id: u32) -> u64 {
    let maps = std::fs::read_to_string(format!("/proc/{id}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{id}/mem")).expect("this test runs as root");
    let code = maps.lines().find(|line| line.contains(" r-xp ") && line.ends_with("/otr")).unwrap();
    let (begin, end) = code.split(' ').next().unwrap().split_once('-').unwrap();
    let [begin, end] = [begin, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
    let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
    memory.read_exact_at(&mut bytes, begin).unwrap();
    let at = bytes.windows(2).position(|pair| pair == [0x0F, 0x05]).unwrap();
    begin + at as u64
}
