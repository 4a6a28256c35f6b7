//! After a reboot one end has lost its session: the other end learns that within one command, and
//! one command on each side begins anew.

use std::fs;

use serde_json::{Value, json};

use crate::people::{fails, ok, otr, pair, restart};
use crate::place::{Place, code, text};
use crate::postbox::Postbox;

/// What `status --ask` says of alice's session.
fn asked(place: &Place) -> Value {
    let told = ok(place, "alice", &["status", "--ask", "--json"], b"");
    let told: Value = serde_json::from_slice(&told).unwrap();
    told["sessions"][0].clone()
}

fn posted(place: &Place) -> Value {
    let mut posted = asked(place)["posted"].clone();
    let since = posted["since"].take();
    assert_eq!(since.is_null(), posted["held"] == 0);
    posted.as_object_mut().unwrap().remove("since");
    posted
}

#[test]
fn the_other_end_learns_it_and_both_begin_anew() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    // What opened the session, and its first message.
    assert_eq!(posted(&place), json!({ "collected": 2, "held": 0, "unknown": 0 }));
    fs::remove_file(place.state("bob")).unwrap();

    fails(&place, "bob", &["recv"], b"", 8);
    fails(&place, "alice", &["send", "--confirm", "--wait", "1s"], b"anybody there?", 8);
    assert_eq!(posted(&place), json!({ "collected": 2, "held": 1, "unknown": 0 }));
    let page = text(&ok(&place, "alice", &["status", "--ask"], b""));
    assert!(page.contains("posts     of the last packets there 2 collected, 1 not yet"), "{page}");
    let page = text(&ok(&place, "alice", &["status"], b""));
    assert!(!page.contains("posts"), "nobody was asked: {page}");

    let invite = ok(&place, "bob", &["init", "--postbox", &postbox.url], b"");
    fails(&place, "alice", &["respond", "--yes"], &invite, 13);
    ok(&place, "alice", &["respond", "--yes", "--anew"], &invite);
    ok(&place, "bob", &["send"], b"back again");
    assert_eq!(ok(&place, "alice", &["recv"], b""), b"back again");
}

#[test]
fn the_answering_side_learns_that_its_reply_lies_there() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let invite = ok(&place, "bob", &["init", "--postbox", &postbox.url], b"");
    ok(&place, "alice", &["respond", "--yes"], &invite);
    fs::remove_file(place.state("bob")).unwrap();
    assert_eq!(posted(&place), json!({ "collected": 0, "held": 1, "unknown": 0 }));
}

#[test]
fn a_postbox_that_lost_all_or_is_not_there_is_told() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    ok(&place, "alice", &["send"], b"lost");
    let postbox = restart(postbox);
    assert_eq!(posted(&place), json!({ "collected": 0, "held": 0, "unknown": 3 }));
    let page = text(&ok(&place, "alice", &["status", "--ask"], b""));
    assert!(page.contains("3 of them lost with a restart, or not collected in time"), "{page}");

    drop(postbox);
    fails(&place, "alice", &["send", "--retry", "0s"], b"later", 9);
    let output = otr(&place, "alice", &["status", "--ask", "--json"], b"");
    assert_eq!(code(&output), 9);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let alice = &told["sessions"][0];
    assert_eq!((&alice["posted"], &alice["unposted"]), (&Value::Null, &json!(1)));
}

#[test]
fn an_invite_begun_anew_is_another_one_and_one_s_own_is_still_refused() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    pair(&place, &postbox);
    let again = ok(&place, "alice", &["init", "--anew", "--postbox", &postbox.url], b"");
    fails(&place, "alice", &["respond", "--anew", "--yes"], &again, 13);
    fails(&place, "alice", &["respond", "--anew", "--yes"], b"no invite\n", 4);
    assert_eq!(ok(&place, "alice", &["init", "--again"], b""), again);
    ok(&place, "bob", &["respond", "--anew", "--yes"], &again);
    ok(&place, "alice", &["send"], b"anew");
    assert_eq!(ok(&place, "bob", &["recv"], b""), b"anew");
}

/// A session that begins anew keeps its postbox unless another one is typed, even against
/// `OTR_POSTBOX`, which is for sessions that have none yet.
#[test]
fn an_invite_begun_anew_keeps_the_postbox() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let anew = |more: &[&str], default: &str| {
        let mut command = place.otr(&[&["-s", "alice", "init", "--anew"], more].concat());
        let output = command.env("OTR_POSTBOX", default).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let status = ok(&place, "alice", &["status", "--json"], b"");
        let status: Value = serde_json::from_slice(&status).unwrap();
        status["sessions"][0]["postbox"].clone()
    };
    let other = "https://box.example";
    // There is no session whose postbox could be kept.
    assert_eq!(anew(&[], ""), Value::Null);
    assert_eq!(anew(&[], other), other);
    // An invite that waits, and a session.
    assert_eq!(anew(&["--postbox", &postbox.url], ""), *postbox.url);
    assert_eq!(anew(&[], ""), *postbox.url);
    pair_of(&place, &ok(&place, "alice", &["init", "--again"], b""));
    assert_eq!(anew(&[], other), *postbox.url);
    // Frozen, too.
    let invite = ok(&place, "alice", &["init", "--again"], b"");
    pair_of(&place, &invite);
    ok(&place, "alice", &["export"], b"");
    assert_eq!(anew(&[], other), *postbox.url);
    // What is typed counts.
    assert_eq!(anew(&["--postbox", other], ""), other);
    assert_eq!(anew(&["--postbox="], ""), Value::Null);
}

/// bob answers that invite, and alice takes the reply.
fn pair_of(place: &Place, invite: &[u8]) {
    ok(place, "bob", &["respond", "--yes", "--anew"], invite);
    ok(place, "alice", &["send"], b"one");
    assert_eq!(ok(place, "bob", &["recv"], b""), b"one");
}
