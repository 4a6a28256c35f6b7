//! `otr inspect`: each kind of item is shown with what a stranger sees of it, and unrelated text is
//! not an item.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod common;
mod place;

use std::fs;

use common::Seeded;
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
fn a_person_reads_a_table_of_80_columns_and_no_whole_address() {
    let place = Place::new();
    let [invite, _, packet, answer] = recorded(&place);
    let capture = [&invite[..], b"-- mail\n", &packet, &answer, &packet].concat();
    for arguments in [&["inspect"][..], &["inspect", "--keys"]] {
        let told = text(&place.run(arguments, &capture));
        let lines: Vec<_> = told.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{told}");
        assert!(lines[1].starts_with("    1  invite       1292  "), "{told}");
        assert!(
            lines[2].starts_with("       version 1, asks for no secret, expires in "),
            "{told}"
        );
        assert!(lines[4].starts_with("    2  packet      16384  "), "{told}");
        assert!(lines[5].starts_with("    3  key            64  ") && lines[5].ends_with("short"));
        assert!(
            lines[9].starts_with("total: 38220 bytes; invites 1, replies 0, packets 3, keys 1")
        );
        assert!(lines[10].ends_with("their size, their address, nothing else."), "{told}");
        assert!(lines[11].starts_with("chi-square over their 20480 bytes: "), "counted once");
        assert!(told.contains("That is a small capture"), "{told}");
    }
}

#[test]
fn published_keys_are_tried_on_the_packets_that_they_name() {
    let place = Place::new();
    let [_, _, packet, answer] = recorded(&place);
    fs::write(place.path("answer"), &answer).unwrap();
    let mut changed = packet.clone();
    let end = changed.len() - 4;
    changed[end] = if changed[end] == b'A' { b'B' } else { b'A' };
    let capture = [packet.clone(), changed, packet.clone()].concat();

    let told = text(&place.run(&["inspect", "--keys"], &[&capture[..], &answer].concat()));
    for expected in [
        "  packet 1 verifies under key 4\n",
        "  packet 2 DOES NOT verify under key 4\n",
        "  packet 3 verifies under key 4, the same bytes as 1\n",
        "packets whose key is not published here: 1\n",
        "proves nothing about who made it",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains("forged"), "a copy is no second text: {told}");
    let told = text(&place.run(&["inspect", "--keys=answer"], &capture));
    assert!(told.contains("packet 1 verifies under KEYS 1"), "{told}");

    let told = text(&place.run(&["inspect", "--keys=answer", "--json"], &capture));
    let objects: Vec<Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let macs: Vec<_> = objects.iter().filter(|object| object["kind"] == "mac").collect();
    assert_eq!(macs.len(), 3);
    for (mac, (item, verifies, copy)) in
        macs.iter().zip([(1, true, Value::Null), (2, false, Value::Null), (3, true, 1.into())])
    {
        assert_eq!((&mac["item"], &mac["verifies"]), (&item.into(), &verifies.into()));
        assert!(mac["key"].is_null() && mac["copy_of"] == copy);
    }
    let total = objects.last().unwrap();
    assert_eq!((&total["verified"], &total["two_texts"]), (&Value::from(2), &Value::from(0)));

    let refused = place.otr(&["inspect", "--keys=nothing"]).write_stdin(capture).output().unwrap();
    assert_eq!(code(&refused), 1);
    fs::write(place.path("nothing"), "no key").unwrap();
    let refused = place.otr(&["inspect", "--keys=nothing", "answer"]).output().unwrap();
    assert_eq!(code(&refused), 4);
}

#[test]
fn raw_streams_files_and_directories_are_read_as_well() {
    let place = Place::new();
    recorded(&place);
    let raw = place.run(&["-s", "bob", "send", "--raw"], b"raw");
    fs::create_dir_all(place.path("captures/below")).unwrap();
    fs::write(place.path("captures/b"), &raw).unwrap();
    fs::write(place.path("captures/.hidden"), &raw).unwrap();
    let sent = place.run(&["-s", "bob", "send"], b"text");
    fs::write(place.path("captures/a"), sent).unwrap();
    let told = text(&place.run(&["inspect", "captures", "-"], &raw));
    let lines: Vec<_> = told.lines().collect();
    assert_eq!((lines[1], lines[3]), ("captures/a", "captures/b"), "{told}");
    assert!(lines[2].starts_with("    1  packet       4096  "), "{told}");
    assert!(lines[4].starts_with("    2  packet       4096  "), "{told}");
    assert!(lines[5].starts_with("    3  packet       4096  "), "{told}");
    assert!(lines[7].starts_with("total: 12288 bytes; invites 0, replies 0, packets 3,"), "{told}");
    for (name, expected) in [("missing", 1), ("captures/below", 8)] {
        let output = place.otr(&["inspect", name]).output().unwrap();
        assert_eq!(code(&output), expected);
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
    use otr::protocol::handshake::{Invitation, Inviting};

    let place = Place::new();
    let url = "https://x/\u{1b}[2J\n\u{202e}";
    let inviting = Inviting::new(
        Invitation { postbox: Some(url), expires: Some(1), ..Invitation::default() },
        0,
        &mut Seeded::new(b"inspect"),
    )
    .unwrap();
    let mut line = Vec::new();
    encode::invite(&mut line, inviting.invite(), None);
    let told = text(&place.run(&["inspect"], &line));
    assert!(told.contains("postbox https://x/^[[2J^J<U+202E>\n"), "{told}");
    assert!(told.contains("expired "), "{told}");
    assert_eq!(objects(&place, &line)[0]["postbox"], url);

    // The same for a version that nobody knows yet.
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
    assert!(told.contains("    1  damaged: packet: wrong length\n\ntotal: "), "{told}");
}
