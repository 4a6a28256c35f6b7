//! Makes `tests/vectors/own/verify-responder-asks.json`: a check of a secret in which R asks, in
//! its chain from the handshake, before I has sent anything. The interpreter of the published sets
//! reads this set, too, and a second implementation computes its packets and MACs
//! (`tests/own_vectors`).
//!
//! `OTR_UPDATE=1 cargo test --lib made_vectors` writes the file.

use serde_json::{Map, Value, json};

use crate::protocol::authentication::password::Password;
use crate::protocol::authentication::verify::Run;
use crate::protocol::handshake::{Invitation, Inviting, respond};
use crate::protocol::packet::frame;
use crate::protocol::packet::{self, Packet};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::protocol::ratchet::address_index::AddressIndex;
use crate::protocol::session::{Outcome, Session};
use crate::protocol::tests::support::Seeded;
use crate::protocol::tests::vectors::hex;

const SECRET: &str = "Gr\u{fc}n ist die Farbe";
const QUESTION: &str = "Welche Farbe?";
const SIDES: [&str; 2] = ["I", "R"];

/// Randomness that records, by name, what it gave.
struct Noted {
    source: Seeded,
    given: Map<String, Value>,
}

impl Randomness for Noted {
    fn fill(&mut self, what: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        self.source.fill(what, out)?;
        let name = match what {
            // Of a check.
            Draw::CpaceScalar => "scalar",
            Draw::Code | Draw::NameplateSalt => panic!("no code here"),
            what => what.name(),
        };
        assert!(self.given.insert(name.to_owned(), hex(out)).is_none(), "each once");
        Ok(())
    }
}

impl Noted {
    fn taken(&mut self) -> Map<String, Value> {
        core::mem::take(&mut self.given)
    }
}

struct Conversation {
    random: Noted,
    ends: [Session; 2],
    chains: Vec<Value>,
    packets: Vec<Value>,
    events: Vec<Value>,
}

impl Conversation {
    fn begin() -> (Self, Value) {
        let mut random = Noted { source: Seeded::numbered(0x0712), given: Map::new() };
        let mut inviting = Inviting::new(Invitation::default(), 0, &mut random).unwrap();
        let of_inviter = random.taken();
        let (responder, reply) = respond(inviting.invite(), None, 0, &mut random).unwrap();
        let mut of_responder = random.taken();
        let fresh = of_responder.remove("fresh").unwrap();
        of_responder.insert("packet0_fresh".to_owned(), fresh);
        let opened = inviting.open(&reply).unwrap();
        let inviter = inviting.accept(opened, 0).unwrap();
        let ratchet = &inviter.ratchet;
        let handshake = json!({
            "secret": null, "postbox": "", "expires": 0,
            "randomness": { "I": of_inviter, "R": of_responder },
            "invite": { "bytes": hex(inviting.invite()) }, "reply": { "bytes": hex(&reply) },
            "th": hex(&ratchet.receiving.as_ref().unwrap().transcript),
            "keys": {
                "RK": hex(ratchet.root.bytes()), "SASK": hex(inviter.words.bytes()),
                "NHC_I": hex(ratchet.next_sending.bytes()),
                "NHC_R": hex(ratchet.next_receiving.bytes()),
            },
            "words": inviter.words().unwrap().join(" "),
        });
        let ends = [inviter, responder];
        let (chains, packets, events) = Default::default();
        (Self { random, ends, chains, packets, events }, handshake)
    }

