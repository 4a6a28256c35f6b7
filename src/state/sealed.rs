//! A state under a passphrase, for the way through a pipe or a disk.
//!
//! ```text
//! version 1 | salt 16 | ChaCha20-Poly1305(key, AD = "otr/1 export" ‖ version ‖ salt; state) + 16
//! key = Argon2id(passphrase, salt; 64 MiB, 3 passes, 4 lanes), 32 bytes
//! ```
//!
//! The parameters are the second recommended ones of RFC 9106, section 4: what a small machine can
//! give too. They belong to the version, not to the line, so that nobody's line makes this end
//! compute for hours. The salt is fresh for each line, so each key serves once.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use otr::protocol::labels;
use otr::protocol::primitives::{self, TAG};
use zeroize::Zeroizing;

/// The one version.
const VERSION: u8 = 1;
const SALT: usize = 16;
const HEAD: usize = 1 + SALT;

/// Bytes that sealing adds to a state.
pub(super) const MORE: usize = HEAD + TAG;

/// KiB of memory: 64 MiB.
const MEMORY: u32 = 64 << 10;
const PASSES: u32 = 3;
const LANES: u32 = 4;

/// Why a state was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealedError {
    /// Too short for anything sealed.
    Damaged,
    /// A version that this program does not know.
    Version(u8),
    /// Another passphrase, or changed bytes: the two cannot be told apart.
    WrongPassphrase,
    /// The system gave no randomness.
    NoRandomness,
}

/// Seals a state. `passphrase` has at least one byte.
pub(crate) fn seal(state: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    let mut sealed = Zeroizing::new(vec![0; state.len() + MORE]);
    let (head, body) = sealed.split_at_mut(HEAD);
    head[0] = VERSION;
    getrandom::fill(&mut head[1..]).map_err(|_| SealedError::NoRandomness)?;
    body[..state.len()].copy_from_slice(state);
    let key = key(passphrase, &head[1..]).ok_or(SealedError::Damaged)?;
    primitives::seal(&key, &associated(head), body);
    Ok(sealed)
}

/// Whether [`open`] can be tried at all.
pub(crate) fn check(sealed: &[u8]) -> Result<(), SealedError> {
    match sealed.first() {
        None => Err(SealedError::Damaged),
        Some(&VERSION) if sealed.len() < MORE => Err(SealedError::Damaged),
        Some(&VERSION) => Ok(()),
        Some(&version) => Err(SealedError::Version(version)),
    }
}

/// Opens what [`seal`] made.
pub(crate) fn open(sealed: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealedError> {
    check(sealed)?;
    let (head, body) = sealed.split_at(HEAD);
    let mut state = Zeroizing::new(body.to_vec());
    let key = key(passphrase, &head[1..]).ok_or(SealedError::Damaged)?;
    primitives::open(&key, &associated(head), &mut state)
        .map_err(|_| SealedError::WrongPassphrase)?;
    state.truncate(body.len() - TAG);
    Ok(state)
}

fn associated(head: &[u8]) -> Vec<u8> {
    [labels::EXPORT, head].concat()
}

/// `None` never happens: the parameters are constants, and a passphrase is far below 4 GiB.
fn key(passphrase: &[u8], salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let parameters = Params::new(MEMORY, PASSES, LANES, Some(32)).ok()?;
    // Handed in, so that it is wiped: the last pass is as good as the key.
    let mut memory = Zeroizing::new(vec![Block::default(); parameters.block_count()]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let mut key = Zeroizing::new([0; 32]);
    argon2
        .hash_password_into_with_memory(passphrase, salt, &mut *key, &mut memory[..])
        .ok()
        .map(|()| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_it() {
        let sealed = seal(b"state", b"correct horse").unwrap();
        assert_eq!(sealed.len(), b"state".len() + MORE);
        assert_eq!(open(&sealed, b"correct horse").unwrap().as_slice(), b"state");
        assert_eq!(open(&sealed, b"battery").unwrap_err(), SealedError::WrongPassphrase);
        // Fresh salt: another key each time.
        assert_ne!(sealed[..], seal(b"state", b"correct horse").unwrap()[..]);
        for at in [1, HEAD, sealed.len() - 1] {
            let mut changed = sealed.to_vec();
            changed[at] ^= 1;
            assert_eq!(open(&changed, b"correct horse").unwrap_err(), SealedError::WrongPassphrase);
        }
    }

    #[test]
    fn what_is_not_sealed_is_told_without_work() {
        assert_eq!(open(b"", b"x").unwrap_err(), SealedError::Damaged);
        assert_eq!(open(&[1; MORE - 1], b"x").unwrap_err(), SealedError::Damaged);
        assert_eq!(open(&[2; 100], b"x").unwrap_err(), SealedError::Version(2));
    }

    /// Computed by the reference implementation, libargon2: `printf password | argon2
    /// 0123456789abcdef -id -t 3 -m 16 -p 4 -l 32 -r`.
    #[test]
    fn the_key_is_argon2id_of_rfc_9106() {
        let key = key(b"password", b"0123456789abcdef").unwrap();
        let expected: [u128; 2] =
            [0xb8a6_4b68_dea6_b88c_a8c8_862b_e706_aac3, 0x7cbe_cda0_db7b_d68b_48f8_fa2e_7feb_6f3e];
        assert_eq!(key[..], expected.map(u128::to_be_bytes).concat());
    }
}
