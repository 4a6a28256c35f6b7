//! Where `recv --output` and `--reveal` may lead: files, symlinks, devices, pipes, directories.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of #[test]")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::PathBuf;

use support::{Chance, Pair, feed, tool};

/// Two who have met, with a packet of Alice's in `packet`.
fn pair(text: &[u8]) -> Pair {
    let pair = Pair::new();
    fs::write(pair.path("packet"), pair.sealed("", text)).unwrap();
    pair
}

#[test]
fn what_is_no_file_is_written_through() {
    let pair = pair(b"through");
    let runs = [
        ("bob recv -o - < packet", "through"),
        ("bob recv -o /dev/stdout < packet", "through"),
        ("bob recv --force -o /dev/stdout < packet", "through"),
        ("bob recv -o /dev/fd/1 < packet", "through"),
        // What was there stays: the shell has it open for appending.
        ("echo before > log; bob recv -o /dev/stdout < packet >> log; cat log", "before\nthrough"),
        ("bob recv -o /dev/fd/5 < packet 5> five; cat five", "through"),
        ("ln -s /dev/stdout link; bob recv -o link < packet", "through"),
        ("bob recv -o /dev/null < packet", ""),
        ("mkfifo fifo; cat fifo & bob recv -o fifo < packet; wait", "through"),
        ("cat fifo & bob recv --force -o fifo < packet; wait", "through"),
        ("ln -s fifo to; cat fifo & bob recv --force -o to < packet; wait", "through"),
    ];
    for (script, expected) in runs {
        let before = pair.state("bob");
        assert_eq!(pair.sh(script).text(), expected, "{script}");
        fs::write(pair.state_path("bob"), before).unwrap();
    }
    assert!(fs::metadata(pair.path("fifo")).unwrap().file_type().is_fifo());
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    assert!(!pair.path("-").exists());
}

#[test]
fn symlinks_are_followed_and_stay() {
    let pair = pair(b"text");
    fs::create_dir(pair.path("far")).unwrap();
    symlink("far/new", pair.path("link")).unwrap();
    symlink("link", pair.path("second")).unwrap();
    let before = pair.state("bob");
    pair.sh("bob recv -o second < packet").ok();
    assert_eq!(fs::read(pair.path("far/new")).unwrap(), b"text");

    fs::write(pair.state_path("bob"), &before).unwrap();
    fs::write(pair.path("far/new"), "old").unwrap();
    let said = pair.sh("bob recv -o second < packet").fails(13);
    assert!(said.contains("second is there already; use --force"), "{said}");
    assert_eq!(fs::read(pair.path("far/new")).unwrap(), b"old");
    pair.sh("bob recv --force -o second < packet").ok();
    assert_eq!(fs::read(pair.path("far/new")).unwrap(), b"text");
    assert!(pair.path("second").is_symlink() && pair.path("link").is_symlink());
    assert_eq!(fs::read_dir(pair.path("far")).unwrap().count(), 1);

    symlink("loop", pair.path("loop")).unwrap();
    pair.sh("bob recv -o loop < packet").fails(1);
}

#[test]
fn what_cannot_hold_a_message_is_refused_before_anything_is_spent() {
    let pair = pair(b"text");
    let before = pair.state("bob");
    let long = "x".repeat(256);
    for (args, code, said) in [
        ("-o .", 2, "is a directory; name a file"),
        ("--force -o alice", 2, "is a directory; name a file"),
        ("-o alice/", 2, "is a directory"),
        ("-o new/", 2, "names no file"),
        ("-o nowhere/file", 1, "No such file"),
        ("-o packet/file", 1, "Not a directory"),
        (&format!("-o {long}"), 1, "File name too long"),
        ("-o /dev/fd/77", 1, "cannot write /dev/fd/77"),
        ("--reveal alice", 1, "cannot write alice"),
        ("--reveal nowhere/keys", 1, "No such file"),
    ] {
        let error = pair.sh(&format!("bob recv {args} < packet")).fails(code);
        assert!(error.contains(said) && !error.contains("--force"), "{args}: {error}");
        assert!(pair.state("bob") == before, "{args} changed the state");
    }
    assert_eq!(pair.sh("bob recv < packet").ok(), b"text");
}

#[test]
fn names_of_every_length_serve() {
    let pair = Pair::new();
    let long = Chance::new().bytes(3 << 20);
    for name in ["x".repeat(230), "x".repeat(255), "ü".repeat(127), "日".repeat(85)] {
        fs::write(pair.path("packets"), pair.sealed("", &long)).unwrap();
        // It goes on in a second run.
        let half = fs::metadata(pair.path("packets")).unwrap().len() / 2;
        pair.sh(&format!("head -c {half} packets | bob recv -o {name} -q; true"));
        assert!(!pair.path(&name).exists());
        fs::write(pair.path("packets"), pair.sealed("", name.as_bytes())).unwrap();
        pair.sh(&format!("bob recv -q -o {name} < packets")).ok();
        assert_eq!(fs::read(pair.path(&name)).unwrap(), name.as_bytes());
    }
}

