//! The handshake: an invite, a reply, and the first keys of both sides.
//!
//! ```text
//! I  Inviting::new ──invite──▶ R  respond ──reply──▶ I  Inviting::open ─▶ accept ─▶ Session
//! ```
//!
//! With a secret, both mix in CPace's key, and I allows at most one guess: before it uses the share
//! of the first reply that opens, it records and stores that the guess is spent.

pub mod invite;
pub mod reply;

use self::invite::{Invite, InviteError, POSTBOX_MAX};
use self::reply::{PACKET_0, ReplyFields};
use crate::protocol::authentication::pake::{self, Generator, SHARE, Scalar, Sent};
use crate::protocol::authentication::password::Password;
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{self, OutOfMemory};
use crate::protocol::crypto::secret::{
    ChainKey, HeaderChainKey, RootKey, Secret, Token, WordsKey, wipe_stack,
};
use crate::protocol::packet::address::address;
use crate::protocol::packet::frame;
use crate::protocol::packet::{self, Header};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::protocol::ratchet::chain::Chain;
use crate::protocol::ratchet::root::{AgreeError, Agreed, RatchetPrivate};
use crate::protocol::ratchet::skipped::Skipped;
use crate::protocol::ratchet::{RESPONDERS_FIRST, Ratchet, Receiving, Sending};
use crate::protocol::session::{Opening, Role, Session};

/// How long an invite's keys outlive its expiry, in seconds: a reply that was made in time may take
/// a day to arrive.
pub const INVITE_GRACE: u64 = 24 * 3600;

/// The inviting side while it waits for the reply.
pub struct Inviting {
    pub(crate) private: RatchetPrivate,
    pub(crate) nonce: Secret<32>,
    pub(crate) reply_token: Token,
    /// The invite's bytes; an invite can be used once.
    pub(crate) invite: Vec<u8>,
    /// Unix seconds.
    pub(crate) created: u64,
    /// Set if the invite asks for a secret.
    pub(crate) guess: Option<Guess>,
}

/// The one guess that an invite with a secret allows. It does not keep the secret itself.
pub(crate) struct Guess {
    pub(crate) scalar: Scalar,
    /// SHA-256 of the reply on which it was spent.
    pub(crate) spent: Option<[u8; 32]>,
    /// Whether the secret is a code, which anybody may have tried to guess.
    pub(crate) code: bool,
}

/// A reply whose outer layer opened: its author holds the invite.
#[must_use = "the state must be stored before this is accepted"]
pub struct OpenedReply {
    fields: ReplyFields,
    hash: [u8; 32],
}

/// Why an invite could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitingError {
    /// The postbox's URL is longer than [`POSTBOX_MAX`] bytes.
    PostboxTooLong,
    /// No randomness.
    NoRandomness,
    /// Not enough memory for the work that a secret takes.
    OutOfMemory,
}

impl From<NoRandomness> for InvitingError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl From<OutOfMemory> for InvitingError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// Why a reply was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// Not a reply to this invite: anyone may have put it there. Nothing has changed.
    Junk,
    /// A holder of the invite made it, but its contents are wrong. Nothing has changed.
    Bad,
    /// It opens, but the one guess was spent on another reply: two people hold the invite. Nothing
    /// has changed.
    Second,
    /// The one guess was wrong, or somebody is in between. The session must be ended.
    NotAuthentic,
}

/// Why an invite could not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespondError {
    /// Not an invite of this version.
    Invite(InviteError),
    /// The clock is past the invite's expiry.
    Expired,
    /// The invite asks for a secret, but none was given.
    SecretAsked,
    /// A secret was given, but the invite does not ask for one: somebody has removed that.
    SecretTakenOff,
    /// One of its public keys must be refused.
    BadPublicKey,
    /// No randomness.
    NoRandomness,
    /// Not enough memory for the work that a secret takes.
    OutOfMemory,
}

impl From<OutOfMemory> for RespondError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<AgreeError> for RespondError {
    fn from(error: AgreeError) -> Self {
        match error {
            AgreeError::BadPublicKey => Self::BadPublicKey,
            AgreeError::NoRandomness => Self::NoRandomness,
        }
    }
}

impl From<NoRandomness> for RespondError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// What the handshake derives.
struct Keys {
    root: RootKey,
    /// R's first chain.
    responder: Chain,
    next_responder: HeaderChainKey,
    next_inviter: HeaderChainKey,
    words: WordsKey,
}

