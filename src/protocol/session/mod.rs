//! A conversation: the state machine that the rest of the protocol serves. It turns bytes into what
//! they mean, and what is to be said into bytes.
//!
//! Opening takes two steps, because plaintext must be delivered before the state forgets its key:
//! [`Session::open`] changes nothing and says what a packet holds; [`Session::accept`] applies it.
//! Sending takes two steps, because the state that spends a key must be stored before the packet is
//! used: [`Session::reserve`] takes numbers out of the state, and [`Reservation`] seals packets
//! with them.

mod authentication;
mod facts;
mod identity;
mod kept;
pub mod sending;
pub mod stored;
mod stored_inbox;
mod stored_verify;
pub mod verify;

use std::collections::{BTreeMap, VecDeque};

pub use self::identity::Identity;
use crate::protocol::authentication::Authentication;
use crate::protocol::authentication::verify::{Event, Verification};
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{Secret, WordsKey, wipe_stack};
use crate::protocol::deniability::reveal::{Collected, PUBLISHED_KEY, Reveal, Reveals};
use crate::protocol::handshake::invite;
use crate::protocol::packet::frame::{self, FrameError, Frames, Step};
use crate::protocol::packet::message::{Inbox, Verdict};
use crate::protocol::packet::{self, ADDRESS, Packet};
use crate::protocol::randomness::Randomness;
use crate::protocol::ratchet::address_index::AddressIndex;
use crate::protocol::ratchet::chain::LAST_NUMBER;
use crate::protocol::ratchet::skipped::Position;
use crate::protocol::ratchet::{Advance, INVITERS_FIRST, Lost, Ratchet, RatchetError, StepError};
pub use crate::protocol::session::sending::{
    Part, Reservation, SealError, close_frames, nothing_frames,
};

/// Which side of the handshake this end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It ran `init` (I).
    Inviter,
    /// It ran `respond` (R).
    Responder,
}

/// What this end knows of the inviter's nonce.
pub(crate) enum Opening {
    /// This end is the inviter.
    Own(Secret<32>),
    /// The commitment that the opening must match.
    Awaited([u8; 32]),
    /// The opening has come, and it matches.
    Came(Secret<32>),
}

/// The packets that were sent last, so that a crash between storing and handing out loses nothing.
#[derive(Default)]
pub struct Outbox {
    /// What they are.
    pub kind: OutboxKind,
    /// In order.
    pub packets: Vec<Packet>,
}

/// What an [`Outbox`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutboxKind {
    /// Nothing was sent yet, or the last message is too long to be kept.
    #[default]
    Nothing,
    /// The packets of a short message.
    Message,
    /// Packets that are still to be handed out (posted or written), the oldest first.
    Waiting,
}

/// The most bytes of packets that wait to be handed out: enough for 64 short messages while a
/// postbox cannot be reached, and the state stays far below a MiB.
pub const QUEUE_MAX: usize = 256 << 10;

/// The packet does not fit into the queue, which is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// How many posted packets are remembered: enough to tell whether the other side still collects,
/// and few, because a stolen state names them.
pub const POSTED_MAX: usize = 8;

/// A packet that was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its address.
    pub address: [u8; ADDRESS],
    /// When, in Unix seconds.
    pub at: u64,
}

/// How far this end has searched for packets beyond lost ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// How many places were searched since a packet was accepted, one after the other.
    pub places: u32,
    /// When the last one was, in Unix seconds; 0 if there was none.
    pub at: u64,
}

/// One end of a conversation.
pub struct Session {
    pub(crate) role: Role,
    pub(crate) ratchet: Ratchet,
    pub(crate) words: WordsKey,
    pub(crate) opening: Opening,
    pub(crate) inbox: Inbox,
    pub(crate) reveals: Reveals,
    pub(crate) outbox: Outbox,
    /// The packets that were posted last, at most [`POSTED_MAX`], the oldest first.
    pub(crate) posted: VecDeque<Posted>,
    /// R's reply, until I's first packet shows that it arrived.
    pub(crate) reply: Option<Vec<u8>>,
    /// The number of the next message to be sent.
    pub(crate) next_message: u64,
    /// The postbox's URL from the invite.
    pub(crate) postbox: Option<String>,
    /// Unix seconds.
    pub(crate) created: u64,
    /// Whether the peer has shown that it has the keys: always true for I; true for R from I's
    /// first packet on.
    pub(crate) confirmed: bool,
    /// Whether packets lie in a postbox, so that keys are published with their discard.
    pub(crate) collects: bool,
    /// How many packet numbers have been lost since the session began.
    pub(crate) lost: u64,
    /// `secret` says that the handshake used one, confirmed or not. `verified` is kept in `verify`.
    pub(crate) authentication: Authentication,
    /// Whether the person was told that nobody has checked who the other side is.
    pub(crate) unchecked_told: bool,
    pub(crate) verify: Verification,
    pub(crate) search: Search,
    /// Where packets lie that wait for being discarded, by token: the number of the postbox, if it is not the one that
    /// their address says.
    pub(crate) elsewhere: BTreeMap<[u8; 32], u8>,
}

