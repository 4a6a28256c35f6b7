//! `otr inspect`: each kind of item is told with what a stranger sees of it, and what is not ours
//! is no item.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod place;

use std::fs;

use place::{Place, code, text};
use serde_json::Value;

/// The objects that `--json` writes for this input.
fn objects(place: &Place, input: &[u8]) -> Vec<Value> {
    let told = text(&place.run(&["inspect", "--json"], input));
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A conversation's invite, reply, first packet and answer, which comes with a published key.
fn recorded(place: &Place) -> [Vec<u8>; 4] {
    let invite = place.run(&["-s", "alice", "init", "--expires", "1h"], b"");
    let reply = place.run(&["-s", "bob", "respond"], &invite);
    place.run(&["-s", "alice", "recv"], &reply);
    let packet = place.run(&["-s", "alice", "send", "--size", "16K"], b"hello");
    place.run(&["-s", "bob", "recv"], &packet);
    let answer = place.run(&["-s", "bob", "send"], b"hello yourself");
    [invite, reply, packet, answer]
}

#[test]
fn every_kind_is_told() {
    let place = Place::new();
    let objects = objects(&place, &recorded(&place).concat());
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["invite", "reply", "packet", "key", "packet", "total"]);
    let [invite, reply, packet, key, answer, total] = &objects[..] else { panic!() };

    assert_eq!((&invite["version"], &invite["secret"]), (&Value::from(1), &Value::from(false)));
    assert!(invite["expires"].as_u64().is_some() && invite["postbox"].is_null());
    // The reply lies under the address that the invite names; the key names its packet.
    assert_eq!(invite["address"], reply["address"]);
    assert_eq!(key["address"], packet["address"]);
    assert_eq!(key["address"].as_str().unwrap().len(), 8);
    assert_ne!(answer["address"], packet["address"]);
    for (object, k) in [(reply, 13), (packet, 14), (answer, 12)] {
        assert_eq!((&object["k"], &object["bytes"]), (&Value::from(k), &Value::from(1 << k)));
        // One time in a million for random bytes.
        assert!(object["p"].as_f64().unwrap() > 1e-6, "{object}");
    }
    assert!(key["p"].is_null(), "64 bytes are too few");
    for (field, count) in
        [("packets", 2), ("replies", 1), ("invites", 1), ("keys", 1), ("damaged", 0)]
    {
        assert_eq!(total[field], count, "{field}");
    }
    assert_eq!(total["bytes"], 1292 + 8192 + 16384 + 64 + 4096);
}

#[test]
fn a_person_reads_a_line_for_each_and_no_whole_address() {
    let place = Place::new();
    let [invite, _, _, answer] = recorded(&place);
    let told = text(&place.run(&["inspect"], &[&invite[..], b"-- mail\n", &answer].concat()));
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert!(lines[0].starts_with("invite, 1292 bytes, version 1, asks for no secret, expires in "));
    assert!(lines[1].starts_with("key, 64 bytes, address ") && lines[1].contains("too short"));
    assert!(lines[2].starts_with("packet, 4096 bytes (2^12), address "), "{told}");
    assert!(lines[3].starts_with("total: 5452 bytes; packets 1, replies 0, invites 1, keys 1"));
}

#[test]
fn raw_streams_and_files_are_read_as_well() {
    let place = Place::new();
    recorded(&place);
    let raw = place.run(&["-s", "bob", "send", "--raw"], b"raw");
    fs::write(place.path("a"), &raw).unwrap();
    fs::write(place.path("b"), place.run(&["-s", "bob", "send"], b"text")).unwrap();
    let told = text(&place.run(&["inspect", "a", "b", "-"], &raw));
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("a: packet, 4096 bytes"), "{told}");
    assert!(lines[1].starts_with("b: packet, "), "{told}");
    assert!(lines[2].starts_with("packet, "), "{told}");
    assert!(lines[3].starts_with("total: 12288 bytes; packets 3,"), "{told}");
    for missing in ["missing", "dir"] {
        let output = place.otr(&["inspect", missing]).output().unwrap();
        assert_eq!(code(&output), 1);
        assert!(text(&output.stderr).contains(missing));
    }
}

#[test]
fn bytes_that_are_not_random_are_told() {
    let place = Place::new();
    let line = format!("otr1p:{}\n", "A".repeat(4096_usize.div_ceil(3) * 4 - 2));
    let object = &objects(&place, line.as_bytes())[0];
    assert_eq!(object["p"], 0.0);
    assert!(text(&place.run(&["inspect"], line.as_bytes())).contains("not random"));
}

#[test]
fn what_an_invite_says_cannot_reach_the_terminal() {
    use otr::armor::encode;
    use otr::protocol::handshake::Inviting;
    use otr::protocol::randomness::{Draw, NoRandomness, Randomness};

    struct Ones;
    impl Randomness for Ones {
        fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
            out.fill(1);
            Ok(())
        }
    }
    let place = Place::new();
    let url = "https://x/\u{1b}[2J\n\u{202e}";
    let inviting = Inviting::new(url, 1, None, 0, &mut Ones).unwrap();
    let mut line = Vec::new();
    encode::invite(&mut line, inviting.invite(), None);
    let told = text(&place.run(&["inspect"], &line));
    assert!(told.contains("postbox https://x/^[[2J^J<U+202E>, "), "{told}");
    assert!(told.contains("expired "), "{told}");
    assert_eq!(objects(&place, &line)[0]["postbox"], url);

    // The same of a version that nobody knows yet.
    let mut later = inviting.invite().to_vec();
    later[0] = 9;
    line.clear();
    encode::invite(&mut line, &later, None);
    assert!(text(&place.run(&["inspect"], &line)).contains("of version 9"));
    let object = &objects(&place, &line)[0];
    assert!(object["version"].is_null() && object["address"].is_null());
}

#[test]
fn what_is_not_ours_is_refused() {
    let place = Place::new();
    for (input, expected) in [
        (&b""[..], 8),
        (b"\n", 4),
        (b"hello\n", 4),
        (b"otr1p:AAAA\n", 4),
        (b"otr1i:!\n", 4),
        (b"\xf5\x00", 4),
        (b"\xff\xfe", 4),
    ] {
        let output = place.otr(&["inspect"]).write_stdin(input).output().unwrap();
        assert_eq!(code(&output), expected, "{input:?}: {}", text(&output.stderr));
    }
    let told = text(&place.otr(&["inspect"]).write_stdin("otr1p:AAAA\n").output().unwrap().stdout);
    assert!(told.starts_with("damaged: packet: wrong length\ntotal: "), "{told}");
}
