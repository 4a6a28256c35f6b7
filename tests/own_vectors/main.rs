//! Vectors for what the published ones are too small for: packets above 2^16 bytes, whose salt is
//! the fresh bytes themselves, messages of several full packets, and a check of a secret in which R
//! asks (which `src/protocol/tests/made_vectors.rs` makes).
//!
//! `tests/vectors/own/large.json` holds the randomness by name, the keys, and SHA-256 of each packet
//! and text. The test makes it all again; a packet of 2^17 bytes is opened by a second
//! implementation too. Where the two files differ, the new one lies in the directory for temporary
//! files that cargo gives to tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/reference.rs"]
mod reference;

use common::{Awake, Seeded, short_sighted};
use otr::protocol::handshake::{Invitation, Inviting, respond};
use otr::protocol::packet;
use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use otr::protocol::session::{Outcome, Part, body};
use reference::{ask, hex};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Randomness that records, by name, what it gave.
struct Noted {
    source: Seeded,
    given: Map<String, Value>,
}

impl Randomness for Noted {
    fn fill(&mut self, what: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        self.source.fill(what, out)?;
        let name = what.name();
        assert!(self.given.insert(name.to_owned(), hex(out).into()).is_none(), "each once");
        Ok(())
    }
}

impl Noted {
    fn taken(&mut self) -> Value {
        Value::Object(core::mem::take(&mut self.given))
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Byte i of a text is i × 31 + i ÷ 256, modulo 256.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i * 31 + i / 256) % 256).unwrap()).collect()
}

/// CK and HC of a sender's next number, from the state file: behind its head of 12 bytes lie the
/// role (1), RK (32), whether there is a chain (1), its index (4), CK and HC.
fn sending_chain(end: &Awake) -> (String, String) {
    let state = end.state();
    assert_eq!(state[45], 1, "there is a sending chain");
    (hex(&state[50..82]), hex(&state[82..114]))
}

struct Made {
    packets: Vec<Vec<u8>>,
    file: Value,
}

