//! A packet at rest, in blocks of one size.
//!
//! Packets are powers of two from 4 KiB, so all of them are made of 4 KiB blocks. Blocks of one
//! size leave no holes in the heap that are too small for the next packet, so the resident memory
//! of a postbox that has run for months stays at what it counts; and a packet that is still
//! arriving takes no more than what has arrived.

pub(crate) use super::blocks::BLOCK;
use super::blocks::Block;
use super::budget::{Budget, Charge, Full, Purpose};
use crate::postbox::api::{Address, MAX_PACKET, MIN_PACKET, PacketHash};
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, OnceLock};

/// The memory of a block: itself, the allocator's header, and its place in the packet's list.
const BLOCK_COST: usize = BLOCK + 16 + size_of::<Block>();
/// The memory of a packet beside its blocks: the shared box around it, its list, its place in the
/// store's tree (nodes are two thirds full on average), and their allocation headers.
const PACKET_COST: usize = 512;

/// The most that `bytes` bytes of packets can cost.
pub(crate) const fn most_cost(bytes: usize) -> usize {
    (bytes / BLOCK + 1) * (BLOCK_COST + PACKET_COST)
}

/// A whole packet: 2^k bytes, 12 ≤ k ≤ 20. Overwritten when its last reader drops it.
pub(crate) struct Packet {
    blocks: Box<[Block]>,
    hash: OnceLock<PacketHash>,
    /// Returned when the packet is dropped.
    charge: Charge,
}

impl Packet {
    /// The first 32 bytes.
    pub(crate) fn address(&self) -> Address {
        std::array::from_fn(|i| self.block(0)[i])
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    /// Bytes that it is charged.
    pub(crate) fn cost(&self) -> usize {
        self.charge.bytes()
    }

    /// The number of its blocks.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The block with this number; empty past the end.
    pub(crate) fn block(&self, number: usize) -> &[u8] {
        self.blocks.get(number).map_or(&[], Block::bytes)
    }

    /// SHA-256 of the packet. Computed once: a packet of 1 MiB takes a millisecond.
    pub(crate) fn hash(&self) -> &PacketHash {
        self.hash.get_or_init(|| {
            let mut hash = Sha256::new();
            for block in &self.blocks {
                hash.update(block.bytes());
            }
            hash.finalize().into()
        })
    }

    /// Whether both have the same bytes.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.blocks.len() == other.blocks.len()
            && self.blocks.iter().zip(&other.blocks).all(|(a, b)| a.bytes() == b.bytes())
    }
}

/// Why no more bytes fit into a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The memory cap is reached.
    Full,
    /// The packet is larger than this postbox takes.
    TooLarge,
}

impl From<Full> for Overflow {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// A packet that is arriving.
pub(crate) struct Filling {
    max: usize,
    blocks: Vec<Block>,
    length: usize,
    charge: Charge,
}

impl Filling {
    /// An empty packet that grows to at most `max` bytes.
    pub(crate) fn new(budget: &Arc<Budget>, max: usize) -> Self {
        Self::for_purpose(budget, max, Purpose::Packets)
    }

    /// The same, and what it takes is charged to `purpose`.
    pub(crate) fn for_purpose(budget: &Arc<Budget>, max: usize, purpose: Purpose) -> Self {
        let max = max.min(MAX_PACKET);
        let charge = Charge::nothing(budget, purpose);
        Self { max, blocks: Vec::new(), length: 0, charge }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Overflow> {
        if self.length + bytes.len() > self.max {
            return Err(Overflow::TooLarge);
        }
        while !bytes.is_empty() {
            let begin = self.length % BLOCK;
            if begin == 0 {
                self.add_block()?;
            }
            let Some(block) = self.blocks.last_mut() else { return Err(Overflow::Full) };
            let count = bytes.len().min(BLOCK - begin);
            let (now, later) = bytes.split_at(count);
            block.bytes_mut()[begin..begin + count].copy_from_slice(now);
            self.length += count;
            bytes = later;
        }
        Ok(())
    }

    fn add_block(&mut self) -> Result<(), Full> {
        let first = if self.blocks.is_empty() { PACKET_COST } else { 0 };
        self.charge.grow(BLOCK_COST + first)?;
        if self.blocks.is_empty() {
            // Most packets have one block.
            self.blocks.reserve_exact(1);
        }
        self.blocks.push(Block::new());
        Ok(())
    }

    /// The packet, if it has a packet's size.
    pub(crate) fn finish(self) -> Option<Packet> {
        let sound = self.length.is_power_of_two() && self.length >= MIN_PACKET;
        sound.then(|| Packet {
            blocks: self.blocks.into_boxed_slice(),
            hash: OnceLock::new(),
            charge: self.charge,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(budget: &Arc<Budget>, bytes: &[u8]) -> Option<Packet> {
        let mut filling = Filling::new(budget, MAX_PACKET);
        for piece in bytes.chunks(1000) {
            filling.push(piece).unwrap();
        }
        filling.finish()
    }

    #[test]
    fn a_packet_is_what_was_put_in_and_is_paid_for_while_it_lives() {
        let budget = Budget::new(1 << 20);
        let bytes: Vec<u8> = (0..8192u32).map(|i| (i % 251).to_le_bytes()[0]).collect();
        let packet = packet(&budget, &bytes).unwrap();
        assert_eq!(packet.address(), bytes[..32]);
        assert_eq!([packet.block(0), packet.block(1)].concat(), bytes);
        assert!(packet.block(2).is_empty());
        assert_eq!(packet.hash()[..], Sha256::digest(&bytes)[..]);
        assert!(budget.used() > 8192);
        drop(packet);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn only_powers_of_two_are_packets() {
        let budget = Budget::new(1 << 20);
        for wrong in [0, 1, 2048, 4095, 4097, 12288] {
            assert!(packet(&budget, &vec![1; wrong]).is_none(), "{wrong}");
        }
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_cap_and_the_largest_size_hold_before_memory_is_taken() {
        let small = Budget::new(16 * 1024);
        let mut filling = Filling::new(&small, MAX_PACKET);
        assert_eq!(filling.push(&[0; 16_000]), Err(Overflow::Full));
        assert!(small.used() <= small.cap());
        let mut filling = Filling::new(&small, 4096);
        assert_eq!(filling.push(&[0; 4097]), Err(Overflow::TooLarge));
    }
}
