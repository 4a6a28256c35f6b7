//! Proxies that end calls which wait, and proxies that let no large body through.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::front::{Front, Parts, nginx, tool_of_root};
use crate::people::{fails, ok, otr, running, spawn};
use crate::place::{Place, code, text};

/// Longer than these proxies let a call wait.
const LONG: Duration = Duration::from_secs(6);

/// nginx as it comes from its package, but for these lines.
fn with_nginx(parts: &Parts, lines: &str) -> Command {
    let server = format!(
        "server {{ listen {}; access_log off; {lines}\n\
        location / {{ proxy_pass http://unix:{}:/; }}\n}}",
        parts.at, parts.socket
    );
    nginx(&parts.home, &server)
}

/// `HAProxy` with the lines of its manual's first example, but for the time.
fn with_haproxy(parts: &Parts) -> Command {
    let file = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 50s\n timeout server 2s\n\
        frontend in\n bind {}\n default_backend box\n\
        backend box\n server box unix@{}\n",
        parts.at, parts.socket
    );
    let path = Path::new(&parts.home).join("haproxy.cfg");
    fs::write(&path, file).unwrap();
    let mut haproxy = tool_of_root("haproxy", "haproxy");
    haproxy.arg("-db").arg("-f").arg(path);
    haproxy
}

fn met(front: &Front) -> &Place {
    let (place, url) = (&front.place, format!("http://{}", front.at));
    let invite = ok(place, "alice", &["init", "--postbox", &url], b"");
    ok(place, "bob", &["respond", "--yes"], &invite);
    ok(place, "alice", &["send"], b"0\n");
    assert_eq!(ok(place, "bob", &["recv"], b""), b"0\n");
    place
}

/// Of `length` bytes, no two parts the same.
fn letter(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

/// Waits of all kinds, each for longer than the proxy lets it, and nothing is said of that.
fn nobody_is_cut_off(front: &Front) {
    let place = met(front);
    let waiting = spawn(place, "bob", &["recv", "--wait", "50s"], b"");
    sleep(LONG);
    ok(place, "alice", &["send"], b"late");
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!((code(&ended), &ended.stdout[..]), (0, &b"late"[..]), "{}", text(&ended.stderr));
    assert!(!text(&ended.stderr).contains("again"), "{}", text(&ended.stderr));

    let confirmed = spawn(place, "alice", &["send", "--confirm"], b"read me");
    sleep(LONG);
    assert_eq!(ok(place, "bob", &["recv"], b""), b"read me");
    let ended = confirmed.wait_with_output().unwrap();
    assert_eq!((code(&ended), &text(&ended.stderr)[..]), (0, ""));

    // More than lies in the postbox at a time: the sender waits for the receiver.
    let long = letter(40 << 20);
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        let sender = spawn(place, from, &["send"], &long);
        sleep(LONG);
        assert!(ok(place, to, &["recv"], b"") == long);
        let ended = sender.wait_with_output().unwrap();
        assert_eq!((code(&ended), &text(&ended.stderr)[..]), (0, ""));
    }

    let mut follower = spawn(place, "alice", &["recv", "--follow"], b"");
    sleep(LONG);
    ok(place, "bob", &["send"], b"line\n");
    let mut line = [0; 5];
    follower.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"line\n");
    ok(place, "bob", &["close"], b"");
    let ended = follower.wait_with_output().unwrap();
    assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    assert!(!text(&ended.stderr).contains("again"), "{}", text(&ended.stderr));
}

#[test]
fn nginx_ends_calls_that_wait_and_nobody_is_cut_off() {
    nobody_is_cut_off(&Front::start(|parts| {
        with_nginx(parts, "client_max_body_size 2m; proxy_read_timeout 2s;")
    }));
}

#[test]
fn haproxy_ends_calls_that_wait_and_nobody_is_cut_off() {
    nobody_is_cut_off(&Front::start(with_haproxy));
}

#[test]
fn what_nginx_lets_through_in_smaller_packets_goes_so() {
    // The last one is what nginx has where nothing is said: the largest packets miss it by a byte.
    for line in ["client_max_body_size 300k;", "client_max_body_size 64k;", ""] {
        let front = Front::start(|parts| with_nginx(parts, line));
        let place = met(&front);
        for letter in [letter(100), letter(40_000), letter(65_000), letter(3 << 20)] {
            for (from, to) in [("alice", "bob"), ("bob", "alice")] {
                for size in ["4K", "1M"] {
                    let sent = otr(place, from, &["send", "--size", size], &letter);
                    assert_eq!((code(&sent), &text(&sent.stderr)[..]), (0, ""), "{line}");
                    let came = otr(place, to, &["recv"], b"");
                    assert!(came.stdout == letter, "{}", text(&came.stderr));
                    assert!(!text(&came.stderr).contains("not here"), "{}", text(&came.stderr));
                }
            }
        }
        let (alice, stdin) = running(place, "alice", &["send", "--confirm", "--size", "1M"]);
        drop(stdin);
        assert_eq!(ok(place, "bob", &["recv"], b""), b"");
        assert_eq!(code(&alice.wait_with_output().unwrap()), 0);
    }
}

#[test]
fn what_nginx_lets_through_in_no_size_is_told() {
    let front = Front::start(|parts| with_nginx(parts, "client_max_body_size 2k;"));
    let (place, url) = (&front.place, format!("http://{}", front.at));
    let invite = ok(place, "alice", &["init", "--postbox", &url], b"");
    let said = fails(place, "bob", &["respond", "--yes"], &invite, 9);
    assert!(said.contains(" 8 KiB") && said.contains("client_max_body_size"), "{said}");
    let reply = ok(place, "bob", &["respond", "--again", "--stdout"], b"");
    ok(place, "alice", &["recv", "--stdin"], &reply);
    for letter in [&b"short"[..], &letter(40_000), &letter(3 << 20)] {
        let sent = otr(place, "alice", &["--json", "send"], letter);
        assert_eq!(code(&sent), 14, "{}", text(&sent.stderr));
        let what = text(&sent.stderr);
        let told: serde_json::Value = serde_json::from_str(what.lines().last().unwrap()).unwrap();
        assert!(what.contains(" 4 KiB") && what.contains("client_max_body_size"), "{what}");
        assert_eq!(told["taken"], false, "{what}");
    }
}