    /// One side makes a packet with `seal`, and the other takes it; returns what was drawn for its
    /// frames.
    fn exchange(
        &mut self,
        from: usize,
        seal: impl FnOnce(&mut Session, &mut Noted) -> Packet,
    ) -> Map<String, Value> {
        let id = format!("p{}", self.packets.len() + 1);
        // The chain before the packet; a step that is due stays taken.
        let reservation = self.ends[from].reserve(1, &mut self.random).unwrap();
        let step = self.random.taken();
        let ((keys, headers), at) = (reservation.chain_bytes(), reservation.position());
        self.ends[from].give_back(reservation);
        let sealed = seal(&mut self.ends[from], &mut self.random);
        let mut drawn = self.random.taken();
        let fresh = drawn.remove("fresh").unwrap();

        let to = 1 - from;
        let mut index = AddressIndex::new(64);
        let mut opened = sealed.to_vec();
        let taken = self.ends[to].open(&mut index, &mut opened, None).unwrap();
        let Outcome::Accepted(accepted) = taken else { panic!("nothing is held") };
        self.ends[to].accept(&mut index, &accepted, 0).unwrap();
        let published = self.ends[to].reveals.waiting.back().unwrap().published;

        if !step.is_empty() {
            let chain = json!({ "chain": at.chain, "from": SIDES[from], "randomness": step });
            self.chains.push(chain);
        }
        self.events.push(json!({ "do": "send", "packet": id }));
        self.events.push(json!({
            "do": "deliver", "packet": id, "to": SIDES[to], "result": "accepted",
            "accounted": { "chain": at.chain, "number": at.number },
            "published_key": hex(&published), "skipped_after": [],
        }));
        self.packets.push(json!({
            "id": id, "from": SIDES[from], "chain": at.chain, "number": at.number, "k": 12,
            "step": !step.is_empty(), "randomness": { "fresh": fresh },
            "frames": frames(packet::body(&opened)),
            "CK": hex(&keys), "HC": hex(&headers), "packet": hex(&sealed),
        }));
        drawn
    }
}

/// The frames of a body, in the format of the published files.
fn frames(mut body: &[u8]) -> Vec<Value> {
    let mut frames = Vec::new();
    while body[0] != 0 {
        let length = u32::from_be_bytes(body[1..frame::FRAME_HEAD].try_into().unwrap());
        let (whole, rest) = body.split_at(frame::FRAME_HEAD + usize::try_from(length).unwrap());
        let mut frame = json!({ "type": whole[0], "bytes": hex(whole) });
        match whole[0] {
            3 => frame["name"] = "OPENING".into(),
            4 => {
                frame["name"] = "VERIFY".into();
                frame["step"] = whole[5].into();
                frame["starter"] = whole[6].into();
            }
            other => panic!("a frame of type {other}"),
        }
        frames.push(frame);
        body = rest;
    }
    frames
}

fn make() -> Value {
    let secret = Password::from_text(SECRET).unwrap();
    let (mut all, handshake) = Conversation::begin();
    let started =
        all.exchange(1, |end, random| end.start_verify(&secret, QUESTION, random).unwrap());
    let th = all.ends[1].ratchet.sending.as_ref().unwrap().transcript;
    let prs = secret.stretch(all.ends[0].question_run().unwrap()).unwrap();
    let Run::Started(run) = &all.ends[1].verify.run else { panic!("it has started") };
    let (sid, starters, scalar) = (run.sid, run.share, run.scalar.0.duplicate());
    let answered = all.exchange(0, |end, random| end.answer_verify(&prs, random).unwrap());
    all.exchange(1, |end, random| end.seal_pending(random).unwrap().unwrap());
    assert!(all.ends.iter().all(|end| end.authentication().verified));

    let field = |packet: usize, frame: usize, range: core::ops::Range<usize>| {
        let bytes = all.packets[packet]["frames"][frame]["bytes"].as_str().unwrap();
        Value::from(&bytes[2 * range.start..2 * range.end])
    };
    let head = frame::VERIFY_HEAD;
    let answerers =
        crate::protocol::tests::vectors::unhex(&field(1, 1, head..head + 32)).try_into().unwrap();
    let shared = crate::protocol::authentication::pake::Scalar(scalar).agree(&answerers).unwrap();
    json!({
        "handshake": handshake,
        "run": {
            "starter": "R", "attempt": 1, "secret": SECRET, "question": QUESTION,
            "randomness": {
                "starter_scalar": started["scalar"], "answerer_scalar": answered["scalar"],
            },
            "th_of_chain": hex(&th), "SASK": hex(all.ends[0].words.bytes()), "sid": hex(&sid),
            "PRS": hex(prs.bytes()), "starter_share": hex(&starters),
            "answerer_share": hex(&answerers), "K_point": hex(shared.bytes()),
            "mac_answerer": field(1, 1, head + 32..head + 64),
            "mac_starter": field(2, 0, head..head + 32), "result": "equal",
        },
        "chains": all.chains, "packets": all.packets, "events": all.events,
    })
}

#[test]
fn a_check_in_which_the_responder_asks_is_the_same_as_ever() {
    let made = make();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/own/verify-responder-asks.json");
    if std::env::var_os("OTR_UPDATE").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
    }
    let committed: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(made == committed, "OTR_UPDATE=1 writes the new one: {path}");
}
