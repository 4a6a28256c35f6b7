//! The window of packets that are posted and not collected yet. It is the flow control of a long
//! message: only a limited part lies in the postbox at a time, so that any length fits through a
//! postbox of any size. `send --confirm` also waits here until all of it was opened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::conversation::cause::Cause;
use crate::conversation::driver::{Outlet, OutletKind};
use crate::conversation::error::Error;
use crate::postbox::api::{Address, MAX_WAIT, PacketStatus, front};
use crate::postbox::client::{Client, Patience};
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::Packet;
use crate::protocol::packet::receipt::Receipt;

/// The most bytes of packets that wait to be collected: enough to keep a distant receiver busy, and
/// an eighth of what a postbox holds by default.
const WINDOW: usize = 32 << 20;

/// The packets of a message that were posted and, as far as is known, not collected yet.
pub struct Window {
    client: Client,
    /// In order.
    uncollected: VecDeque<Posted>,
    bytes: usize,
    /// Of packets that are sealed and not posted yet.
    receipts: BTreeMap<Address, Receipt>,
    /// Whether messages say that somebody waits here until they were opened.
    asks: bool,
}

struct Posted {
    address: Address,
    size: usize,
    /// The receipt, if the receiver must prove that it opened the packet.
    receipt: Option<Receipt>,
}

impl Window {
    /// An empty window.
    pub fn new(client: Client) -> Self {
        let (uncollected, receipts) = (VecDeque::new(), BTreeMap::new());
        Self { client, uncollected, bytes: 0, receipts, asks: false }
    }

    /// An empty window, at which somebody will wait until all was opened.
    pub fn asking_for_receipts(client: Client) -> Self {
        Self { asks: true, ..Self::new(client) }
    }

    /// Posts a packet with a byte of room before it, as soon as the window has room, unless it is
    /// `abandoned` by then.
    pub fn post(
        &mut self,
        framed: &mut [u8],
        receipt: Option<Receipt>,
        abandoned: &AtomicBool,
    ) -> Result<(), Error> {
        let Some(size) = framed.len().checked_sub(1) else { return Ok(()) };
        while self.bytes + size > WINDOW {
            self.make_room()?;
        }
        loop {
            if abandoned.load(Ordering::Acquire) {
                return Err(Error::Abandoned);
            }
            match self.client.post_framed(framed, !self.uncollected.is_empty()) {
                // The postbox is smaller than the window, or others use it too: waiting for our own
                // packets to be collected makes room sooner than long work.
                Err(error) if error.is_full() && !self.uncollected.is_empty() => {
                    self.make_room()?;
                }
                other => break other?,
            }
        }
        self.posted(&framed[1..], receipt);
        Ok(())
    }

    /// Notes that this packet now lies in the postbox.
    pub fn posted(&mut self, packet: &[u8], receipt: Option<Receipt>) {
        self.bytes += packet.len();
        self.uncollected.push_back(Posted { address: front(packet), size: packet.len(), receipt });
    }

    /// Waits until all packets were collected, for at most `limit`.
    ///
    /// # Errors
    /// [`Error::NotCollected`] after that time, or when the client's calls were ended; [`Error::Lost`], or
    /// [`Error::NotShownOpened`].
    pub fn confirm(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        let since = Instant::now();
        let patience = limit.map_or(Patience::Endless, |limit| Patience::Until(since + limit));
        self.client = self.client.lasting(patience);
        while let Some(oldest) = self.uncollected.front() {
            let left = limit.map_or(MAX_WAIT, |limit| limit.saturating_sub(since.elapsed()));
            if !self.is_held(oldest.address, left)? {
                self.take_out_collected()?;
            } else if self.client.is_stopped()
                || limit.is_some_and(|limit| since.elapsed() >= limit)
            {
                return Err(Error::NotCollected);
            }
        }
        Ok(())
    }

    /// Waits until the oldest packet is collected.
    fn make_room(&mut self) -> Result<(), Error> {
        let Some(oldest) = self.uncollected.front() else { return Ok(()) };
        while self.is_held(oldest.address, MAX_WAIT)? {
            // Its calls no longer wait.
            if self.client.is_stopped() {
                return Err(Error::Abandoned);
            }
        }
        self.take_out_collected()
    }

