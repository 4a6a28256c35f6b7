//! Text on its way out of `recv`: to a pipe byte for byte, to a terminal made visible, as JSON, or
//! into a file that appears when it is complete.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otr::protocol::authentication::verify::Event;
use otr::protocol::packet::frame::Data;
use otr::protocol::session::{Accepted, Identity, Session, body};
use otr::store::patient::Patient;
use serde_json::json;
use zeroize::Zeroizing;

use super::output::{Output, Target, check_reveal, elsewhere};
use super::{Args, checks};
use crate::commands::authenticated;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::printable::{self, Printable};
use crate::ui::speak::Voice;
use crate::ui::stdio;

/// The largest message that becomes one JSON object: it is in memory until it is whole, and the
/// state keeps its keys as long.
pub(super) const JSON_MAX: usize = 64 << 20;
/// The same where it comes by a postbox: it lies there as long, and a sender waits when 32 MiB do.
pub(super) const JSON_MAX_POSTBOX: usize = 16 << 20;
/// Packets from which such a message is put together at most: their changes wait, too, and of more
/// keys than this the queue of those to be published would lose some.
const JSON_PACKETS: usize = 1024;

/// A part of a message in one of the opened packets.
pub(super) struct Piece {
    pub(super) packet: usize,
    pub(super) data: Data,
}

/// Where text goes.
pub(super) struct Delivery {
    session: String,
    pieces: Vec<Piece>,
    /// The message of which a part is out or about to be, and not the end.
    writing: Option<u64>,
    form: Form,
}

enum Form {
    /// Byte for byte, perhaps with a NUL after each message.
    Pipe { out: Patient<File>, null: bool },
    /// For a person's eyes; a NUL, too, is made visible there.
    Terminal { shown: Printable<Patient<File>>, null: bool },
    /// An object a message; what came of the one that is being put together.
    Json { out: Patient<File>, text: Zeroizing<Vec<u8>>, most: usize },
    /// One message into one file.
    File(Output),
}

impl Form {
    /// Text as it is, unless a person looks at it.
    fn stream(out: Patient<File>, null: bool) -> Self {
        if out.as_fd().is_terminal() {
            Self::Terminal { shown: Printable::new(out), null }
        } else {
            Self::Pipe { out, null }
        }
    }
}

impl Delivery {
    /// `json_max` is the size of the largest message that may become one JSON object.
    pub(super) fn new(context: &Context, args: &Args, json_max: usize) -> Result<Self, Failure> {
        let form = match &args.output {
            None if context.json => {
                Form::Json { out: stdio::output()?, text: Zeroizing::default(), most: json_max }
            }
            None => Form::stream(stdio::output()?, args.null),
            Some(path) => match Target::open(path, args.force)? {
                Target::Stdout => Form::stream(stdio::output()?, false),
                Target::Through(out) => Form::stream(out, false),
                Target::File(output) => Form::File(output),
            },
        };
        if let Some(path) = &args.reveal {
            check_reveal(path)?;
        }
        let session = context.name.to_string();
        Ok(Self { session, pieces: Vec::new(), writing: None, form })
    }

    /// The message that must be finished before a part of another can go out.
    pub(super) fn writing(&self) -> Option<u64> {
        self.writing
    }

    /// Whether text is in memory alone, so that its keys must not be forgotten yet.
    pub(super) fn keeps_back(&self) -> bool {
        self.writing.is_some() && matches!(self.form, Form::Json { .. })
    }

    /// Whether with this packet a message begins of which text is kept back.
    pub(super) fn will_keep_back(&self, accepted: &Accepted) -> bool {
        let begins = accepted.frames.data.as_ref().is_some_and(|data| !data.end);
        begins
            && !accepted.dropped
            && self.writing.is_none()
            && matches!(self.form, Form::Json { .. })
    }

    /// Whether this is the rest of a message whose beginning an earlier run has written.
    pub(super) fn is_rest(&self, data: &Data) -> bool {
        let elsewhere = data.offset > 0 && self.writing != Some(data.message);
        elsewhere && !matches!(self.form, Form::File(_))
    }

    /// Whether nothing more can be taken: a file is for one message, what follows keeps its keys
    /// for another run.
    pub(super) fn is_done(&self) -> bool {
        matches!(&self.form, Form::File(output) if output.done)
    }

    /// Refuses what could not be delivered, before its key is spent, in a session of which
    /// `waiting` changes are not stored.
    pub(super) fn check(
        &self,
        accepted: &Accepted,
        identity: &Identity,
        waiting: usize,
    ) -> Result<(), Failure> {
        if let (true, Some(message)) = (self.keeps_back() && waiting >= JSON_PACKETS, self.writing)
        {
            return Err(too_large(message));
        }
        let Some(data) = accepted.frames.data.as_ref().filter(|_| !accepted.dropped) else {
            return Ok(());
        };
        let after = data.offset.saturating_add(data.text.len() as u64);
        match &self.form {
            Form::Json { .. } if self.is_rest(data) => Err(elsewhere(data, "--json")),
            Form::Json { most, .. } if after > *most as u64 => Err(too_large(data.message)),
            // The part before it may be in line with it, and not in the file yet.
            Form::File(output) if !self.is_in_line(data.message) => output.check(data, identity),
            _ => Ok(()),
        }
    }

