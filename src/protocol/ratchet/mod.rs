//! The double ratchet with header encryption [DR, section 4]: whose turn it is, when a step is due,
//! and what an opened packet would change.
//!
//! ```text
//!            first packet of a new chain accepted            first packet sent after it
//!   ┌────────────────────────────────────────────────┐   ┌───────────────────────────────┐
//!   │ own = Some: waits for the peer's next chain     │──▶│ peer = Some: own step is due   │──▶ …
//!   └────────────────────────────────────────────────┘   └───────────────────────────────┘
//! ```
//! Exactly one of `own` and `peer` is set at any time, so steps strictly alternate.

pub mod address_index;
pub mod chain;
pub mod root;
pub mod skipped;

use self::chain::{Chain, Exhausted, NumberKeys};
use self::root::{AgreeError, RatchetPrivate, RatchetPublic};
use self::skipped::{OLD_NUMBERS_MAX, OldChain, Passed, Position, Skipped};
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{HeaderChainKey, RootKey, wipe_stack};
use crate::protocol::packet::{self, BodyKey, Header, Unopened};
use crate::protocol::randomness::Randomness;

/// The chain of the answering side that carries packet 0 of the reply.
pub(crate) const RESPONDERS_FIRST: u32 = 0;
/// The inviting side's first chain, whose packets carry the opening.
pub(crate) const INVITERS_FIRST: u32 = 1;

/// This side's current chain.
pub(crate) struct Sending {
    pub(crate) index: u32,
    pub(crate) chain: Chain,
    pub(crate) header: Header,
    pub(crate) transcript: [u8; 32],
}

/// The peer's current chain.
pub(crate) struct Receiving {
    pub(crate) index: u32,
    pub(crate) chain: Chain,
    pub(crate) header_hash: [u8; 32],
    pub(crate) transcript: [u8; 32],
}

impl Receiving {
    fn duplicate(&self) -> Self {
        Self {
            index: self.index,
            chain: self.chain.duplicate(),
            header_hash: self.header_hash,
            transcript: self.transcript,
        }
    }
}

/// The ratchet of one end.
pub(crate) struct Ratchet {
    pub(crate) root: RootKey,
    pub(crate) sending: Option<Sending>,
    pub(crate) receiving: Option<Receiving>,
    /// `NHCs`: the header chain of this side's next chain.
    pub(crate) next_sending: HeaderChainKey,
    /// `NHCr`: the header chain of the peer's next chain.
    pub(crate) next_receiving: HeaderChainKey,
    /// The private ratchet key that the peer's next chain will consume.
    pub(crate) own: Option<RatchetPrivate>,
    /// The peer's ratchet key that this side's next step answers.
    pub(crate) peer: Option<RatchetPublic>,
    pub(crate) skipped: Skipped,
}

/// Where the keys of a number are.
enum Located<'a> {
    Skipped(&'a NumberKeys),
    Current(&'a Receiving),
    Next(&'a RatchetPrivate, &'a Sending),
}

/// Why a packet at a known position is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RatchetError {
    /// The header or the body does not open.
    Unopened(Unopened),
    /// The header differs from that of its chain.
    HeaderDiffers,
    /// The previous length is less than what has arrived, or not 0 in a first chain.
    PreviousLength,
    /// The peer's new ratchet key must be refused.
    BadPublicKey,
    /// The number has been used meanwhile.
    Spent,
    /// The chain has no more numbers.
    Exhausted,
}

impl From<Unopened> for RatchetError {
    fn from(error: Unopened) -> Self {
        Self::Unopened(error)
    }
}

impl From<Exhausted> for RatchetError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Why no number could be reserved for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError {
    /// The chain has used its last number, or the chains their last index.
    Exhausted,
    /// No randomness.
    NoRandomness,
    /// The peer's ratchet key must be refused (it was checked on arrival, so the state is damaged).
    BadPublicKey,
}

impl From<Exhausted> for StepError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

impl From<AgreeError> for StepError {
    fn from(error: AgreeError) -> Self {
        match error {
            AgreeError::BadPublicKey => Self::BadPublicKey,
            AgreeError::NoRandomness => Self::NoRandomness,
        }
    }
}