    fn is_held(&self, address: Address, wait: Duration) -> Result<bool, Error> {
        Ok(self.client.gone(&[address], wait)?.first() == Some(&PacketStatus::Held))
    }

    /// Forgets collected packets, from the oldest on.
    fn take_out_collected(&mut self) -> Result<(), Error> {
        // A receiver collects several at a time, so one call asks about all of them, if a call may
        // name several.
        let some = self.uncollected.iter().take(self.client.at_once());
        let asked: Vec<Address> = some.map(|posted| posted.address).collect();
        let statuses = self.client.gone(&asked, Duration::ZERO)?;
        let collected =
            statuses.iter().take_while(|status| **status == PacketStatus::Collected).count();
        self.check_opened(collected)?;
        for posted in self.uncollected.drain(..collected) {
            self.client.forget(&posted.address);
            self.bytes -= posted.size;
        }
        if statuses.get(collected) == Some(&PacketStatus::Unknown) {
            return Err(Error::Lost);
        }
        Ok(())
    }

    /// Whether the keys that were published for the oldest `count` packets are those that we sealed
    /// them with. The postbox's operator can say "collected", but cannot make these up.
    fn check_opened(&self, count: usize) -> Result<(), Error> {
        let waiting = self.uncollected.iter().take(count);
        let waiting: Vec<(&Address, &Receipt)> = waiting
            .filter_map(|posted| Some((&posted.address, posted.receipt.as_ref()?)))
            .collect();
        let addresses: Vec<Address> = waiting.iter().map(|(address, _)| **address).collect();
        let keys = self.client.revealed(&addresses)?;
        let shown = |(address, receipt): &(&Address, &Receipt)| {
            keys.iter().any(|(of, key)| of == *address && receipt.fits(key))
        };
        if waiting.iter().all(shown) {
            return Ok(());
        }
        Err(Error::NotShownOpened)
    }
}

/// The outlet for long messages: unlike a client, which posts at once, it waits for room.
impl Outlet for Window {
    fn kind(&self) -> OutletKind {
        OutletKind::Postbox
    }

    fn largest(&self) -> usize {
        self.client.largest_known()
    }

    /// Keys to be published leave with a discard, so none comes here.
    async fn hand_out(
        &mut self,
        _: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        let mut refused = Vec::new();
        for (at, packet) in packets.iter().enumerate() {
            let mut framed = [&[0], &packet[..]].concat();
            let receipt = self.receipts.remove(&packet.address());
            match self.post(&mut framed, receipt, &AtomicBool::new(false)) {
                Err(Error::Effect(_)) if self.client.largest_known() < packet.len() => {
                    refused.push(at);
                }
                Err(Error::Effect(cause)) => return Err(cause),
                Err(error) => return Err(Cause::new(error.kind(), error)),
                Ok(()) => {}
            }
        }
        Ok(refused)
    }

    fn sealed(&mut self, packet: &Packet, receipt: &Receipt) {
        self.receipts.insert(packet.address(), receipt.copy());
    }

    fn asks_for_receipts(&self) -> bool {
        self.asks
    }

    fn too_large(&self, bytes: usize) -> Cause {
        self.client.too_large(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::postbox::client::{Route, Url};

    /// A session that failed checks have ended sends no text any more, also not what waited.
    #[test]
    fn what_is_abandoned_is_not_posted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let client = Client::new(url, &Route::default()).unwrap();
        let mut window = Window::new(client);
        let mut framed = vec![0; 1 + 4096];
        listener.set_nonblocking(true).unwrap();
        assert!(window.post(&mut framed, None, &AtomicBool::new(true)).is_err());
        assert!(listener.accept().is_err(), "nobody called");
        // And a message that is not abandoned is posted.
        listener.set_nonblocking(false).unwrap();
        thread::spawn(move || window.post(&mut framed, None, &AtomicBool::new(false)));
        assert!(listener.accept().is_ok());
    }
}
