//! `send --confirm` ends with 0 if the message was opened, and never otherwise.

use std::thread::sleep;
use std::time::Duration;

use crate::people::{fails, ok, otr, pair, restart, spawn};
use crate::place::{Place, code, text};
use crate::postbox::{Form, Place as Spot, Postbox, stored};
use crate::socks::Socks;
use crate::support::until;

#[test]
fn it_ends_when_the_message_was_opened_and_not_before() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let long: Vec<u8> = (0..3_u32 << 18).flat_map(u32::to_be_bytes).collect();
    for message in [&b"short"[..], &long] {
        let mut sender = spawn(&place, "alice", &["send", "--confirm"], message);
        sleep(Duration::from_millis(700));
        assert!(sender.try_wait().unwrap().is_none(), "nobody has opened it yet");
        assert!(ok(&place, "bob", &["recv"], b"") == message);
        let ended = sender.wait_with_output().unwrap();
        assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    }
    // The session was free meanwhile, and still is.
    ok(&place, "alice", &["send", "--lines"], b"next\n");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"next\n");
}

/// Through Tor what was read is discarded later, perhaps by a later command; but not where its sender waits for it.
#[test]
fn by_tor_the_receipt_comes_from_the_command_that_reads() {
    let place = Place::new();
    let admin = place.path("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    pair(&place, &postbox);
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    for recv in [&["recv"][..], &["recv", "--all"]] {
        let (waits, before) = (["send", "--confirm", "--wait", "60s"], stored(&admin));
        let sender = spawn(&place, "alice", &waits, b"short");
        until("it is there", || stored(&admin) > before);
        let recv = [recv, &["--tor", "--proxy", &socks.url]].concat();
        assert_eq!(ok(&place, "bob", &recv, b""), b"short");
        let ended = sender.wait_with_output().unwrap();
        assert_eq!(code(&ended), 0, "{}", text(&ended.stderr));
    }
}

#[test]
fn it_waits_as_long_as_it_may_and_the_message_is_not_lost() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let said = fails(&place, "bob", &["send", "--confirm", "--wait", "1s"], b"waits", 8);
    assert!(said.contains("lies in the postbox still"), "{said}");
    assert_eq!(ok(&place, "alice", &["recv"], b""), b"waits");
}

#[test]
fn what_is_lost_with_the_postbox_is_told() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let sender = spawn(&place, "alice", &["send", "--confirm"], b"lost");
    sleep(Duration::from_millis(700));
    let _again = restart(postbox);
    let ended = sender.wait_with_output().unwrap();
    assert_eq!(code(&ended), 6, "{}", text(&ended.stderr));
}

#[test]
fn what_nobody_collected_in_the_packets_time_is_told() {
    let (place, postbox) = (Place::new(), Postbox::start(&["--ttl", "2s"]));
    pair(&place, &postbox);
    fails(&place, "alice", &["send", "--confirm"], b"too late", 6);
}

/// The postbox's operator, or somebody with a copy of the receiver's token, can take a packet away,
/// but cannot show that it was opened.
#[test]
fn taken_away_is_not_opened() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    for key in [[0; 32], [7; 32]] {
        let tokens = ok(&place, "bob", &["expect", "--raw"], b"");
        let spot = Spot { token: tokens[..32].try_into().unwrap() };
        let sender = spawn(&place, "alice", &["send", "--confirm"], b"stolen");
        let packet = postbox.call("/v1/collect?wait=10", Form::Raw, &spot.token).body;
        postbox.call("/v1/discard", Form::Raw, &spot.spent(&packet[1..], key));
        let ended = sender.wait_with_output().unwrap();
        assert_eq!(code(&ended), 6, "{}", text(&ended.stderr));
        assert!(text(&ended.stderr).contains("nothing shows that it was opened"));
        ok(&place, "alice", &["send"], b"next");
        assert_eq!(ok(&place, "bob", &["recv"], b""), b"next");
    }
}

#[test]
fn without_a_postbox_nothing_is_sent() {
    let place = Place::new();
    let invite = ok(&place, "alice", &["init"], b"");
    let reply = ok(&place, "bob", &["respond"], &invite);
    ok(&place, "alice", &["recv"], &reply);
    fails(&place, "alice", &["send", "--confirm"], b"text", 2);
    for other in ["--stdout", "--last"] {
        assert_eq!(code(&otr(&place, "alice", &["send", "--confirm", other], b"")), 2);
    }
    let status = text(&ok(&place, "alice", &["status"], b""));
    assert!(status.contains("0 sent"), "{status}");
}
