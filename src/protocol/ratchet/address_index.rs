//! The address index: from a packet's address to its position. It derives the addresses of the
//! numbers that may come next, as far ahead as needed, and keeps them while the process runs, so
//! that no packet needs trial decryption.

use std::collections::BTreeMap;

use crate::protocol::crypto::secret::{HeaderChainKey, wipe_stack};
use crate::protocol::packet::ADDRESS;
use crate::protocol::packet::address::address;
use crate::protocol::ratchet::Ratchet;
use crate::protocol::ratchet::skipped::{Position, SKIPPED_MAX};

/// How many numbers ahead a packet is searched for by default: more than any burst of lost packets
/// that the store of skipped keys could serve, and at most 0.1 s of work.
pub const LOOK_AHEAD: u32 = 65_536;
/// The largest limit that a caller may ask for.
pub const LOOK_AHEAD_MAX: u32 = 1 << 20;

/// How many numbers each round derives before the map is searched again: a packet that arrives in
/// order costs one.
const ROUNDS: [u32; 4] = [1, 64, 4096, u32::MAX];

/// The known addresses of one session. It holds no state of its own: it can be dropped and rebuilt.
pub struct AddressIndex {
    limit: u32,
    /// Address → position.
    known: BTreeMap<[u8; ADDRESS], Position>,
    skipped_known: bool,
    current: Option<Cursor>,
    next: Option<Cursor>,
}

/// How far a chain's addresses have been derived.
struct Cursor {
    chain: u32,
    headers: HeaderChainKey,
    number: u32,
}

impl AddressIndex {
    /// Looks `limit` numbers ahead, at most [`LOOK_AHEAD_MAX`].
    pub fn new(limit: u32) -> Self {
        Self {
            limit: limit.min(LOOK_AHEAD_MAX),
            known: BTreeMap::new(),
            skipped_known: false,
            current: None,
            next: None,
        }
    }

    /// The position whose address this is, if `ratchet` still expects it.
    pub(crate) fn locate(&mut self, ratchet: &Ratchet, wanted: &[u8; ADDRESS]) -> Option<Position> {
        self.follow(ratchet);
        for round in ROUNDS {
            let hit = self.known.get(wanted).copied();
            if let Some(at) = hit.filter(|at| ratchet.expects(*at)) {
                return Some(at);
            }
            self.derive(ratchet, round);
            self.know_skipped(ratchet, round);
        }
        self.known.get(wanted).copied().filter(|at| ratchet.expects(*at))
    }

    /// How many addresses are in memory.
    #[cfg(test)]
    pub(crate) fn known_addresses(&self) -> usize {
        self.known.len()
    }

    /// Forgets the address of a packet that was accepted.
    pub(crate) fn accepted(&mut self, address: &[u8; ADDRESS]) {
        self.known.remove(address);
    }

    /// Sets the cursors to the chains that are now current and next.
    fn follow(&mut self, ratchet: &Ratchet) {
        let current = ratchet.receiving.as_ref();
        if self.current.as_ref().map(|c| c.chain) != current.map(|c| c.index) {
            self.current = self.next.take().filter(|c| Some(c.chain) == current.map(|c| c.index));
            self.known.retain(|_, at| ratchet.expects(*at));
            // The new chain may have skipped numbers of the old one that were never derived here.
            self.skipped_known = false;
        }
        self.bound(ratchet);
        if let Some(receiving) = current {
            let behind = self.current.as_ref().is_none_or(|c| c.number < receiving.chain.next);
            if behind {
                // Another process advanced the state, and may have skipped numbers.
                self.skipped_known = false;
                self.current = Some(Cursor {
                    chain: receiving.index,
                    headers: receiving.chain.headers.duplicate(),
                    number: receiving.chain.next,
                });
            }
        }
        let next = ratchet.next_index();
        if self.next.as_ref().map(|c| c.chain) != next {
            self.next = next.map(|chain| Cursor {
                chain,
                headers: ratchet.next_receiving.duplicate(),
                number: 0,
            });
        }
    }

    /// Forgets addresses that are no longer expected, once they could outnumber those that are: a
    /// peer that jumps ahead with every packet must not grow the index without end.
    fn bound(&mut self, ratchet: &Ratchet) {
        let most = 2 * self.limit as usize + SKIPPED_MAX;
        if self.known.len() > most.saturating_mul(2) {
            self.known.retain(|_, at| ratchet.expects(*at));
        }
    }

    fn derive(&mut self, ratchet: &Ratchet, round: u32) {
        let reached = ratchet.receiving.as_ref().map_or(0, |current| current.chain.next);
        if let Some(cursor) = &mut self.current {
            let end = reached.saturating_add(round.min(self.limit));
            cursor.derive(end, &mut self.known);
        }
        if let Some(cursor) = &mut self.next {
            cursor.derive(round.min(self.limit), &mut self.known);
        }
        wipe_stack();
    }

    /// Derives the addresses of skipped numbers, once, and only if the wanted address was not among
    /// the next numbers.
    fn know_skipped(&mut self, ratchet: &Ratchet, round: u32) {
        if self.skipped_known || round == ROUNDS[0] {
            return;
        }
        for (at, number) in &ratchet.skipped.numbers {
            self.known.insert(address(number.keys.token.bytes()), *at);
        }
        self.skipped_known = true;
    }
}

impl Cursor {
    fn derive(&mut self, end: u32, known: &mut BTreeMap<[u8; ADDRESS], Position>) {
        while self.number < end {
            let (_, token) = self.headers.advance();
            let at = Position { chain: self.chain, number: self.number };
            known.insert(address(token.bytes()), at);
            self.number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tests::support::{Seeded, handshake, seal};

    /// Two addresses with a common beginning are not mistaken for each other, and both are kept.
    #[test]
    fn an_address_is_found_by_all_of_it() {
        let random = &mut Seeded::numbered(90);
        let (mut inviter, responder) = handshake(None, random);
        let packet = seal(&mut inviter, &[], random);
        let address: [u8; ADDRESS] = packet[..ADDRESS].try_into().unwrap();
        for at in [8, 31] {
            let mut other = address;
            other[at] ^= 1;
            let mut index = AddressIndex::new(16);
            assert_eq!(index.locate(&responder.ratchet, &other), None);
            let right = Position { chain: 1, number: 0 };
            assert_eq!(index.locate(&responder.ratchet, &address), Some(right));
            // Another expected address with the same beginning.
            let second = Position { chain: 1, number: 1 };
            index.known.insert(other, second);
            assert_eq!(index.locate(&responder.ratchet, &address), Some(right));
            assert_eq!(index.locate(&responder.ratchet, &other), Some(second));
            index.accepted(&other);
            assert_eq!(index.locate(&responder.ratchet, &address), Some(right));
        }
    }
}
