//! Reproducible randomness, from a seed, for conversations that are made up.

pub(crate) use otr::conversation::System;
use otr::protocol::crypto::labels;
use otr::protocol::crypto::primitives::{expand, sha256};
use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use zeroize::Zeroizing;

/// The same bytes for the same seed, which look random to everyone else. Only `simulate` uses this.
pub(crate) struct Seeded {
    key: Zeroizing<[u8; 32]>,
    draws: u64,
}

impl Seeded {
    /// The bytes also depend on `what` is made up: two conversations from the same seed have
    /// nothing in common.
    pub(crate) fn new(seed: &str, what: &str) -> Self {
        let key = sha256(&[labels::SIMULATION, &sha256(&[seed.as_bytes()]), what.as_bytes()]);
        Self { key: Zeroizing::new(key), draws: 0 }
    }
}

impl Randomness for Seeded {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        self.draws += 1;
        // Far below the 8,160 bytes that one expansion can produce.
        expand(&self.key, &[&self.draws.to_be_bytes()], out);
        Ok(())
    }
}
