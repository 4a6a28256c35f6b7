//! The thread that receives. A message is shown before the state that forgets its key is stored: a chat
//! that is killed in between shows it once more, and loses none.
//!
//! A text of several packets is held until it is whole, and its keys with it. What is too long for that,
//! or no text, stays in the postbox until the person has said where it goes; so does everything behind it.

use std::collections::VecDeque;
use std::mem;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use otr::conversation::{Cause, Collecting, ErrorKind, Files, Piece, Sink, block_on};
use otr::postbox::client::Stop;
use otr::protocol::authentication::verify::{Event as Check, FAILURES_MAX};
use otr::protocol::packet::frame::Data;
use otr::protocol::session::{Accepted, Session, body};
use zeroize::Zeroizing;

use super::events::{Came, Decision, Event, Facts, Long};
use super::saving::{Saving, Unfinished, remove};
use crate::commands::recv::part_in;
use crate::failure::Failure;
use crate::ui::printable::line;

/// The longest text that is shown, in bytes: hours of reading.
const SHOWN: usize = 2 << 20;
/// The most packets of it: their keys wait, too, and with many more the queue of keys to publish would lose
/// some.
const PACKETS: usize = 512;
/// The longest message that is shown although not all of it is text.
const UNREADABLE: usize = 1024;
/// How often to look whether the chat has ended.
const GLANCE: Duration = Duration::from_millis(200);

/// Receives until the other side closes, or the chat ends.
pub(super) fn run(
    collecting: &mut Collecting<Files>,
    mut incoming: Incoming,
) -> Result<(), Failure> {
    if collecting.session().is_none() && !block_on(collecting.reply(None))? {
        return Ok(());
    }
    incoming.facts(collecting.session());
    block_on(collecting.take_up())?;
    let received = block_on(collecting.receive(&mut incoming, None));
    incoming.facts(collecting.session());
    match received {
        Err(_) if incoming.stop.is_asked() => Ok(()),
        other => Ok(other?),
    }
}

/// What to do next.
enum Told {
    Piece(Piece),
    Truncated(u64),
}

/// The message of which a part, but not the end, has come.
enum Begun {
    Held { text: Zeroizing<Vec<u8>>, packets: usize },
    File(Saving),
    Dropped,
}

pub(super) struct Incoming {
    tell: Sender<Event>,
    stop: Stop,
    queue: VecDeque<Told>,
    writing: Option<u64>,
    begun: Option<Begun>,
    /// A file that is whole, and that the session has to note.
    file: Option<Saving>,
    unfinished: Unfinished,
    settled: Option<usize>,
    /// What the screen knows.
    known: Option<Facts>,
}

impl Incoming {
    pub(super) fn new(tell: Sender<Event>, stop: Stop, unfinished: Unfinished) -> Self {
        Self {
            tell,
            stop,
            queue: VecDeque::new(),
            writing: None,
            begun: None,
            file: None,
            unfinished,
            settled: None,
            known: None,
        }
    }

    /// Tells how things stand, if that is new.
    fn facts(&mut self, session: Option<&Session>) {
        let facts = Facts::of(session);
        if self.known.as_ref() != Some(&facts) {
            self.known = Some(facts.clone());
            self.say(Event::Facts(facts));
        }
    }

    fn say(&self, event: Event) {
        // Nobody may look any more.
        drop(self.tell.send(event));
    }