/// Why a packet is refused. Nothing has changed; the contents of its buffer are meaningless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not 2^k bytes with 12 ≤ k ≤ 20.
    Size,
    /// No packet is expected under its address: it is another session's, a replay, or too far
    /// ahead.
    NotOurs,
    /// See [`RatchetError`].
    Ratchet(RatchetError),
    /// Its frames are not well-formed.
    Frames(FrameError),
    /// OPENING is missing, misplaced or repeated.
    Opening,
    /// OPENING does not match the commitment: somebody is in between. The session must end.
    CommitmentBroken,
    /// A part that arrived before, or that belongs to a complete message.
    Part,
    /// A VERIFY step that its sender may not take.
    Verify,
    /// A packet of a pipe where messages are received, or of a message where a pipe runs: another
    /// command can take it.
    Elsewhere,
}

/// What a receiver takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Messages; while one of them is being written, parts of others are held.
    Messages(Option<u64>),
    /// The streams of a pipe.
    Streams,
}

impl From<RatchetError> for Refusal {
    fn from(error: RatchetError) -> Self {
        Self::Ratchet(error)
    }
}

/// What an opened packet holds. [`Session::accept`] applies it.
pub struct Accepted {
    /// Which packet it was.
    pub at: Position,
    /// Its frames; their ranges refer to the [`body`] of the opened packet.
    pub frames: Frames,
    /// Whether its text is dropped because its message was given up.
    pub dropped: bool,
    advance: Advance,
    /// `th` of the packet's chain.
    transcript: [u8; 32],
    reveal: [u8; PUBLISHED_KEY],
    collected: Option<Collected>,
}

impl Accepted {
    /// The token of a packet whose sender waits to hear that it was opened, if it lies in a postbox. Secret.
    #[cfg(feature = "client")]
    pub(crate) fn asks_for_receipt(&self) -> Option<[u8; 32]> {
        self.collected
            .as_ref()
            .filter(|_| self.frames.receipt)
            .map(|collected| *collected.token.bytes())
    }
}

/// What [`Session::open`] found.
pub enum Outcome {
    /// The packet is open in place.
    Accepted(Box<Accepted>),
    /// A later part of a message arrived early. The packet is sealed again, unchanged; try it again
    /// when the parts before it have arrived.
    Held {
        /// The message.
        message: u64,
        /// Where in the message it begins.
        offset: u64,
        /// The packet's position.
        at: Position,
    },
}

/// What accepting a packet caused, apart from its frames.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Packets that can no longer be accepted.
    pub lost: Lost,
    /// Messages that were given up.
    pub truncated: Vec<u64>,
    /// What happened to the check of a secret; show each event to the person.
    pub verify: Vec<Event>,
}

pub use crate::protocol::packet::BODY_START;

/// The plain body of an opened packet, which begins at [`BODY_START`].
pub fn body(packet: &[u8]) -> &[u8] {
    packet::body(packet)
}

impl Session {
    pub(crate) fn new(
        role: Role,
        ratchet: Ratchet,
        words: WordsKey,
        opening: Opening,
        secret: bool,
        postbox: Option<String>,
        created: u64,
    ) -> Self {
        Self {
            role,
            ratchet,
            words,
            opening,
            inbox: Inbox::default(),
            reveals: Reveals::default(),
            outbox: Outbox::default(),
            posted: VecDeque::new(),
            reply: None,
            next_message: 0,
            collects: postbox.is_some(),
            postbox,
            created,
            confirmed: role == Role::Inviter,
            lost: 0,
            authentication: Authentication { secret, ..Authentication::default() },
            unchecked_told: false,
            verify: Verification::default(),
            search: Search::default(),
            elsewhere: BTreeMap::new(),
        }
    }

    pub(crate) fn keep_reply(&mut self, reply: Vec<u8>) {
        self.reply = Some(reply);
    }

    /// Opens `packet` in place and says what it holds. The session does not change before
    /// [`Session::accept`]. While the caller is `writing` one message, parts of others are held.
    ///
    /// # Errors
    /// [`Refusal`]; after [`Refusal::CommitmentBroken`] the session must be ended.
    pub fn open(
        &self,
        index: &mut AddressIndex,
        packet: &mut [u8],
        writing: Option<u64>,
    ) -> Result<Outcome, Refusal> {
        self.open_hashed(index, packet, None, Takes::Messages(writing))
    }

