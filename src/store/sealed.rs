//! A state sealed with a passphrase, to travel through a pipe or a disk.
//!
//! ```text
//! version 1 | salt 16 | ChaCha20-Poly1305(key, AD = "otr/1 export" ‖ version ‖ salt; state) + 16
//! key = Argon2id(passphrase, salt), 32 bytes
//! ```
//!
//! Argon2id's parameters belong to the version, not to the line, so that no line can make this end
//! compute for hours. Each line has a fresh salt, so each key is used once.

use crate::protocol::authentication::password::Password;
use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{self, OutOfMemory, TAG};
use zeroize::Zeroizing;

/// The only version.
const VERSION: u8 = 1;
const SALT: usize = 16;
const HEAD: usize = 1 + SALT;

/// Bytes that sealing adds to a state.
pub(super) const MORE: usize = HEAD + TAG;

/// Why a state could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedError {
    /// Too short to be a sealed state.
    Damaged,
    /// A version that this program does not know.
    Version(u8),
    /// Another passphrase, or changed bytes: the two cannot be told apart.
    WrongPassphrase,
    /// The system gave no randomness.
    NoRandomness,
    /// The system did not grant the memory that a passphrase needs.
    OutOfMemory,
}

impl From<OutOfMemory> for SealedError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// Seals a state.
pub fn seal(state: &[u8], passphrase: &Password) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let mut sealed = Zeroizing::new(vec![0; state.len() + MORE]);
    let (head, body) = sealed.split_at_mut(HEAD);
    head[0] = VERSION;
    getrandom::fill(&mut head[1..]).map_err(|_| SealedError::NoRandomness)?;
    body[..state.len()].copy_from_slice(state);
    let key = primitives::argon2id(passphrase.bytes(), &head[1..])?;
    primitives::seal(key.bytes(), &associated(head), body);
    Ok(sealed)
}

/// Checks whether it makes sense to try [`open`].
pub fn check(sealed: &[u8]) -> Result<(), SealedError> {
    match sealed.first() {
        None => Err(SealedError::Damaged),
        Some(&VERSION) if sealed.len() < MORE => Err(SealedError::Damaged),
        Some(&VERSION) => Ok(()),
        Some(&version) => Err(SealedError::Version(version)),
    }
}

/// Opens what [`seal`] made.
pub fn open(sealed: &[u8], passphrase: &Password) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    check(sealed)?;
    let (head, body) = sealed.split_at(HEAD);
    let mut state = Zeroizing::new(body.to_vec());
    let key = primitives::argon2id(passphrase.bytes(), &head[1..])?;
    primitives::open(key.bytes(), &associated(head), &mut state)
        .map_err(|_| SealedError::WrongPassphrase)?;
    state.truncate(body.len() - TAG);
    Ok(state)
}

fn associated(head: &[u8]) -> Vec<u8> {
    [labels::EXPORT, head].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::from_text(text).unwrap()
    }

    #[test]
    fn only_the_passphrase_opens_it() {
        let sealed = seal(b"state", &password("correct horse")).unwrap();
        assert_eq!(sealed.len(), b"state".len() + MORE);
        assert_eq!(open(&sealed, &password("correct horse")).unwrap().as_slice(), b"state");
        assert_eq!(open(&sealed, &password("battery")).unwrap_err(), SealedError::WrongPassphrase);
        // The salt is fresh, so the key differs each time.
        assert_ne!(sealed[..], seal(b"state", &password("correct horse")).unwrap()[..]);
        for at in [1, HEAD, sealed.len() - 1] {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert_eq!(
                open(&changed, &password("correct horse")).unwrap_err(),
                SealedError::WrongPassphrase
            );
        }
    }

    #[test]
    fn what_is_not_sealed_is_told_without_work() {
        assert_eq!(open(b"", &password("x")).unwrap_err(), SealedError::Damaged);
        assert_eq!(open(&[1; MORE - 1], &password("x")).unwrap_err(), SealedError::Damaged);
        assert_eq!(open(&[2; 100], &password("x")).unwrap_err(), SealedError::Version(2));
    }
}
