//! Edges that no test can reach from outside in reasonable time: the last number of a chain.

use super::chain::LAST_NUMBER;
use super::handshake::{Inviting, respond};
use super::primitives::sha256;
use super::randomness::{Draw, NoRandomness, Randomness};
use super::ratchet::StepError;
use super::session::{SealError, Session, nothing_frames};

struct Counting(u64);

impl Randomness for Counting {
    fn fill(&mut self, _: Draw, out: &mut [u8]) -> Result<(), NoRandomness> {
        for chunk in out.chunks_mut(32) {
            self.0 += 1;
            chunk.copy_from_slice(&sha256(&[&self.0.to_be_bytes()])[..chunk.len()]);
        }
        Ok(())
    }
}

/// Inviter and responder.
fn ends() -> [Session; 2] {
    let inviting = Inviting::new("", 0, 0, &mut Counting(0)).unwrap();
    let (responder, reply) = respond(inviting.invite(), 0, &mut Counting(1000)).unwrap();
    [inviting.accept(&reply, 0).unwrap(), responder]
}

#[test]
fn a_sender_stops_after_the_last_number() {
    for (before, asked, got) in [(2, 5, 3), (0, 1, 1)] {
        let [_, mut responder] = ends();
        responder.ratchet.sending.as_mut().unwrap().chain.next = LAST_NUMBER - before;
        let mut random = Counting(2000);
        let mut numbers = responder.reserve(asked, &mut random).unwrap();
        assert_eq!(numbers.left(), got);
        for _ in 0..got {
            numbers.seal_frames(12, &nothing_frames(), &mut random).unwrap();
        }
        let error = numbers.seal_frames(12, &nothing_frames(), &mut random).err();
        assert_eq!(error, Some(SealError::UsedUp));
        responder.give_back(numbers);
        let state = responder.to_stored_bytes();
        assert_eq!(responder.reserve(1, &mut random).err(), Some(StepError::Exhausted));
        assert_eq!(*responder.to_stored_bytes(), *state);
    }
}
