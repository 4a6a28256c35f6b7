//! How sessions begin and end, and what is told of them.

use serde_json::{Value, json};

use crate::client::{Rpc, pair, until};
use crate::people;
use crate::place::Place;
use crate::postbox::{Form, Postbox};

#[test]
fn two_programs_talk_through_a_postbox() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    let posted = json!({ "posted": true, "packets": [], "keys": [] });
    assert_eq!(alice.ok("send", json!({ "text": "hello" })), posted);
    let subscription = bob.ok("subscribe", json!({}));
    assert_eq!(subscription, json!({ "subscription": 1 }));
    let message = bob.message();
    assert_eq!(
        message,
        json!({
            "subscription": 1, "session": "b", "message": 0, "offset": 0, "end": true, "bytes": 5,
            "text": "hello", "authenticated": [],
        })
    );
    assert_eq!(bob.ack(&message), json!({ "stored": true }));
    // It is not there any more, and the other is not yet.
    assert_eq!(bob.fails("ack", json!({ "subscription": 1, "message": 0 })).0, 4);
    bob.ok("send", json!({ "base64": "/wD/" }));
    alice.ok("subscribe", json!({}));
    let message = alice.message();
    assert_eq!((&message["base64"], &message["bytes"]), (&json!("/wD/"), &json!(3)));
    alice.ack(&message);
    let words = alice.ok("words", json!({}));
    assert_eq!(bob.ok("words", json!({})), words);
    let status = alice.ok("status", json!({ "session": "a" }));
    assert_eq!(
        (&status["sessions"][0]["sent"], &status["sessions"][0]["received"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(alice.ok("sessions", json!({})), json!({ "sessions": ["a", "b"] }));
    // The other side learns of the end.
    assert_eq!(alice.ok("close", json!({})), posted);
    assert_eq!(alice.told("ended")["reason"], "stopped");
    assert_eq!(bob.told("ended")["reason"], "closed");
    assert_eq!(bob.fails("send", json!({ "text": "late" })), (7, "closed".to_owned()));
    assert_eq!(alice.fails("send", json!({ "text": "late" })), (3, "no_session".to_owned()));
    assert_eq!(bob.ok("close", json!({})), posted);
    assert_eq!((alice.ends(), bob.ends()), (Some(0), Some(0)));
}

/// The client carries everything itself.
#[test]
fn two_programs_talk_without_a_postbox() {
    let place = Place::new();
    let (mut alice, mut bob) = (Rpc::start(&place, &["-s", "a"]), Rpc::start(&place, &["-s", "b"]));
    let invite = alice.ok("init", json!({}))["invite"].take();
    assert_eq!(alice.ok("init.again", json!({}))["invite"], invite);
    assert_eq!(alice.fails("send", json!({ "text": "early" })).0, 14);
    let replied = bob.ok("respond", json!({ "invite": format!("> {}", invite.as_str().unwrap()) }));
    assert_eq!(bob.ok("respond.again", json!({})), replied);
    let reply = &replied["reply"];
    assert_eq!(alice.ok("accept", json!({ "reply": reply })), json!({ "secret": false }));
    assert_eq!(alice.fails("accept", json!({ "reply": reply })).0, 4);
    let sent = alice.ok("send", json!({ "text": "hello" }));
    assert_eq!(sent["posted"], false);
    assert_eq!(alice.ok("resend", json!({}))["packets"], sent["packets"]);
    let packets = sent["packets"][0].clone();
    // Until it is acknowledged, the call goes on.
    let id = bob.begin("receive", json!({ "packets": packets }));
    let message = bob.message();
    assert_eq!(message["text"], "hello");
    bob.ack(&message);
    let came = json!({ "messages": 1, "refused": 0, "held": 0, "opened": false, "closed": false });
    assert_eq!(bob.answer(id), Ok(came));
    let again = bob.ok("receive", json!({ "packets": packets }));
    assert_eq!((&again["messages"], &again["refused"]), (&json!(0), &json!(1)));
    assert_eq!(bob.fails("subscribe", json!({})).0, 14);
    assert_eq!(bob.fails("receive", json!({ "packets": "nothing" })).0, 4);
    let last = alice.ok("close", json!({}));
    let came = bob.ok("receive", json!({ "packets": last["packets"][0] }));
    assert_eq!(came["closed"], true);
    assert_eq!(bob.told("event")["event"], "closed");
}

/// The client calls a postbox itself, of which the sessions do not know.
#[test]
fn a_program_calls_the_postbox_itself() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = (Rpc::start(&place, &["-s", "a"]), Rpc::start(&place, &["-s", "b"]));
    let lines = |told: &Value| {
        let lines = told.as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        lines.collect::<Vec<_>>().join("\n").into_bytes()
    };
    let collected = |tokens: &Value| {
        let answer = postbox.call("/v1/collect?wait=0", Form::Text, &lines(tokens));
        String::from_utf8(answer.body).unwrap()
    };
    let invite = alice.ok("init", json!({}))["invite"].take();
    let reply = bob.ok("respond", json!({ "invite": invite }))["reply"].take();
    let tokens = alice.ok("expect", json!({}))["tokens"].take();
    assert_eq!(tokens.as_array().unwrap().len(), 1);
    postbox.post(&lines(&json!([reply])));
    let came = alice.ok("receive", json!({ "packets": collected(&tokens) }));
    assert_eq!(came["opened"], true);
    let tokens = bob.ok("expect", json!({ "count": 3 }))["tokens"].take();
    for text in ["one", "two"] {
        let sent = alice.ok("send", json!({ "text": text }));
        postbox.post(&lines(&sent["packets"]));
    }
    assert_eq!(bob.ok("expect.spent", json!({})), json!({ "records": [] }));
    let id = bob.begin("receive", json!({ "packets": collected(&tokens) }));
    assert_eq!((bob.takes(), bob.takes()), ("one".to_owned(), "two".to_owned()));
    bob.answer(id).unwrap();
    // It is killed before the postbox has heard of it.
    let records = bob.ok("expect.spent", json!({}))["records"].take();
    assert_eq!(records.as_array().unwrap().len(), 2);
    bob.signal("KILL");
    let mut bob = Rpc::start(&place, &["-s", "b"]);
    assert_eq!(bob.ok("expect.spent", json!({}))["records"], records);
    assert_eq!(postbox.call("/v1/discard", Form::Text, &lines(&records)).status, 204);
    assert_eq!(collected(&tokens), "");
    let first = json!({ "discarded": [records[0]] });
    assert_eq!(bob.ok("expect.spent", first)["records"], json!([records[1]]));
    // What is left is the command line's, too.
    let left = people::ok(&place, "b", &["expect", "--spent"], b"");
    assert_eq!(String::from_utf8(left).unwrap().trim_end(), records[1].as_str().unwrap());
    assert_eq!(bob.ok("expect.spent", json!({})), json!({ "records": [] }));
    assert_eq!(bob.fails("expect", json!({ "session": "nobody" })).0, 3);
}

/// A session of the command line is one of the programs', and the other way round.
#[test]
fn the_command_line_works_beside_it() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    people::pair(&place, &postbox);
    let mut rpc = Rpc::start(&place, &[]);
    let mut hasty = Rpc::start(&place, &["--lock-wait", "0s"]);
    rpc.ok("send", json!({ "session": "alice", "text": "by rpc" }));
    assert_eq!(people::ok(&place, "bob", &["recv"], b""), b"by rpc");
    rpc.ok("subscribe", json!({ "session": "bob" }));
    people::ok(&place, "alice", &["send"], b"by hand");
    // Its receiver is at work: no other one has the session, and the rest goes on.
    let said = people::fails(&place, "bob", &["recv", "--all", "--lock-wait", "1s"], b"", 15);
    assert!(said.contains("busy") || said.contains("another"), "{said}");
    people::ok(&place, "bob", &["send"], b"meanwhile");
    people::ok(&place, "bob", &["status"], b"");
    assert_eq!(rpc.takes(), "by hand");
    rpc.ok("unsubscribe", json!({ "subscription": 1 }));
    assert_eq!(rpc.told("ended")["reason"], "stopped");
    people::ok(&place, "alice", &["send"], b"to recv");
    assert_eq!(people::ok(&place, "bob", &["recv"], b""), b"to recv");
    // And while `recv` has it, the subscription is refused.
    let (mut recv, _stdin) = people::running(&place, "bob", &["recv"]);
    until("recv has the session", || {
        let params = json!({ "session": "bob", "until": "empty" });
        hasty.call("subscribe", params).is_err_and(|error| error["data"]["name"] == "busy")
    });
    people::ok(&place, "alice", &["send"], b"the last");
    assert!(recv.wait().unwrap().success());
}
