//! Throwing away what was opened and stored, beside the opening of what follows: the postbox hashes
//! each packet that it throws away.

use std::thread::JoinHandle;

use crate::beside;
use crate::failure::{Code, Failure};
use crate::postbox::api::Discard;
use crate::postbox::client::Client;

/// A discard on its way.
pub(super) struct Discarding {
    spent: Vec<[u8; Discard::SIZE]>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Discarding {
    /// Discards `all` of these, of which the state remembers `spent` until it is done.
    pub(super) fn start(
        client: &Client,
        spent: Vec<[u8; Discard::SIZE]>,
        all: Vec<[u8; Discard::SIZE]>,
    ) -> Result<Self, Failure> {
        let client = client.clone();
        let thread = beside::start(move || client.discard(&all))?;
        Ok(Self { spent, thread })
    }

    /// Waits for it; what the state may forget then.
    pub(super) fn end(self) -> Result<Vec<[u8; Discard::SIZE]>, Failure> {
        let done = self.thread.join().unwrap_or_else(|_| {
            let what = "the thread that discards has ended";
            Err(Failure::new(Code::Failed, what, "this is a fault of otr"))
        });
        done.map(|()| self.spent)
    }
}
