//! The root: ratchet keys, and the step by which a turn mixes two fresh secrets into the root key.

use std::sync::OnceLock;

use crate::protocol::crypto::labels;
use crate::protocol::crypto::primitives::{
    self, BadPublicKey, DH_PUBLIC, DhPeer, KEM_CIPHERTEXT, KEM_PUBLIC, KEM_SEED,
};
use crate::protocol::crypto::secret::{ChainKey, HeaderChainKey, RootKey, Secret, wipe_stack_deep};
use crate::protocol::randomness::{Draw, NoRandomness, Randomness};
use crate::protocol::wire::{Malformed, Reader, Sink};

/// Bytes of a ratchet key's public part.
pub const RATCHET_PUBLIC: usize = DH_PUBLIC + KEM_PUBLIC;

/// A ratchet key's public part: `dh_pk` 32 ‖ `kem_ek` 1184.
pub struct RatchetPublic {
    bytes: Box<[u8; RATCHET_PUBLIC]>,
    /// Its X25519 key, prepared: the peer's key is used when its chain begins, and again when ours
    /// does.
    dh: OnceLock<DhPeer>,
}

impl RatchetPublic {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::copy_of(reader.array()?))
    }

    pub(crate) fn copy_of(bytes: &[u8; RATCHET_PUBLIC]) -> Self {
        Self { bytes: Box::new(*bytes), dh: OnceLock::new() }
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { bytes: self.bytes.clone(), dh: self.dh.clone() }
    }

    /// All 1,216 bytes.
    pub fn bytes(&self) -> &[u8; RATCHET_PUBLIC] {
        &self.bytes
    }

    /// The X25519 public key.
    pub(crate) fn dh(&self) -> &DhPeer {
        self.dh.get_or_init(|| {
            let mut dh = [0; DH_PUBLIC];
            dh.copy_from_slice(&self.bytes[..DH_PUBLIC]);
            DhPeer::new(&dh)
        })
    }

    /// The ML-KEM-768 encapsulation key.
    pub(crate) fn kem(&self) -> [u8; KEM_PUBLIC] {
        let mut kem = [0; KEM_PUBLIC];
        kem.copy_from_slice(&self.bytes[DH_PUBLIC..]);
        kem
    }
}

/// A ratchet key's private part: X25519 32, ML-KEM seed 64. Its functions are never inlined, so
/// that the stack they used can be overwritten.
pub struct RatchetPrivate {
    pub(crate) dh: Secret<32>,
    pub(crate) kem: Secret<KEM_SEED>,
}

impl RatchetPrivate {
    /// A fresh key with its public part.
    #[inline(never)]
    pub(crate) fn generate(
        randomness: &mut dyn Randomness,
    ) -> Result<(Self, RatchetPublic), NoRandomness> {
        let mut private = Self { dh: Secret::zeroed(), kem: Secret::zeroed() };
        randomness.fill(Draw::X25519, private.dh.bytes_mut())?;
        randomness.fill(Draw::KemSeed, private.kem.bytes_mut())?;
        let mut public = Box::new([0; RATCHET_PUBLIC]);
        public[..DH_PUBLIC].copy_from_slice(&primitives::dh_public(&private.dh));
        public[DH_PUBLIC..].copy_from_slice(&primitives::kem_public(&private.kem));
        wipe_stack_deep();
        Ok((private, RatchetPublic { bytes: public, dh: OnceLock::new() }))
    }

    /// The two secrets that the holder of this key obtains from the peer's X25519 key and
    /// ciphertext.
    #[inline(never)]
    pub(crate) fn agree(
        &self,
        dh: &DhPeer,
        ciphertext: &[u8; KEM_CIPHERTEXT],
    ) -> Result<Agreed, BadPublicKey> {
        // No early return between the use of the keys and the wiping of the stack.
        let dh = primitives::dh(&self.dh, dh);
        let kem = primitives::decapsulate(&self.kem, ciphertext);
        wipe_stack_deep();
        Ok(Agreed { dh: dh?, kem })
    }

