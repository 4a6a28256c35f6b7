//! The results of receiving, in numbers.

use std::collections::BTreeMap;

use crate::protocol::session::Refusal;

/// Why an item was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rejected {
    /// A packet of a wrong length.
    Size,
    /// A packet under an address where nothing is expected.
    Unexpected,
    /// A packet that does not open: it was changed on its way.
    Altered,
    /// A part of a message that was here before.
    Part,
    /// A packet that breaks the protocol.
    Protocol,
    /// A packet that came twice.
    Twice,
    /// A reply, to the side that answered the invite.
    ReplyToResponder,
    /// A reply to an invite that was answered already.
    ReplyToAnswered,
    /// A reply to another invite, or a damaged one.
    ReplyToAnother,
    /// A reply that holds the invite's key and does not fit it.
    BadReply,
    /// A second reply to this invite: somebody else has it, too.
    SecondReply,
    /// A packet that lay where the reply should.
    NoReply,
    /// A packet for another command: of a pipe, where messages are received, or the reverse.
    Elsewhere,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Size => Self::Size,
            Refusal::NotOurs => Self::Unexpected,
            Refusal::Ratchet(_) => Self::Altered,
            Refusal::Part => Self::Part,
            Refusal::Elsewhere => Self::Elsewhere,
            Refusal::Frames(_) | Refusal::Opening | Refusal::Verify | Refusal::CommitmentBroken => {
                Self::Protocol
            }
        }
    }
}

/// The counts.
#[derive(Default)]
pub struct Counts {
    /// Messages that came out whole.
    pub whole: u64,
    /// Packets that were accepted.
    pub packets: u64,
    /// Messages that were given up.
    pub truncated: Vec<u64>,
    /// Messages of which only the rest came out, since an earlier process was interrupted in the
    /// middle.
    pub rests: Vec<u64>,
    /// Packets that can no longer be accepted.
    pub lost: u64,
    /// Whether the reply to the invite was accepted.
    pub replied: bool,
    /// Whether the other side's CLOSE came.
    pub closed: bool,
    /// Packets that were not tried, since no more are taken.
    pub left: u64,
    /// The items that were not accepted, by reason.
    pub rejected: BTreeMap<Rejected, u64>,
}

impl Counts {
    /// Counts an item that was not accepted.
    pub fn reject(&mut self, why: Rejected) {
        *self.rejected.entry(why).or_default() += 1;
    }

    /// How many items were not accepted.
    pub fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// How many items were not accepted for this reason.
    pub fn rejected_as(&self, why: Rejected) -> u64 {
        self.rejected.get(&why).copied().unwrap_or_default()
    }
}
