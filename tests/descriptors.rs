//! stdin, stdout and stderr as other programs hand them over: closed, or switched to non-blocking.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::thread;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use support::{Chance, Pair, shell_code, until};

/// Runs a script that must end with code 1, with this and nothing else on stdout.
#[track_caller]
fn fails(pair: &Pair, script: &str, said: &str) {
    let run = pair.sh(script);
    assert_eq!(run.code, 1, "{script}: {}", run.err);
    assert!(run.err.contains(said) && run.out.is_empty(), "{script}: {}", run.err);
}

#[test]
fn a_closed_stdout_spends_nothing() {
    let pair = Pair::new();
    std::fs::write(pair.path("packet"), pair.sealed("", b"the only copy")).unwrap();
    std::fs::write(pair.path("export"), pair.alice("init -s other", b"").ok()).unwrap();
    let before = ["alice", "bob"].map(|who| pair.state(who));
    for script in [
        "bob recv < packet >&-",
        "bob recv --null < packet >&-",
        "bob recv -o - < packet >&-",
        "bob recv -o /dev/stdout < packet >&-",
        "bob recv --json < packet >&-",
        "echo x | alice send >&-",
        "echo x | alice send --raw --lines >&-",
        "echo secret > secret; alice verify --secret-file secret >&-",
        "alice export >&-",
        "alice expect >&-",
        "alice status >&-",
        "alice words >&-",
        "bob init -s new >&-",
        "alice init -s new --again >&-",
        "bob respond -s new < export >&-",
        "otr inspect < packet >&-",
        "echo 'A: hi' | otr simulate >&-",
        "otr completions bash >&-",
        "otr man >&-",
    ] {
        fails(&pair, script, "stdout is closed");
        assert!(
            ["alice", "bob"].map(|who| pair.state(who)) == before,
            "{script} changed the state"
        );
        assert!(!pair.path("bob/new.state").exists(), "{script} made a session");
    }
    assert_eq!(pair.sh("bob recv < packet").ok(), b"the only copy");
    pair.talk();
}

#[test]
fn where_stdout_is_not_needed_it_may_be_closed() {
    let pair = Pair::new();
    std::fs::write(pair.path("packet"), pair.sealed("", b"into a file")).unwrap();
    pair.sh("bob recv -o text < packet >&-").ok();
    assert_eq!(std::fs::read(pair.path("text")).unwrap(), b"into a file");
    // The session is wiped whatever happens.
    fails(&pair, "alice close >&-", "stdout is closed");
    assert!(!pair.state_path("alice").exists());
    pair.sh("bob close --silent >&-").ok();
}

#[test]
fn a_dev_null_that_was_meant_is_taken() {
    let pair = Pair::new();
    std::fs::write(pair.path("packet"), pair.sealed("", b"for nobody")).unwrap();
    // Both directions, as Python's DEVNULL has it, and Rust's runtime.
    pair.sh("bob recv < packet 1<> /dev/null").ok();
    pair.sh("echo x | alice send > /dev/null").ok();
    pair.sh("alice send < /dev/null 1<> /dev/null").ok();
}

#[test]
fn a_closed_stdin_is_not_an_empty_one() {
    let pair = Pair::new();
    let before = ["alice", "bob"].map(|who| pair.state(who));
    for script in [
        "alice send <&-",
        "alice send --lines <&-",
        "bob recv <&-",
        "bob respond -s new <&-",
        "bob import -s new <&-",
        "otr inspect <&-",
        "otr simulate <&-",
        "otr forge --was a --says b <&-",
        "bob respond -s new --code - --postbox http://127.0.0.1:1 <&-",
    ] {
        fails(&pair, script, "stdin is closed");
        assert!(
            ["alice", "bob"].map(|who| pair.state(who)) == before,
            "{script} changed the state"
        );
    }
    // Nothing is read here.
    pair.sh("alice status <&-; alice expect <&-; alice words <&- || true").ok();
}

#[test]
fn with_stderr_closed_no_file_takes_its_number() {
    let pair = Pair::new();
    let packet = pair.sealed("", b"text alone");
    std::fs::write(pair.path("packet"), &packet).unwrap();
    // The second half of this is refused, which is reported.
    std::fs::write(pair.path("twice"), [&packet[..], &packet[..]].concat()).unwrap();
    assert_eq!(pair.sh("bob recv -o text < twice 2>&-").code, 0);
    assert_eq!(std::fs::read(pair.path("text")).unwrap(), b"text alone");
    assert_eq!(pair.sh("bob recv < packet 2>&-").code, 4);
    assert_eq!(pair.sh("echo nobody | bob send -s nobody 2>&-").code, 3);
    // All three at once.
    assert_eq!(pair.sh("bob recv < packet <&- >&- 2>&-").code, 1);
    pair.talk();
}

fn nonblocking(fd: impl AsFd) {
    fcntl_setfl(&fd, fcntl_getfl(&fd).unwrap() | OFlags::NONBLOCK).unwrap();
}

