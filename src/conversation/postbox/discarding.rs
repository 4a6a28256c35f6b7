//! Discards packets that were opened and stored, while the next ones are opened, because the
//! postbox hashes each packet that it discards.

use std::thread::JoinHandle;

use super::start;
use crate::conversation::error::Error;
use crate::postbox::api::Discard;
use crate::postbox::client::{self, Client};

/// A discard on its way.
pub(super) struct Discarding {
    spent: Vec<[u8; Discard::SIZE]>,
    thread: JoinHandle<Result<Vec<[u8; Discard::SIZE]>, client::Error>>,
}

impl Discarding {
    /// Discards `all` of these, of which the state remembers `spent` until that is done.
    pub(super) fn start(
        client: &Client,
        spent: Vec<[u8; Discard::SIZE]>,
        all: Vec<[u8; Discard::SIZE]>,
    ) -> Result<Self, Error> {
        let client = client.clone();
        let thread = start(move || client.discard(&all))?;
        Ok(Self { spent, thread })
    }

    /// Waits for it; returns what the state may then forget.
    pub(super) fn end(self) -> Result<Vec<[u8; Discard::SIZE]>, Error> {
        let done = self.thread.join().map_err(|_| Error::WorkerEnded)??;
        Ok(self.spent.into_iter().filter(|record| done.contains(record)).collect())
    }
}
