//! Proofs of work, which a crowded postbox asks of senders: sixteen nonces for exactly one packet,
//! found by trial.
//!
//! The hash is SHA-256, which any script can compute and the server checks in a microsecond.
//! Equi-X, which Tor uses, is fairer to slow machines against graphics cards, but its crate is
//! under the LGPL, with which a static program cannot comply, and it is fast only if it may compile
//! code at run time, which the postbox's walls forbid. Sixteen small searches instead of a large
//! one take nearly the same time each time: one in a hundred takes two thirds more than the mean.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::protocol::crypto::labels;

use super::api::{MIN_PACKET, PacketHash};

/// Searches in a proof.
pub const PARTS: usize = 16;
/// Bytes of a proof: a nonce of eight for each part.
pub const PROOF: usize = PARTS * 8;
/// The header field that tells the price: bits, a blank, the salt in base64url.
pub const HEADER: &str = "otr-work";
/// The default maximum of a postbox: half a second of one core, as measured (docs/measurements,
/// work).
pub const FULL_BITS: u8 = 19;
/// No postbox asks for more zero bits for its smallest packet: 32 times the work of the default
/// maximum.
pub const MAX_BITS: u8 = 24;

/// A value that no earlier proof can know.
pub type Salt = [u8; 16];
/// A nonce for each part, big-endian.
pub type Proof = [u8; PROOF];

/// The price of a packet: what a postbox asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Zero bits at the beginning of each hash, for a packet of the smallest size.
    pub bits: u8,
    /// The postbox decides how long the salt is valid.
    pub salt: Salt,
}

impl Price {
    /// The salt, as the postbox tells it.
    pub fn salt_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.salt)
    }

    /// The value of the header field.
    pub fn header(&self) -> String {
        format!("{} {}", self.bits, self.salt_text())
    }

    /// Reads that value; `None` if no postbox would ask for it.
    pub fn of_header(value: &str) -> Option<Self> {
        let (bits, text) = value.split_once(' ')?;
        let bits = bits.parse().ok().filter(|bits| (1..=MAX_BITS).contains(bits))?;
        let mut salt = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut salt) {
            Ok(16) => Some(Self { bits, salt }),
            _ => None,
        }
    }

    /// Zero bits for a packet of this many bytes: twice the work for twice the memory.
    pub fn bits_for(&self, bytes: usize) -> u32 {
        u32::from(self.bits) + (bytes / MIN_PACKET).max(1).ilog2()
    }
}

/// The search for one packet's proof.
#[derive(Clone, Copy)]
pub struct Puzzle {
    seed: [u8; 32],
    bits: u32,
}

impl Puzzle {
    /// The puzzle of a packet of this many bytes.
    pub fn new(price: &Price, hash: &PacketHash, bytes: usize) -> Self {
        let seed = Sha256::new_with_prefix(labels::WORK).chain_update(price.salt);
        Self { seed: seed.chain_update(hash).finalize().into(), bits: price.bits_for(bytes) }
    }

    fn fits(&self, part: u8, nonce: [u8; 8]) -> bool {
        // 41 bytes: one block of the hash.
        let mut tried = [0; 41];
        tried[..32].copy_from_slice(&self.seed);
        tried[32] = part;
        tried[33..].copy_from_slice(&nonce);
        let hash = Sha256::digest(tried);
        let front: [u8; 8] = std::array::from_fn(|at| hash[at]);
        u64::from_be_bytes(front).leading_zeros() >= self.bits
    }

    /// Whether each part of the proof fits. Rejecting junk costs a hash or two.
    pub fn is_solved_by(&self, proof: &Proof) -> bool {
        let (nonces, _) = proof.as_chunks::<8>();
        (0..).zip(nonces).all(|(part, nonce)| self.fits(part, *nonce))
    }

    /// The nonce of one part.
    pub fn solve(&self, part: u8) -> [u8; 8] {
        let mut nonce: u64 = 0;
        while !self.fits(part, nonce.to_be_bytes()) {
            nonce = nonce.wrapping_add(1);
        }
        nonce.to_be_bytes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn solved(puzzle: &Puzzle) -> Proof {
        let nonces = (0..16).flat_map(|part| puzzle.solve(part));
        nonces.collect::<Vec<u8>>().try_into().unwrap()
    }

    #[test]
    fn a_price_is_read_as_it_is_told_and_bounded() {
        let price = Price { bits: 19, salt: [7; 16] };
        assert_eq!(Price::of_header(&price.header()), Some(price));
        for wrong in ["", "19", "0 AAAAAAAAAAAAAAAAAAAAAA", "25 AAAAAAAAAAAAAAAAAAAAAA", "9 AAAA"] {
            assert_eq!(Price::of_header(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_proof_is_for_one_packet_one_size_and_one_salt() {
        let price = Price { bits: 12, salt: [1; 16] };
        let puzzle = Puzzle::new(&price, &[2; 32], 4096);
        let proof = solved(&puzzle);
        assert!(puzzle.is_solved_by(&proof));
        for part in 0..PARTS {
            let mut wrong = proof;
            wrong[part * 8] ^= 1;
            assert!(!puzzle.is_solved_by(&wrong), "{part}");
        }
        let other = Price { salt: [3; 16], ..price };
        assert!(!Puzzle::new(&price, &[9; 32], 4096).is_solved_by(&proof));
        assert!(!Puzzle::new(&other, &[2; 32], 4096).is_solved_by(&proof));
        assert!(!Puzzle::new(&price, &[2; 32], 1 << 20).is_solved_by(&proof));
        assert_eq!(price.bits_for(1 << 20), 20);
    }
}
