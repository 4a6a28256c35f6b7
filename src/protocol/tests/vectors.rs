//! The published test vectors of the design, `tests/vectors/`, made by an independent
//! implementation: every intermediate value, and every input that must be refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::protocol::authentication::nameplate::{Code, Nameplate};
use crate::protocol::authentication::password::Password;
use crate::protocol::crypto::primitives::DH_PUBLIC;
use crate::protocol::deniability::forge;
use crate::protocol::handshake::invite::Invite;
use crate::protocol::handshake::{Invitation, Inviting, ReplyError, RespondError, respond};
use crate::protocol::packet::{self, Packet, frame};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use crate::protocol::session::stored::{Stage, Stored};
use crate::protocol::session::{Outcome, Refusal, Role, Session};
use crate::protocol::tests::support;

pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    support::unhex(value.as_str().expect("a hex string"))
}

pub(super) fn hex(bytes: &[u8]) -> Value {
    use std::fmt::Write;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text.into()
}

pub(super) fn load(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// Randomness by name, as the vectors give it; each value is used once.
#[derive(Default)]
struct Named(BTreeMap<Draw, Vec<u8>>);

impl Named {
    fn with(mut self, what: Draw, value: &Value) -> Self {
        self.0.insert(what, unhex(value));
        self
    }

    fn with_some(self, what: Draw, value: Option<&Value>) -> Self {
        match value {
            Some(value) => self.with(what, value),
            None => self,
        }
    }

    fn inviter(value: &Value) -> Self {
        Self::default()
            .with(Draw::X25519, &value["x25519"])
            .with(Draw::KemSeed, &value["dz"])
            .with(Draw::Nonce, &value["nonce_I"])
            .with(Draw::ReplyToken, &value["reply_token"])
            .with_some(Draw::CpaceScalar, value.get("cpace_scalar"))
    }

    fn responder(value: &Value) -> Self {
        Self::default()
            .with(Draw::X25519, &value["x25519"])
            .with(Draw::KemSeed, &value["dz"])
            .with(Draw::KemMessage, &value["m"])
            .with_some(Draw::Filler, value.get("filler"))
            .with_some(Draw::CpaceScalar, value.get("cpace_scalar"))
            .with(Draw::ReplySalt, &value["reply_salt"])
            .with(Draw::PacketFresh, &value["packet0_fresh"])
    }
}

impl Randomness for Named {
    fn fill(&mut self, what: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        out.copy_from_slice(&self.0.remove(&what).ok_or(NoRandomness)?);
        Ok(())
    }
}

fn secret(value: &Value) -> Option<Password> {
    value.as_str().map(|text| Password::from_text(text).unwrap())
}

/// The inviter of a handshake, who has not seen any reply.
fn inviting(vector: &Value) -> Inviting {
    let expires = vector.get("expires").map_or(0, number);
    let postbox = vector["postbox"].as_str().unwrap_or_default();
    let mut random = Named::inviter(&vector["randomness"]["I"]);
    let secret = secret(&vector["secret"]);
    let inviting = Inviting::new(
        Invitation { postbox: Some(postbox), expires: Some(expires), secret: secret.as_ref() },
        0,
        &mut random,
    )
    .unwrap();
    assert!(random.0.is_empty(), "every value that was given is used");
    assert_eq!(inviting.invite(), unhex(&vector["invite"]["bytes"]));
    inviting
}

/// Both ends of a handshake, checked byte for byte.
fn handshake(vector: &Value) -> (Inviting, Session, Session) {
    let mut inviting = inviting(vector);
    let secret = secret(&vector["secret"]);
    let mut random = Named::responder(&vector["randomness"]["R"]);
    let (responder, reply) = respond(inviting.invite(), secret.as_ref(), 0, &mut random).unwrap();
    assert!(random.0.is_empty(), "every value that was given is used");
    assert_eq!(reply, unhex(&vector["reply"]["bytes"]));
    let opened = inviting.open(&reply).unwrap();
    let inviter = inviting.accept(opened, 0).unwrap();
    if let Some(words) = vector["words"].as_str() {
        assert_eq!(inviter.words().unwrap().join(" "), words);
    }
    assert!(responder.words().is_err(), "the commitment was not opened yet");

    let keys = &vector["keys"];
    for end in [&inviter, &responder] {
        assert_eq!(end.ratchet.root.bytes()[..], unhex(&keys["RK"]));
        assert_eq!(end.words.bytes()[..], unhex(&keys["SASK"]));
    }
    assert_eq!(inviter.ratchet.next_sending.bytes()[..], unhex(&keys["NHC_I"]));
    assert_eq!(inviter.ratchet.next_receiving.bytes()[..], unhex(&keys["NHC_R"]));
    let transcript = inviter.ratchet.receiving.as_ref().unwrap().transcript;
    assert_eq!(transcript[..], unhex(&vector["th"]));
    (inviting, inviter, responder)
}

#[test]
fn plain_handshake() {
    let vector = load(include_str!("../../../tests/vectors/handshake-plain.json"));
    let (inviting, _, _) = handshake(&vector);
    let invite = Invite::parse(inviting.invite()).unwrap();
    assert_eq!(invite.key.bytes()[..DH_PUBLIC], unhex(&vector["invite"]["dh_pk"]));
    assert_eq!(invite.key.kem()[..], unhex(&vector["invite"]["kem_ek"]));
    assert_eq!(invite.commitment[..], unhex(&vector["invite"]["commitment"]));
    assert_eq!(invite.reply_address[..], unhex(&vector["invite"]["reply_address"]));
    assert_eq!(invite.to_bytes(), inviting.invite());
}

#[test]
fn handshake_with_a_secret() {
    let vector = load(include_str!("../../../tests/vectors/handshake-secret.json"));
    let (inviting, inviter, responder) = handshake(&vector);
    let invite = Invite::parse(inviting.invite()).unwrap();
    assert_eq!(invite.cpace_share.unwrap()[..], unhex(&vector["invite"]["cpace_share"]));
    let secret = secret(&vector["secret"]).unwrap();
    assert_eq!(secret.bytes(), unhex(&vector["cpace"]["secret_bytes"]));
    let prs = secret.stretch(&invite.commitment).unwrap();
    assert_eq!(prs.bytes()[..], unhex(&vector["cpace"]["PRS"]));
    assert_eq!(invite.to_bytes_without_share(), unhex(&vector["cpace"]["ADa"]));
    assert!(inviting.is_spent());
    assert!(inviter.authentication().secret && inviter.may_send_text());
    assert!(!responder.authentication().any() && !responder.may_send_text());
}

#[test]
fn nameplate() {
    let vector = load(include_str!("../../../tests/vectors/nameplate.json"));
    let code = Code::parse(vector["code"].as_str().unwrap()).unwrap();
    assert_eq!(code.number().to_string(), vector["number"].as_str().unwrap());
    assert_eq!(code.secret().unwrap().bytes(), vector["secret"].as_str().unwrap().as_bytes());
    let nameplate = Nameplate::of(code.number());
    assert_eq!(nameplate.token()[..], unhex(&vector["token"]));
    assert_eq!(nameplate.address()[..], unhex(&vector["address"]));
    let mut random = Named::default().with(Draw::NameplateSalt, &vector["randomness"]["salt"]);
    let invite = unhex(&vector["invite"]);
    let bytes = nameplate.seal(&invite, &mut random).unwrap();
    assert_eq!(bytes, unhex(&vector["bytes"]));
    assert_eq!(nameplate.open(&bytes), Some(invite));
}

/// The randomness that one packet draws.
fn random_of(vector: &Value, packet: &Value) -> Named {
    let random = Named::default().with(Draw::PacketFresh, &packet["randomness"]["fresh"]);
    if packet["step"] != true {
        return random;
    }
    let chains = vector["chains"].as_array().unwrap();
    let chain = chains.iter().find(|chain| chain["chain"] == packet["chain"]).unwrap();
    random
        .with(Draw::X25519, &chain["randomness"]["x25519"])
        .with(Draw::KemSeed, &chain["randomness"]["dz"])
        .with(Draw::KemMessage, &chain["randomness"]["m"])
}

/// The steps of VERIFY in a packet, and all its frames but OPENING, which the sender adds.
fn frames_of(packet: &Value) -> (Vec<u64>, Vec<u8>) {
    let frames = packet["frames"].as_array().unwrap();
    let steps = frames.iter().filter(|frame| frame["name"] == "VERIFY");
    let bytes = frames.iter().filter(|frame| frame["name"] != "OPENING");
    (
        steps.map(|frame| number(&frame["step"])).collect(),
        bytes.flat_map(|frame| unhex(&frame["bytes"])).collect(),
    )
}

fn asleep_from(bytes: &[u8]) -> Session {
    match Stored::from_bytes(bytes).unwrap().stage {
        Stage::Session(session) => *session,
        Stage::Inviting(_) => panic!("it went to sleep as a session"),
    }
}

/// Makes the packet in which a side of `run` takes these steps: the last one is new, those before
/// it were pending.
fn verify_step(end: &mut Session, run: &Value, steps: &[u64], random: &mut Named) -> Packet {
    let secret = secret(&run["secret"]).unwrap();
    let scalar = |random: &mut Named, name: &str| {
        random.0.insert(Draw::CpaceScalar, unhex(&run["randomness"][name]));
    };
    match steps.last() {
        Some(1) => {
            scalar(random, "starter_scalar");
            let question = run["question"].as_str().unwrap();
            let sealed = end.start_verify(&secret, question, random).unwrap();
            let crate::protocol::authentication::verify::Run::Started(started) = &end.verify.run
            else {
                panic!("it has started");
            };
            assert_eq!(end.role() == Role::Inviter, run["starter"] == "I");
            assert_eq!(started.sid[..], unhex(&run["sid"]));
            assert_eq!(started.share[..], unhex(&run["starter_share"]));
            sealed
        }
        Some(2) => {
            scalar(random, "answerer_scalar");
            assert_eq!(end.question(), run["question"].as_str());
            let prs = secret.stretch(end.question_run().unwrap()).unwrap();
            assert_eq!(prs.bytes()[..], unhex(&run["PRS"]));
            let failures = end.verify_failures();
            let sealed = end.answer_verify(&prs, random).unwrap();
            let crate::protocol::authentication::verify::Run::Answered(answered) = &end.verify.run
            else {
                panic!("it has answered");
            };
            assert_eq!(answered.expected.bytes()[..], unhex(&run["mac_starter"]));
            assert_eq!(end.verify_failures(), failures + 1);
            sealed
        }
        _ => end.seal_pending(random).unwrap().unwrap(),
    }
}

pub(super) struct Ends {
    pub(super) both: [Session; 2],
    indices: [AddressIndex; 2],
    /// Decrypted copies by packet id.
    opened: BTreeMap<String, Vec<u8>>,
}

pub(super) fn index(side: &Value) -> usize {
    match side.as_str() {
        Some("I") => 0,
        Some("R") => 1,
        _ => panic!("a side is I or R"),
    }
}

impl Ends {
    pub(super) fn new(vector: &Value) -> (Inviting, Self) {
        let (inviting, inviter, responder) = handshake(&vector["handshake"]);
        let indices = [AddressIndex::new(LOOK_AHEAD), AddressIndex::new(LOOK_AHEAD)];
        (inviting, Self { both: [inviter, responder], indices, opened: BTreeMap::new() })
    }

    fn send(&mut self, vector: &Value, packet: &Value) {
        let mut random = random_of(vector, packet);
        let end = &mut self.both[index(&packet["from"])];
        let mut reservation = end.reserve(1, &mut random).unwrap();
        let (keys, headers) = reservation.chain_bytes();
        assert_eq!(keys[..], unhex(&packet["CK"]));
        assert_eq!(headers[..], unhex(&packet["HC"]));
        assert_eq!(u64::from(reservation.position().chain), number(&packet["chain"]));
        assert_eq!(u64::from(reservation.position().number), number(&packet["number"]));
        let k = u8::try_from(number(&packet["k"])).unwrap();
        let (steps, frames) = frames_of(packet);
        let sealed = match vector.get("run").filter(|_| !steps.is_empty()) {
            None => reservation.seal_frames(k, &frames, &mut random).unwrap(),
            Some(run) => {
                // The session makes these frames itself; a ratchet step that was due stays taken.
                end.give_back(reservation);
                verify_step(end, run, &steps, &mut random)
            }
        };
        assert!(random.0.is_empty(), "every value that was given is used");
        assert_eq!(*sealed, *unhex(&packet["packet"]), "packet {}", packet["id"]);
    }

    fn deliver(&mut self, event: &Value, packet: &Value) {
        let to = index(&event["to"]);
        let mut bytes = unhex(&packet["packet"]);
        let before = bytes.clone();
        let outcome = self.both[to].open(&mut self.indices[to], &mut bytes, None).unwrap();
        match (outcome, event["result"].as_str().unwrap()) {
            (Outcome::Held { .. }, "held") => assert_eq!(bytes, before),
            (Outcome::Accepted(accepted), "accepted") => {
                self.both[to].accept(&mut self.indices[to], &accepted, 0).unwrap();
                let at = &event["accounted"];
                assert_eq!(u64::from(accepted.at.chain), number(&at["chain"]));
                assert_eq!(u64::from(accepted.at.number), number(&at["number"]));
                self.check(to, event, &accepted.frames, packet::body(&bytes));
                self.opened.insert(packet["id"].as_str().unwrap().to_owned(), bytes);
            }
            (_, expected) => panic!("{} was not {expected}", packet["id"]),
        }
    }

    fn check(
        &mut self,
        to: usize,
        event: &Value,
        frames: &crate::protocol::packet::frame::Frames,
        body: &[u8],
    ) {
        let end = &self.both[to];
        if let Some(expected) = event.get("data") {
            let data = frames.data.as_ref().unwrap();
            assert_eq!(data.message, number(&expected["message"]));
            assert_eq!(data.offset, number(&expected["offset"]));
            assert_eq!(Some(data.end), expected["end"].as_bool());
            let text = std::str::from_utf8(&body[data.text.clone()]).unwrap();
            assert_eq!(Some(text), expected["text"].as_str());
        } else {
            assert!(frames.data.is_none());
        }
        if let Some(message) = event.get("message") {
            assert!(end.inbox.complete.contains(number(&message["message"])));
        }
        assert_eq!(frames.close, event.get("close").and_then(Value::as_u64));
        let published = end.reveals.waiting.back().unwrap().published;
        assert_eq!(published[..], unhex(&event["published_key"]));
        let skipped: Vec<(u64, u64)> = end
            .ratchet
            .skipped
            .numbers
            .keys()
            .map(|at| (u64::from(at.chain), u64::from(at.number)))
            .collect();
        let expected: Vec<(u64, u64)> = event["skipped_after"]
            .as_array()
            .unwrap()
            .iter()
            .map(|at| (number(&at[0]), number(&at[1])))
            .collect();
        assert_eq!(skipped, expected);
    }

    pub(super) fn run(&mut self, vector: &Value, event: &Value) {
        let packets = vector["packets"].as_array().unwrap();
        let packet = packets.iter().find(|packet| packet["id"] == event["packet"]).unwrap();
        match event["do"].as_str().unwrap() {
            "send" => self.send(vector, packet),
            "deliver" => self.deliver(event, packet),
            other => panic!("unknown event {other}"),
        }
    }
}

fn check_final(end: &Session, expected: &Value) {
    let ratchet = &end.ratchet;
    assert_eq!(ratchet.root.bytes()[..], unhex(&expected["RK"]));
    assert_eq!(ratchet.next_sending.bytes()[..], unhex(&expected["NHC_send"]));
    assert_eq!(ratchet.next_receiving.bytes()[..], unhex(&expected["NHC_receive"]));
    assert_eq!(Some(ratchet.own.is_some()), expected["holds_unused_key"].as_bool());
    let sending = ratchet.sending.as_ref().unwrap();
    let receiving = ratchet.receiving.as_ref().unwrap();
    for (chain, index, transcript, expected) in [
        (&sending.chain, sending.index, sending.transcript, &expected["send"]),
        (&receiving.chain, receiving.index, receiving.transcript, &expected["receive"]),
    ] {
        assert_eq!(u64::from(index), number(&expected["chain"]));
        assert_eq!(u64::from(chain.next), number(&expected["next_number"]));
        assert_eq!(chain.keys.bytes()[..], unhex(&expected["CK"]));
        assert_eq!(chain.headers.bytes()[..], unhex(&expected["HC"]));
        assert_eq!(transcript[..], unhex(&expected["th"]));
    }
    let skipped = expected["skipped"].as_array().unwrap();
    assert_eq!(ratchet.skipped.numbers.len(), skipped.len());
    for ((at, number_), expected) in ratchet.skipped.numbers.iter().zip(skipped) {
        assert_eq!(u64::from(at.chain), number(&expected["chain"]));
        assert_eq!(u64::from(at.number), number(&expected["number"]));
        assert_eq!(number_.keys.token.bytes()[..], unhex(&expected["token"]));
        assert_eq!(number_.keys.header.bytes()[..], unhex(&expected["HK"]));
        assert_eq!(number_.keys.packet.bytes()[..], unhex(&expected["MK"]));
    }
    let old = expected["old_chains"].as_array().unwrap();
    assert_eq!(ratchet.skipped.chains.len(), old.len());
    for ((index, chain), expected) in ratchet.skipped.chains.iter().zip(old) {
        assert_eq!(u64::from(*index), number(&expected["chain"]));
        assert_eq!(chain.header_hash[..], unhex(&expected["header_hash"]));
        assert_eq!(chain.transcript[..], unhex(&expected["th"]));
    }
}

/// Follows the file, whichever side asks and in whatever order the events happen.
fn verify_run(vector: &Value) {
    let (_, mut ends) = Ends::new(vector);
    for event in vector["events"].as_array().unwrap() {
        ends.run(vector, event);
    }
    assert_eq!(vector["run"]["result"], "equal");
    for end in &ends.both {
        assert!(end.authentication().verified && !end.has_pending_step());
        assert_eq!(end.verify_failures(), 0);
    }
}

#[test]
fn verify() {
    verify_run(&load(include_str!("../../../tests/vectors/verify.json")));
    verify_run(&load(include_str!("../../../tests/vectors/own/verify-responder-asks.json")));
}

#[test]
fn conversation() {
    let vector = load(include_str!("../../../tests/vectors/conversation.json"));
    let (_, mut ends) = Ends::new(&vector);
    for event in vector["events"].as_array().unwrap() {
        ends.run(&vector, event);
    }
    check_final(&ends.both[0], &vector["final"]["I"]);
    check_final(&ends.both[1], &vector["final"]["R"]);
}

#[test]
fn conversation_asleep_between_all_events() {
    let vector = load(include_str!("../../../tests/vectors/conversation.json"));
    let (_, mut ends) = Ends::new(&vector);
    for event in vector["events"].as_array().unwrap() {
        ends.run(&vector, event);
        ends.both =
            ends.both.map(|end| asleep_from(&Stage::Session(Box::new(end)).to_bytes(false)));
        ends.indices = [AddressIndex::new(LOOK_AHEAD), AddressIndex::new(LOOK_AHEAD)];
    }
    check_final(&ends.both[0], &vector["final"]["I"]);
    check_final(&ends.both[1], &vector["final"]["R"]);
}

#[test]
fn forgeries_by_a_published_key_alone() {
    let vector = load(include_str!("../../../tests/vectors/forge.json"));
    for case in vector["cases"].as_array().unwrap() {
        let published = unhex(&case["published_key"]).try_into().unwrap();
        let (packet, new) = (unhex(&case["packet"]), unhex(&case["new_packet"]));
        let [was, says] = ["old_text", "new_text"].map(|name| case[name].as_str().unwrap());
        let at = usize::try_from(number(&case["offset_in_packet"])).unwrap();
        assert!([false, true].map(frame::text_start).contains(&at));
        assert!(forge::verifies(&published, &packet) && forge::verifies(&published, &new));
        let forged = forge::rewrite(&published, &packet, at, was.as_bytes(), says.as_bytes());
        assert_eq!(forged.unwrap().as_ref(), new);
        assert_eq!(packet[packet.len() - 16..], unhex(&case["old_tag"]));
        assert_eq!(new[new.len() - 16..], unhex(&case["new_tag"]));
        let back = forge::rewrite(&published, &new, at, says.as_bytes(), was.as_bytes());
        assert_eq!(back.unwrap().as_ref(), packet);
    }
}

#[test]
fn forged_packets_are_refused_by_the_receiver() {
    let vector = load(include_str!("../../../tests/vectors/forge.json"));
    let (_, mut ends) = Ends::new(&vector);
    for event in vector["events"].as_array().unwrap() {
        ends.run(&vector, event);
    }
    for case in vector["cases"].as_array().unwrap() {
        for to in [0, 1] {
            let mut forged = unhex(&case["new_packet"]);
            let outcome = ends.both[to].open(&mut ends.indices[to], &mut forged, None);
            assert_eq!(outcome.err(), Some(Refusal::NotOurs));
        }
    }
}

#[test]
fn refused_invites() {
    let vector = load(include_str!("../../../tests/vectors/refused.json"));
    for case in vector["invites"].as_array().unwrap() {
        let secret = secret(&case["secret"]);
        let now = case.get("now").map_or(0, number);
        let handshake = if secret.is_some() { "handshake_secret" } else { "handshake" };
        let mut random = Named::responder(&vector[handshake]["randomness"]["R"]);
        let refused = respond(&unhex(&case["invite"]), secret.as_ref(), now, &mut random);
        let error = refused.as_ref().err();
        assert_ne!(error, Some(&RespondError::NoRandomness), "{}", case["name"]);
        assert!(refused.is_err(), "{}", case["name"]);
    }
}

#[test]
fn refused_replies() {
    let vector = load(include_str!("../../../tests/vectors/refused.json"));
    let (mut inviting, _, _) = handshake(&vector["handshake"]);
    let good = unhex(&vector["handshake"]["reply"]["bytes"]);
    for case in vector["replies"].as_array().unwrap() {
        let reply = case.get("reply").map_or_else(|| xored(&good, case), unhex);
        let expected = match case["kind"].as_str() {
            Some("junk") => ReplyError::Junk,
            _ => ReplyError::Bad,
        };
        let opened = inviting.open(&reply);
        let accepted = opened.and_then(|opened| inviting.accept(opened, 0));
        assert_eq!(accepted.err(), Some(expected), "{}", case["name"]);
    }
    let opened = inviting.open(&good).unwrap();
    assert!(inviting.accept(opened, 0).is_ok(), "the invite still waits for its reply");
}

#[test]
fn refused_replies_to_an_invite_with_a_secret() {
    let vector = load(include_str!("../../../tests/vectors/refused.json"));
    let good = unhex(&vector["handshake_secret"]["reply"]["bytes"]);
    for case in vector["replies_secret"].as_array().unwrap() {
        // A state that has seen no reply yet.
        let mut inviting = inviting(&vector["handshake_secret"]);
        assert!(!inviting.is_spent());
        let reply = unhex(&case["reply"]);
        for _ in 0..2 {
            let opened = inviting.open(&reply).unwrap();
            assert!(inviting.is_spent());
            let accepted = inviting.accept(opened, 0);
            assert_eq!(accepted.err(), Some(ReplyError::NotAuthentic), "{}", case["name"]);
        }
        assert_eq!(inviting.open(&good).err(), Some(ReplyError::Second), "one guess");
    }
}

fn xored(good: &[u8], case: &Value) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[usize::try_from(number(&case["xor_at"])).unwrap()] ^= unhex(&case["xor"])[0];
    bytes
}