/// Derives the first keys. `psk` is CPace's key, or zeros without a secret.
fn derive(transcript: &[u8; 32], agreed: &Agreed, psk: &Secret<64>) -> Keys {
    let mut okm = Secret::<192>::zeroed();
    let ikm: [&[u8]; 3] = [agreed.dh.bytes(), agreed.kem.bytes(), psk.bytes()];
    primitives::hkdf(transcript, &ikm, &[labels::HANDSHAKE], okm.bytes_mut());
    wipe_stack();
    Keys {
        root: RootKey(okm.part(0)),
        responder: Chain::new(ChainKey(okm.part(32)), HeaderChainKey(okm.part(64))),
        next_responder: HeaderChainKey(okm.part(96)),
        next_inviter: HeaderChainKey(okm.part(128)),
        words: WordsKey(okm.part(160)),
    }
}

/// `th`: binds the first keys to every byte of the invite and to R's public values.
fn transcript(invite: &[u8], header: &Header, share: Option<&[u8; SHARE]>) -> [u8; 32] {
    let share = share.map_or(&[][..], |share| share);
    primitives::sha256(&[labels::TRANSCRIPT, invite, header.turn_input(), share])
}

/// CPace's key, from this side's scalar. `invite` asks for a secret; R sent `header` and `share`.
fn psk(
    scalar: &Scalar,
    invite: &Invite,
    header: &Header,
    share: &[u8; SHARE],
    role: Role,
) -> Option<Secret<64>> {
    let inviters = invite.cpace_share.as_ref()?;
    let peers = if role == Role::Inviter { share } else { inviters };
    let shared = scalar.agree(peers).ok()?;
    let a = Sent { share: inviters, data: &invite.to_bytes_without_share() };
    let b = Sent { share, data: header.turn_input() };
    Some(pake::session_key(&invite.commitment, &shared, &a, &b))
}

/// The options of an invite. By default it names no postbox, never expires and asks for no secret.
#[derive(Clone, Copy, Default)]
pub struct Invitation<'a> {
    /// The URL of the postbox in which both ends leave their packets; at most [`POSTBOX_MAX`] bytes.
    pub postbox: Option<&'a str>,
    /// Unix seconds after which nobody answers the invite.
    pub expires: Option<u64>,
    /// A secret that both people know. It is not kept; using it takes a tenth of a second.
    pub secret: Option<&'a Password>,
}

impl Inviting {
    /// Whether `session` was opened by a reply to this invite.
    pub fn became(&self, session: &Session) -> bool {
        matches!(&session.opening, Opening::Own(nonce)
            if primitives::equal(nonce.bytes(), self.nonce.bytes()))
    }

    /// A new invite, made at `now` in Unix seconds.
    ///
    /// # Errors
    /// [`InvitingError`].
    pub fn new(
        with: Invitation<'_>,
        now: u64,
        randomness: &mut dyn Randomness,
    ) -> Result<Self, InvitingError> {
        let postbox = with.postbox.filter(|url| !url.is_empty());
        if postbox.is_some_and(|url| url.len() > POSTBOX_MAX) {
            return Err(InvitingError::PostboxTooLong);
        }
        let (private, public) = RatchetPrivate::generate(randomness)?;
        let mut nonce = Secret::zeroed();
        randomness.fill(Draw::Nonce, nonce.bytes_mut())?;
        let mut token = Secret::zeroed();
        randomness.fill(Draw::ReplyToken, token.bytes_mut())?;
        let commitment = invite::commitment(nonce.bytes());
        let mut guess = None;
        let mut cpace_share = None;
        if let Some(secret) = with.secret {
            let scalar = Scalar::draw(randomness)?;
            let generator = Generator::new(&secret.stretch(&commitment)?, labels::CPACE);
            cpace_share = Some(scalar.share(&generator)?);
            guess = Some(Guess { scalar, spent: None, code: false });
        }
        let invite = Invite {
            key: public,
            commitment,
            reply_address: address(token.bytes()),
            expires: with.expires.filter(|&time| time != 0),
            cpace_share,
            postbox: postbox.map(str::to_owned),
        };
        let invite = invite.to_bytes();
        Ok(Self { private, nonce, reply_token: Token(token), invite, created: now, guess })
    }

    /// The invite's bytes, for the other side.
    pub fn invite(&self) -> &[u8] {
        &self.invite
    }

    /// The token, 32 bytes, with which the reply is collected. It is secret: anyone who has it can
    /// take the reply away.
    pub fn reply_token(&self) -> &[u8; 32] {
        self.reply_token.bytes()
    }

    /// The URL of the postbox in which both ends are going to leave their packets.
    pub fn postbox(&self) -> Option<String> {
        Invite::parse(&self.invite).ok()?.postbox
    }

