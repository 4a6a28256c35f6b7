//! A session's stored form: its bytes in a state file. They hold every secret of the session; the
//! caller decides where they may lie.
//!
//! ```text
//! "otr state" 9 | version 1 | frozen 1 | stage 1 | fields | SHA-256("otr/1 state" ‖ all before) 32
//! ```

use std::collections::{BTreeMap, VecDeque};

use zeroize::Zeroizing;

use crate::protocol::authentication::Authentication;
use crate::protocol::authentication::pake::Scalar;
use crate::protocol::authentication::verify::Verification;
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives;
use crate::protocol::crypto::secret::{
    ChainKey, HeaderChainKey, HeaderKey, PacketKey, RootKey, Secret, Token, WordsKey,
};
use crate::protocol::deniability::reveal::{Collected, REVEALS_MAX, Reveal, Reveals};
use crate::protocol::handshake::invite::{INVITE_MAX, POSTBOX_MAX};
use crate::protocol::handshake::reply::REPLY;
use crate::protocol::handshake::{Guess, Inviting};
use crate::protocol::packet::message::Inbox;
use crate::protocol::packet::{HEADER, Header, K_MAX, Packet, size};
use crate::protocol::ratchet::chain::{Chain, NumberKeys};
use crate::protocol::ratchet::root::{RatchetPrivate, RatchetPublic};
use crate::protocol::ratchet::skipped::{OldChain, Position, SKIPPED_MAX, Skipped, SkippedNumber};
use crate::protocol::ratchet::{Ratchet, Receiving, Sending};
use crate::protocol::session::{
    Opening, Outbox, OutboxKind, POSTED_MAX, Posted, Role, Search, Session,
};
use crate::protocol::wire::{Count, Malformed, Reader, Sink};

const MAGIC: &[u8] = b"otr state";
const VERSION: u8 = 1;
const CHECK: usize = 32;

/// What a state file holds.
pub struct Stored {
    /// Whether `export` has frozen the session here: no command may use it.
    pub frozen: bool,
    /// How far the conversation has come.
    pub stage: Stage,
}

/// How far a conversation has come.
pub enum Stage {
    /// An invite was made; the reply has not come.
    Inviting(Box<Inviting>),
    /// The handshake is done.
    Session(Box<Session>),
}

/// What was dropped from a state because it had expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Nothing.
    Nothing,
    /// Keys of skipped packets; or a wrong date of theirs was corrected. The state must be stored.
    Numbers,
    /// The invite expired more than [`INVITE_GRACE`](crate::protocol::handshake::INVITE_GRACE) ago,
    /// and nobody has answered it: the state must be wiped.
    Invite,
}

/// Why bytes are not a stored state of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredError {
    /// Truncated, changed, or something else.
    Damaged,
    /// A version that this program does not know.
    Version(u8),
}

impl From<Malformed> for StoredError {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

impl Stage {
    /// The session, if the handshake is done.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::Session(session) => Some(session),
            Self::Inviting(_) => None,
        }
    }

    /// Drops what is too old to be kept; `now` is in Unix seconds. Every command that loads a state
    /// calls this, and stores the result.
    pub fn expire(&mut self, now: u64) -> Expired {
        let expired = match self {
            Self::Session(session) => session.expire(now).then_some(Expired::Numbers),
            Self::Inviting(inviting) => inviting.is_past(now).then_some(Expired::Invite),
        };
        expired.unwrap_or(Expired::Nothing)
    }

    /// The bytes of a state file, in a buffer that is wiped when dropped and never had to grow.
    pub fn to_bytes(&self, frozen: bool) -> Zeroizing<Vec<u8>> {
        let mut count = Count::default();
        self.write(frozen, &mut count);
        let mut bytes = Zeroizing::new(Vec::with_capacity(count.0 + CHECK));
        self.write(frozen, &mut *bytes);
        let check = primitives::sha256(&[labels::STATE, &bytes]);
        bytes.put(&check);
        bytes
    }

    fn write(&self, frozen: bool, out: &mut dyn Sink) {
        out.put(MAGIC);
        out.u8(VERSION);
        out.flag(frozen);
        match self {
            Self::Inviting(inviting) => {
                out.u8(0);
                inviting.write(out);
            }
            Self::Session(session) => {
                out.u8(1);
                session.write(out);
            }
        }
    }
}

