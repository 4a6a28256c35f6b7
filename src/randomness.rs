//! The system's randomness, handed to the protocol, which draws from nothing else.

use otr::protocol::randomness::{Draw, NoRandomness, Randomness};

/// getrandom(2), or what the system has in its place.
pub(crate) struct System;

impl Randomness for System {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(out).map_err(|_| NoRandomness)
    }
}
