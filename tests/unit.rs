//! The systemd unit in `packaging/`: its list of system calls contains all that a postbox makes
//! from start to end. systemd answers any other call with an error, which nobody would notice
//! earlier.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod server;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use server::{Form, Place, call, raw};
use support::{tool, until};

type Calls = BTreeSet<String>;

#[test]
fn the_unit_allows_what_the_postbox_calls() {
    let (allowed, made) = (allowed(), made());
    assert!(made.contains("seccomp") && made.contains("accept4"), "{made:?}");
    let refused: Vec<_> = made.difference(&allowed).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(!allowed.contains("ptrace") && !allowed.contains("mount"));
}

/// What `SystemCallFilter=` leaves, line after line.
fn allowed() -> Calls {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/otr-postbox.service");
    let mut allowed = Calls::new();
    for line in fs::read_to_string(unit).unwrap().lines() {
        let Some(words) = line.strip_prefix("SystemCallFilter=") else { continue };
        let (out, words) = words.strip_prefix('~').map_or((false, words), |words| (true, words));
        for call in words.split(' ').flat_map(members) {
            if out {
                allowed.remove(&call);
            } else {
                allowed.insert(call);
            }
        }
    }
    allowed
}

/// A call, or all calls of one of systemd's sets.
fn members(name: &str) -> Calls {
    if !name.starts_with('@') {
        return Calls::from([name.to_owned()]);
    }
    let mut analyze = tool("systemd-analyze", "systemd");
    let output = analyze.args(["syscall-filter", name]).output().unwrap();
    assert!(output.status.success(), "{name}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().skip(1).map(str::trim);
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).flat_map(members).collect()
}

/// The calls of a postbox that got its socket as from systemd, was used, and ended.
fn made() -> Calls {
    let place = tempfile::tempdir().unwrap();
    let (trace, socket) = (place.path().join("trace"), place.path().join("box"));
    let mut strace = tool("strace", "strace");
    strace.arg("-o").arg(&trace).arg("systemd-socket-activate").arg("-l").arg(&socket);
    // As the unit has it: who has no capability has none to give up.
    strace.args(["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
    strace.arg(support::binary()).args(["postbox", "--require-confinement"]);
    let mut child = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it listens", || UnixStream::connect(&socket).is_ok());
    let mut stream = UnixStream::connect(&socket).unwrap();
    let packet = Place::new(1).packet(16, 1);
    assert_eq!(call(&mut stream, "/v1/post", Form::Raw, &raw(&packet)).status, 201);
    let token = Place::new(1).token;
    assert_eq!(call(&mut stream, "/v1/collect?wait=1", Form::Raw, &token).status, 200);
    assert_eq!(call(&mut stream, "/v1/collect?wait=1", Form::Raw, &[7; 32]).status, 204);
    let mut search = tool("pgrep", "procps");
    let found = search.args(["-P", &child.id().to_string()]).output().unwrap();
    let id = String::from_utf8(found.stdout).unwrap();
    assert!(Command::new("kill").arg(id.trim()).status().unwrap().success());
    assert!(child.wait().unwrap().success());

    let trace = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = trace.lines().collect();
    let started = lines.iter().rposition(|line| line.starts_with("execve(")).unwrap();
    // Beside calls there are signals and the end.
    let names = lines[started..].iter().filter_map(|line| line.split_once('('));
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    names.map(|(name, _)| name).filter(is_name).map(str::to_owned).collect()
}
