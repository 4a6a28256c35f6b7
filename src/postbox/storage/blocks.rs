//! Blocks of 4 KiB, of which packets are made.
//!
//! The first of them, an eighth of the memory cap, come from a pool, which asks the kernel for many
//! at a time: taken page by page, as from the heap, they cost a sixth of the time of a post. The
//! pool keeps its blocks. The others come from the heap and go back to it, so that memory taken by
//! a flood can be used again.

use crate::postbox::api::MIN_PACKET;
use memmap2::MmapOptions;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use zeroize::Zeroizing;

/// Bytes of a block.
pub(crate) const BLOCK: usize = MIN_PACKET;
/// The pool is this part of the memory cap. Its idle blocks cannot serve other purposes, so it is
/// small enough that none of them runs short.
const PART: usize = 8;

/// Bytes to ask the kernel for at a time: a few dozen microseconds.
const SLAB: usize = 32 * BLOCK;

/// The pool of the postbox in this process, if one runs.
static POOL: OnceLock<Pool> = OnceLock::new();

/// Makes the pool for a postbox with this memory cap. Without a pool all blocks come from the heap.
pub(crate) fn prepare(cap: usize) {
    // Only the first call in a process counts.
    let _ = POOL.set(Pool::new(cap / PART));
}

/// Bytes of the pool that are in memory and idle.
pub(crate) fn idle() -> usize {
    POOL.get().map_or(0, |pool| pool.idle.load(Relaxed))
}

/// 4 KiB, zeros at first, and overwritten when it is dropped.
pub(crate) struct Block(Place);

enum Place {
    Pool(Lent),
    Heap(Zeroizing<Box<[u8]>>),
}

/// A block of the pool, which goes back there.
struct Lent(&'static mut [u8]);

impl Block {
    pub(crate) fn new() -> Self {
        match POOL.get().and_then(Pool::take) {
            Some(bytes) => Self(Place::Pool(Lent(bytes))),
            None => Self(Place::Heap(Zeroizing::new(vec![0; BLOCK].into_boxed_slice()))),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Pool(Lent(bytes)) => bytes,
            Place::Heap(bytes) => bytes,
        }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Pool(Lent(bytes)) => bytes,
            Place::Heap(bytes) => bytes,
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(pool) = POOL.get() {
            pool.give_back(std::mem::take(&mut self.0));
        }
    }
}

/// Memory that is never given back, in blocks.
struct Pool {
    inner: Mutex<Inner>,
    idle: AtomicUsize,
}

struct Inner {
    /// How often the kernel may be asked for more.
    more: usize,
    /// Blocks that were never used.
    fresh: &'static mut [u8],
    /// Blocks that were given back: zeros.
    free: Vec<&'static mut [u8]>,
}

impl Pool {
    /// A pool of at most this many bytes.
    fn new(bytes: usize) -> Self {
        // With room for all blocks: a list that has to grow would delay all callers.
        let free = Vec::with_capacity(bytes / BLOCK);
        let inner = Inner { more: bytes / SLAB, fresh: &mut [], free };
        Self { inner: Mutex::new(inner), idle: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<&'static mut [u8]> {
        let mut inner = self.lock();
        let block = inner.free.pop().or_else(|| inner.unused());
        self.idle.store(inner.idle(), Relaxed);
        block
    }

    fn give_back(&self, block: &'static mut [u8]) {
        block.fill(0);
        let mut inner = self.lock();
        inner.free.push(block);
        self.idle.store(inner.idle(), Relaxed);
    }
}

impl Inner {
    fn unused(&mut self) -> Option<&'static mut [u8]> {
        if self.fresh.is_empty() {
            self.more = self.more.checked_sub(1)?;
            let map = MmapOptions::new().len(SLAB).populate().map_anon().ok()?;
            // The memory lives as long as the process.
            self.fresh = &mut Box::leak(Box::new(map))[..];
        }
        let (block, rest) = std::mem::take(&mut self.fresh).split_at_mut(BLOCK);
        self.fresh = rest;
        Some(block)
    }

    fn idle(&self) -> usize {
        self.fresh.len() + self.free.len() * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_the_pool_are_zeros_and_come_back_as_such() {
        let pool = Pool::new(SLAB + BLOCK);
        let mut taken: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), 32);
        for block in &mut taken {
            assert!(block.len() == BLOCK && block.iter().all(|&byte| byte == 0));
            block.fill(7);
        }
        assert_eq!(pool.idle.load(Relaxed), 0);
        pool.give_back(taken.pop().unwrap());
        assert_eq!(pool.idle.load(Relaxed), BLOCK);
        let again = pool.take().unwrap();
        assert!(again.iter().all(|&byte| byte == 0));
        assert!(pool.idle.load(Relaxed) == 0 && pool.take().is_none());
    }
}