/// What an opened packet changes, computed on copies. None of it takes effect before
/// [`Ratchet::apply`].
pub(crate) enum Advance {
    /// A skipped number came.
    Skipped,
    /// A number of the current chain came: the chain after it, and the numbers that were passed.
    Current { from: u32, chain: Chain, passed: Passed },
    /// The peer's next chain began.
    Next(Box<NextChain>),
}

pub(crate) struct NextChain {
    /// `th` of this side's chain that the new one answers.
    answers: [u8; 32],
    /// Index and next number of the chain that was current before.
    from: Option<(u32, u32)>,
    receiving: Receiving,
    root: RootKey,
    next_receiving: HeaderChainKey,
    peer: RatchetPublic,
    passed: Passed,
    passed_old: Passed,
    given_up: u32,
}

/// An opened packet.
pub(crate) struct Opened {
    pub(crate) body_key: BodyKey,
    pub(crate) advance: Advance,
    /// `th` of the packet's chain: names the conversation and the position in it.
    pub(crate) transcript: [u8; 32],
    /// The packet's token.
    pub(crate) keys: NumberKeys,
}

/// Numbers that will never be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Skipped numbers that fell out of the store.
    pub fell_out: u64,
    /// Numbers of an old chain that were never derived.
    pub given_up: u64,
}

impl Ratchet {
    /// The index of the peer's next chain.
    pub(crate) fn next_index(&self) -> Option<u32> {
        self.own.as_ref()?;
        self.sending.as_ref()?.index.checked_add(1)
    }

    /// Whether a packet at this position could still be accepted.
    pub(crate) fn expects(&self, at: Position) -> bool {
        self.locate(at).is_some()
    }