/// Starts a command between non-blocking pipes; stderr is one, too.
fn between(pair: &Pair, who: &str, args: &str) -> (Child, PipeWriter, PipeReader, PipeReader) {
    let (stdin, to) = io::pipe().unwrap();
    let (from, stdout) = io::pipe().unwrap();
    let (said, stderr) = io::pipe().unwrap();
    nonblocking(&stdin);
    nonblocking(&stdout);
    nonblocking(&stderr);
    let mut command = pair.end(who, args);
    let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap();
    (child, to, from, said)
}

/// Whether a process waits for something, rather than having ended.
fn waits(child: &mut Child) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it ended");
    stat.rsplit(") ").next().unwrap().starts_with('S')
}

/// The output when the input comes late, and the output is read late.
#[track_caller]
fn late(pair: &Pair, who: &str, args: &str, input: &[u8]) -> Vec<u8> {
    let (mut child, mut to, mut from, mut said) = between(pair, who, args);
    until("it waits for its input", || waits(&mut child));
    let (out, err) = thread::scope(|scope| {
        scope.spawn(move || to.write_all(input).unwrap());
        if input.len() > 1 << 20 {
            // More than any pipe holds, so the command must wait for us.
            until("it waits for its output", || waits(&mut child));
        }
        let err = scope.spawn(move || {
            let mut err = String::new();
            said.read_to_string(&mut err).unwrap();
            err
        });
        let mut out = Vec::new();
        from.read_to_end(&mut out).unwrap();
        (out, err.join().unwrap())
    });
    assert_eq!(shell_code(child.wait().unwrap()), 0, "{who} {args}: {err}");
    out
}

#[test]
fn what_would_block_is_waited_for() {
    let pair = Pair::strangers();
    let invite = pair.alice("init", b"").ok();
    let reply = late(&pair, "bob", "respond", &invite);
    assert_eq!(late(&pair, "alice", "recv", &reply), b"");
    let long = Chance::new().bytes(5 << 20);
    for form in ["", "--raw"] {
        for text in [b"short\n".as_slice(), &long] {
            let packets = late(&pair, "alice", &format!("send {form}"), text);
            assert!(late(&pair, "bob", "recv", &packets) == text, "{form}");
        }
    }
    let packets = late(&pair, "bob", "send --lines", b"one\ntwo\n");
    assert_eq!(late(&pair, "alice", "recv --null", &packets), b"one\n\0two\n\0");
    let packets = late(&pair, "bob", "send", b"object");
    assert!(!late(&pair, "alice", "recv --json", &packets).is_empty());
    let exported = pair.alice("export", b"").ok();
    assert_eq!(late(&pair, "alice", "import -s moved", &exported), b"");
}

#[test]
fn a_line_on_a_full_stderr_is_waited_for() {
    let pair = Pair::new();
    let (mut said, stderr) = io::pipe().unwrap();
    nonblocking(&stderr);
    let mut other = stderr.try_clone().unwrap();
    let mut filled = 0;
    while let Ok(count) = other.write(&[b'.'; 4096]) {
        filled += count;
    }
    drop(other);
    let mut command = pair.end("bob", "recv");
    let packet = File::open("/dev/null").unwrap();
    let mut child = command.stdin(packet).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    drop(command);
    until("it waits for room", || waits(&mut child));
    let mut text = Vec::new();
    said.read_to_end(&mut text).unwrap();
    assert_eq!(shell_code(child.wait().unwrap()), 8);
    assert!(text[filled..].starts_with(b"otr: stdin is empty"), "{}", text.len() - filled);
}

#[test]
fn a_state_may_come_and_go_without_blocking() {
    let pair = Pair::strangers();
    let python = r"
import os, subprocess, sys
state, out = os.pipe(), os.pipe()
for fd in state + out: os.set_blocking(fd, False)
otr = subprocess.Popen(['otr', 'init', '--state-fd', f'{state[0]},{out[1]}'], pass_fds=(state[0], out[1]))
os.close(state[0]); os.close(out[1])
while open(f'/proc/{otr.pid}/stat').read().rsplit(') ')[1][0] != 'S': assert otr.poll() is None
os.close(state[1])
assert otr.wait() == 0, otr.returncode
assert os.read(out[0], 1 << 20).startswith(b'otr1s:')
";
    std::fs::write(pair.path("late.py"), python).unwrap();
    drop(support::tool("python3", "python3"));
    assert!(pair.sh("python3 late.py").text().starts_with("otr1i:"));
}

#[test]
fn without_descriptors_to_be_had_no_state_is_called_unsafe_or_missing() {
    let pair = Pair::new();
    for limit in 3..8 {
        for command in ["status", "words", "send", "recv", "expect", "init -s new --anew"] {
            let run = pair.sh(&format!("ulimit -n {limit}; alice {command}"));
            let known = matches!(run.code, 0 | 1 | 8 | 14);
            assert!(known, "{limit} {command}: {} {}", run.code, run.err);
        }
    }
    pair.talk();
}
