//! Gives the parts of messages to a client, and has stored what the client acknowledges.

use std::collections::VecDeque;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otr::conversation::{Cause, ErrorKind, Piece, Sink};
use otr::protocol::authentication::verify::Event;
use otr::protocol::packet::frame::Data;
use otr::protocol::session::{Session, body};
use serde_json::{Value, json};
use zeroize::{Zeroize as _, Zeroizing};

use super::client::Client;
use super::ledger::{Ledger, Next};
use super::out;
use crate::commands::authenticated;
use crate::commands::recv::{Output, Target, check_object};
use crate::ui::names;

/// Bytes of lines that are not kept back for more of them.
const AT_ONCE: usize = 64 << 10;

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
    /// The parts that were given and are not stored yet.
    given: VecDeque<Given>,
    writing: Option<u64>,
    /// Where messages of more than one part go, if not to the client.
    files: Option<PathBuf>,
    /// The file of the message that is being written.
    file: Option<Writing>,
    /// Lines that the client is to read before it is waited for.
    told: Zeroizing<String>,
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
            files: None,
            file: None,
            told: Zeroizing::default(),
            storing: 0,
            settled: None,
        }
    }

    /// Puts messages of more than one part into files of this directory.
    pub(super) fn into_files(mut self, directory: Option<PathBuf>) -> Self {
        self.files = directory;
        self
    }

    /// Tells the client what has happened.
    pub(super) fn event(&self, event: &str, more: Value) {
        self.client.out.write_all(&self.line("event", named(event, more)));
    }

    /// A line for the client.
    fn line(&self, method: &str, mut params: Value) -> Zeroizing<String> {
        self.ledger.name(&mut params, self.number);
        out::text(&out::notification(method, &params))
    }

    /// Tells it with what else is there to tell.
    fn tell(&mut self, method: &str, params: Value) -> Result<(), Cause> {
        let line = self.line(method, params);
        // Never so much that it would have to move: what it leaves would not be wiped.
        if self.told.len() + line.len() > AT_ONCE {
            self.tell_all()?;
        }
        if line.len() > AT_ONCE {
            return self.has_read(&line);
        }
        if self.told.capacity() == 0 {
            self.told.reserve_exact(AT_ONCE);
        }
        self.told.push_str(&line);
        Ok(())
    }

    /// Has the client read what there is to tell.
    fn tell_all(&mut self) -> Result<(), Cause> {
        if self.told.is_empty() {
            return Ok(());
        }
        let read = self.has_read(&self.told);
        self.told.zeroize();
        read
    }

    fn has_read(&self, lines: &str) -> Result<(), Cause> {
        if self.client.out.write_all(lines) { Ok(()) } else { Err(gone()) }
    }

    /// Gives a part: into its file, if it has one, of which the client learns with the last part.
    fn place(
        &mut self,
        piece: &Piece,
        packets: &[Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        let data = &piece.data;
        let Some(session) = session.filter(|_| self.has_file(data, session)) else {
            return self.give(piece, packets, session);
        };
        let Some(Writing { output, path, .. }) = &mut self.file else { return Ok(()) };
        let text = text_of(piece, packets);
        output.write(text, data, &session.identity())?;
        if !data.end {
            self.given.push_back(Given { packet: piece.packet, file: None });
            self.ledger.has(data.message, data.offset);
            return Ok(());
        }
        output.done = true;
        let mut params = json!({
            "message": data.message,
            "offset": 0,
            "end": true,
            "bytes": data.offset + text.len() as u64,
            "authenticated": authenticated::names(session.authentication()),
        });
        names::put(&mut params, "file", path);
        let file = self.file.take().map(|file| file.output);
        self.given.push_back(Given { packet: piece.packet, file });
        self.ledger.gives(data.message, 0);
        self.tell("message", params)
    }

    /// Whether this part goes into a file, which is then open. The rest of a message whose beginning was
    /// given to a client goes to a client, too.
    fn has_file(&mut self, data: &Data, session: Option<&Session>) -> bool {
        let Some(session) = session else { return false };
        if self.file.as_ref().is_some_and(|file| file.message == data.message) {
            return true;
        }
        if data.offset == 0 && data.end {
            return false;
        }
        let Some((output, path)) = self.output(data.message, session) else { return false };
        if output.check(data, &session.identity()).is_err() {
            return false;
        }
        self.file = Some(Writing { output, path, message: data.message });
        true
    }

    /// The file of a message, if the client has named a directory for files.
    fn output(&self, message: u64, session: &Session) -> Option<(Output, PathBuf)> {
        let tag = u64::from_be_bytes(session.identity().tag(message));
        let name = format!("{}-{message}-{tag:016x}", self.ledger.session);
        let path = self.files.as_ref()?.join(name);
        match Target::open(&path, false) {
            Ok(Target::File(output)) => Some((output, path)),
            _ => None,
        }
    }

    /// No more of this message will come: the client learns where what came of it lies.
    fn cut(&mut self, message: u64, session: Option<&Session>) -> Result<(), Cause> {
        drop(self.file.take_if(|file| file.message == message));
        let mut params = named("truncated", json!({ "message": message }));
        let begun = session.and_then(|session| {
            let (output, _) = self.output(message, session)?;
            output.begun(message, &session.identity())
        });
        if let Some(part) = begun {
            names::put(&mut params, "file", &part);
        }
        self.tell("event", params)
    }

    fn give(
        &mut self,
        piece: &Piece,
        packets: &[Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        let data = &piece.data;
        let text = text_of(piece, packets);
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
        self.given.push_back(Given { packet: piece.packet, file: None });
        self.tell("message", params)
    }
}

/// A part that was given.
struct Given {
    packet: usize,
    /// The file that is complete with it.
    file: Option<Output>,
}

/// A message that goes into a file.
struct Writing {
    output: Output,
    path: PathBuf,
    message: u64,
}

/// The text of a part.
fn text_of<'p>(piece: &Piece, packets: &'p [Zeroizing<Vec<u8>>]) -> &'p [u8] {
    let text = packets.get(piece.packet).map(|packet| body(packet));
    text.and_then(|body| body.get(piece.data.text.clone())).unwrap_or_default()
}

