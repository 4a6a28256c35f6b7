//! Flow control of a long message: so much of it lies in the postbox uncollected, and no more, so
//! that any length goes through a postbox of any size.

use std::collections::VecDeque;

use crate::failure::{Code, Failure};
use crate::postbox::api::{Address, Fate, MAX_RECORDS, MAX_WAIT};
use crate::postbox::client::Client;

/// Bytes of packets that wait to be collected at most: enough for a receiver far away to be kept
/// busy, an eighth of what a postbox holds by default.
const WINDOW: usize = 32 << 20;

/// What was posted of a message and, as far as is known, not collected yet.
pub(super) struct Window<'a> {
    client: &'a Client,
    /// Address and size, in order.
    uncollected: VecDeque<(Address, usize)>,
    bytes: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, uncollected: VecDeque::new(), bytes: 0 }
    }

    /// Posts a packet, as soon as there is room for it.
    pub(super) fn post(&mut self, packet: &[u8]) -> Result<(), Failure> {
        while self.bytes + packet.len() > WINDOW {
            self.make_room()?;
        }
        loop {
            match self.client.post(&[packet]) {
                // Smaller than the window, or others use it too: what we have there makes room.
                Err(failure) if failure.code == Code::Full && !self.uncollected.is_empty() => {
                    self.make_room()?;
                }
                other => break other?,
            }
        }
        let address = std::array::from_fn(|at| packet.get(at).copied().unwrap_or_default());
        self.uncollected.push_back((address, packet.len()));
        self.bytes += packet.len();
        Ok(())
    }

    /// Waits until the oldest packet is collected.
    fn make_room(&mut self) -> Result<(), Failure> {
        let Some((oldest, _)) = self.uncollected.front() else { return Ok(()) };
        let oldest = *oldest;
        while self.client.gone(&[oldest], MAX_WAIT)?.first() == Some(&Fate::Held) {}
        // Whoever collects takes several: one call tells of all, where one may name several.
        let ask = if self.client.isolates() { 1 } else { MAX_RECORDS };
        let asked: Vec<Address> =
            self.uncollected.iter().take(ask).map(|(address, _)| *address).collect();
        for fate in self.client.gone(&asked, std::time::Duration::ZERO)? {
            match fate {
                Fate::Held => break,
                Fate::Collected => {
                    let (address, size) = self.uncollected.pop_front().unwrap_or_default();
                    self.client.forget(&address);
                    self.bytes -= size;
                }
                Fate::Unknown => {
                    return Err(Failure::new(
                        Code::CutShort,
                        "the postbox has lost a part of the message, or nobody collected it in time",
                        "send it again",
                    ));
                }
            }
        }
        Ok(())
    }
}