    /// The same secrets from the other side: encapsulates to the peer's key.
    #[inline(never)]
    pub(crate) fn encapsulate(
        &self,
        peer: &RatchetPublic,
        randomness: &mut dyn Randomness,
    ) -> Result<(Agreed, [u8; KEM_CIPHERTEXT]), AgreeError> {
        let mut m = Secret::zeroed();
        randomness.fill(Draw::KemMessage, m.bytes_mut())?;
        // No early return here either.
        let dh = primitives::dh(&self.dh, peer.dh());
        let encapsulated = primitives::encapsulate(&peer.kem(), &m);
        wipe_stack_deep();
        let (ciphertext, kem) = encapsulated?;
        Ok((Agreed { dh: dh?, kem }, ciphertext))
    }
}

/// Why the two sides could not agree on a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgreeError {
    /// The peer's key must be refused.
    BadPublicKey,
    /// No randomness.
    NoRandomness,
}

impl From<BadPublicKey> for AgreeError {
    fn from(_: BadPublicKey) -> Self {
        Self::BadPublicKey
    }
}

impl From<NoRandomness> for AgreeError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

/// The X25519 and the ML-KEM secret of one agreement.
pub(crate) struct Agreed {
    pub(crate) dh: Secret<32>,
    pub(crate) kem: Secret<32>,
}

/// The outputs of a turn: the new root key, a chain, and the header chain of that side's next
/// chain.
pub(crate) struct Turn {
    pub(crate) root: RootKey,
    pub(crate) chain: ChainKey,
    pub(crate) next_header_chain: HeaderChainKey,
}

/// `ti`: binds a turn to every public value that went into it [X-Wing].
/// `new_key_and_ciphertext` is `dh_pk ‖ kem_ek ‖ kem_ct`, as in a header.
pub(crate) fn turn_hash(new_key_and_ciphertext: &[u8], peer: &RatchetPublic) -> [u8; 32] {
    primitives::sha256(&[new_key_and_ciphertext, peer.bytes()])
}

/// Mixes the agreed secrets into the root.
pub(crate) fn turn(root: &RootKey, agreed: &Agreed, turn_hash: &[u8; 32]) -> Turn {
    let mut okm = Secret::<96>::zeroed();
    primitives::hkdf(
        root.bytes(),
        &[agreed.dh.bytes(), agreed.kem.bytes()],
        &[labels::TURN, turn_hash],
        okm.bytes_mut(),
    );
    Turn {
        root: RootKey(okm.part(0)),
        chain: ChainKey(okm.part(32)),
        next_header_chain: HeaderChainKey(okm.part(64)),
    }
}

/// `th` of a chain, from that of the chain before it and its turn hash.
pub(crate) fn next_transcript(before: &[u8; 32], turn_hash: &[u8; 32]) -> [u8; 32] {
    primitives::sha256(&[labels::TURNS, before, turn_hash])
}

impl RatchetPrivate {
    pub(crate) fn write(&self, out: &mut dyn Sink) {
        out.put(self.dh.bytes());
        out.put(self.kem.bytes());
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { dh: Secret::copy_of(reader.array()?), kem: Secret::copy_of(reader.array()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A public key whose X25519 part is 32 times `fill`.
    fn public(fill: u8) -> RatchetPublic {
        RatchetPublic::copy_of(&[fill; RATCHET_PUBLIC])
    }

    fn shared(peer: &RatchetPublic) -> [u8; 32] {
        *primitives::dh(&Secret::copy_of(&[7; 32]), peer.dh()).unwrap().bytes()
    }

    #[test]
    fn what_is_made_ready_is_this_key_and_no_other() {
        for fill in 2..40 {
            let fresh = x25519_dalek::x25519([7; 32], [fill; 32]);
            let key = public(fill);
            let before = key.duplicate();
            assert_eq!(shared(&key), fresh);
            assert_eq!(shared(&key), fresh, "a second time");
            assert_eq!(shared(&key.duplicate()), fresh);
            assert_eq!(shared(&before), fresh);
            assert_ne!(shared(&public(fill + 1)), fresh);
        }
    }
}
