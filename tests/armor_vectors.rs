//! Armor against the vectors of an independent implementation (`tests/vectors/README.md`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, outside of #[test]")]

use otr::armor::{Item, Kind, Reason, Scanner, encode};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn text(value: &Value) -> &[u8] {
    value.as_str().unwrap().as_bytes()
}

fn scan(mut input: &[u8]) -> (Vec<Item>, u64) {
    let mut scanner = Scanner::new();
    let mut items = Vec::new();
    while !input.is_empty() {
        let count = scanner.push(input);
        input = &input[count..];
        items.extend(std::iter::from_fn(|| scanner.next_item()));
    }
    scanner.finish();
    items.extend(std::iter::from_fn(|| scanner.next_item()));
    (items, scanner.unrelated_lines())
}

fn only(input: &[u8]) -> Item {
    let (mut items, unrelated) = scan(input);
    assert_eq!((items.len(), unrelated), (1, 0));
    items.remove(0)
}

fn damage(input: &[u8]) -> (Option<Kind>, Reason) {
    match only(input) {
        Item::Damaged(damaged) => (damaged.kind, damaged.reason),
        item => panic!("accepted: {item:?}"),
    }
}

#[test]
fn invites_and_replies_are_written_and_read_as_in_the_vectors() {
    for name in ["handshake-plain.json", "handshake-secret.json"] {
        let vectors = vectors(name);
        let (invite, reply) = (&vectors["invite"], &vectors["reply"]);

        let mut line = Vec::new();
        encode::invite(&mut line, &hex(&invite["bytes"]), None);
        assert_eq!(line.trim_ascii_end(), text(&invite["text"]));
        assert_eq!(only(text(&invite["text"])), Item::Invite(hex(&invite["bytes"])));

        line.clear();
        encode::reply(&mut line, &hex(&reply["bytes"]), None);
        assert_eq!(line.trim_ascii_end(), text(&reply["text"]));
        assert_eq!(only(text(&reply["text"])), Item::Reply(hex(&reply["bytes"])));
    }
}

#[test]
fn packets_and_published_keys_are_written_and_read_as_in_the_vectors() {
    let vectors = vectors("forge.json");
    let case = &vectors["cases"][0];
    let packet = hex(&case["packet"]);
    let key: [u8; 64] = hex(&case["published_key"]).try_into().unwrap();

    let mut line = Vec::new();
    encode::packet(&mut line, &packet, None);
    assert_eq!(line.trim_ascii_end(), text(&case["packet_text"]));
    assert_eq!(only(text(&case["packet_text"])), Item::Packet(packet.clone()));

    line.clear();
    encode::key(&mut line, &key, None);
    assert_eq!(line.trim_ascii_end(), text(&case["key_text"]));
    assert_eq!(only(text(&case["key_text"])), Item::Key(key));

    let mut raw = Vec::new();
    assert!(encode::raw_packet(&mut raw, &packet));
    encode::raw_key(&mut raw, &key);
    assert_eq!(raw, hex(&case["raw_stream"]));
    assert_eq!(scan(&raw).0, [Item::Packet(packet), Item::Key(key)]);
}

#[test]
fn damaged_invites_are_refused() {
    let vectors = vectors("refused.json");
    let cases = vectors["invite_texts"].as_array().unwrap();
    let expected = [
        ("a character in the middle changed", Kind::Invite, Reason::Checksum),
        ("the checksum itself changed", Kind::Invite, Reason::Checksum),
        ("two characters changed places", Kind::Invite, Reason::Checksum),
        // Whole bytes and four bits, which are zero by chance.
        ("last character missing", Kind::Invite, Reason::Checksum),
        ("one character too many", Kind::Invite, Reason::Checksum),
        ("an unused bit set", Kind::Invite, Reason::UnusedBits),
        ("standard base64 alphabet", Kind::Invite, Reason::Character),
        ("prefix of a reply", Kind::Reply, Reason::Length),
    ];
    // Here the padding is one character, which quoted-printable has as a soft break: the invite is
    // whole, as its checksum says, and is taken. Encoders do end a text without a last newline so
    // (Perl's MIME::QuotedPrint). Two of them are refused.
    let (padded, cases): (Vec<_>, Vec<_>) =
        cases.iter().partition(|case| case["name"] == "padded with =");
    let [padded] = padded[..] else { panic!("{} are padded", padded.len()) };
    let line = text(&padded["text"]);
    assert!(matches!(scan(line).0[..], [Item::Invite(_)]));
    let twice = [line.trim_ascii_end(), b"=\n"].concat();
    assert_eq!(damage(&twice), (Some(Kind::Invite), Reason::Character));
    assert_eq!(cases.len(), expected.len());
    for (case, (name, kind, reason)) in cases.into_iter().zip(expected) {
        assert_eq!(case["name"], name);
        assert_eq!(damage(text(&case["text"])), (Some(kind), reason), "{name}");
    }
}

#[test]
fn damaged_packets_and_keys_are_refused() {
    let vectors = vectors("refused.json");
    let cases = vectors["texts"].as_array().unwrap();
    let expected = [
        ("packet text: an unused bit set", Kind::Packet, Reason::UnusedBits),
        ("packet text: wrong length", Kind::Packet, Reason::Length),
        ("published key text: 63 bytes", Kind::Key, Reason::Length),
    ];
    assert_eq!(cases.len(), expected.len());
    for (case, (name, kind, reason)) in cases.iter().zip(expected) {
        assert_eq!(case["name"], name);
        assert_eq!(damage(text(&case["text"])), (Some(kind), reason), "{name}");
    }
}

#[test]
fn damaged_raw_streams_are_refused() {
    let vectors = vectors("refused.json");
    let cases = vectors["raw"].as_array().unwrap();
    let expected = [
        ("raw stream: first byte 0xF4", None, Reason::UnknownByte),
        ("raw stream: first byte 0xFE", None, Reason::UnknownByte),
        ("raw stream: ends inside a packet", Some(Kind::Packet), Reason::CutShort),
        ("raw stream: 0xF6 before 4,096 bytes", Some(Kind::Packet), Reason::CutShort),
    ];
    assert_eq!(cases.len(), expected.len());
    for (case, (name, kind, reason)) in cases.iter().zip(expected) {
        assert_eq!(case["name"], name);
        assert_eq!(damage(&hex(&case["raw"])), (kind, reason), "{name}");
    }
}