    /// Unix seconds at which the invite was made.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Unix seconds after which nobody answers the invite; `None` = never.
    pub fn expires(&self) -> Option<u64> {
        Invite::parse(&self.invite).ok()?.expires
    }

    /// Whether the invite expired so long ago that it no longer waits for a reply.
    pub fn is_past(&self, now: u64) -> bool {
        self.expires().is_some_and(|end| now > end.saturating_add(INVITE_GRACE))
    }

    /// Whether the invite asks for a secret, so that only one reply may be tried.
    pub fn asks_for_secret(&self) -> bool {
        self.guess.is_some()
    }

    /// Remembers that the secret is a code, for the message after a wrong guess.
    pub fn mark_code(&mut self) {
        if let Some(guess) = &mut self.guess {
            guess.code = true;
        }
    }

    /// Whether the secret is a code.
    pub fn is_by_code(&self) -> bool {
        self.guess.as_ref().is_some_and(|guess| guess.code)
    }

    /// Whether the one guess was spent.
    pub fn is_spent(&self) -> bool {
        self.guess.as_ref().is_some_and(|guess| guess.spent.is_some())
    }

    /// Opens the outer layer of a reply of 8,192 bytes. If the invite asks for a secret, this
    /// spends the one guess: **store this state before [`Inviting::accept`]**, so that killing the
    /// process does not grant another guess. The same bytes may be opened again.
    ///
    /// # Errors
    /// [`ReplyError::Junk`], [`ReplyError::Second`].
    pub fn open(&mut self, reply: &[u8]) -> Result<OpenedReply, ReplyError> {
        let invite = Invite::parse(&self.invite).map_err(|_| ReplyError::Junk)?;
        let fields =
            reply::open(&self.invite, &invite.reply_address, reply).ok_or(ReplyError::Junk)?;
        let hash = primitives::sha256(&[reply]);
        if let Some(guess) = &mut self.guess
            && *guess.spent.get_or_insert(hash) != hash
        {
            return Err(ReplyError::Second);
        }
        Ok(OpenedReply { fields, hash })
    }

    /// Accepts an opened reply, after this state was stored. On success the invite is used up: drop
    /// it.
    ///
    /// # Errors
    /// [`ReplyError::Bad`]: the invite keeps waiting. [`ReplyError::NotAuthentic`]: the session
    /// must be ended. [`ReplyError::Second`]: this state did not open the reply.
    pub fn accept(&self, reply: OpenedReply, now: u64) -> Result<Session, ReplyError> {
        let spent = self.guess.as_ref().map(|guess| guess.spent);
        if spent.is_some_and(|spent| spent != Some(reply.hash)) {
            return Err(ReplyError::Second);
        }
        let failed = if spent.is_some() { ReplyError::NotAuthentic } else { ReplyError::Bad };
        let invite = Invite::parse(&self.invite).map_err(|_| failed)?;
        self.check(&invite, reply.fields, now).ok_or(failed)
    }

    /// Recomputes everything in an opened reply. Packet 0 must lie under the address computed here,
    /// which commits the reply to its keys; the AEAD alone would not.
    fn check(&self, invite: &Invite, fields: ReplyFields, now: u64) -> Option<Session> {
        // An invite that asks for a secret never accepts an answer without one.
        if invite.cpace_share.is_some() != self.guess.is_some() {
            return None;
        }
        if !fields.zeros || !primitives::kem_public_is_valid(&fields.key.kem()) {
            return None;
        }
        let header = Header::new(&fields.key, &fields.ciphertext, 0);
        let agreed = self.private.agree(fields.key.dh(), &fields.ciphertext).ok()?;
        let share = self.guess.is_some().then_some(&fields.last_field);
        let psk = match &self.guess {
            Some(guess) => psk(&guess.scalar, invite, &header, &fields.last_field, Role::Inviter)?,
            None => Secret::zeroed(),
        };
        let transcript = transcript(&self.invite, &header, share);
        let mut keys = derive(&transcript, &agreed, &psk);

        let first = keys.responder.advance().ok()?;
        let mut packet_0 = fields.packet_0;
        let address = address(first.token.bytes());
        if !primitives::equal(&packet_0[..packet::ADDRESS], &address) {
            return None;
        }
        let opened_header = packet::open_header(&first.header, &packet_0).ok()?;
        packet::open_body(&first.packet, &mut packet_0).ok()?;
        let frames = frame::parse(packet::body(&packet_0)).ok()?;
        let nothing = frame::Frames { nothing: 1, ..frame::Frames::default() };
        if frames != nothing || !primitives::equal(opened_header.bytes(), header.bytes()) {
            return None;
        }
        let ratchet = Ratchet {
            root: keys.root,
            sending: None,
            receiving: Some(Receiving {
                index: RESPONDERS_FIRST,
                chain: keys.responder,
                header_hash: header.hash(),
                transcript,
            }),
            next_sending: keys.next_inviter,
            next_receiving: keys.next_responder,
            own: None,
            peer: Some(fields.key),
            skipped: Skipped::default(),
        };
        let opening = Opening::Own(self.nonce.duplicate());
        wipe_stack();
        let secret = self.guess.is_some();
        let postbox = invite.postbox.clone();
        Some(Session::new(Role::Inviter, ratchet, keys.words, opening, secret, postbox, now))
    }
}