#[test]
fn refused_packets() {
    let vector = load(include_str!("../../../tests/vectors/refused.json"));
    let session = &vector["packets"]["session"];
    let cases = vector["packets"]["cases"].as_array().unwrap();
    let packets = session["packets"].as_array().unwrap();
    let (_, mut ends) = Ends::new(&vector);
    let mut tried = 0;
    for (at, event) in session["events"].as_array().unwrap().iter().enumerate() {
        ends.run(session, event);
        for case in cases.iter().filter(|case| number(&case["after_event"]) == at as u64) {
            let mut bytes = match case.get("xor_of") {
                Some(id) => {
                    let packet = packets.iter().find(|packet| packet["id"] == *id).unwrap();
                    xored(&unhex(&packet["packet"]), case)
                }
                None => unhex(&case["packet"]),
            };
            let to = index(&case["to"]);
            assert_eq!(ends.both[to].role(), if to == 0 { Role::Inviter } else { Role::Responder });
            let before = ends.both[to].to_stored_bytes();
            let refusal = ends.both[to].open(&mut ends.indices[to], &mut bytes, None).err();
            assert!(refusal.is_some(), "{}", case["name"]);
            let ends_session = case.get("ends_session").is_some();
            assert_eq!(
                refusal == Some(Refusal::CommitmentBroken),
                ends_session,
                "{}",
                case["name"]
            );
            assert_eq!(*ends.both[to].to_stored_bytes(), *before, "{}", case["name"]);
            tried += 1;
        }
    }
    assert_eq!(tried, cases.len());
}
