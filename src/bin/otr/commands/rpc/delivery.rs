//! Gives the parts of messages to a client, and has stored what the client acknowledges.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otr::conversation::{Cause, ErrorKind, Piece, Sink};
use otr::protocol::authentication::verify::Event;
use otr::protocol::session::{Session, body};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::Client;
use super::ledger::{Ledger, Next};
use crate::commands::authenticated;
use crate::commands::recv::check_object;

/// What to tell next.
enum Told {
    Piece(Piece),
    Truncated(u64),
}

/// The deliveries of one subscription, or of one call.
pub(super) struct Delivery {
    client: Arc<Client>,
    number: u64,
    ledger: Arc<Ledger>,
    line: VecDeque<Told>,
    /// The packets of the parts that were given and are not stored yet.
    given: VecDeque<usize>,
    writing: Option<u64>,
    /// How many of the parts that were given to store now, and how many packets that covers.
    storing: usize,
    settled: Option<usize>,
}

impl Delivery {
    pub(super) fn new(client: &Arc<Client>, number: u64, ledger: &Arc<Ledger>) -> Self {
        Self {
            client: Arc::clone(client),
            number,
            ledger: Arc::clone(ledger),
            line: VecDeque::new(),
            given: VecDeque::new(),
            writing: None,
            storing: 0,
            settled: None,
        }
    }

    /// Tells the client what has happened.
    pub(super) fn event(&self, event: &str, mut more: Value) {
        more["event"] = event.into();
        self.tell("event", more);
    }

    fn tell(&self, method: &str, mut params: Value) -> bool {
        params["subscription"] = self.number.into();
        params["session"] = self.ledger.session.as_str().into();
        self.client.out.tell(method, &params)
    }

    fn give(
        &mut self,
        piece: &Piece,
        packets: &[Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        let data = &piece.data;
        let text = packets.get(piece.packet).map(|packet| body(packet));
        let text = text.and_then(|body| body.get(data.text.clone())).unwrap_or_default();
        let authentication = session.map(Session::authentication).unwrap_or_default();
        let mut params = json!({
            "message": data.message,
            "offset": data.offset,
            "end": data.end,
            "bytes": text.len(),
            "authenticated": authenticated::names(authentication),
        });
        // A part may end within a character.
        let whole = data.offset == 0 && data.end;
        match str::from_utf8(text) {
            Ok(text) if whole => params["text"] = text.into(),
            _ => params["base64"] = STANDARD.encode(text).into(),
        }
        self.ledger.gives(data.message, data.offset);
        self.given.push_back(piece.packet);
        if self.tell("message", params) { Ok(()) } else { Err(gone()) }
    }
}

/// The client takes nothing more.
fn gone() -> Cause {
    Cause::new(ErrorKind::Failed, "the client takes no more messages")
}

impl Sink for Delivery {
    fn writing(&self) -> Option<u64> {
        self.writing
    }

    fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        self.line.push_back(Told::Piece(piece));
    }

    fn truncated(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
        self.line.push_back(Told::Truncated(message));
    }

    async fn deliver(
        &mut self,
        packets: &[Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        loop {
            if let Some(Told::Truncated(message)) = self.line.front() {
                self.event("truncated", json!({ "message": message }));
                self.line.pop_front();
                continue;
            }
            if self.line.is_empty() && self.given.is_empty() {
                (self.storing, self.settled) = (0, None);
                return Ok(());
            }
            match self.ledger.next(!self.line.is_empty()) {
                Next::Give => {
                    if let Some(Told::Piece(piece)) = self.line.pop_front() {
                        self.give(&piece, packets, session)?;
                    }
                }
                Next::Store(count) => {
                    let next = self.line.iter().find_map(|told| match told {
                        Told::Piece(piece) => Some(piece.packet),
                        Told::Truncated(_) => None,
                    });
                    self.storing = count;
                    self.settled = self.given.get(count).copied().or(next);
                    return Ok(());
                }
                Next::Stopped => return Err(gone()),
            }
        }
    }

    fn settled(&self) -> Option<usize> {
        self.settled
    }

    fn stored(&mut self) {
        let count = mem::take(&mut self.storing);
        self.given.drain(..count.min(self.given.len()));
        self.ledger.stored(count);
    }

    async fn checked(&mut self, event: &Event, session: Option<&Session>) -> Result<(), Cause> {
        let mut params = check_object(event);
        let authentication = session.map(Session::authentication).unwrap_or_default();
        params["authenticated"] = authenticated::names(authentication).into();
        self.event("verify", params);
        Ok(())
    }
}
