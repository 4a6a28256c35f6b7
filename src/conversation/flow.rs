//! A long message of a program's own, packet after packet.

use zeroize::Zeroizing;

use super::cause::Cause;
use super::driver::{Host, Outlet};
use super::error::Error;
use super::long::Course;
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::{ADDRESS, K_MAX, K_MIN, largest_class, size};
use crate::protocol::session::{Part, Reservation};

/// Text that is read as it is needed.
pub(super) struct Ahead<R> {
    read: R,
    /// What was read and is not sent yet.
    pub(super) held: Zeroizing<Vec<u8>>,
    ended: bool,
}

impl<R: FnMut(&mut [u8]) -> Result<usize, Cause>> Ahead<R> {
    pub(super) fn new(read: R) -> Self {
        Self { read, held: Zeroizing::default(), ended: false }
    }

    /// Reads until this many bytes are held, or the text has ended.
    pub(super) fn fill(&mut self, bytes: usize) -> Result<(), Cause> {
        let mut here = self.held.len();
        if self.ended || here >= bytes {
            return Ok(());
        }
        if bytes > self.held.capacity() {
            // The old buffer is wiped.
            let mut larger = Zeroizing::new(Vec::with_capacity(bytes));
            larger.extend_from_slice(&self.held);
            self.held = larger;
        }
        self.held.resize(bytes, 0);
        while here < bytes && !self.ended {
            match (self.read)(&mut self.held[here..]) {
                Ok(0) => self.ended = true,
                Ok(count) => here = (here + count).min(bytes),
                Err(cause) => {
                    self.held.truncate(here);
                    return Err(cause);
                }
            }
        }
        self.held.truncate(here);
        Ok(())
    }
}

/// A long message while it is being sent.
pub(super) struct Flow<R> {
    pub(super) message: u64,
    pub(super) text: Ahead<R>,
    /// How much of it has been handed out.
    pub(super) offset: u64,
    pub(super) keys: Vec<[u8; PUBLISHED_KEY]>,
}

impl<R: FnMut(&mut [u8]) -> Result<usize, Cause>> Flow<R> {
    /// Seals and hands out packet after packet, each as large as gets through; returns the address
    /// of the last one.
    pub(super) async fn run<H: Host, O: Outlet>(
        &mut self,
        host: &mut H,
        outlet: &mut O,
        course: &mut Course<H>,
        numbers: &mut Reservation,
    ) -> Result<[u8; ADDRESS], Error> {
        let mut largest = K_MAX;
        loop {
            largest = largest.min(largest_class(outlet.largest()));
            if outlet.asks_for_receipts() {
                numbers.ask_for_receipts();
            }
            // One more byte tells whether anything follows.
            self.text.fill(numbers.room(largest) + 1)?;
            course.goes_on(host, outlet, || {}).await?;
            if numbers.left() == 0 {
                *numbers = course.more(host).await?;
                if outlet.asks_for_receipts() {
                    numbers.ask_for_receipts();
                }
            }
            let held = &self.text.held;
            let length = held.len().min(numbers.room(largest));
            let end = self.text.ended && length == held.len();
            let part = Part { message: self.message, offset: self.offset, end, length };
            // It fits, because `length` is at most the room of this class.
            let k = numbers.fit(length, K_MIN).unwrap_or(largest);
            let sealed = numbers.seal_text(k, &held[..length], part, host.randomness());
            let (packet, receipt) = sealed?;
            outlet.sealed(&packet, &receipt);
            let refused = outlet.hand_out(&self.keys, std::slice::from_ref(&packet)).await?;
            if refused.is_empty() {
                self.keys.clear();
                self.offset += length as u64;
                self.text.held.drain(..length);
                if end {
                    return Ok(packet.address());
                }
            } else if packet.len() == size(K_MIN) {
                return Err(Error::NothingFits(outlet.too_large(packet.len())));
            } else {
                // The same text goes out in smaller packets, under other numbers.
                largest = largest_class(packet.len() - 1);
            }
        }
    }
}
