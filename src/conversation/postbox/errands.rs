//! What a caller whose calls are kept apart has to do at the postbox: each errand names one address, by
//! a circuit of its own, in a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::start;
use crate::conversation::error::Error;
use crate::postbox::api::{Discard, Token};
use crate::postbox::client::{self, Client, Found, Patience};

/// How often to look whether the client's calls were ended.
const LOOK: Duration = Duration::from_millis(200);

/// One thing to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Errand {
    /// Ask for the packet under this token, which may come next.
    Ask(Token),
    /// Ask for the same at another postbox, where it lies if its sender could not reach the first.
    Elsewhere(Token),
    /// Ask for one that was skipped.
    Behind(Token),
    /// Ask for one that may lie farther ahead, or behind: in this place of the search.
    Search(u32),
    /// Discard a packet that was opened and stored, or is junk.
    Discard([u8; Discard::SIZE]),
    /// Post what we owe the other side.
    Pay,
}

/// What an errand has come to.
pub(super) struct Done {
    pub(super) errand: Errand,
    pub(super) found: Result<Vec<Found>, client::Error>,
}

/// Runs errands.
pub(super) struct Errands {
    client: Client,
    tell: Sender<Done>,
    told: Receiver<Done>,
}

impl Errands {
    pub(super) fn new(client: Client) -> Self {
        let (tell, told) = channel();
        Self { client, tell, told }
    }

    /// How long calls are repeated while the postbox cannot be reached.
    pub(super) fn lasting(&mut self, patience: Patience) {
        self.client = self.client.lasting(patience);
    }

    /// Asks for the packet under this token, which it waits for. The connection ends with the answer.
    pub(super) fn ask(&self, errand: Errand, token: Token, wait: Duration) -> Result<(), Error> {
        self.run(errand, move |client| client.collect(&[token], wait))
    }

    /// Asks for the packet under this token at another postbox; each `nth` time at another one.
    pub(super) fn ask_elsewhere(
        &self,
        errand: Errand,
        token: Token,
        nth: usize,
    ) -> Result<(), Error> {
        self.run(errand, move |client| client.collect_elsewhere(&token, nth))
    }

    /// Discards a packet.
    pub(super) fn discard(&self, errand: Errand, record: [u8; Discard::SIZE]) -> Result<(), Error> {
        self.run(errand, move |client| client.discard_all(&[record]).map(|()| Vec::new()))
    }

    /// The next errand that is done, within this time.
    pub(super) fn done(&self, time: Duration) -> Option<Done> {
        let begun = Instant::now();
        loop {
            let left = time.saturating_sub(begun.elapsed());
            let look = if self.client.can_be_stopped() { left.min(LOOK) } else { left };
            match self.told.recv_timeout(look) {
                Ok(done) => return Some(done),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if left <= look || self.client.is_stopped() => {
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn run(
        &self,
        errand: Errand,
        call: impl FnOnce(&Client) -> Result<Vec<Found>, client::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (client, tell) = (self.client.clone(), self.tell.clone());
        let work = move || {
            // Nobody listens any more if the command is about to end.
            drop(tell.send(Done { errand, found: call(&client) }));
        };
        start(work).map(drop)
    }
}
