//! From a packet's address to its position: the addresses of the numbers that may come next,
//! derived ahead as far as needed and kept while the process runs. No trial decryption.

use std::collections::BTreeMap;

use super::invite::address;
use super::ratchet::Ratchet;
use super::secret::{HeaderChainKey, bleach};
use super::skipped::{Position, SKIPPED_MAX};

/// How many numbers ahead a packet is looked for, unless told otherwise: more than any burst of
/// lost packets that the skipped store could serve, and 0.1 s of work at most.
pub const LOOK_AHEAD: u32 = 65_536;
/// The most that may be asked for.
pub const LOOK_AHEAD_MAX: u32 = 1 << 24;

/// Numbers derived in each round before the map is asked again: a packet in order costs one.
const ROUNDS: [u32; 4] = [1, 64, 4096, u32::MAX];

/// Known addresses of one session. It holds no state of its own: it can be dropped and made anew.
pub struct Lookahead {
    limit: u32,
    /// First eight bytes of an address → position. A false hit fails at the header's AEAD.
    known: BTreeMap<u64, Position>,
    skipped_known: bool,
    current: Option<Cursor>,
    next: Option<Cursor>,
}

/// How far a chain's addresses were derived.
struct Cursor {
    chain: u32,
    headers: HeaderChainKey,
    number: u32,
}

impl Lookahead {
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
    pub(crate) fn locate(&mut self, ratchet: &Ratchet, wanted: &[u8; 32]) -> Option<Position> {
        self.follow(ratchet);
        let wanted = prefix(wanted);
        for round in ROUNDS {
            let hit = self.known.get(&wanted).copied();
            if let Some(at) = hit.filter(|at| ratchet.expects(*at)) {
                return Some(at);
            }
            self.derive(ratchet, round);
            self.know_skipped(ratchet, round);
        }
        self.known.get(&wanted).copied().filter(|at| ratchet.expects(*at))
    }

    /// How many addresses are in memory.
    #[cfg(test)]
    pub(crate) fn known_addresses(&self) -> usize {
        self.known.len()
    }

    /// Forgets the address of a packet that was accepted.
    pub(crate) fn accepted(&mut self, address: &[u8; 32]) {
        self.known.remove(&prefix(address));
    }

    /// Sets the cursors on the chains that are current and next now.
    fn follow(&mut self, ratchet: &Ratchet) {
        let current = ratchet.receiving.as_ref();
        if self.current.as_ref().map(|c| c.chain) != current.map(|c| c.index) {
            self.current = self.next.take().filter(|c| Some(c.chain) == current.map(|c| c.index));
            self.known.retain(|_, at| ratchet.expects(*at));
            // The new chain may have made numbers of the old one skipped that were never derived here.
            self.skipped_known = false;
        }
        self.bound(ratchet);
        if let Some(receiving) = current {
            let behind = self.current.as_ref().is_none_or(|c| c.number < receiving.chain.next);
            if behind {
                // The state was moved on by somebody else, who may have skipped numbers.
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

    /// Forgets what is no longer expected, once it could be more than what is: a peer that jumps
    /// ahead with every packet must not grow this without end.
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
        bleach();
    }

    /// Once, and only when the next numbers were not asked for: the addresses of skipped numbers.
    fn know_skipped(&mut self, ratchet: &Ratchet, round: u32) {
        if self.skipped_known || round == ROUNDS[0] {
            return;
        }
        for (at, number) in &ratchet.skipped.numbers {
            self.known.insert(prefix(&address(number.keys.token.bytes())), *at);
        }
        self.skipped_known = true;
    }
}

impl Cursor {
    fn derive(&mut self, end: u32, known: &mut BTreeMap<u64, Position>) {
        while self.number < end {
            let (_, token) = self.headers.advance();
            let at = Position { chain: self.chain, number: self.number };
            known.insert(prefix(&address(token.bytes())), at);
            self.number += 1;
        }
    }
}

fn prefix(address: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&address[..8]);
    u64::from_be_bytes(first)
}