    /// Waits until all of it is on the screen.
    fn show(&self, all: &mut Vec<Came>) -> Result<(), Cause> {
        if all.is_empty() {
            return Ok(());
        }
        let (shown, is_shown) = channel();
        self.say(Event::Came(mem::take(all), shown));
        loop {
            match is_shown.recv_timeout(GLANCE) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if !self.stop.is_asked() => {}
                Err(_) => return Err(over()),
            }
        }
    }

    /// Waits until the person has said what becomes of a message.
    fn decision(&self, data: &Data, bytes: u64, goes_on: bool) -> Result<Decision, Cause> {
        let (decide, decided) = channel();
        let (message, whole) = (data.message, data.end);
        self.say(Event::Long(Long { message, bytes, whole, goes_on, decide }));
        loop {
            match decided.recv_timeout(GLANCE) {
                Ok(decision) => return Ok(decision),
                Err(RecvTimeoutError::Timeout) if !self.stop.is_asked() => {}
                Err(_) => return Err(over()),
            }
        }
    }

    /// Puts a part where it belongs. `false` if what was shown before must be stored first.
    fn place(
        &mut self,
        piece: &Piece,
        text: &[u8],
        session: &Session,
        shown: &mut Vec<Came>,
    ) -> Result<bool, Cause> {
        let data = &piece.data;
        match self.begun.take() {
            None if data.offset == 0 && data.end && is_readable(text) => {
                shown.push(Came::Text(text.to_vec().into()));
            }
            None if data.offset == 0 && !data.end && text.len() <= SHOWN => {
                let mut held = Zeroizing::new(Vec::with_capacity(SHOWN));
                held.extend_from_slice(text);
                self.begun = Some(Begun::Held { text: held, packets: 1 });
            }
            None => {
                self.show(shown)?;
                if piece.packet > self.settled.unwrap_or(0) {
                    self.settled = Some(piece.packet);
                    return Ok(false);
                }
                self.decide(data, &[], text, session)?;
            }
            Some(Begun::Held { text: mut held, packets }) => {
                let fits = held.len() + text.len() <= SHOWN && packets < PACKETS;
                if fits && !data.end {
                    held.extend_from_slice(text);
                    self.begun = Some(Begun::Held { text: held, packets: packets + 1 });
                } else if fits && is_readable_joined(&mut held, text) {
                    shown.push(Came::Text(held));
                } else {
                    self.show(shown)?;
                    self.decide(data, &held, text, session)?;
                }
            }
            Some(Begun::File(saving)) => {
                if let Err(failure) = self.write(saving, data, text, session) {
                    self.say(Event::NotSaved(failure));
                    self.decide(data, &[], text, session)?;
                }
            }
            Some(Begun::Dropped) => self.begun = (!data.end).then_some(Begun::Dropped),
        }
        Ok(true)
    }

    /// Asks where a message goes, of which `held` is its beginning and `text` the part that has come now,
    /// and puts it there.
    fn decide(
        &mut self,
        data: &Data,
        held: &[u8],
        text: &[u8],
        session: &Session,
    ) -> Result<(), Cause> {
        let bytes = data.offset + text.len() as u64;
        loop {
            let goes_on = data.offset > held.len() as u64 && self.unfinished.is_none();
            let path = match self.decision(data, bytes, goes_on)? {
                Decision::Drop => {
                    self.unfinished.remove();
                    // What an earlier run has left, if it is where it is looked for.
                    let here = Path::new(".");
                    if let Some(part) = part_in(here, data.message, &session.identity()) {
                        remove(&part);
                    }
                    self.begun = (!data.end).then_some(Begun::Dropped);
                    return Ok(());
                }
                Decision::Save(path) => path,
            };
            match self.begin(&path, data, held, text, session) {
                Ok(()) => return Ok(()),
                Err(failure) => self.say(Event::NotSaved(failure)),
            }
        }
    }

    fn begin(
        &mut self,
        path: &Path,
        data: &Data,
        held: &[u8],
        text: &[u8],
        session: &Session,
    ) -> Result<(), Failure> {
        let identity = session.identity();
        let begins = Data { offset: data.offset - held.len() as u64, ..data.clone() };
        let mut saving = Saving::at(path, data.message, &identity)?;
        saving.go_on(&begins, &identity, &self.unfinished)?;
        if begins.offset > 0 || held.is_empty() {
            return self.write(saving, data, text, session);
        }
        let begins = Data { end: false, ..begins };
        match saving.write(held, &begins, &identity) {
            Ok(()) => self.write(saving, data, text, session),
            Err(failure) => {
                // All of it is in memory.
                remove(&saving.part);
                Err(failure)
            }
        }
    }

    /// Writes on. If that fails, what came before stays for another name, unless nothing was spent for it.
    fn write(
        &mut self,
        mut saving: Saving,
        data: &Data,
        text: &[u8],
        session: &Session,
    ) -> Result<(), Failure> {
        if let Err(failure) = saving.write(text, data, &session.identity()) {
            if self.unfinished.is_none() {
                remove(&saving.part);
            }
            return Err(failure);
        }
        if data.end {
            self.unfinished.note(None);
            self.file = Some(saving);
        } else {
            self.unfinished.note(Some(&saving));
            self.begun = Some(Begun::File(saving));
        }
        Ok(())
    }

    fn truncate(&mut self, message: u64, shown: &mut Vec<Came>) {
        let note = match self.begun.take() {
            Some(Begun::File(saving)) => {
                self.unfinished.remove();
                let path = line(&saving.path.to_string_lossy());
                format!(
                    "message {message} was cut short: nothing of it is kept, {path} is not there"
                )
            }
            _ => format!("message {message} was cut short"),
        };
        shown.push(Came::CutShort(note));
    }
}