impl Stored {
    /// See [`Stage::to_bytes`].
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.stage.to_bytes(self.frozen)
    }

    /// Reads what [`Stage::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`StoredError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoredError> {
        let (fields, check) = bytes.split_last_chunk::<CHECK>().ok_or(StoredError::Damaged)?;
        let mut reader = Reader::new(fields);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(StoredError::Damaged);
        }
        let version = reader.u8()?;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        if !primitives::equal(&primitives::sha256(&[labels::STATE, fields]), check) {
            return Err(StoredError::Damaged);
        }
        let frozen = reader.flag()?;
        let stage = match reader.u8()? {
            0 => Stage::Inviting(Box::new(Inviting::read(&mut reader)?)),
            1 => {
                let mut session = Session::read(&mut reader)?;
                // Most sessions have never searched, and have no packets elsewhere, and say nothing of it.
                if !reader.is_empty() {
                    session.search = Search { places: reader.u32()?, at: reader.u64()? };
                    session.elsewhere = read_elsewhere(&mut reader)?;
                }
                Stage::Session(Box::new(session))
            }
            _ => return Err(StoredError::Damaged),
        };
        reader.end()?;
        Ok(Self { frozen, stage })
    }
}

/// Writes a length and the bytes.
pub(super) fn put_run(out: &mut dyn Sink, bytes: &[u8]) {
    out.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put(bytes);
}

/// Reads bytes that [`put_run`] wrote, at most `most` of them.
pub(super) fn take_run<'a>(reader: &mut Reader<'a>, most: usize) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(reader.u32()?).map_err(|_| Malformed)?;
    if length > most { Err(Malformed) } else { reader.take(length) }
}

/// Writes how many items follow.
pub(super) fn put_count(out: &mut dyn Sink, count: usize) {
    out.u32(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Writes whether there is a value, and the value.
pub(super) fn put_option<T>(
    out: &mut dyn Sink,
    option: Option<&T>,
    put: impl FnOnce(&T, &mut dyn Sink),
) {
    out.flag(option.is_some());
    if let Some(value) = option {
        put(value, out);
    }
}

/// Reads what [`put_option`] wrote.
pub(super) fn take_option<T>(
    reader: &mut Reader<'_>,
    take: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    reader.flag()?.then(|| take(reader)).transpose()
}

pub(super) fn take_secret<const N: usize>(reader: &mut Reader<'_>) -> Result<Secret<N>, Malformed> {
    Ok(Secret::copy_of(reader.array()?))
}

impl Inviting {
    fn write(&self, out: &mut dyn Sink) {
        self.private.write(out);
        out.put(self.nonce.bytes());
        out.put(self.reply_token.bytes());
        put_run(out, &self.invite);
        out.u64(self.created);
        put_option(out, self.guess.as_ref(), |guess, out| {
            out.put(guess.scalar.0.bytes());
            put_option(out, guess.spent.as_ref(), |hash, out| out.put(hash));
            out.flag(guess.code);
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            private: RatchetPrivate::read(reader)?,
            nonce: take_secret(reader)?,
            reply_token: Token(take_secret(reader)?),
            invite: take_run(reader, INVITE_MAX)?.to_vec(),
            created: reader.u64()?,
            guess: take_option(reader, |reader| {
                Ok(Guess {
                    scalar: Scalar(take_secret(reader)?),
                    spent: take_option(reader, |reader| reader.array().copied())?,
                    code: reader.flag()?,
                })
            })?,
        })
    }
}

impl Session {
    /// Its fields only, to compare two states.
    #[cfg(test)]
    pub(crate) fn to_stored_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::new());
        self.write(&mut *bytes);
        bytes
    }

    fn write(&self, out: &mut dyn Sink) {
        out.flag(self.role == Role::Responder);
        self.ratchet.write(out);
        out.put(self.words.bytes());
        match &self.opening {
            Opening::Own(nonce) => {
                out.u8(0);
                out.put(nonce.bytes());
            }
            Opening::Awaited(commitment) => {
                out.u8(1);
                out.put(commitment);
            }
            Opening::Came(nonce) => {
                out.u8(2);
                out.put(nonce.bytes());
            }
        }
        self.inbox.write(out);
        self.reveals.write(out);
        self.outbox.write(out);
        put_count(out, self.posted.len());
        for posted in &self.posted {
            out.put(&posted.address);
            out.u64(posted.at);
        }
        put_option(out, self.reply.as_ref(), |reply, out| put_run(out, reply));
        out.u64(self.next_message);
        put_run(out, self.postbox.as_deref().unwrap_or_default().as_bytes());
        out.u64(self.created);
        out.flag(self.confirmed);
        out.flag(self.collects);
        out.u64(self.lost);
        out.flag(self.authentication.secret);
        out.flag(self.authentication.words);
        out.flag(self.unchecked_told);
        self.verify.write(out);
        if self.search != Search::default() || !self.elsewhere.is_empty() {
            out.u32(self.search.places);
            out.u64(self.search.at);
            put_count(out, self.elsewhere.len());
            for (token, at) in &self.elsewhere {
                out.put(token);
                out.u8(*at);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            role: if reader.flag()? { Role::Responder } else { Role::Inviter },
            ratchet: Ratchet::read(reader)?,
            words: WordsKey(take_secret(reader)?),
            opening: match reader.u8()? {
                0 => Opening::Own(take_secret(reader)?),
                1 => Opening::Awaited(*reader.array()?),
                2 => Opening::Came(take_secret(reader)?),
                _ => return Err(Malformed),
            },
            inbox: Inbox::read(reader)?,
            reveals: Reveals::read(reader)?,
            outbox: Outbox::read(reader)?,
            posted: read_posted(reader)?,
            reply: take_option(reader, |reader| Ok(take_run(reader, REPLY)?.to_vec()))?,
            next_message: reader.u64()?,
            postbox: Some(
                core::str::from_utf8(take_run(reader, POSTBOX_MAX)?).map_err(|_| Malformed)?,
            )
            .filter(|url| !url.is_empty())
            .map(str::to_owned),
            created: reader.u64()?,
            confirmed: reader.flag()?,
            collects: reader.flag()?,
            lost: reader.u64()?,
            authentication: Authentication {
                secret: reader.flag()?,
                words: reader.flag()?,
                verified: false,
            },
            unchecked_told: reader.flag()?,
            verify: Verification::read(reader)?,
            search: Search::default(),
            elsewhere: BTreeMap::new(),
        })
    }
}

