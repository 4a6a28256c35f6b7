//! Messages come with credit, and stay until they are acknowledged.

use serde_json::json;

use crate::client::{Rpc, pair, until};
use crate::faulty::{Fault, Faulty};
use crate::people;
use crate::place::Place;
use crate::postbox::Postbox;
use crate::socks::Socks;

#[test]
fn no_more_comes_than_the_credit_and_what_is_acknowledged_is_stored() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    for number in 0..8 {
        alice.ok("send", json!({ "text": format!("{number}") }));
    }
    bob.ok("subscribe", json!({ "credit": 3 }));
    let given: Vec<_> = (0..3).map(|_| bob.message()).collect();
    bob.heard_nothing();
    // The second waits for the first.
    assert_eq!(bob.ack(&given[1]), json!({ "stored": false }));
    bob.heard_nothing();
    assert_eq!(bob.ack(&given[0]), json!({ "stored": true }));
    let more = [bob.message(), bob.message()];
    assert_eq!((&more[0]["text"], &more[1]["text"]), (&json!("3"), &json!("4")));
    assert_eq!(bob.ack(&given[2]), json!({ "stored": true }));
    // It is killed: what was answered is stored, and the rest comes again, in order.
    bob.signal("KILL");
    drop(bob);
    let mut again = Rpc::start(&place, &["-s", "b"]);
    again.ok("subscribe", json!({ "until": "empty" }));
    let came: Vec<_> = (3..8).map(|_| again.takes()).collect();
    assert_eq!(came, ["3", "4", "5", "6", "7"]);
    assert_eq!(again.told("ended")["reason"], "nothing_more");
    assert_eq!(again.ends(), Some(0));
}

/// Calls that wait while one is on its way are posted in one step; each has its own answer, in order.
#[test]
fn messages_that_wait_go_out_together() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let faulty = Faulty::before(&postbox);
    let (mut alice, mut bob) = pair(&place, &faulty.url);
    let busy = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    faulty.set(Fault::Answer("post", busy.to_vec()));
    let before = faulty.answered("post");
    let long = "x".repeat(100_000);
    let calls: Vec<_> = (0..30)
        .map(|number| match number {
            10 => alice.begin("send", json!({ "base64": "no base64" })),
            20 => alice.begin("send", json!({ "text": long })),
            25 => alice.begin("send", json!({ "text": "x".repeat(6_000) })),
            _ => alice.begin("send", json!({ "text": number.to_string() })),
        })
        .collect();
    // All were read before this was answered.
    alice.ok("rpc.version", json!({}));
    faulty.set(Fault::None);
    for (number, call) in calls.into_iter().enumerate() {
        let posted = json!({ "posted": true, "packets": [], "keys": [] });
        match alice.answer(call) {
            Ok(told) => assert!(number != 10 && told == posted, "{number}: {told}"),
            Err(error) => assert!(number == 10 && error["code"] == -32602, "{number}: {error}"),
        }
    }
    // One by one they are 30, and this message, and two that are larger.
    let posts = faulty.answered("post") - before;
    assert!(posts <= 12, "{posts} posts");
    bob.ok("subscribe", json!({}));
    for number in (0..30).filter(|number| ![10, 20, 25].contains(number)) {
        if number == 21 || number == 26 {
            while !bob_takes_all(&mut bob) {}
        }
        assert_eq!(bob.takes(), number.to_string());
    }
}

/// Takes a part of a message; whether it was the last.
fn bob_takes_all(bob: &mut Rpc) -> bool {
    let part = bob.message();
    bob.ack(&part);
    part["end"] == true
}

/// The client goes, `otr rpc` stays to store what was acknowledged: by the end of its input.
#[test]
fn what_nobody_acknowledges_stays_in_the_postbox() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    for text in ["one", "two", "three"] {
        alice.ok("send", json!({ "text": text }));
    }
    bob.ok("subscribe", json!({}));
    let one = bob.message();
    assert_eq!(bob.message()["text"], "two");
    // Without waiting for the answer.
    bob.begin_ack(&one);
    assert_eq!(bob.ends(), Some(0));
    assert_eq!(people::ok(&place, "b", &["recv", "--all"], b""), b"twothree");
}

/// Each packet has a circuit and a call of its own there; all of them end with the subscription.
#[test]
fn a_subscription_through_tor_ends_at_once() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let (mut alice, bob) = pair(&place, &postbox.url);
    drop(bob);
    let mut bob = Rpc::start(&place, &["-s", "b", "--tor", "--proxy", &socks.url]);
    bob.ok("subscribe", json!({}));
    alice.ok("send", json!({ "text": "hello" }));
    let (message, before) = (bob.message(), socks.connections());
    bob.ack(&message);
    until("it asks for the next one", || socks.connections() > before);
    let before = socks.connections();
    bob.ok("unsubscribe", json!({ "subscription": 1 }));
    assert_eq!(bob.told("ended")["reason"], "stopped");
    let more = socks.connections() - before;
    assert!(more < 20, "{more} calls more");
    alice.ok("send", json!({ "text": "again" }));
    bob.ok("subscribe", json!({ "count": 1 }));
    assert_eq!(bob.takes(), "again");
    assert_eq!(bob.told("ended")["reason"], "enough");
}

/// The sender learns that its message was opened, from the key that the other side publishes.
#[test]
fn a_message_is_confirmed_when_it_was_acknowledged() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    let late =
        alice.call("send", json!({ "text": "one", "confirm": true, "wait": 0 })).unwrap_err();
    assert_eq!((&late["code"], &late["data"]["taken"]), (&json!(-32008), &json!(true)));
    std::fs::write(place.path("long"), vec![7; 300_000]).unwrap();
    let short = alice.begin("send", json!({ "text": "two", "confirm": true }));
    let long = alice.begin("send", json!({ "file": "long", "confirm": true }));
    // Later calls go on meanwhile.
    alice.ok("send", json!({ "text": "three" }));
    bob.ok("subscribe", json!({}));
    assert_eq!((bob.takes(), bob.takes()), ("one".to_owned(), "two".to_owned()));
    alice.answer(short).unwrap();
    while !bob.message()["end"].as_bool().unwrap() {}
    // Whoever waits for that and says all that there is to say ends at once.
    alice.client.out = None;
    assert_eq!(alice.answer(long).unwrap_err()["data"]["name"], "nothing_yet");
    assert_eq!(alice.ends(), Some(0));
    let none = Rpc::start(&place, &[])
        .call("send", json!({ "session": "b", "text": "four", "confirm": true, "by_hand": true }));
    assert_eq!(none.unwrap_err()["code"], -32602);
}
