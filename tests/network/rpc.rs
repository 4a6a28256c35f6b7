//! `otr rpc`.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Rpc, command};
use crate::place::Place;
use crate::postbox::{Postbox, otr, resident};
use crate::support::network::{FAR, Link};

/// How long the network is cut.
const CUT: Duration = Duration::from_mins(1);
/// How many messages each side sends meanwhile.
const MEANWHILE: usize = 20;

/// Takes messages with these texts, in order, and acknowledges each.
#[track_caller]
fn takes(rpc: &mut Rpc, texts: impl IntoIterator<Item = String>) {
    for text in texts {
        assert_eq!(rpc.takes(), text);
    }
}

fn numbered(name: &str) -> impl Iterator<Item = String> {
    (0..MEANWHILE).map(move |number| format!("{name} {number}"))
}

/// The postbox is on the side of the one. For the other, what it sends waits in the session, and what is
/// sent to it waits in the postbox.
#[test]
fn messages_wait_for_the_network_and_come_once() {
    let (place, link) = (Place::new(), Link::new());
    let at = format!("{FAR}:7363");
    let _postbox = Postbox::run(&mut link.far(otr().args(["postbox", "--listen", &at])));
    let of = |session| command(&place, &["-s", session, "--plain-http"]);
    let mut near = Rpc::run(&mut link.near(&of("near")));
    let mut far = Rpc::run(&mut link.far(&of("far")));
    let invite = near.ok("init", json!({ "postbox": format!("http://{at}") }))["invite"].take();
    far.ok("respond", json!({ "invite": invite, "yes": true }));
    near.ok("accept", json!({}));
    far.ok("subscribe", json!({}));
    near.ok("subscribe", json!({}));
    near.ok("send", json!({ "text": "before" }));
    far.ok("send", json!({ "text": "before" }));
    takes(&mut far, ["before".to_owned()]);
    // It has come, and is not acknowledged yet.
    let before = near.message();

    link.set(false);
    let cut = Instant::now();
    let held = resident(near.child.id());
    let stored = near.begin_ack(&before);
    // It is stored without the network, and is not to be sent again, says the table.
    let error = near.call("send", json!({ "text": "hasty", "retry": 0 })).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["taken"]), (&json!(-32009), &json!(true)));
    assert_eq!(near.answer(stored), Ok(json!({ "stored": true })));
    let patient: Vec<u64> = numbered("near")
        .map(|text| near.begin("send", json!({ "text": text, "retry": 600 })))
        .collect();
    for text in numbered("far") {
        far.ok("send", json!({ "text": text }));
    }
    assert_eq!(near.told("event")["event"], "postbox_away");
    near.ok("status", json!({}));
    thread::sleep(CUT.saturating_sub(cut.elapsed()));
    let grown = resident(near.child.id()).saturating_sub(held);
    assert!(grown < 8 << 20, "{grown} bytes more");
    link.set(true);

    for call in patient {
        near.answer(call).unwrap();
    }
    takes(&mut far, std::iter::once("hasty".to_owned()).chain(numbered("near")));
    takes(&mut near, numbered("far"));
    assert_eq!(near.told("event")["event"], "postbox_back");
    near.ok("send", json!({ "text": "after" }));
    far.ok("send", json!({ "text": "after" }));
    takes(&mut far, ["after".to_owned()]);
    takes(&mut near, ["after".to_owned()]);
    // Nothing comes a second time, here or to the next ones.
    for rpc in [&mut near, &mut far] {
        rpc.ok("unsubscribe", json!({ "subscription": 1 }));
        assert_eq!(rpc.told("ended")["reason"], "stopped");
        rpc.ok("subscribe", json!({ "until": "empty" }));
        assert_eq!(rpc.told("ended")["reason"], "nothing_more");
        rpc.heard_nothing();
    }
    assert_eq!((near.ends(), far.ends()), (Some(0), Some(0)));
}
