//! The few calls to SHA-2, HMAC, HKDF, Argon2id, ChaCha20-Poly1305, X25519, ristretto255 and
//! ML-KEM-768: only this file and its four submodules name their crates.
//!
//! A function that touches a secret is never inlined, so its stack frame lies below the caller's,
//! and the caller overwrites it (`secret::wipe_stack`).

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use hmac::{Hmac, KeyInit, Mac};
use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768PublicKey};
use poly1305::Poly1305;
use poly1305::universal_hash::UniversalHash;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::protocol::crypto::secret::Secret;

pub use aead::{TAG, Unopened, open, seal};
#[cfg(test)]
pub(crate) use argon2id::argon2id_cheap;
pub use argon2id::{OutOfMemory, argon2id};
pub use x25519::{DH_PUBLIC, DhPeer, dh, dh_public};

#[cfg(not(feature = "fast-aead"))]
#[path = "aead_rustcrypto.rs"]
mod aead;
#[cfg(feature = "fast-aead")]
#[path = "aead_fast.rs"]
mod aead;
#[path = "argon2id.rs"]
mod argon2id;
#[path = "x25519.rs"]
mod x25519;

/// Bytes of an ML-KEM-768 encapsulation key (FIPS 203, table 3).
pub const KEM_PUBLIC: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext (FIPS 203, table 3).
pub const KEM_CIPHERTEXT: usize = 1088;
/// Bytes of an ML-KEM seed d ‖ z (FIPS 203, section 7.1).
pub const KEM_SEED: usize = 64;

/// Bytes of an encoded ristretto255 element (RFC 9496, section 4.3).
pub const GROUP_ELEMENT: usize = 32;

/// A public key that must be refused: an X25519 output of zeros (RFC 7748, section 6.1), an
/// encapsulation key that fails the check of FIPS 203, section 7.2, or bytes that are not the one
/// encoding of a ristretto255 element other than the neutral one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPublicKey;

/// SHA-256 of the concatenated parts.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-512 of the concatenated parts; its inputs are secret here.
#[inline(never)]
pub fn sha512(parts: &[&[u8]]) -> Secret<64> {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let mut out = Secret::zeroed();
    hash.finalize_into(out.bytes_mut().into());
    out
}

/// HMAC-SHA-256 (RFC 2104) of the concatenated parts.
#[inline(never)]
pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac_keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hmac_keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mac = Hmac::new(&block.into());
    block.zeroize();
    mac
}

/// HKDF-SHA-256 (RFC 5869), extract then expand. An empty `salt` counts as none. `out` is at most
/// 255 × 32 bytes; every caller's length is a constant far below that.
#[inline(never)]
pub fn hkdf(salt: &[u8], ikm: &[&[u8]], info: &[&[u8]], out: &mut [u8]) {
    let mut extract = hkdf::HkdfExtract::<Sha256>::new(Some(salt));
    for part in ikm {
        extract.input_ikm(part);
    }
    let (mut prk, hkdf) = extract.finalize();
    if hkdf.expand_multi_info(info, out).is_err() {
        debug_assert!(false, "no caller asks for more than 255 blocks");
    }
    prk.as_mut_slice().zeroize();
}

