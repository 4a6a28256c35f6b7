//! Asks the postbox for packets, several tokens in one call.

use std::collections::BTreeSet;
use std::thread::JoinHandle;
use std::time::Duration;

use super::plan;
use super::start;
use crate::conversation::error::Error;
use crate::postbox::api::Token;
use crate::postbox::client::{self, Client, Found, Patience};
use crate::protocol::session::Session;

/// An answer of this many bytes belongs to a long message, so the next packets are requested while
/// these are opened.
const LONG: usize = 1 << 20;

/// Asks the postbox.
pub(super) struct Collector {
    client: Client,
    /// A call for the packets after the last answer.
    ahead: Option<JoinHandle<Result<Vec<Found>, client::Error>>>,
}

impl Collector {
    pub(super) fn new(client: Client) -> Self {
        Self { client, ahead: None }
    }

    /// How long it keeps trying while the postbox cannot be reached.
    pub(super) fn lasting(&mut self, patience: Patience) {
        self.client = self.client.lasting(patience);
    }

    /// The packets under these tokens, as soon as there are any; none after `wait`.
    pub(super) fn collect(
        &mut self,
        tokens: &[Token],
        wait: Duration,
    ) -> Result<Vec<Found>, Error> {
        if let Some(ahead) = self.ahead.take()
            // An error of that call happens again below.
            && let Ok(Ok(found)) = ahead.join()
            && !found.is_empty()
        {
            return Ok(found);
        }
        Ok(self.client.collect(tokens, wait)?)
    }

    /// Requests the packets beyond `found` in advance, if there are many; the next request gets
    /// them.
    pub(super) fn ask_ahead(
        &mut self,
        session: &Session,
        found: &[Found],
        held_back: &BTreeSet<Token>,
        look_ahead: u32,
    ) -> Result<(), Error> {
        let bytes: usize = found.iter().map(|one| one.packet.len()).sum();
        if bytes < LONG {
            return Ok(());
        }
        let here = found.iter().map(|one| one.token).collect();
        let client = self.client.clone();
        let tokens = plan::following(session, &here, held_back, look_ahead);
        let call = move || client.collect(&tokens, Duration::ZERO);
        self.ahead = Some(start(call)?);
        Ok(())
    }

    /// Whether such a call is running.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }
}