    /// Like [`Session::open`], for a caller that `takes` what it says, and that may already know the
    /// packet's SHA-256, which is half the work for packets from a postbox.
    pub fn open_hashed(
        &self,
        index: &mut AddressIndex,
        packet: &mut [u8],
        hash: Option<[u8; 32]>,
        takes: Takes,
    ) -> Result<Outcome, Refusal> {
        packet::size_class(packet.len()).ok_or(Refusal::Size)?;
        let mut address = [0; ADDRESS];
        address.copy_from_slice(&packet[..ADDRESS]);
        let at = index.locate(&self.ratchet, &address).ok_or(Refusal::NotOurs)?;
        let packet_hash =
            self.collects.then(|| hash.unwrap_or_else(|| primitives::sha256(&[packet])));
        let opened = self.ratchet.open(at, packet)?;
        let verdict = self.judge(at, packet, takes);
        let (frames, verdict) = match verdict {
            Ok((frames, Verdict::Hold)) => {
                opened.body_key.close(packet);
                let (message, offset) =
                    frames.data.map_or((0, 0), |data| (data.message, data.offset));
                return Ok(Outcome::Held { message, offset, at });
            }
            Ok(judged) => judged,
            Err(refusal) => {
                opened.body_key.close(packet);
                return Err(refusal);
            }
        };
        let mut reveal = [0; PUBLISHED_KEY];
        reveal[..ADDRESS].copy_from_slice(&address);
        reveal[ADDRESS..].copy_from_slice(&opened.body_key.poly1305_key());
        let collected = packet_hash
            .map(|packet_hash| Collected { token: opened.keys.token.duplicate(), packet_hash });
        wipe_stack();
        Ok(Outcome::Accepted(Box::new(Accepted {
            at,
            dropped: verdict == Verdict::Drop,
            frames,
            advance: opened.advance,
            transcript: opened.transcript,
            reveal,
            collected,
        })))
    }

    fn judge(
        &self,
        at: Position,
        packet: &[u8],
        takes: Takes,
    ) -> Result<(Frames, Verdict), Refusal> {
        let frames = frame::parse(packet::body(packet)).map_err(Refusal::Frames)?;
        self.judge_opening(at, &frames)?;
        let peer_is_inviter = self.role == Role::Responder;
        let mut asks = frames.verify.iter().filter(|frame| matches!(frame.step, Step::Ask { .. }));
        if asks.any(|frame| frame.started_by_inviter != peer_is_inviter) {
            return Err(Refusal::Verify);
        }
        let writing = match takes {
            Takes::Messages(_) if frames.pipe.is_some() => return Err(Refusal::Elsewhere),
            Takes::Streams if frames.data.is_some() => return Err(Refusal::Elsewhere),
            Takes::Messages(writing) => writing,
            Takes::Streams => None,
        };
        let verdict = match &frames.data {
            Some(data) => match self.inbox.judge(data).map_err(|_| Refusal::Part)? {
                Verdict::Take if writing.is_some_and(|one| one != data.message) => Verdict::Hold,
                verdict => verdict,
            },
            None => Verdict::Take,
        };
        Ok((frames, verdict))
    }

    /// OPENING is the first frame of every packet of I's first chain, and occurs nowhere else.
    fn judge_opening(&self, at: Position, frames: &Frames) -> Result<(), Refusal> {
        if frames.misplaced_opening || frames.opening.is_some() != (at.chain == INVITERS_FIRST) {
            return Err(Refusal::Opening);
        }
        let Some(nonce) = &frames.opening else { return Ok(()) };
        let fits = match &self.opening {
            Opening::Own(_) => false,
            Opening::Awaited(commitment) => {
                primitives::equal(&invite::commitment(nonce), commitment)
            }
            Opening::Came(known) => primitives::equal(nonce, known.bytes()),
        };
        if fits { Ok(()) } else { Err(Refusal::CommitmentBroken) }
    }

    /// Applies what [`Session::open`] found, to this state or to one that a `send` has advanced
    /// since. `now` is in Unix seconds.
    ///
    /// # Errors
    /// [`RatchetError::Spent`] if the packet was accepted meanwhile; nothing changes then.
    pub fn accept(
        &mut self,
        index: &mut AddressIndex,
        accepted: &Accepted,
        now: u64,
    ) -> Result<Effects, RatchetError> {
        let dropped = self.judge_again(accepted)?;
        let lost = self.ratchet.apply(accepted.at, &accepted.transcript, &accepted.advance, now)?;
        let mut effects = Effects { lost, ..Effects::default() };
        let lost = effects.lost.fell_out.saturating_add(effects.lost.given_up);
        self.lost = self.lost.saturating_add(lost);
        let mut address = [0; ADDRESS];
        address.copy_from_slice(&accepted.reveal[..ADDRESS]);
        index.accepted(&address);
        if let (Some(nonce), Opening::Awaited(_)) = (&accepted.frames.opening, &self.opening) {
            self.opening = Opening::Came(Secret::copy_of(nonce));
        }
        self.confirmed = true;
        self.reply = None;
        // What comes next is another number now.
        self.search.places = 0;
        if let (Some(data), false) = (&accepted.frames.data, dropped) {
            effects.truncated = self.inbox.take(data, accepted.at);
        }
        if let Some(count) = accepted.frames.close {
            self.inbox.announced = Some(count);
        }
        for frame in &accepted.frames.verify {
            self.receive_verify(frame, &accepted.transcript, &mut effects.verify);
        }
        let collected = accepted.collected.as_ref().map(|collected| Collected {
            token: collected.token.duplicate(),
            packet_hash: collected.packet_hash,
        });
        self.reveals.push(Reveal { published: accepted.reveal, collected }, self.collects);
        Ok(effects)
    }

