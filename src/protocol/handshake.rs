//! The handshake: an invite, a reply, and the first keys of both sides.
//!
//! ```text
//! I  Inviting::new ──invite──▶ R  respond ──reply──▶ I  Inviting::accept ──▶ Session
//! ```

use super::chain::Chain;
use super::frame;
use super::invite::{self, Invite, InviteError, POSTBOX_MAX};
use super::labels;
use super::packet::{self, Header};
use super::primitives;
use super::randomness::{Draw, NoRandomness, Randomness};
use super::ratchet::{RESPONDERS_FIRST, Ratchet, Receiving, Sending};
use super::reply::{self, PACKET_0, ReplyFields};
use super::root::{AgreeError, Agreed, RatchetPrivate};
use super::secret::{ChainKey, HeaderChainKey, RootKey, Secret, Token, WordsKey, bleach};
use super::session::{Opening, Role, Session};
use super::skipped::Skipped;

/// The inviting side while it waits for the reply.
pub struct Inviting {
    pub(crate) private: RatchetPrivate,
    pub(crate) nonce: Secret<32>,
    pub(crate) reply_token: Token,
    /// The invite's bytes; an invite serves once.
    pub(crate) invite: Vec<u8>,
    /// Unix seconds.
    pub(crate) created: u64,
}

/// Why no invite was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitingError {
    /// The postbox's URL is longer than [`POSTBOX_MAX`] bytes.
    PostboxTooLong,
    /// No randomness.
    NoRandomness,
}

impl From<NoRandomness> for InvitingError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// Why a reply was not accepted. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyError {
    /// Not a reply to this invite: anybody may have put it there.
    Junk,
    /// A holder of the invite made it, and it does not fit.
    Bad,
}

/// Why an invite was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespondError {
    /// Not an invite of this version.
    Invite(InviteError),
    /// The clock is above the invite's end.
    Expired,
    /// The invite asks for a secret, and none was given.
    SecretAsked,
    /// One of its public keys must be refused.
    BadPublicKey,
    /// No randomness.
    NoRandomness,
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

/// `psk` without a secret.
const NO_PSK: [u8; 64] = [0; 64];

fn derive(transcript: &[u8; 32], agreed: &Agreed) -> Keys {
    let mut okm = Secret::<192>::zeroed();
    let ikm: [&[u8]; 3] = [agreed.dh.bytes(), agreed.kem.bytes(), &NO_PSK];
    primitives::hkdf(transcript, &ikm, &[labels::HANDSHAKE], okm.bytes_mut());
    bleach();
    Keys {
        root: RootKey(okm.part(0)),
        responder: Chain::new(ChainKey(okm.part(32)), HeaderChainKey(okm.part(64))),
        next_responder: HeaderChainKey(okm.part(96)),
        next_inviter: HeaderChainKey(okm.part(128)),
        words: WordsKey(okm.part(160)),
    }
}

/// `th`: binds the first keys to every byte of the invite and to R's public values.
fn transcript(invite: &[u8], header: &Header) -> [u8; 32] {
    primitives::sha256(&[labels::TRANSCRIPT, invite, header.turn_input()])
}

impl Inviting {
    /// A new invite. `expires` is in Unix seconds, 0 = never; `postbox` is empty for none.
    ///
    /// # Errors
    /// [`InvitingError`].
    pub fn new(
        postbox: &str,
        expires: u64,
        now: u64,
        randomness: &mut dyn Randomness,
    ) -> Result<Self, InvitingError> {
        if postbox.len() > POSTBOX_MAX {
            return Err(InvitingError::PostboxTooLong);
        }
        let (private, public) = RatchetPrivate::generate(randomness)?;
        let mut nonce = Secret::zeroed();
        randomness.fill(Draw::Nonce, nonce.bytes_mut())?;
        let mut token = Secret::zeroed();
        randomness.fill(Draw::ReplyToken, token.bytes_mut())?;
        let invite = Invite {
            key: public,
            commitment: invite::commitment(nonce.bytes()),
            reply_address: invite::address(token.bytes()),
            expires,
            cpace_share: None,
            postbox: postbox.to_owned(),
        };
        let invite = invite.to_bytes();
        Ok(Self { private, nonce, reply_token: Token(token), invite, created: now })
    }

    /// The invite's bytes, to be handed to the other side.
    pub fn invite(&self) -> &[u8] {
        &self.invite
    }

    /// The token, 32 bytes, under which the reply is collected. Secret: whoever has it can take the
    /// reply away.
    pub fn reply_token(&self) -> &[u8; 32] {
        self.reply_token.bytes()
    }

    /// Unix seconds at which the invite was made.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Accepts a reply of 8,192 bytes. On success the invite is used up: drop it.
    ///
    /// # Errors
    /// [`ReplyError`]; the invite goes on waiting.
    pub fn accept(&self, reply: &[u8], now: u64) -> Result<Session, ReplyError> {
        let invite = Invite::parse(&self.invite).map_err(|_| ReplyError::Junk)?;
        let fields =
            reply::open(&self.invite, &invite.reply_address, reply).ok_or(ReplyError::Junk)?;
        self.check(&invite, fields, now).ok_or(ReplyError::Bad)
    }

    /// Recomputes all of a reply that opened. That packet 0 lies under the address computed here
    /// commits the reply to its keys, which the AEAD alone would not.
    fn check(&self, invite: &Invite, fields: ReplyFields, now: u64) -> Option<Session> {
        // An invite that asks for a secret is never answered without one.
        if invite.cpace_share.is_some() {
            return None;
        }
        if !fields.zeros || !primitives::kem_public_is_valid(&fields.key.kem()) {
            return None;
        }
        let header = Header::new(&fields.key, &fields.ciphertext, 0);
        let agreed = self.private.agree(&fields.key.dh(), &fields.ciphertext).ok()?;
        let transcript = transcript(&self.invite, &header);
        let mut keys = derive(&transcript, &agreed);

        let first = keys.responder.advance().ok()?;
        let mut packet_0 = fields.packet_0;
        let address = invite::address(first.token.bytes());
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
        bleach();
        Some(Session::new(Role::Inviter, ratchet, keys.words, opening, &invite.postbox, now))
    }
}

/// Answers `invite`: the session, and the reply of 8,192 bytes. `now` is in Unix seconds.
///
/// # Errors
/// [`RespondError`].
pub fn respond(
    invite_bytes: &[u8],
    now: u64,
    randomness: &mut dyn Randomness,
) -> Result<(Session, Vec<u8>), RespondError> {
    let invite = Invite::parse(invite_bytes).map_err(RespondError::Invite)?;
    if invite.expires != 0 && now > invite.expires {
        return Err(RespondError::Expired);
    }
    if invite.cpace_share.is_some() {
        return Err(RespondError::SecretAsked);
    }
    let (private, public) = RatchetPrivate::generate(randomness)?;
    let (agreed, ciphertext) = private.encapsulate(&invite.key, randomness)?;
    let header = Header::new(&public, &ciphertext, 0);
    let transcript = transcript(invite_bytes, &header);
    let mut keys = derive(&transcript, &agreed);

    let mut last_field = [0; 32];
    randomness.fill(Draw::Filler, &mut last_field)?;
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
    let mut session =
        Session::new(Role::Responder, ratchet, keys.words, opening, &invite.postbox, now);
    session.keep_reply(reply.clone());
    Ok((session, reply))
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
