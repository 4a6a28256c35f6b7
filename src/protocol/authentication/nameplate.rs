//! A short code in place of an invite, `417-guitar-vanish`: a number under which the invite lies in
//! a postbox, and two words. The whole code is the secret of the handshake.
//!
//! ```text
//! address 32 | salt 32 | AEAD: length u16 ‖ invite ‖ zeros                            4,096 bytes
//! ```
//! Anyone who tries all the numbers can fetch the invite, and gets one guess at the words.

use zeroize::Zeroizing;

use crate::protocol::authentication::password::{Password, PasswordError};
use crate::protocol::authentication::words;
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{self, TAG};
use crate::protocol::crypto::secret::{Secret, Token, wipe_stack};
use crate::protocol::handshake::invite::INVITE_MAX;
use crate::protocol::packet::ADDRESS;
use crate::protocol::packet::address::address;
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::protocol::wire::{Malformed, Reader};

/// Bytes of a sealed invite: a packet of the smallest size.
pub const NAMEPLATE: usize = 4096;
/// The smallest number: three digits.
pub const NUMBER_MIN: u32 = 100;
/// The largest number: nine digits.
pub const NUMBER_MAX: u32 = 999_999_999;
/// How many digits a number may have.
pub const DIGITS: core::ops::RangeInclusive<u32> = 3..=9;

const FRONT: usize = ADDRESS + 32;
const PLAIN: usize = NAMEPLATE - FRONT - TAG;
const _: () = assert!(2 + INVITE_MAX <= PLAIN, "every invite fits");

/// A code: a number and two words. Secret until its one use.
pub struct Code {
    number: u32,
    /// As people write it: lower case, with hyphens.
    text: Zeroizing<String>,
}

/// Why a text is not a code. Reading it has cost no guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// Not a number and two words, with hyphens between them.
    Shape,
    /// The number is not one of 3 to 9 digits without leading zeros.
    Number,
    /// The first (1) or second (2) word is not in the list.
    UnknownWord(u8),
}

impl Code {
    /// A random code whose number has `digits` digits (clamped to [`DIGITS`]).
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn generate(digits: u32, randomness: &mut dyn Randomness) -> Result<Self, NoRandomness> {
        let mut random = Secret::<8>::zeroed();
        randomness.fill(Draw::Code, random.bytes_mut())?;
        let [a, b, c, d, number @ ..] = *random.bytes();
        let smallest = 10_u32.pow(digits.clamp(*DIGITS.start(), *DIGITS.end()) - 1);
        // Not quite uniform, which does not matter: the number is not secret.
        let number = smallest + u32::from_be_bytes(number) % (9 * smallest);
        // 11 bits each: uniform.
        let first = words::word(u16::from_be_bytes([a, b]));
        let second = words::word(u16::from_be_bytes([c, d]));
        Ok(Self { number, text: Zeroizing::new(format!("{number}-{first}-{second}")) })
    }

    /// Reads a code as a person types it: case and surrounding blanks do not matter.
    ///
    /// # Errors
    /// [`CodeError`].
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let text = Zeroizing::new(text.trim().to_ascii_lowercase());
        let mut parts = text.split('-');
        let (Some(number), Some(first), Some(second), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CodeError::Shape);
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || number.starts_with('0') {
            return Err(CodeError::Number);
        }
        let number = number.parse().map_err(|_| CodeError::Number)?;
        if !(NUMBER_MIN..=NUMBER_MAX).contains(&number) {
            return Err(CodeError::Number);
        }
        for (place, word) in [(1, first), (2, second)] {
            if !words::is_word(word) {
                return Err(CodeError::UnknownWord(place));
            }
        }
        Ok(Self { number, text })
    }

    /// The code as people write it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its number, 100 to 999,999,999.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The whole code, as the secret of the handshake.
    ///
    /// # Errors
    /// None in practice: a code is a short text.
    pub fn secret(&self) -> Result<Password, PasswordError> {
        Password::from_text(&self.text)
    }
}

/// Why an invite could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameplateError {
    /// More than [`INVITE_MAX`] bytes: not an invite.
    TooLong,
    /// No randomness.
    NoRandomness,
}

impl From<NoRandomness> for NameplateError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// The place in a postbox that a number names. Anyone who guesses the number can reach it.
pub struct Nameplate(Token);

impl Nameplate {
    /// The place of a number.
    pub fn of(number: u32) -> Self {
        let mut token = Secret::zeroed();
        let number = number.to_string();
        primitives::hkdf(&[], &[number.as_bytes()], &[labels::NAMEPLATE], token.bytes_mut());
        Self(Token(token))
    }

    /// The token, 32 bytes, under which the sealed invite is collected and discarded.
    pub fn token(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// The address, 32 bytes, under which the sealed invite is posted.
    pub fn address(&self) -> [u8; 32] {
        address(self.0.bytes())
    }

    fn key(&self, salt: &[u8]) -> Secret<32> {
        let mut key = Secret::zeroed();
        primitives::hkdf(salt, &[self.token()], &[labels::NAMEPLATE_KEY], key.bytes_mut());
        key
    }

    /// Seals an invite, at most [`INVITE_MAX`] bytes, into the [`NAMEPLATE`] bytes that are posted.
    ///
    /// # Errors
    /// [`NameplateError`].
    pub fn seal(
        &self,
        invite: &[u8],
        randomness: &mut dyn Randomness,
    ) -> Result<Vec<u8>, NameplateError> {
        let length = u16::try_from(invite.len()).map_err(|_| NameplateError::TooLong)?;
        if invite.len() > INVITE_MAX {
            return Err(NameplateError::TooLong);
        }
        let mut salt = [0; 32];
        randomness.fill(Draw::NameplateSalt, &mut salt)?;
        let mut bytes = Vec::with_capacity(NAMEPLATE);
        bytes.extend_from_slice(&self.address());
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(invite);
        bytes.resize(NAMEPLATE, 0);
        let (front, sealed) = bytes.split_at_mut(FRONT);
        primitives::seal(self.key(&salt).bytes(), front, sealed);
        wipe_stack();
        Ok(bytes)
    }

    /// The invite in what was collected; `None` if it was not sealed for this number.
    pub fn open(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() != NAMEPLATE || !primitives::equal(&bytes[..ADDRESS], &self.address()) {
            return None;
        }
        let (front, sealed) = bytes.split_at(FRONT);
        let mut sealed = sealed.to_vec();
        let key = self.key(&front[ADDRESS..]);
        primitives::open(key.bytes(), front, &mut sealed).ok()?;
        wipe_stack();
        read(&sealed[..PLAIN]).ok()
    }
}

fn read(plain: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(plain);
    let length = usize::from(reader.u16()?);
    if length > INVITE_MAX {
        return Err(Malformed);
    }
    let invite = reader.take(length)?.to_vec();
    let zeros = reader.rest().iter().all(|byte| *byte == 0);
    if zeros { Ok(invite) } else { Err(Malformed) }
}
