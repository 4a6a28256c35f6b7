//! What the protocol's tests share: a repeatable source of randomness, and ends that talk.

// The one that the tests of the command have, too.
#[path = "../../../tests/common/seeded.rs"]
mod seeded;

use crate::protocol::authentication::password::Password;
use crate::protocol::handshake::{Invitation, Inviting, respond};
use crate::protocol::randomness::Randomness;
use crate::protocol::ratchet::address_index::{AddressIndex, LOOK_AHEAD};
use crate::protocol::session::stored::{Stage, Stored};
use crate::protocol::session::verify::VerifyError;
use crate::protocol::session::{Accepted, Effects, Outcome, Session};
pub(crate) use seeded::Seeded;

/// Bytes that are written as hex.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// A secret that costs nothing to stretch.
pub(crate) fn password(text: &str) -> Password {
    Password::cheap(text).unwrap()
}

/// An answer to the peer's question, stretched as the command stretches it.
pub(crate) fn answer(
    end: &mut Session,
    text: &str,
    random: &mut dyn Randomness,
) -> Result<Vec<u8>, VerifyError> {
    // If nothing was asked, it fits no run.
    let run = end.question_run().copied().unwrap_or_default();
    end.answer_verify(&password(text).stretch(&run).unwrap(), random).map(Vec::from)
}

/// A successful handshake, with or without a secret.
pub(crate) fn handshake(secret: Option<&str>, random: &mut Seeded) -> (Session, Session) {
    let secret = secret.map(password);
    let mut inviting =
        Inviting::new(Invitation { secret: secret.as_ref(), ..Invitation::default() }, 0, random)
            .unwrap();
    let (responder, reply) = respond(inviting.invite(), secret.as_ref(), 0, random).unwrap();
    let opened = inviting.open(&reply).unwrap();
    (inviting.accept(opened, 0).unwrap(), responder)
}

/// Delivers a packet that must be accepted.
pub(crate) fn deliver(to: &mut Session, packet: &[u8]) -> Effects {
    let mut index = AddressIndex::new(LOOK_AHEAD);
    let accepted = open(to, packet);
    to.accept(&mut index, &accepted, 0).unwrap()
}

/// Opens a packet that must be ours.
pub(crate) fn open(to: &Session, packet: &[u8]) -> Box<Accepted> {
    let mut bytes = packet.to_vec();
    match to.open(&mut AddressIndex::new(LOOK_AHEAD), &mut bytes, None) {
        Ok(Outcome::Accepted(accepted)) => accepted,
        Ok(Outcome::Held { .. }) => panic!("it was held"),
        Err(refusal) => panic!("it was refused: {refusal:?}"),
    }
}

/// A packet with these frames.
pub(crate) fn seal(from: &mut Session, frames: &[u8], random: &mut Seeded) -> Vec<u8> {
    let mut reservation = from.reserve(1, random).unwrap();
    reservation.seal_frames(12, frames, random).unwrap().into()
}

/// Stores a session and loads it again.
pub(crate) fn asleep(session: Session) -> Session {
    let bytes = Stage::Session(Box::new(session)).to_bytes(false);
    match Stored::from_bytes(&bytes).unwrap().stage {
        Stage::Session(session) => {
            assert_eq!(*Stage::Session(session).to_bytes(false), *bytes, "nothing is lost");
        }
        Stage::Inviting(_) => panic!("it went to sleep as a session"),
    }
    match Stored::from_bytes(&bytes).unwrap().stage {
        Stage::Session(session) => *session,
        Stage::Inviting(_) => panic!("it went to sleep as a session"),
    }
}

/// Stores an invite and loads it again.
pub(crate) fn asleep_inviting(inviting: Inviting) -> Inviting {
    let bytes = Stage::Inviting(Box::new(inviting)).to_bytes(false);
    match Stored::from_bytes(&bytes).unwrap().stage {
        Stage::Inviting(inviting) => *inviting,
        Stage::Session(_) => panic!("it went to sleep as an invite"),
    }
}