/// The chat has ended.
fn over() -> Cause {
    Cause::new(ErrorKind::Failed, "the chat has ended")
}

/// Whether a person can read it: a short one with a few bytes that are not UTF-8, too.
fn is_readable(text: &[u8]) -> bool {
    memchr::memchr(0, text).is_none() && (text.len() <= UNREADABLE || str::from_utf8(text).is_ok())
}

/// The same for a text whose last part this is, which is then in it.
fn is_readable_joined(held: &mut Zeroizing<Vec<u8>>, text: &[u8]) -> bool {
    let before = held.len();
    held.extend_from_slice(text);
    let is_readable = is_readable(held);
    if !is_readable {
        held.truncate(before);
    }
    is_readable
}

impl Sink for Incoming {
    fn writing(&self) -> Option<u64> {
        self.writing
    }

    fn keeps_back(&self) -> bool {
        self.writing.is_some() && matches!(self.begun, Some(Begun::Held { .. }))
    }

    fn will_keep_back(&self, accepted: &Accepted) -> bool {
        let begins = accepted.frames.data.as_ref().is_some_and(|data| !data.end);
        begins && !accepted.dropped && self.writing.is_none()
    }

    fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        self.queue.push_back(Told::Piece(piece));
    }

    fn truncated(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
        self.queue.push_back(Told::Truncated(message));
    }

    /// The status line says so, all the time.
    fn tell_unchecked(&mut self) -> bool {
        true
    }

    async fn deliver(
        &mut self,
        packets: &mut [Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        let mut shown = Vec::new();
        while let Some(told) = self.queue.pop_front() {
            match (&told, session) {
                (Told::Truncated(message), _) => self.truncate(*message, &mut shown),
                (Told::Piece(piece), Some(session)) => {
                    let text = packets.get(piece.packet).map(|packet| body(packet));
                    let text = text.and_then(|body| body.get(piece.data.text.clone()));
                    if !self.place(piece, text.unwrap_or_default(), session, &mut shown)? {
                        self.queue.push_front(told);
                        return Ok(());
                    }
                }
                (Told::Piece(_), None) => {}
            }
        }
        self.show(&mut shown)?;
        self.settled = None;
        self.facts(session);
        Ok(())
    }

    fn settled(&self) -> Option<usize> {
        self.settled
    }

    fn stored(&mut self) {
        if let Some(mut file) = self.file.take() {
            file.stored();
            self.say(Event::Saved(file.path));
        }
    }

    async fn checked(&mut self, event: &Check, session: Option<&Session>) -> Result<(), Cause> {
        if let Some(said) = said(event) {
            self.say(Event::Checked(said));
        }
        self.facts(session);
        Ok(())
    }
}

/// What a step of a check has come to.
fn said(event: &Check) -> Option<String> {
    Some(match event {
        // The facts say that, also when a chat begins.
        Check::Asked { .. } => return None,
        Check::Crossed => "both sides asked at once; your question goes on".to_owned(),
        Check::GaveWay => "both sides asked at once; the other side's question goes on".to_owned(),
        Check::Equal => "the secrets are equal: nobody is in between".to_owned(),
        Check::Different { failures } => {
            format!("the secrets differ ({failures} of {FAILURES_MAX} failures)")
        }
        Check::Unfinished { failures } => format!(
            "the other side never ended the check before ({failures} of {FAILURES_MAX} failures)"
        ),
        Check::BadShare => "the other side asked with a value that cannot be used".to_owned(),
        Check::Stopped => "the other side has stopped the check; nothing was compared".to_owned(),
        Check::Dropped => "a step of a check that is over was dropped".to_owned(),
    })
}
