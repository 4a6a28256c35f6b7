//! A short message becomes a packet; and why one could not be sealed, for a person.

use std::ops::RangeInclusive;

use otr::protocol::packet::receipt::Receipt;
use otr::protocol::packet::size;
use otr::protocol::randomness::Randomness;
use otr::protocol::ratchet::StepError;
use otr::protocol::session::{Part, SealError, Session};

use crate::failure::{Code, Failure};

/// The largest packet of a short message, whose packets are kept in the state.
pub(super) const K_SHORT: u8 = 16;

/// A short message.
pub(super) struct Sealed {
    pub(super) packet: Vec<u8>,
    pub(super) receipt: Receipt,
    /// Its number.
    pub(super) message: u64,
}

/// `text` as the one packet of a new message, of one of these size classes; none where it takes more.
pub(super) fn seal_short(
    session: &mut Session,
    text: &[u8],
    sizes: RangeInclusive<u8>,
    randomness: &mut dyn Randomness,
) -> Result<Option<Sealed>, Failure> {
    let mut reservation = session.reserve(1, randomness).map_err(no_number)?;
    let (least, most) = sizes.into_inner();
    let Some(k) = reservation.fit(text.len(), least).filter(|&k| k <= most) else {
        session.give_back(reservation);
        return Ok(None);
    };
    let mut packet = vec![0; size(k)];
    let start = reservation.text_start();
    packet[start..start + text.len()].copy_from_slice(text);
    let message = session.begin_message();
    let part = Part { message, offset: 0, end: true, length: text.len() };
    let receipt = reservation.seal_part(&mut packet, part, randomness).map_err(not_sealed)?;
    Ok(Some(Sealed { packet, receipt, message }))
}

pub(super) fn no_number(error: StepError) -> Failure {
    match error {
        StepError::NoRandomness => Failure::no_randomness(),
        StepError::Exhausted | StepError::BadPublicKey => Failure::new(
            Code::Failed,
            "this session has come to its end",
            "begin a new one with 'otr init'",
        ),
    }
}

pub(super) fn not_sealed(error: SealError) -> Failure {
    match error {
        SealError::NoRandomness => Failure::no_randomness(),
        SealError::Unconfirmed => unconfirmed(),
        SealError::UsedUp | SealError::Size => {
            Failure::new(Code::Failed, "the packet could not be sealed", "this is a fault of otr")
        }
    }
}

/// With a secret, text of the answering side waits for the inviting side's first packet.
pub(super) fn unconfirmed() -> Failure {
    Failure::new(
        Code::NotReady,
        "the other side has not shown yet that it knows the secret",
        "take a packet of it with 'otr recv' first",
    )
}

/// No packet is so small that it comes through.
pub(super) fn too_large(failure: Failure) -> Failure {
    let hint = format!("nothing of this message was sent: {}", failure.hint);
    Failure { code: Code::NotReady, hint: hint.into(), ..failure }
}