/// An event of this name.
fn named(event: &str, mut more: Value) -> Value {
    more["event"] = event.into();
    more
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
        packets: &mut [Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        loop {
            if let Some(Told::Truncated(message)) = self.line.front() {
                let message = *message;
                self.cut(message, session)?;
                self.line.pop_front();
                continue;
            }
            if self.line.is_empty() || !self.ledger.has_credit() {
                self.tell_all()?;
            }
            if self.line.is_empty() && self.given.is_empty() {
                (self.storing, self.settled) = (0, None);
                return Ok(());
            }
            match self.ledger.next(!self.line.is_empty()) {
                Next::Give => {
                    if let Some(Told::Piece(piece)) = self.line.pop_front() {
                        let placed = self.place(&piece, packets, session);
                        // What it has of others, it learns even if this one has no place.
                        placed.or_else(|error| self.tell_all().and(Err(error)))?;
                    }
                }
                Next::Store(count) => {
                    self.tell_all()?;
                    let next = self.line.iter().find_map(|told| match told {
                        Told::Piece(piece) => Some(piece.packet),
                        Told::Truncated(_) => None,
                    });
                    self.storing = count;
                    let waiting = self.given.get(count).map(|given| given.packet);
                    self.settled = waiting.or(next);
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
        let stored: Vec<Given> = self.given.drain(..count.min(self.given.len())).collect();
        self.ledger.stored(count);
        for file in stored.into_iter().filter_map(|given| given.file) {
            { file }.stored();
        }
    }

    async fn checked(&mut self, event: &Event, session: Option<&Session>) -> Result<(), Cause> {
        let mut params = check_object(event);
        let authentication = session.map(Session::authentication).unwrap_or_default();
        params["authenticated"] = authenticated::names(authentication).into();
        self.event("verify", params);
        Ok(())
    }
}
