//! A state file identifies no packet of the past: after every event of the published conversations,
//! these tests search it for every key of every packet that is finished.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::protocol::tests::vectors::{Ends, index, load, unhex};

/// The keys of one packet in the vectors. CK and HC are the chain keys before it.
const KEYS: [&str; 9] =
    ["CK", "HC", "MK", "HK", "token", "salt_key", "header_key", "body_key", "poly1305_key"];

fn holds(state: &[u8], key: &[u8]) -> bool {
    state.windows(key.len()).any(|window| window == key)
}

/// Runs the events; returns how many searches for a key were made.
fn run(vector: &Value) -> usize {
    let (_, mut ends) = Ends::new(vector);
    let packets = vector["packets"].as_array().unwrap();
    let find = |id: &Value| packets.iter().find(|packet| packet["id"] == *id).unwrap();
    // For each end, the packets that it has sealed or accepted so far.
    let mut done = [BTreeSet::new(), BTreeSet::new()];
    let mut looked = 0;
    for event in vector["events"].as_array().unwrap() {
        ends.run(vector, event);
        let packet = find(&event["packet"]);
        let id = packet["id"].as_str().unwrap();
        if event["do"] == "send" {
            done[index(&packet["from"])].insert(id);
        } else if event["result"] == "accepted" {
            let to = index(&event["to"]);
            done[to].insert(id);
            let key = unhex(&packet["poly1305_key"]);
            assert!(holds(&ends.both[to].to_stored_bytes(), &key), "{id} waits to be published");
            let published = ends.both[to].take_published();
            assert!(published.iter().any(|published| published[32..] == key));
        }
        for (side, done) in done.iter().enumerate() {
            let state = ends.both[side].to_stored_bytes();
            for packet in done.iter().map(|id| find(&Value::from(*id))) {
                for name in KEYS {
                    let what = format!("{name} of {} at {side}", packet["id"]);
                    assert!(!holds(&state, &unhex(&packet[name])), "{what}");
                    looked += 1;
                }
            }
        }
    }
    looked
}

#[test]
fn a_state_file_identifies_no_past_packet() {
    let vector = load(include_str!("../../../tests/vectors/conversation.json"));
    assert!(run(&vector) > 1_000);
}