/// Answers `invite`: the session, and the reply of 8,192 bytes. `now` is in Unix seconds. If a
/// `secret` (or a code) is used, both sides must have it.
///
/// # Errors
/// [`RespondError`].
pub fn respond(
    invite_bytes: &[u8],
    secret: Option<&Password>,
    now: u64,
    randomness: &mut dyn Randomness,
) -> Result<(Session, Vec<u8>), RespondError> {
    let invite = Invite::parse(invite_bytes).map_err(RespondError::Invite)?;
    match (&invite.cpace_share, secret) {
        (Some(_), None) => return Err(RespondError::SecretAsked),
        (None, Some(_)) => return Err(RespondError::SecretTakenOff),
        _ => {}
    }
    if invite.expires.is_some_and(|end| now > end) {
        return Err(RespondError::Expired);
    }
    let (private, public) = RatchetPrivate::generate(randomness)?;
    let (agreed, ciphertext) = private.encapsulate(&invite.key, randomness)?;
    let header = Header::new(&public, &ciphertext, 0);
    let (last_field, psk) = answer(secret, &invite, &header, randomness)?;
    let transcript = transcript(invite_bytes, &header, secret.map(|_| &last_field));
    let mut keys = derive(&transcript, &agreed, &psk);

    let mut salt = [0; 32];
    randomness.fill(Draw::ReplySalt, &mut salt)?;
    let packet_0 = seal_packet_0(&mut keys.responder, &header, randomness)?;
    let fields = ReplyFields { key: public, ciphertext, last_field, packet_0, zeros: true };
    let reply = reply::seal(invite_bytes, &invite.reply_address, &salt, &fields);

    let ratchet = Ratchet {
        root: keys.root,
        sending: Some(Sending {
            index: RESPONDERS_FIRST,
            chain: keys.responder,
            header,
            transcript,
        }),
        receiving: None,
        next_sending: keys.next_responder,
        next_receiving: keys.next_inviter,
        own: Some(private),
        peer: None,
        skipped: Skipped::default(),
    };
    let opening = Opening::Awaited(invite.commitment);
    let (secret, postbox) = (secret.is_some(), invite.postbox);
    let mut session =
        Session::new(Role::Responder, ratchet, keys.words, opening, secret, postbox, now);
    session.keep_reply(reply.clone());
    Ok((session, reply))
}

/// The reply's last field, and `psk`: R's share and CPace's key, or filler and zeros.
fn answer(
    secret: Option<&Password>,
    invite: &Invite,
    header: &Header,
    randomness: &mut dyn Randomness,
) -> Result<([u8; SHARE], Secret<64>), RespondError> {
    let Some(secret) = secret else {
        let mut filler = [0; SHARE];
        randomness.fill(Draw::Filler, &mut filler)?;
        return Ok((filler, Secret::zeroed()));
    };
    // Check this before the expensive work on the secret.
    if !invite.cpace_share.as_ref().is_some_and(pake::is_valid_share) {
        return Err(RespondError::BadPublicKey);
    }
    let scalar = Scalar::draw(randomness)?;
    let prs = secret.stretch(&invite.commitment)?;
    let share = scalar.share(&Generator::new(&prs, labels::CPACE))?;
    let psk = psk(&scalar, invite, header, &share, Role::Responder);
    Ok((share, psk.ok_or(RespondError::BadPublicKey)?))
}

/// R's packet number 0: one NOTHING frame.
fn seal_packet_0(
    chain: &mut Chain,
    header: &Header,
    randomness: &mut dyn Randomness,
) -> Result<Vec<u8>, NoRandomness> {
    let mut packet = vec![0; PACKET_0];
    let mut frames = Vec::new();
    frame::put_nothing(&mut frames);
    packet::body_mut(&mut packet)[..frames.len()].copy_from_slice(&frames);
    // A fresh chain is never exhausted.
    let keys = chain.advance().map_err(|_| NoRandomness)?;
    packet::seal(&keys, header, &mut packet, randomness)?;
    Ok(packet)
}