/// As on a file system that supports none of these calls.
fn without(pair: &Pair, calls: &[(&str, &str)], args: &str) -> i32 {
    let errors = calls.iter().map(|(call, error)| format!("{call}:error={error}"));
    traced(pair, "/dev/null", &errors.collect::<Vec<_>>(), args)
}

/// Bob's command, with the packet on stdin, where the system behaves like this; its calls go into a
/// file.
fn traced(pair: &Pair, trace: &str, injected: &[String], args: &str) -> i32 {
    let mut strace = tool("strace", "strace");
    strace.args(["-f", "-qq", "-o", trace]);
    for injected in injected {
        strace.arg("-e").arg(format!("inject={injected}"));
    }
    let end = pair.end("bob", args);
    strace.arg(end.get_program()).args(end.get_args()).current_dir(pair.path(""));
    for (name, value) in end.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        strace.env(name, value);
    }
    feed(&mut strace, &fs::read(pair.path("packet")).unwrap()).code
}

/// The system calls of the main thread from this one on, each with its number among those of its name.
fn calls_from(trace: &str, first: &str) -> Vec<(String, usize)> {
    let main = trace.split(' ').next().unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines().filter_map(|line| line.strip_prefix(main)) {
        let Some((name, _)) = line.trim_start().split_once('(') else { continue };
        let count = counts.entry(name).or_default();
        *count += 1;
        if name == first || !calls.is_empty() {
            calls.push((name.to_owned(), *count));
        }
    }
    calls
}

fn parts(pair: &Pair) -> Vec<PathBuf> {
    let all = fs::read_dir(pair.path("")).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_string_lossy().ends_with(".otr-part")).collect()
}

#[test]
fn killed_after_the_file_appeared_the_same_command_gives_nothing_twice() {
    let pair = pair(b"once");
    let other = pair.sealed("", b"other");
    let before = pair.state("bob");
    let trace = pair.path("trace");
    let command = "recv -o file";
    assert_eq!(traced(&pair, trace.to_str().unwrap(), &[], command), 0);
    let calls = calls_from(&fs::read_to_string(trace).unwrap(), "linkat");
    assert!(calls.len() > 5, "{calls:?}");
    let mut gaps = 0;
    for (call, number) in calls {
        fs::write(pair.state_path("bob"), &before).unwrap();
        for path in parts(&pair).into_iter().chain([pair.path("file")]) {
            fs::remove_file(path).unwrap_or_default();
        }
        let killed =
            traced(&pair, "/dev/null", &[format!("{call}:signal=KILL:when={number}")], command);
        assert_eq!(killed, 128 + 9, "{call} {number}");
        let (is_stored, has_appeared) = (pair.state("bob") != before, pair.path("file").exists());
        if has_appeared && !is_stored {
            gaps += 1;
            // Another message is not mistaken for it, and is not lost.
            pair.bob(command, &other).fails(13);
        }
        let packet = fs::read(pair.path("packet")).unwrap();
        let again = pair.bob(command, &packet);
        if is_stored {
            assert!([4, 13].contains(&again.code), "{call} {number}: {}", again.err);
        } else {
            again.ok();
            assert!(parts(&pair).is_empty(), "{call} {number}");
        }
        assert_eq!(fs::read(pair.path("file")).unwrap(), b"once", "{call} {number}");
        pair.bob("recv", &packet).fails(4);
        assert_eq!(pair.bob("recv", &other).ok(), b"other");
    }
    assert!(gaps > 3, "{gaps}");
}

#[test]
fn file_systems_without_hard_links_serve_and_nothing_is_replaced() {
    let pair = pair(b"text");
    let before = pair.state("bob");
    let no_link = ("linkat", "EPERM");
    let no_rename = ("renameat2", "EINVAL");
    for calls in [&[no_link][..], &[no_link, no_rename]] {
        fs::write(pair.state_path("bob"), &before).unwrap();
        assert_eq!(without(&pair, calls, "recv -o file"), 0, "{calls:?}");
        assert_eq!(fs::read(pair.path("file")).unwrap(), b"text");
        assert!(parts(&pair).is_empty());
        fs::write(pair.state_path("bob"), &before).unwrap();
        fs::write(pair.path("file"), "mine").unwrap();
        assert_eq!(without(&pair, calls, "recv -o file"), 13);
        assert_eq!(fs::read(pair.path("file")).unwrap(), b"mine");
        fs::remove_file(pair.path("file")).unwrap();
    }
}