    fn locate(&self, at: Position) -> Option<Located<'_>> {
        if let Some(number) = self.skipped.get(at) {
            return Some(Located::Skipped(&number.keys));
        }
        match &self.receiving {
            Some(current) if current.index == at.chain => {
                (at.number >= current.chain.next).then_some(Located::Current(current))
            }
            _ if self.next_index() == Some(at.chain) => {
                Some(Located::Next(self.own.as_ref()?, self.sending.as_ref()?))
            }
            _ => None,
        }
    }

    /// Opens `packet` (of a valid size) in place with the keys of `at`, and computes what that
    /// would change.
    ///
    /// # Errors
    /// [`RatchetError`]; the contents of `packet` are then meaningless.
    pub(crate) fn open(&self, at: Position, packet: &mut [u8]) -> Result<Opened, RatchetError> {
        let opened = match self.locate(at).ok_or(RatchetError::Spent)? {
            Located::Skipped(keys) => self.open_skipped(at, keys.duplicate(), packet),
            Located::Current(current) => open_current(current, at, packet),
            Located::Next(own, sending) => self.open_next(own, sending, at, packet),
        };
        wipe_stack();
        opened
    }

    fn open_skipped(
        &self,
        at: Position,
        keys: NumberKeys,
        packet: &mut [u8],
    ) -> Result<Opened, RatchetError> {
        let (header_hash, transcript) = match (&self.receiving, self.skipped.chains.get(&at.chain))
        {
            (Some(current), _) if current.index == at.chain => {
                (current.header_hash, current.transcript)
            }
            (_, Some(old)) => (old.header_hash, old.transcript),
            _ => return Err(RatchetError::Spent),
        };
        let header = packet::open_header(&keys.header, packet)?;
        if !primitives::equal(&header.hash(), &header_hash) {
            return Err(RatchetError::HeaderDiffers);
        }
        let body_key = packet::open_body(&keys.packet, packet)?;
        Ok(Opened { body_key, advance: Advance::Skipped, transcript, keys })
    }

    fn open_next(
        &self,
        own: &RatchetPrivate,
        sending: &Sending,
        at: Position,
        packet: &mut [u8],
    ) -> Result<Opened, RatchetError> {
        // The header's key depends only on the header chain; the body's key depends on the header's
        // contents.
        let mut headers = self.next_receiving.duplicate();
        let header = open_header_at(&mut headers, at.number, packet)?;
        let from = self.receiving.as_ref().map(|current| (current.index, current.chain.next));
        let seen = from.map_or(0, |(_, next)| next);
        let previous = header.previous_length();
        if previous < seen || (at.chain == INVITERS_FIRST && previous != 0) {
            return Err(RatchetError::PreviousLength);
        }
        let peer = header.key();
        if !primitives::kem_public_is_valid(&peer.kem()) {
            return Err(RatchetError::BadPublicKey);
        }
        let agreed =
            own.agree(peer.dh(), &header.ciphertext()).map_err(|_| RatchetError::BadPublicKey)?;
        let turn_hash = root::turn_hash(header.turn_input(), &sending.header.key());
        let turn = root::turn(&self.root, &agreed, &turn_hash);

        let mut chain = Chain::new(turn.chain, self.next_receiving.duplicate());
        let passed = pass(&mut chain, at.chain, at.number)?;
        let keys = chain.advance()?;
        let body_key = packet::open_body(&keys.packet, packet)?;

        let (passed_old, given_up) = self.pass_old(previous)?;
        let transcript = root::next_transcript(&sending.transcript, &turn_hash);
        let receiving =
            Receiving { index: at.chain, chain, header_hash: header.hash(), transcript };
        let next = NextChain {
            answers: sending.transcript,
            from,
            receiving,
            root: turn.root,
            next_receiving: turn.next_header_chain,
            peer,
            passed,
            passed_old,
            given_up,
        };
        Ok(Opened { body_key, advance: Advance::Next(Box::new(next)), transcript, keys })
    }

    /// Passes the numbers of the current chain up to `end`, at most [`OLD_NUMBERS_MAX`] of them;
    /// also returns how many were left out.
    fn pass_old(&self, end: u32) -> Result<(Passed, u32), RatchetError> {
        let Some(current) = &self.receiving else { return Ok((Passed::default(), 0)) };
        let start = current.chain.next;
        let derived = end.min(start.saturating_add(OLD_NUMBERS_MAX));
        let mut chain = current.chain.duplicate();
        let passed = pass(&mut chain, current.index, derived)?;
        Ok((passed, end - derived))
    }

    /// `th` of one of the peer's chains from which packets are expected.
    fn transcript_of(&self, chain: u32) -> Option<&[u8; 32]> {
        match &self.receiving {
            Some(current) if current.index == chain => Some(&current.transcript),
            _ => self.skipped.chains.get(&chain).map(|old| &old.transcript),
        }
    }

    /// Applies what [`Ratchet::open`] computed. The state may have changed since (a `send` reserved
    /// numbers or took a step), but not in what the packet used: same conversation, same position.
    /// `transcript` is `th` of the packet's chain at that time.
    ///
    /// # Errors
    /// [`RatchetError::Spent`] if it has changed there; nothing is applied then.
    pub(crate) fn apply(
        &mut self,
        at: Position,
        transcript: &[u8; 32],
        advance: &Advance,
        now: u64,
    ) -> Result<Lost, RatchetError> {
        let mut lost = Lost::default();
        let same_chain = self.transcript_of(at.chain) == Some(transcript);
        match advance {
            Advance::Skipped => {
                self.skipped.get(at).filter(|_| same_chain).ok_or(RatchetError::Spent)?;
                self.skipped.remove(at);
            }
            Advance::Current { from, chain, passed } => {
                let current = self
                    .receiving
                    .as_mut()
                    .filter(|current| current.index == at.chain && current.chain.next == *from)
                    .filter(|_| same_chain)
                    .ok_or(RatchetError::Spent)?;
                current.chain = chain.duplicate();
                lost.fell_out = self.skipped.add(passed, now);
            }
            Advance::Next(next) => {
                let from = self.receiving.as_ref().map(|old| (old.index, old.chain.next));
                let ours = self.sending.as_ref().map(|sending| &sending.transcript);
                let same_place = ours == Some(&next.answers) && from == next.from;
                if !same_place || self.next_index() != Some(at.chain) {
                    return Err(RatchetError::Spent);
                }
                self.enter(next, now, &mut lost);
            }
        }
        Ok(lost)
    }

    fn enter(&mut self, next: &NextChain, now: u64, lost: &mut Lost) {
        if let Some(old) = &self.receiving {
            let chain = OldChain { header_hash: old.header_hash, transcript: old.transcript };
            self.skipped.chains.insert(old.index, chain);
        }
        self.receiving = Some(next.receiving.duplicate());
        self.root = next.root.duplicate();
        self.next_receiving = next.next_receiving.duplicate();
        self.peer = Some(next.peer.duplicate());
        self.own = None;
        lost.given_up = u64::from(next.given_up);
        lost.fell_out = self.skipped.add(&next.passed_old, now);
        lost.fell_out += self.skipped.add(&next.passed, now);
        // This also forgets the old chain if nothing of it is expected.
        lost.fell_out += self.skipped.expire(now).dropped;
    }

    /// The tokens of the next `count` numbers of the peer's current chain, and of its next chain
    /// while there can be one.
    pub(crate) fn expected_tokens(&self, count: u32) -> Vec<[u8; 32]> {
        let current = self.receiving.as_ref().map(|current| current.chain.headers.duplicate());
        let next = self.own.as_ref().map(|_| self.next_receiving.duplicate());
        let mut tokens = Vec::new();
        for mut headers in current.into_iter().chain(next) {
            for _ in 0..count {
                let (_, token) = headers.advance();
                tokens.push(*token.bytes());
            }
        }
        wipe_stack();
        tokens
    }

    /// The tokens of the numbers `ahead` (0 = the next; ascending) in the peer's current chain and
    /// in its next chain.
    pub(crate) fn awaited_tokens(&self, ahead: &[u32]) -> Vec<[u8; 32]> {
        let current = self.receiving.as_ref().map(|current| current.chain.headers.duplicate());
        let mut tokens = Vec::new();
        for mut headers in current.into_iter().chain([self.next_receiving.duplicate()]) {
            let mut next = 0;
            for &number in ahead {
                while next <= number {
                    let (_, token) = headers.advance();
                    if next == number {
                        tokens.push(*token.bytes());
                    }
                    next += 1;
                }
            }
        }
        wipe_stack();
        tokens
    }

    /// Takes a step if one is due.
    ///
    /// # Errors
    /// [`StepError`]; nothing has changed then.
    pub(crate) fn step_if_due(&mut self, randomness: &mut dyn Randomness) -> Result<(), StepError> {
        let (Some(peer), Some(receiving)) = (&self.peer, &self.receiving) else { return Ok(()) };
        let index = receiving.index.checked_add(1).ok_or(StepError::Exhausted)?;
        let (private, public) =
            RatchetPrivate::generate(randomness).map_err(|_| StepError::NoRandomness)?;
        let (agreed, ciphertext) = private.encapsulate(peer, randomness)?;
        let previous = self.sending.as_ref().map_or(0, |sending| sending.chain.next);
        let header = Header::new(&public, &ciphertext, previous);
        let turn_hash = root::turn_hash(header.turn_input(), peer);
        let turn = root::turn(&self.root, &agreed, &turn_hash);
        let transcript = root::next_transcript(&receiving.transcript, &turn_hash);
        let headers = core::mem::replace(&mut self.next_sending, turn.next_header_chain);
        let chain = Chain::new(turn.chain, headers);
        self.sending = Some(Sending { index, chain, header, transcript });
        self.root = turn.root;
        self.own = Some(private);
        self.peer = None;
        wipe_stack();
        Ok(())
    }
}