impl Ratchet {
    fn write(&self, out: &mut dyn Sink) {
        out.put(self.root.bytes());
        put_option(out, self.sending.as_ref(), |sending, out| {
            out.u32(sending.index);
            sending.chain.write(out);
            out.put(sending.header.bytes());
            out.put(&sending.transcript);
        });
        put_option(out, self.receiving.as_ref(), |receiving, out| {
            out.u32(receiving.index);
            receiving.chain.write(out);
            out.put(&receiving.header_hash);
            out.put(&receiving.transcript);
        });
        out.put(self.next_sending.bytes());
        out.put(self.next_receiving.bytes());
        put_option(out, self.own.as_ref(), RatchetPrivate::write);
        put_option(out, self.peer.as_ref(), |peer, out| out.put(peer.bytes()));
        self.skipped.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let ratchet = Self::read_fields(reader)?;
        // Either this end's key waits for the peer's next chain, or the peer's key for this end's
        // next step.
        let waits = ratchet.own.is_some() && ratchet.peer.is_none() && ratchet.sending.is_some();
        let is_due = ratchet.peer.is_some() && ratchet.own.is_none() && ratchet.receiving.is_some();
        let passed = ratchet.skipped.numbers.keys().all(|at| ratchet.has_passed(*at));
        if passed && (waits || is_due) { Ok(ratchet) } else { Err(Malformed) }
    }

    fn read_fields(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            root: RootKey(take_secret(reader)?),
            sending: take_option(reader, |reader| {
                Ok(Sending {
                    index: reader.u32()?,
                    chain: Chain::read(reader)?,
                    header: Header(take_secret::<HEADER>(reader)?),
                    transcript: *reader.array()?,
                })
            })?,
            receiving: take_option(reader, |reader| {
                Ok(Receiving {
                    index: reader.u32()?,
                    chain: Chain::read(reader)?,
                    header_hash: *reader.array()?,
                    transcript: *reader.array()?,
                })
            })?,
            next_sending: HeaderChainKey(take_secret(reader)?),
            next_receiving: HeaderChainKey(take_secret(reader)?),
            own: take_option(reader, RatchetPrivate::read)?,
            peer: take_option(reader, RatchetPublic::read)?,
            skipped: Skipped::read(reader)?,
        })
    }

    /// Whether a number can be among the skipped ones: if not, its address would make this end
    /// derive all numbers up to it.
    fn has_passed(&self, at: Position) -> bool {
        match &self.receiving {
            Some(current) if current.index == at.chain => at.number < current.chain.next,
            _ => self.skipped.chains.contains_key(&at.chain),
        }
    }
}

