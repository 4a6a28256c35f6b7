//! Randomness that is the same in every run, for the library's tests and for those of the command.

#![allow(dead_code, reason = "each crate of tests uses its part of it")]

use otr::protocol::randomness::{Draw, NoRandomness, Randomness};
use sha2::{Digest, Sha256};

/// SHA-256 of a seed and a count.
pub(crate) struct Seeded {
    seed: Vec<u8>,
    count: u64,
}

impl Seeded {
    pub(crate) fn new(seed: &[u8]) -> Self {
        Self { seed: Sha256::digest(seed).to_vec(), count: 0 }
    }

    /// By number. `tests/vectors/own/verify-responder-asks.json` was made with it: its bytes stay.
    pub(crate) fn numbered(seed: u64) -> Self {
        Self { seed: seed.to_be_bytes().to_vec(), count: 1 }
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.fill_any(&mut bytes);
        bytes
    }

    fn fill_any(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let block =
                Sha256::new().chain_update(&self.seed).chain_update(self.count.to_be_bytes());
            chunk.copy_from_slice(&block.finalize()[..chunk.len()]);
            self.count += 1;
        }
    }
}

impl Randomness for Seeded {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        self.fill_any(out);
        Ok(())
    }
}
