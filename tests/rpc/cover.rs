//! Messages that wait for their moment, and packets that say nothing.

use std::time::Instant;

use serde_json::json;

use crate::client::{Rpc, pair, until};
use crate::people::{fails, ok};
use crate::place::Place;
use crate::postbox::{Postbox, stored};
use crate::socks::Socks;

#[test]
fn what_is_left_takes_the_place_of_the_next_packet_of_the_cover() {
    let place = Place::new();
    let admin = place.path("admin");
    let postbox = Postbox::start(&["--admin", &format!("unix:{}", admin.display())]);
    let (_alice, mut bob) = pair(&place, &postbox.url);
    ok(&place, "b", &["recv", "--all"], b"");
    let socks = Socks::before(postbox.url.strip_prefix("http://").unwrap());
    let usage = (2, "usage".to_owned());
    // Where it would hide nothing, or not last.
    assert_eq!(bob.fails("subscribe", json!({ "cover": 60 })), usage);
    let mut bob = Rpc::start(&place, &["-s", "b", "--tor", "--proxy", &socks.url]);
    for params in [
        json!({ "constant": true }),
        json!({ "cover": 60, "count": 1 }),
        json!({ "cover": 60, "until": "empty" }),
    ] {
        assert_eq!(bob.fails("subscribe", params), usage);
    }
    let begun = stored(&admin);
    bob.ok("subscribe", json!({ "cover": 1, "constant": true }));
    until("cover is there", || stored(&admin) >= begun + 2);
    let (since, before) = (Instant::now(), stored(&admin));
    let texts = ["one", "two", "three"];
    for text in texts {
        let left = bob.ok("send", json!({ "text": text, "later": true }));
        assert_eq!(left, json!({ "posted": false, "packets": [], "keys": [] }));
    }
    until("all are there", || stored(&admin) >= before + 3);
    // No packet has gone between those of the cover: then they would be more than the seconds.
    let (count, seconds) = (stored(&admin) - before, since.elapsed().as_secs());
    assert!(count <= seconds + 1, "{count} packets in {seconds} s");
    for text in texts {
        assert_eq!(ok(&place, "a", &["recv", "--wait", "1m"], b""), text.as_bytes());
    }
    // It goes on until the subscription ends.
    let before = stored(&admin);
    until("more is there", || stored(&admin) > before);
    bob.ok("unsubscribe", json!({ "subscription": 1 }));
    assert_eq!(bob.told("ended")["reason"], "stopped");
    bob.ok("send", json!({ "text": "four", "later": true }));
    let last = stored(&admin);
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(stored(&admin), last);
    // What waits is not lost with the program.
    bob.signal("KILL");
    drop(bob);
    Rpc::start(&place, &["-s", "b"]).ok("flush", json!({}));
    assert_eq!(ok(&place, "a", &["recv", "--wait", "1m"], b""), b"four");
}

#[test]
fn a_held_message_is_posted_at_its_moment_and_keeps_no_other_call() {
    let (place, postbox) = (Place::new(), Postbox::start(&[]));
    let (mut alice, mut bob) = pair(&place, &postbox.url);
    bob.ok("subscribe", json!({}));
    let soon = alice.ok("send", json!({ "text": "soon", "hold": 1 }));
    assert_eq!(soon, json!({ "posted": true, "packets": [], "keys": [] }));
    assert_eq!(bob.takes(), "soon");
    alice.begin("send", json!({ "text": "in a year", "hold": 300 * 24 * 60 * 60 }));
    alice.ok("send", json!({ "text": "now" }));
    assert_eq!(bob.takes(), "now");
    let usage = (2, "usage".to_owned());
    for params in [
        json!({ "text": "x", "hold": 0, "by_hand": true }),
        json!({ "text": "x", "hold": 0, "later": true }),
        json!({ "text": "x", "later": true, "confirm": true }),
        json!({ "file": "file", "later": true }),
    ] {
        std::fs::write(place.path("file"), "x").unwrap();
        assert_eq!(alice.fails("send", params), usage);
    }
    let long = json!({ "text": "x".repeat(1 << 20), "later": true });
    assert_eq!(alice.fails("send", long), (4, "refused".to_owned()));
    bob.heard_nothing();
    // It was not taken, and goes with the program.
    alice.signal("TERM");
    alice.child.wait().unwrap();
    assert!(
        ok(&place, "a", &["status", "--json"], b"")
            .windows(12)
            .any(|part| part == b"\"unposted\":0")
    );
    drop(bob);
    fails(&place, "b", &["recv", "--all"], b"", 8);
}
