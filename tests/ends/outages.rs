//! The network as it really is: proxies that end calls, postboxes that restart. A waiting command
//! keeps waiting, and says so once.

use std::io::{Read as _, Write as _};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::faulty::Fault;
use crate::met::met;
use crate::people::{fails, ok, otr, pair, restart, running, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Postbox, otr as program};

fn http(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

#[track_caller]
fn is_alive(child: &mut Child) {
    assert!(child.try_wait().unwrap().is_none(), "it has ended");
}

/// A proxy in between ends calls that wait for more than two seconds, each in its way.
#[test]
fn a_proxy_that_ends_waiting_calls_ends_no_command() {
    for answer in [http("504 Gateway Time-out"), http("408 Request Timeout"), Vec::new()] {
        let (place, _postbox, faulty) = met();
        faulty.set(Fault::EndsWaits("collect", answer.clone()));
        let bob = spawn(&place, "bob", &["recv", "--wait", "40s"], b"");
        sleep(Duration::from_secs(6));
        ok(&place, "alice", &["send"], b"late");
        let ended = bob.wait_with_output().unwrap();
        assert_eq!((code(&ended), &ended.stdout[..]), (0, &b"late"[..]), "{}", text(&ended.stderr));
        // Nothing was wrong.
        assert!(!text(&ended.stderr).contains("again"), "{}", text(&ended.stderr));
        faulty.set(Fault::EndsWaits("gone", answer));
        let alice = spawn(&place, "alice", &["send", "--confirm"], b"read me");
        sleep(Duration::from_secs(6));
        assert_eq!(ok(&place, "bob", &["recv"], b""), b"read me");
        let ended = alice.wait_with_output().unwrap();
        assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    }
}

#[test]
fn who_follows_outlives_a_restart_and_tells_it_once() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let mut bob = spawn(&place, "bob", &["recv", "--follow"], b"");
    sleep(Duration::from_secs(1));
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    sleep(Duration::from_secs(6));
    is_alive(&mut bob);
    let _again = Postbox::run(program().args(["postbox", "--listen", &listen]));
    ok(&place, "alice", &["send"], b"after\n");
    let mut line = [0; 6];
    bob.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"after\n");
    ok(&place, "alice", &["close"], b"");
    let said = text(&bob.wait_with_output().unwrap().stderr);
    assert_eq!(said.matches("trying again").count(), 1, "{said}");
    assert_eq!(said.matches("answers again").count(), 1, "{said}");
}

#[test]
fn a_send_waits_for_a_postbox_that_comes_back() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let listen = postbox.url.strip_prefix("http://").unwrap().to_owned();
    drop(postbox);
    let mut alice = spawn(&place, "alice", &["send"], b"patient");
    sleep(Duration::from_secs(6));
    is_alive(&mut alice);
    let _again = Postbox::run(program().args(["postbox", "--listen", &listen]));
    let ended = alice.wait_with_output().unwrap();
    assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"patient");
}

#[test]
fn patience_has_the_end_that_was_given() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    drop(postbox);
    for arguments in [&["send", "--retry", "0s"][..], &["recv", "--wait", "2s"], &["recv", "--all"]]
    {
        let began = Instant::now();
        let who = if arguments[0] == "send" { "alice" } else { "bob" };
        fails(&place, who, arguments, b"text", 9);
        assert!(began.elapsed() < Duration::from_secs(30), "{arguments:?}");
    }
}

/// What is temporary and what is not: a bad gateway is, a refusal is not.
#[test]
fn a_gateway_that_is_bad_for_a_while_is_waited_for_and_a_refusal_is_not() {
    let (place, _postbox, faulty) = met();
    for status in ["502 Bad Gateway", "503 Busy", "429 Slow Down", "504 Late"] {
        faulty.set(Fault::Answer("post", http(status)));
        let mut alice = spawn(&place, "alice", &["send"], status.as_bytes());
        sleep(Duration::from_secs(5));
        is_alive(&mut alice);
        faulty.set(Fault::None);
        let ended = alice.wait_with_output().unwrap();
        assert_eq!(code(&ended), 0, "{status}: {}", text(&ended.stderr));
        assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), status.as_bytes());
    }
    faulty.set(Fault::Answer("collect", http("400 Bad Request")));
    let began = Instant::now();
    fails(&place, "bob", &["recv", "--follow"], b"", 9);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_long_message_outlives_a_restart_of_the_way() {
    let (place, _postbox, faulty) = met();
    let (mut alice, mut stdin) = running(&place, "alice", &["send"]);
    stdin.write_all(&vec![b'A'; 2 << 20]).unwrap();
    faulty.set(Fault::Answer("post", http("502 Bad Gateway")));
    stdin.write_all(&vec![b'A'; 2 << 20]).unwrap();
    sleep(Duration::from_secs(5));
    is_alive(&mut alice);
    faulty.set(Fault::None);
    drop(stdin);
    let ended = alice.wait_with_output().unwrap();
    assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    assert_eq!(ok(&place, "bob", &["recv"], b"").len(), 4 << 20);
}

/// A long message takes no larger packets than the postbox.
#[test]
fn a_postbox_of_small_packets_takes_long_messages() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--max-packet", "64K"]));
    pair(&place, &postbox);
    let long: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
    for size in ["4K", "1M"] {
        ok(&place, "alice", &["send", "--size", size], &long);
        assert!(ok(&place, "bob", &["recv"], b"") == long);
    }
}

#[test]
fn too_large_is_not_full() {
    let (place, _postbox, faulty) = met();
    faulty.set(Fault::Answer("post", http("413 Payload Too Large")));
    for text in [&vec![b'A'; 3 << 20][..], b"short"] {
        let said = fails(&place, "alice", &["send"], text, 14);
        assert!(said.contains(" 4 KiB") && said.contains("client_max_body_size"), "{said}");
        assert!(said.contains("nothing of this message was sent"), "{said}");
    }
    // Packets that are sent after that is set are not held up.
    faulty.set(Fault::None);
    ok(&place, "alice", &["send"], b"at last");
    assert_eq!(ok(&place, "bob", &["recv", "--all"], b""), b"at last");
}

#[test]
fn a_session_begun_anew_keeps_its_postbox() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for _ in 0..2 {
        // Of a session, then of an invite.
        let invite = ok(&place, "alice", &["init", "--anew"], b"");
        ok(&place, "bob", &["respond", "--yes", "--anew"], &invite);
    }
    ok(&place, "alice", &["send"], b"by the postbox");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"by the postbox");
    let other = Postbox::start(&[]);
    let invite = ok(&place, "alice", &["init", "--anew", "--postbox", &other.url], b"");
    drop(restart(postbox));
    ok(&place, "bob", &["respond", "--yes", "--anew"], &invite);
    assert_eq!(code(&otr(&place, "alice", &["send"], b"there")), 0);
}
