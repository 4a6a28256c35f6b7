//! Work for a crowded postbox. The client does it unasked, and gives notice if it takes longer than
//! a second.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::error::{Error, Why};
use super::one::{One, lead};
use super::patience::Notice;
use crate::armor::marks::WORK_LEAD;
use crate::postbox::work::{PARTS, PROOF, Price, Proof, Puzzle};

/// The most threads that work: a person waits, but more cores than these gain little.
const THREADS: usize = 4;
/// Work that takes longer gives a notice.
const PATIENCE: Duration = Duration::from_secs(1);
/// A price that was told longer ago is asked for again.
const PRICE_AGE: Duration = Duration::from_mins(1);
/// How often one packet is paid for. The price grows in steps of a bit while a postbox fills, and
/// there are no more steps than this.
const BARGAINS: u32 = 24;

impl One {
    /// The price of the last post. `None` if addresses are isolated: a salt that was told by one
    /// circuit and used by another would link them.
    pub(super) fn known_price(&self) -> Option<Price> {
        let known = self.inner.price.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(_, told)| told.elapsed() < PRICE_AGE).map(|(price, _)| price)
    }

    /// What it asks of the next one.
    pub(super) fn note_price(&self, price: Option<Price>) {
        if !self.isolates() {
            let mut known = self.inner.price.lock().unwrap_or_else(PoisonError::into_inner);
            *known = price.map(|price| (price, Instant::now()));
        }
    }

    /// The body of one packet with the work for it.
    pub(super) fn paid(&self, price: Price, packet: &[u8]) -> Vec<u8> {
        let puzzle = Puzzle::new(&price, &Sha256::digest(packet).into(), packet.len());
        let proof = solve(&puzzle, || self.tell(Notice::Crowded(self.inner.url.host())));
        let mut body = Vec::with_capacity(PROOF + packet.len() + 2);
        body.push(WORK_LEAD);
        body.extend_from_slice(&proof);
        body.push(lead(packet));
        body.extend_from_slice(packet);
        body
    }

    /// Whether to go on with a postbox that has asked this often for work for one packet.
    pub(super) fn check_bargain(&self, asked_for: u32) -> Result<(), Error> {
        if asked_for < BARGAINS {
            return Ok(());
        }
        Err(self.error(Why::Full))
    }
}

/// Finds all parts, on some cores; `tell` is called where it takes long.
fn solve(puzzle: &Puzzle, tell: impl FnOnce()) -> Proof {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (next, mut nonces) = (AtomicU8::new(0), [None; PARTS]);
    let (found, finds) = channel();
    thread::scope(|scope| {
        for _ in 0..cores.min(THREADS) {
            let (next, found) = (&next, found.clone());
            let work = move || {
                while let part @ 0..16 = next.fetch_add(1, Ordering::Relaxed) {
                    if found.send((part, puzzle.solve(part))).is_err() {
                        break;
                    }
                }
            };
            // If the system gives no thread, the rest is found below.
            let _ = Builder::new().spawn_scoped(scope, work);
        }
        drop(found);
        let (since, mut tell) = (Instant::now(), Some(tell));
        loop {
            let left = PATIENCE.saturating_sub(since.elapsed());
            let find = match tell {
                Some(_) => finds.recv_timeout(left),
                None => finds.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match (find, tell.take()) {
                (Ok((part, nonce)), untold) => {
                    tell = untold;
                    nonces[usize::from(part)] = Some(nonce);
                }
                (Err(RecvTimeoutError::Timeout), Some(tell)) => tell(),
                (Err(_), _) => break,
            }
        }
    });
    let mut proof = [0; PROOF];
    let (places, _) = proof.as_chunks_mut::<8>();
    for ((part, place), nonce) in (0..).zip(places).zip(nonces) {
        *place = nonce.unwrap_or_else(|| puzzle.solve(part));
    }
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_told_only_where_it_takes_long() {
        for (bits, long) in [(4, false), (24, true)] {
            let mut told = false;
            let puzzle = Puzzle::new(&Price { bits, salt: [1; 16] }, &[2; 32], 4096);
            if bits < 24 {
                assert!(puzzle.is_solved_by(&solve(&puzzle, || told = true)));
            }
            assert!(!told || long);
        }
    }
}