fn open_current(
    current: &Receiving,
    at: Position,
    packet: &mut [u8],
) -> Result<Opened, RatchetError> {
    let from = current.chain.next;
    // Advance only the header chain first, so that junk under a number far ahead costs one chain,
    // not two.
    let mut headers = current.chain.headers.duplicate();
    let header = open_header_at(&mut headers, at.number - from, packet)?;
    if !primitives::equal(&header.hash(), &current.header_hash) {
        return Err(RatchetError::HeaderDiffers);
    }
    let mut chain = current.chain.duplicate();
    let passed = pass(&mut chain, at.chain, at.number)?;
    let keys = chain.advance()?;
    let body_key = packet::open_body(&keys.packet, packet)?;
    let advance = Advance::Current { from, chain, passed };
    Ok(Opened { body_key, advance, transcript: current.transcript, keys })
}

/// Opens a header with the key that lies `ahead` numbers further on.
fn open_header_at(
    headers: &mut HeaderChainKey,
    ahead: u32,
    packet: &[u8],
) -> Result<Header, Unopened> {
    for _ in 0..ahead {
        headers.advance();
    }
    let (key, _) = headers.advance();
    packet::open_header(&key, packet)
}

/// Moves `chain` to number `end`, collecting the keys of what it passes.
fn pass(chain: &mut Chain, index: u32, end: u32) -> Result<Passed, Exhausted> {
    let mut passed = Passed::default();
    while chain.next < end {
        let number = chain.next;
        passed.push(Position { chain: index, number }, chain.advance()?);
    }
    Ok(passed)
}
