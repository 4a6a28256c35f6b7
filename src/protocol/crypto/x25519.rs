//! X25519 (RFC 7748, section 5), computed on the Edwards form of the curve: a window of four bits
//! at a time and AVX-512 or AVX2 where the processor has them, where the Montgomery ladder goes bit
//! by bit. The result is the same for every input. A key on the twist, which no honest key is,
//! takes the ladder.
//!
//! The time depends on nothing but the public key.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{BadPublicKey, equal};
use crate::protocol::crypto::secret::Secret;

/// Bytes of an X25519 public key (RFC 7748).
pub const DH_PUBLIC: usize = 32;

/// A peer's public key, prepared for [`dh`]. Preparing it takes a square root, so the result is
/// worth keeping when one key is used twice.
#[derive(Clone)]
pub struct DhPeer(PeerPoint);

#[derive(Clone)]
enum PeerPoint {
    /// On the curve: one of the two points with this u. The other is its negative and yields the
    /// same shared u.
    Curve(EdwardsPoint),
    /// On its quadratic twist.
    Twist(PublicKey),
}

impl DhPeer {
    /// From the bytes of a public key: any 32 bytes, as RFC 7748 says. The highest bit is ignored.
    pub fn new(public: &[u8; DH_PUBLIC]) -> Self {
        Self(match MontgomeryPoint(*public).to_edwards(0) {
            Some(point) => PeerPoint::Curve(point),
            None => PeerPoint::Twist(PublicKey::from(*public)),
        })
    }
}

/// The X25519 public key, 32 bytes, of a private key.
#[inline(never)]
pub fn dh_public(private: &Secret<32>) -> [u8; DH_PUBLIC] {
    PublicKey::from(&StaticSecret::from(*private.bytes())).to_bytes()
}

/// X25519 of a private key and a peer's public one: 32 bytes.
///
/// The crate leaves digits of the private key and the product on the stack: callers overwrite it
/// afterwards (`secret::wipe_stack_deep`; the call goes at most 9 KB deep).
///
/// # Errors
/// [`BadPublicKey`] if the output is all zeros (RFC 7748, section 6.1).
#[inline(never)]
pub fn dh(private: &Secret<32>, peer: &DhPeer) -> Result<Secret<32>, BadPublicKey> {
    let shared = match &peer.0 {
        // The scalar is clamped, not reduced: right for every point, those of small order included.
        // Only the neutral element and (0, 0) become u = 0, as in the RFC.
        PeerPoint::Curve(point) => {
            let product = point.mul_clamped(*private.bytes());
            let shared = Zeroizing::new(product.to_montgomery());
            Secret::copy_of(shared.as_bytes())
        }
        PeerPoint::Twist(public) => {
            let shared = StaticSecret::from(*private.bytes()).diffie_hellman(public);
            Secret::copy_of(shared.as_bytes())
        }
    };
    if equal(shared.bytes(), &[0; 32]) { Err(BadPublicKey) } else { Ok(shared) }
}