fn make() -> Made {
    let mut random = Noted { source: Seeded::new(b"own vectors"), given: Map::new() };
    let mut inviting = Inviting::new(Invitation::default(), 0, &mut random).unwrap();
    let of_inviter = random.taken();
    let (responder, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
    let of_responder = random.taken();
    let opened = inviting.open(&reply).unwrap();
    let mut inviter = Awake::new(inviting.accept(opened, 0).unwrap());
    let mut responder = Awake::new(responder);
    let mut ahead = short_sighted();

    let full = (1 << 20) - 2404 - 22 - 37;
    let mut packets = Vec::new();
    let mut messages = Vec::new();
    // One packet of 2^17; full ones and a rest; full ones alone; the largest single ones.
    for (number, length) in (0..).zip([100_000, 2 * full + 5_000, 2 * full, full]) {
        let whole = text(length);
        assert_eq!(inviter.begin_message(), number);
        let mut parts = Vec::new();
        let mut offset = 0;
        while offset < length {
            let mut numbers = inviter.reserve(1, &mut random).unwrap();
            let step = random.taken();
            // The chain as it was: the reserved number is given back for a moment.
            let position = numbers.position();
            inviter.give_back(numbers);
            let (chain_key, header_chain_key) = sending_chain(&inviter);
            numbers = inviter.reserve(1, &mut random).unwrap();

            let part = (length - offset).min(numbers.room(20));
            let k = numbers.fit(part, 12).unwrap();
            let mut bytes = vec![0; packet::size(k)];
            let start = numbers.text_start();
            bytes[start..start + part].copy_from_slice(&whole[offset..offset + part]);
            let end = offset + part == length;
            let head = Part { message: number, offset: offset as u64, end, length: part };
            numbers.seal_part(&mut bytes, head, &mut random).unwrap();
            let randomness = random.taken();

            let mut opened = bytes.clone();
            let Outcome::Accepted(accepted) =
                responder.open(&mut ahead, &mut opened, None).unwrap()
            else {
                panic!("parts come in order")
            };
            responder.accept(&mut ahead, &accepted, 0).unwrap();
            let published = responder.take_published();
            let data = accepted.frames.data.unwrap();
            assert_eq!(body(&opened)[data.text.clone()], whole[offset..offset + part]);
            parts.push(json!({
                "chain": position.chain, "number": position.number, "k": k,
                "step": step, "randomness": randomness, "CK": chain_key, "HC": header_chain_key,
                "offset": offset, "end": end, "text_length": part,
                "salt": hex(&bytes[32..64]), "address": hex(&bytes[..32]),
                "packet_sha256": sha256(&bytes), "poly1305_key": hex(&published[0][32..]),
            }));
            packets.push(bytes);
            offset += part;
        }
        messages.push(json!({
            "message": number, "length": length, "text_sha256": sha256(&whole), "packets": parts,
        }));
    }
    let file = json!({
        "text": "byte i is i * 31 + i / 256, modulo 256",
        "randomness": { "I": of_inviter, "R": of_responder },
        "invite_sha256": sha256(inviting.invite()), "reply_sha256": sha256(&reply),
        "from": "I", "messages": messages,
    });
    Made { packets, file }
}

#[test]
fn large_packets_are_the_same_as_ever() {
    let made = make().file;
    let committed = include_str!("../vectors/own/large.json");
    let written = format!("{}/large.json", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&written, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    let committed: Value = serde_json::from_str(committed).unwrap();
    assert!(committed == made, "made now: {written}");
    let sizes: Vec<u64> = committed["messages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| message["packets"].as_array().unwrap())
        .map(|packet| packet["k"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [17, 20, 20, 13, 20, 20, 20]);
}

/// The packet of 2^17 bytes and the rest of 2^13.
#[test]
fn a_second_implementation_opens_a_large_packet() {
    let made = make();
    let listed: Vec<&Value> = made.file["messages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|message| message["packets"].as_array().unwrap())
        .collect();
    for at in [0, 3] {
        let (packet, bytes) = (listed[at], &made.packets[at]);
        let answer = ask(&json!({
            "do": "open", "CK": packet["CK"], "HC": packet["HC"], "packet": hex(bytes),
        }));
        for name in ["address", "poly1305_key"] {
            assert_eq!(answer[name], packet[name], "{name}");
        }
        if at == 0 {
            assert_eq!(packet["salt"], packet["randomness"]["fresh"], "above 2^16");
        } else {
            assert_ne!(packet["salt"], packet["randomness"]["fresh"]);
        }
        assert_eq!(answer["previous_length"], 0);
        let frames = answer["frames"].as_array().unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0], json!({ "type": 3, "length": 32 }));
        for name in ["offset", "end", "text_length"] {
            assert_eq!(frames[1][name], packet[name], "{name}");
        }
        let offset = usize::try_from(packet["offset"].as_u64().unwrap()).unwrap();
        let length = usize::try_from(packet["text_length"].as_u64().unwrap()).unwrap();
        assert_eq!(frames[1]["text_sha256"], sha256(&text(offset + length)[offset..]));
    }
}

/// A check in which R asks: its packets, its name and its MACs.
#[test]
fn a_second_implementation_works_out_a_check_in_which_the_responder_asks() {
    let made: Value =
        serde_json::from_str(include_str!("../vectors/own/verify-responder-asks.json")).unwrap();
    let run = &made["run"];
    assert_eq!(run["starter"], "R");
    let answer = ask(&json!({ "do": "verify", "run": run }));
    for name in ["sid", "mac_answerer", "mac_starter"] {
        assert_eq!(answer[name], run[name], "{name}");
    }
    // The same from the given set, in which I asks, where ISK is given too.
    let given: Value = serde_json::from_str(include_str!("../vectors/verify.json")).unwrap();
    let answer = ask(&json!({ "do": "verify", "run": given["run"] }));
    for name in ["sid", "ISK", "K", "mac_answerer", "mac_starter"] {
        assert_eq!(answer[name], given["run"][name], "{name}");
    }
    for packet in made["packets"].as_array().unwrap() {
        let answer = ask(&json!({
            "do": "open", "CK": packet["CK"], "HC": packet["HC"], "packet": packet["packet"],
        }));
        let published = made["events"].as_array().unwrap().iter().find_map(|event| {
            event["published_key"].as_str().filter(|_| event["packet"] == packet["id"])
        });
        assert_eq!(answer["poly1305_key"], published.unwrap()[64..]);
        let listed = packet["frames"].as_array().unwrap();
        let opened = answer["frames"].as_array().unwrap();
        assert_eq!(opened.len(), listed.len());
        for (opened, listed) in opened.iter().zip(listed) {
            assert_eq!(opened["type"], listed["type"]);
        }
    }
}