    fn is_in_line(&self, message: u64) -> bool {
        self.pieces.iter().any(|piece| piece.data.message == message)
    }

    /// Puts a part in line.
    pub(super) fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        if let (Form::File(output), true) = (&mut self.form, piece.data.end) {
            output.done = true;
        }
        self.pieces.push(piece);
    }

    /// A message was given up: nothing of it follows.
    pub(super) fn cut(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
        match &mut self.form {
            Form::Json { text, .. } => *text = Zeroizing::default(),
            Form::File(output) => output.cut(),
            Form::Pipe { .. } | Form::Terminal { .. } => {}
        }
    }

    /// The session has noted what was written.
    pub(super) fn stored(&mut self) {
        if let Form::File(output) = &mut self.form {
            output.stored();
        }
    }

    /// Writes the parts in line, whose text is in `packets`, and flushes.
    pub(super) fn write(
        &mut self,
        packets: &[Vec<u8>],
        session: Option<&Session>,
    ) -> Result<(), Failure> {
        for piece in std::mem::take(&mut self.pieces) {
            let Some(packet) = packets.get(piece.packet) else { continue };
            let text = body(packet).get(piece.data.text.clone()).unwrap_or_default();
            let written = match &mut self.form {
                Form::Pipe { out, null } => {
                    let written = out.write_all(text);
                    if *null && piece.data.end {
                        written.and_then(|()| out.write_all(&[0]))
                    } else {
                        written
                    }
                }
                Form::Terminal { shown, null } => show(shown, text, piece.data.end, *null),
                Form::Json { out, text: so_far, .. } => {
                    append(so_far, text);
                    if piece.data.end {
                        let whole = std::mem::take(so_far);
                        let line = object(&self.session, piece.data.message, &whole, session);
                        out.write_all(line.as_bytes())
                    } else {
                        Ok(())
                    }
                }
                Form::File(output) => {
                    let Some(session) = session else { continue };
                    output.write(text, &piece.data, &session.identity())?;
                    Ok(())
                }
            };
            written.map_err(|error| Failure::output(&error))?;
        }
        Ok(())
    }
}

impl Delivery {
    /// Tells what a check of a secret has come to.
    pub(super) fn check_of_secret(
        &mut self,
        voice: Voice,
        event: &Event,
        session: Option<&Session>,
    ) -> Result<(), Failure> {
        let Form::Json { out, .. } = &mut self.form else {
            checks::tell(voice, event);
            return Ok(());
        };
        let mut object = checks::object(event);
        object["session"] = self.session.as_str().into();
        object["authenticated"] = session.map(authenticated).unwrap_or_default().into();
        let line = Zeroizing::new(printable::json(&format!("{object}\n")));
        out.write_all(line.as_bytes()).map_err(|error| Failure::output(&error))
    }
}

fn show(
    shown: &mut Printable<Patient<File>>,
    text: &[u8],
    end: bool,
    null: bool,
) -> io::Result<()> {
    shown.write_all(text)?;
    if end && null {
        shown.write_all(&[0])?;
    }
    if end { shown.end() } else { shown.flush() }
}

/// Appends without leaving a copy behind where the text was before it had to move.
fn append(so_far: &mut Zeroizing<Vec<u8>>, text: &[u8]) {
    let length = so_far.len() + text.len();
    if length > so_far.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * so_far.capacity())));
        larger.extend_from_slice(so_far);
        *so_far = larger;
    }
    so_far.extend_from_slice(text);
}

fn too_large(message: u64) -> Failure {
    let what = format!("message {message} is too large for one JSON object");
    Failure::new(Code::Full, what, "receive it without --json")
}

fn object(name: &str, message: u64, text: &[u8], session: Option<&Session>) -> Zeroizing<String> {
    let missing: Vec<u64> = session
        .map(Session::missing)
        .unwrap_or_default()
        .into_iter()
        .flat_map(|(first, last)| first..=last)
        .take(1000)
        .collect();
    let mut object = json!({
        "session": name,
        "message": message,
        "bytes": text.len(),
        "authenticated": session.map(authenticated).unwrap_or_default(),
        "missing": missing,
    });
    let (key, value) = match std::str::from_utf8(text) {
        Ok(text) => ("text", text.to_owned()),
        Err(_) => ("base64", STANDARD.encode(text)),
    };
    object[key] = value.into();
    let told = Zeroizing::new(format!("{object}\n"));
    Zeroizing::new(printable::json(&told))
}

fn authenticated(session: &Session) -> Vec<&'static str> {
    authenticated::names(session.authentication())
}