    /// Whether this state drops the text of an accepted packet. Its message may have been given up
    /// since; any other change to it makes the packet spent.
    fn judge_again(&self, accepted: &Accepted) -> Result<bool, RatchetError> {
        let Some(data) = &accepted.frames.data else { return Ok(false) };
        match self.inbox.judge(data) {
            Ok(Verdict::Drop) => Ok(true),
            Ok(Verdict::Take) if !accepted.dropped => Ok(false),
            _ => Err(RatchetError::Spent),
        }
    }

    /// The messages that can no longer be finished, given the parts that are `held` (message and
    /// position). Call this after trying every held part again.
    pub fn hopeless(&self, held: &[(u64, Position)]) -> Vec<u64> {
        let first = Position { chain: INVITERS_FIRST, number: 0 };
        let next = self
            .ratchet
            .receiving
            .as_ref()
            .map_or(first, |current| Position { chain: current.index, number: current.chain.next });
        self.inbox.hopeless(&self.ratchet.skipped, next, held)
    }

    /// Whether the parts before a held part have arrived, so that it can be tried again.
    pub fn is_due(&self, message: u64, offset: u64) -> bool {
        self.inbox.is_due(message, offset)
    }

    /// The messages that have begun and not ended.
    pub fn unfinished(&self) -> Vec<u64> {
        self.inbox.unfinished.keys().copied().collect()
    }

    /// Gives up a message: its parts are accepted and dropped from now on.
    pub fn give_up(&mut self, message: u64) {
        self.inbox.give_up(message);
    }

    /// Drops skipped numbers that are too old at `now` (Unix seconds). Returns whether anything
    /// changed; if so, the state must be stored.
    pub fn expire(&mut self, now: u64) -> bool {
        let aged = self.ratchet.skipped.expire(now);
        self.lost = self.lost.saturating_add(aged.dropped);
        aged.dropped > 0 || aged.redated
    }

    /// Takes `count` numbers (at least 1) out of the state for sealing, after taking a ratchet step
    /// if one is due. The state must be stored before a packet sealed with them is used.
    ///
    /// # Errors
    /// [`StepError`]; nothing has changed then.
    pub fn reserve(
        &mut self,
        count: u32,
        randomness: &mut dyn Randomness,
    ) -> Result<Reservation, StepError> {
        let text = self.may_send_text();
        self.ratchet.step_if_due(randomness)?;
        // R has a chain from the handshake on, and I's first step is due as soon as the handshake
        // is done.
        let sending = self.ratchet.sending.as_mut().ok_or(StepError::Exhausted)?;
        // The first number that is not reserved.
        const { assert!(LAST_NUMBER + 1 == u32::MAX, "saturates at the first that may not be") };
        let end = sending.chain.next.saturating_add(count);
        if end <= sending.chain.next {
            return Err(StepError::Exhausted);
        }
        let chain = sending.chain.duplicate();
        while sending.chain.next < end {
            sending.chain.advance()?;
        }
        let opening = match &self.opening {
            Opening::Own(nonce) if sending.index == INVITERS_FIRST => Some(nonce.duplicate()),
            _ => None,
        };
        wipe_stack();
        let header = sending.header.duplicate();
        let transcript = sending.transcript;
        let index = sending.index;
        Ok(Reservation { index, transcript, chain, end, header, opening, text, receipts: false })
    }

    /// Returns the unused numbers of `reservation`, unless a step or a later number has been taken
    /// since: then they count as part of the previous length.
    pub fn give_back(&mut self, reservation: Reservation) {
        if let Some(sending) = &mut self.ratchet.sending
            && sending.index == reservation.index
            && sending.transcript == reservation.transcript
            && sending.chain.next == reservation.end
        {
            sending.chain = reservation.chain;
        }
    }

    /// The number of a new message to be sent.
    pub fn begin_message(&mut self) -> u64 {
        let number = self.next_message;
        // The other side refuses the largest number, which nobody reaches.
        self.next_message = number.saturating_add(1);
        number
    }
}
