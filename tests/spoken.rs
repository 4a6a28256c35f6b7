//! The output on stderr under `--json`: one object per line, whatever the command and however it
//! ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside of #[test]"
)]

#[path = "postbox/support.rs"]
#[allow(dead_code, reason = "each test file uses its part of it")]
mod postbox;
mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use serde_json::Value;
use support::{Pair, Run, binary, clean, feed, lines};

/// The objects on stderr, each with what all of them have.
#[track_caller]
fn objects(what: &str, err: &str) -> Vec<Value> {
    let all: Vec<Value> = err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{what}: {line}")))
        .collect();
    for object in &all {
        let level = object["level"].as_str().unwrap();
        assert!(["error", "warning", "notice", "detail"].contains(&level), "{object}");
        assert!(object["message"].is_string(), "{object}");
        assert!(!err.contains('\u{9b}') && !err.contains('\x1b'), "{object}");
        if level == "error" {
            assert!(object["code"].is_u64() && object["error"].is_string(), "{object}");
        }
    }
    all
}

/// The one error, which is the last line, where the code is not 0.
#[track_caller]
fn error(what: &str, run: &Run) -> Value {
    let all = objects(what, &run.err);
    let errors = all.iter().filter(|object| object["level"] == "error").count();
    assert_eq!(errors, usize::from(run.code != 0), "{what}: {} {}", run.code, run.err);
    if run.code != 0 {
        let last = all.last().unwrap();
        assert_eq!(last["code"], run.code, "{what}: {last}");
    }
    all.last().cloned().unwrap_or_default()
}

#[test]
fn every_command_speaks_json_when_it_fails_and_when_it_succeeds() {
    let pair = Pair::strangers();
    let run = |who: &str, args: &str, input: &[u8]| {
        let run = feed(&mut pair.end(who, &format!("-v --json {args}")), input);
        error(args, &run);
        run
    };
    for args in [
        "",
        "nonsense",
        "--nonsense",
        "-s a/b init",
        "send",
        "send hello",
        "recv",
        "recv file",
        "close",
        "words",
        "verify",
        "expect",
        "status",
        "export",
        "import",
        "inspect",
        "forge",
        "simulate",
        "respond",
        "respond --code",
        "respond --code 4-x",
        "init --postbox ftp://x",
        "init --code",
        "man /dev/null/at/all",
        "completions",
        "completions tcsh",
        "help nonsense",
        "postbox --listen nonsense",
        "postbox --ttl never",
        "recv -o",
        "inspect /nowhere",
        "forge --was-file /nowhere --says x",
        "init --secret-file /nowhere",
        "recv --follow",
        "close --all",
        "status --ask",
        "init --expires 1h --again",
    ] {
        run("nobody", args, b"");
    }
    let invite = run("alice", "init --expires 1h", b"").out;
    run("alice", "init", b"");
    run("alice", "send", b"too early");
    run("alice", "init --again", b"");
    let reply = run("bob", "respond", &invite).out;
    run("bob", "respond", &invite);
    run("alice", "recv", &reply);
    run("alice", "recv", b"nonsense\notr1p:xyz\n");
    run("bob", "recv", &run("alice", "send", b"hello").out);
    run("bob", "words", b"");
    run("alice", "words --same", b"");
    let secret = pair.path("secret");
    fs::write(&secret, "rex").unwrap();
    let secret = secret.to_str().unwrap().to_owned();
    let asked =
        run("alice", &format!("verify --question dog\u{9b}? --secret-file {secret}"), b"").out;
    run("bob", "recv", &asked);
    // Somebody else's words, in a notice of recv without its own JSON on stdout.
    run("bob", &format!("verify --secret-file {secret}"), b"");
    for args in ["status", "expect", "export", "export --undo", "demo"] {
        run("bob", args, b"");
    }
    run("bob", "inspect", &reply);
    run("bob", "simulate", b"A: hi\n");
    run("bob", "simulate", b"nonsense\n");
    run("bob", "close", b"");
    run("alice", "words --differ", b"");
    let help = run("bob", "help send", b"");
    assert!(help.out.starts_with(b"Send stdin"), "{:?}", String::from_utf8_lossy(&help.out));
}

#[test]
fn a_postbox_and_what_calls_it_speak_json() {
    let postbox = postbox::Postbox::start(&[]);
    let pair = Pair::strangers();
    let run = |who: &str, args: &str, input: &[u8]| {
        let run = feed(&mut pair.end(who, &format!("-v --json {args}")), input);
        error(args, &run);
        run
    };
    let invite = run("alice", &format!("init --postbox {}", postbox.url), b"").out;
    run("alice", "send --wait 0", b"too early");
    run("bob", "respond", &invite);
    run("bob", "respond --yes", &invite);
    run("alice", "send", b"hello");
    run("bob", "recv", b"");
    run("bob", "recv --all", b"");
    run("bob", "recv --wait 0", b"");
    run("bob", "status --ask", b"");
    run("bob", "close", b"");
    run("alice", "recv --follow", b"");
}

#[test]
fn the_postbox_itself_tells_its_address_in_json() {
    use std::io::{BufRead as _, BufReader};
    let mut command = clean(binary());
    command.args(["postbox", "--json", "--listen", "127.0.0.1:0"]);
    let mut child = support::start(&mut command);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let address = loop {
        let mut line = String::new();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "{said}");
        let object = objects("postbox", &line).remove(0);
        said += &line;
        if let Some(url) = object["OTR_POSTBOX"].as_str() {
            break url.to_owned();
        }
    };
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert!(!objects("postbox", &rest).is_empty());
    assert!(child.wait().unwrap().success());
}

#[test]
fn names_of_files_are_exact() {
    let pair = Pair::strangers();
    for (name, shown) in [
        (&b"plain"[..], Some("plain")),
        (b"a\x1b[31m\n\"b\\\x7f", Some("a\x1b[31m\n\"b\\\x7f")),
        ("\u{9b}\u{202e}ü".as_bytes(), Some("\u{9b}\u{202e}ü")),
        (b"\xff\xfe", None),
    ] {
        let name = OsStr::from_bytes(name);
        let exact = |object: &Value| {
            if let Some(shown) = shown {
                assert_eq!(object["file"], shown, "{object}");
            } else {
                assert_eq!(object["file_base64"], "//4=", "{object}");
                assert!(object["file"].is_null(), "{object}");
            }
        };
        let with = |args: &[&str], named: &OsStr| {
            let mut command: Command = pair.end("alice", "--json");
            command.args(args).arg(named);
            feed(&mut command, b"")
        };
        for args in [&["inspect"][..], &["simulate"], &["init", "--secret-file"]] {
            let run = with(args, name);
            let error = error("a file that is not there", &run);
            assert_ne!(run.code, 0, "{args:?}");
            exact(&error);
        }
        fs::write(
            pair.path("").join(name),
            feed(&mut pair.end("alice", "simulate"), b"A: x\n").out,
        )
        .unwrap();
        let run = with(&["inspect"], name);
        assert_eq!(run.code, 0, "{}", run.err);
        let seen = lines(&run.out);
        exact(&serde_json::from_slice(&seen[0]).unwrap());
        assert!(!run.out.contains(&0x1b), "a terminal would obey it");
    }
}