/// HKDF-SHA-256, expand alone (RFC 5869, section 2.3): `out` is at most 255 × 32 bytes.
#[inline(never)]
pub fn expand(prk: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    debug_assert!(out.len() <= 255 * 32, "no caller asks for more");
    let keyed = hmac_keyed(prk);
    let mut block = [0; 32];
    for (index, chunk) in (1..=u8::MAX).zip(out.chunks_mut(32)) {
        let mut mac = keyed.clone();
        if index > 1 {
            mac.update(&block);
        }
        for part in info {
            mac.update(part);
        }
        mac.update(&[index]);
        block = mac.finalize().into_bytes().into();
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    block.zeroize();
}

/// Whether two byte strings are equal, in time that depends only on their lengths.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The one-time Poly1305 key (RFC 8439, section 2.6) of an AEAD key that is used with a zero nonce:
/// the first 32 bytes of `ChaCha20` block 0.
#[inline(never)]
pub fn poly1305_key(key: &[u8; 32]) -> [u8; 32] {
    let mut block = [0; 32];
    ChaCha20::new(&(*key).into(), &[0; 12].into()).apply_keystream(&mut block);
    block
}

/// Adds the keystream of `ChaCha20` (RFC 8439, section 2.4) with a zero nonce, from block 0 on: the
/// same again takes it off. A key masks one message.
#[cfg(feature = "redis")]
#[inline(never)]
pub(crate) fn mask(key: &[u8; 32], message: &mut [u8]) {
    ChaCha20::new(&(*key).into(), &[0; 12].into()).apply_keystream(message);
}

/// The tag that the AEAD appends to `ciphertext` (RFC 8439, section 2.8), computed from the
/// one-time Poly1305 key alone, as anyone who holds a published key can.
pub fn poly1305_tag(key: &[u8; 32], ad: &[u8], ciphertext: &[u8]) -> [u8; TAG] {
    let mut lengths = [0; 16];
    lengths[..8].copy_from_slice(&(ad.len() as u64).to_le_bytes());
    lengths[8..].copy_from_slice(&(ciphertext.len() as u64).to_le_bytes());
    let mut mac = Poly1305::new(&(*key).into());
    mac.update_padded(ad);
    mac.update_padded(ciphertext);
    mac.update(&[lengths.into()]);
    mac.finalize().into()
}

/// The ristretto255 element that 64 uniform bytes map to (RFC 9496, section 4.3.4), times `scalar`
/// (see [`group_multiply`]), encoded.
///
/// # Errors
/// [`BadPublicKey`] if that is the neutral element, which means that the scalar is zero.
#[inline(never)]
pub fn group_multiply_mapped(
    uniform: &Secret<64>,
    scalar: &Secret<32>,
) -> Result<[u8; GROUP_ELEMENT], BadPublicKey> {
    let point = Zeroizing::new(RistrettoPoint::from_uniform_bytes(uniform.bytes()));
    multiply(&point, scalar).map(|product| *product.bytes())
}

/// The ristretto255 element that `element` encodes, times `scalar`, encoded. A scalar is 32 bytes,
/// little endian, whose bits from 252 on are cleared before use, which keeps it below the group's
/// order.
///
/// # Errors
/// [`BadPublicKey`] if the bytes are not a canonical encoding, or the element or the product is
/// neutral.
#[inline(never)]
pub fn group_multiply(
    element: &[u8; GROUP_ELEMENT],
    scalar: &Secret<32>,
) -> Result<Secret<GROUP_ELEMENT>, BadPublicKey> {
    // The order is prime: a product with a nonzero scalar is neutral only if the element is.
    let point = CompressedRistretto(*element).decompress().ok_or(BadPublicKey)?;
    multiply(&point, scalar)
}

/// Whether [`group_multiply`] accepts these bytes.
pub fn group_element_is_valid(element: &[u8; GROUP_ELEMENT]) -> bool {
    let neutral = equal(element, &[0; GROUP_ELEMENT]);
    !neutral && CompressedRistretto(*element).decompress().is_some()
}

#[inline(never)]
fn multiply(
    point: &RistrettoPoint,
    scalar: &Secret<32>,
) -> Result<Secret<GROUP_ELEMENT>, BadPublicKey> {
    let mut bytes = scalar.duplicate();
    bytes.bytes_mut()[31] &= 0x0f;
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(*bytes.bytes()));
    let product = Zeroizing::new(point * *scalar);
    let encoded = Secret::copy_of(Zeroizing::new(product.compress()).as_bytes());
    // Only the neutral element encodes to zeros.
    if equal(encoded.bytes(), &[0; GROUP_ELEMENT]) { Err(BadPublicKey) } else { Ok(encoded) }
}

/// The encapsulation key of a seed (FIPS 203, algorithm 16).
#[inline(never)]
pub fn kem_public(seed: &Secret<KEM_SEED>) -> [u8; KEM_PUBLIC] {
    *mlkem768::generate_key_pair(*seed.bytes()).pk()
}

/// Encapsulates to `public` with the randomness `m` (FIPS 203, algorithm 17): ciphertext and shared
/// secret.
///
/// # Errors
/// [`BadPublicKey`] where `public` is not reduced (FIPS 203, section 7.2).
#[inline(never)]
pub fn encapsulate(
    public: &[u8; KEM_PUBLIC],
    m: &Secret<32>,
) -> Result<([u8; KEM_CIPHERTEXT], Secret<32>), BadPublicKey> {
    let key = MlKem768PublicKey::from(public);
    if !mlkem768::validate_public_key(&key) {
        return Err(BadPublicKey);
    }
    let (ciphertext, mut shared) = mlkem768::encapsulate(&key, *m.bytes());
    let secret = Secret::copy_of(&shared);
    shared.zeroize();
    Ok((ciphertext.into(), secret))
}

/// Whether `public` passes the check of FIPS 203, section 7.2.
pub fn kem_public_is_valid(public: &[u8; KEM_PUBLIC]) -> bool {
    mlkem768::validate_public_key(&MlKem768PublicKey::from(public))
}

/// Decapsulates `ciphertext` (FIPS 203, algorithm 18). A ciphertext that was made for another key
/// yields a secret that nobody else has (implicit rejection).
///
/// The crate wipes nothing: callers overwrite the stack afterwards (`secret::wipe_stack_deep`).
#[inline(never)]
pub fn decapsulate(seed: &Secret<KEM_SEED>, ciphertext: &[u8; KEM_CIPHERTEXT]) -> Secret<32> {
    let mut shared = decapsulate_from_seed(*seed.bytes(), &MlKem768Ciphertext::from(ciphertext));
    let secret = Secret::copy_of(&shared);
    shared.zeroize();
    secret
}

/// The unpacked key keeps the matrix that key generation has just expanded, so decapsulation need
/// not expand it again, which saves a quarter of the time. The crate offers this only per backend.
#[cfg(target_arch = "x86_64")]
fn decapsulate_from_seed(seed: [u8; KEM_SEED], ciphertext: &MlKem768Ciphertext) -> [u8; 32] {
    use mlkem768::avx2::unpacked;

    if !std::arch::is_x86_feature_detected!("avx2") {
        let pair = mlkem768::generate_key_pair(seed);
        return mlkem768::decapsulate(pair.private_key(), ciphertext);
    }
    let mut pair = unpacked::init_key_pair();
    unpacked::generate_key_pair_mut(seed, &mut pair);
    unpacked::decapsulate(&pair, ciphertext)
}

#[cfg(not(target_arch = "x86_64"))]
fn decapsulate_from_seed(seed: [u8; KEM_SEED], ciphertext: &MlKem768Ciphertext) -> [u8; 32] {
    let pair = mlkem768::generate_key_pair(seed);
    mlkem768::decapsulate(pair.private_key(), ciphertext)
}