impl Chain {
    fn write(&self, out: &mut dyn Sink) {
        out.put(self.keys.bytes());
        out.put(self.headers.bytes());
        out.u32(self.next);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            keys: ChainKey(take_secret(reader)?),
            headers: HeaderChainKey(take_secret(reader)?),
            next: reader.u32()?,
        })
    }
}

impl Skipped {
    fn write(&self, out: &mut dyn Sink) {
        put_count(out, self.chains.len());
        for (index, chain) in &self.chains {
            out.u32(*index);
            out.put(&chain.header_hash);
            out.put(&chain.transcript);
        }
        put_count(out, self.numbers.len());
        for (at, number) in &self.numbers {
            out.u32(at.chain);
            out.u32(at.number);
            out.u64(number.since);
            out.put(number.keys.header.bytes());
            out.put(number.keys.packet.bytes());
            out.put(number.keys.token.bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut skipped = Self::default();
        for _ in 0..reader.u32()? {
            let index = reader.u32()?;
            let chain = OldChain { header_hash: *reader.array()?, transcript: *reader.array()? };
            skipped.chains.insert(index, chain);
        }
        let count = reader.u32()?;
        if usize::try_from(count).map_or(true, |count| count > SKIPPED_MAX) {
            return Err(Malformed);
        }
        for _ in 0..count {
            let at = Position { chain: reader.u32()?, number: reader.u32()? };
            let since = reader.u64()?;
            let keys = NumberKeys {
                header: HeaderKey(take_secret(reader)?),
                packet: PacketKey(take_secret(reader)?),
                token: Token(take_secret(reader)?),
            };
            skipped.numbers.insert(at, SkippedNumber { keys, since });
        }
        Ok(skipped)
    }
}

impl Reveals {
    fn write(&self, out: &mut dyn Sink) {
        out.u64(self.fell_out);
        put_count(out, self.waiting.len());
        for reveal in &self.waiting {
            out.put(&reveal.published);
            put_option(out, reveal.collected.as_ref(), |collected, out| {
                out.put(collected.token.bytes());
                out.put(&collected.packet_hash);
            });
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut reveals = Self { fell_out: reader.u64()?, ..Self::default() };
        let count = reader.u32()?;
        if usize::try_from(count).map_or(true, |count| count > REVEALS_MAX) {
            return Err(Malformed);
        }
        for _ in 0..count {
            let published = *reader.array()?;
            let collected = take_option(reader, |reader| {
                Ok(Collected { token: Token(take_secret(reader)?), packet_hash: *reader.array()? })
            })?;
            reveals.waiting.push_back(Reveal { published, collected });
        }
        Ok(reveals)
    }
}

fn read_elsewhere(reader: &mut Reader<'_>) -> Result<BTreeMap<[u8; 32], u8>, Malformed> {
    let count = reader.u32()?;
    if usize::try_from(count).map_or(true, |count| count > REVEALS_MAX) {
        return Err(Malformed);
    }
    (0..count).map(|_| Ok((*reader.array()?, reader.u8()?))).collect()
}

fn read_posted(reader: &mut Reader<'_>) -> Result<VecDeque<Posted>, Malformed> {
    let count = reader.u32()?;
    if usize::try_from(count).map_or(true, |count| count > POSTED_MAX) {
        return Err(Malformed);
    }
    (0..count).map(|_| Ok(Posted { address: *reader.array()?, at: reader.u64()? })).collect()
}

impl Outbox {
    fn write(&self, out: &mut dyn Sink) {
        out.u8(match self.kind {
            OutboxKind::Nothing => 0,
            OutboxKind::Message => 1,
            OutboxKind::Waiting => 2,
        });
        put_count(out, self.packets.len());
        for packet in &self.packets {
            put_run(out, packet);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = match reader.u8()? {
            0 => OutboxKind::Nothing,
            1 => OutboxKind::Message,
            2 => OutboxKind::Waiting,
            _ => return Err(Malformed),
        };
        let mut packets = Vec::new();
        for _ in 0..reader.u32()? {
            let packet = take_run(reader, size(K_MAX))?.to_vec();
            packets.push(Packet::new(packet).ok_or(Malformed)?);
        }
        Ok(Self { kind, packets })
    }
}
