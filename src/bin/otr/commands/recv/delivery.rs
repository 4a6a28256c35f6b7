//! Delivers the text of `recv`: byte for byte to a pipe, made visible to a terminal, as JSON, or
//! into a file that appears when it is complete; or to a command.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otr::armor::encode;
use otr::conversation::{Cause, Piece, Sink};
use otr::protocol::authentication::verify::Event;
use otr::protocol::deniability::reveal::PUBLISHED_KEY;
use otr::protocol::packet::frame::Data;
use otr::protocol::session::{Accepted, Identity, Session, body};
use otr::store::patient::Patient;
use serde_json::json;
use zeroize::Zeroizing;

use super::hook::Hook;
use super::output::{Output, Target, check_reveal, elsewhere};
use super::{Args, checks};
use crate::commands::authenticated::{self, UNCHECKED};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::printable::{self, Printable};
use crate::ui::speak::Voice;
use crate::ui::stdio;

/// The largest message that becomes one JSON object, or waits for a command: it is in memory until it
/// is whole, and the state keeps its keys as long.
const WHOLE_MAX: usize = 64 << 20;
/// The same for a message from a postbox: it stays there as long, and a sender waits once 32 MiB
/// lie there.
const WHOLE_MAX_POSTBOX: usize = 16 << 20;
/// The most packets of such a message: their changes wait, too, and with more keys than this the
/// queue of keys to publish would lose some.
const JSON_PACKETS: usize = 1024;

/// Where packets come from.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Way {
    #[default]
    Stdin,
    Postbox,
    /// A postbox, with a limit to the time of waiting.
    PostboxInTime,
}

impl Way {
    /// The largest message that waits until it is whole.
    fn whole_max(self) -> usize {
        if self == Self::Stdin { WHOLE_MAX } else { WHOLE_MAX_POSTBOX }
    }

    /// What becomes of a message that a command has not taken.
    fn kept(self) -> &'static str {
        match self {
            Self::Stdin => "give its packets once more",
            _ => "it stays in the postbox for another try",
        }
    }
}

/// Where text goes.
pub(super) struct Delivery {
    session: String,
    voice: Voice,
    /// The file for MAC keys to be published, if they do not go out with the next packet.
    reveal: Option<PathBuf>,
    pieces: Vec<Piece>,
    /// The message of which a part, but not the end, is out or about to go out.
    writing: Option<u64>,
    form: Form,
}

enum Form {
    /// Byte for byte, perhaps with a NUL after each message.
    Pipe { out: Patient<File>, null: bool },
    /// For a person's eyes; a NUL, too, is made visible there.
    Terminal { shown: Printable<Patient<File>>, null: bool },
    /// One object per message; the text so far of the message that is not complete.
    Json { out: Patient<File>, text: Zeroizing<Vec<u8>>, most: usize },
    /// One message into one file.
    File(Output),
    /// Each message to a command of its own.
    Exec(Hook),
}

impl Form {
    /// Whether it takes text that it does not deliver before the message is whole.
    fn keeps_back(&self) -> bool {
        match self {
            Self::Json { .. } => true,
            Self::Exec(hook) => hook.waits(),
            _ => false,
        }
    }

    /// Text as it is, unless it goes to a terminal.
    fn stream(out: Patient<File>, null: bool) -> Self {
        if out.as_fd().is_terminal() {
            Self::Terminal { shown: Printable::new(out), null }
        } else {
            Self::Pipe { out, null }
        }
    }
}

impl Delivery {
    pub(super) fn new(context: &Context, args: &Args, way: Way) -> Result<Self, Failure> {
        let form = match (&args.output, &args.exec) {
            (_, Some(line)) => {
                Form::Exec(Hook::new(context, line.clone(), way.whole_max(), way.kept()))
            }
            (None, None) if context.json => {
                let most = way.whole_max();
                Form::Json { out: stdio::output()?, text: Zeroizing::default(), most }
            }
            (None, None) => Form::stream(stdio::output()?, args.null),
            (Some(path), None) => match Target::open(path, args.force)? {
                Target::Stdout => Form::stream(stdio::output()?, false),
                Target::Through(out) => Form::stream(out, false),
                Target::File(output) => Form::File(output),
            },
        };
        if let Some(path) = &args.reveal {
            check_reveal(path)?;
        }
        let (session, voice) = (context.name.to_string(), context.voice);
        let reveal = args.reveal.clone();
        Ok(Self { session, voice, reveal, pieces: Vec::new(), writing: None, form })
    }

    fn is_in_line(&self, message: u64) -> bool {
        self.pieces.iter().any(|piece| piece.data.message == message)
    }

    fn write(
        &mut self,
        text: &[u8],
        piece: &Piece,
        session: Option<&Session>,
    ) -> Result<(), Failure> {
        let end = piece.data.end;
        let written = match &mut self.form {
            Form::Pipe { out, null } => {
                let written = out.write_all(text);
                if *null && end { written.and_then(|()| out.write_all(&[0])) } else { written }
            }
            Form::Terminal { shown, null } => show(shown, text, end, *null),
            Form::Json { out, text: so_far, .. } => {
                append(so_far, text);
                if end {
                    let whole = std::mem::take(so_far);
                    let line = object(&self.session, piece.data.message, &whole, session);
                    out.write_all(line.as_bytes())
                } else {
                    Ok(())
                }
            }
            Form::File(output) => {
                let Some(session) = session else { return Ok(()) };
                return output.write(text, &piece.data, &session.identity());
            }
            Form::Exec(hook) => return hook.write(text, &piece.data, session),
        };
        written.map_err(|error| Failure::output(&error))
    }
}

impl Sink for Delivery {
    fn writing(&self) -> Option<u64> {
        self.writing
    }

    fn keeps_back(&self) -> bool {
        self.writing.is_some() && self.form.keeps_back()
    }

    fn takes_singly(&self) -> bool {
        matches!(self.form, Form::Exec(_))
    }

    fn will_keep_back(&self, accepted: &Accepted) -> bool {
        let begins = accepted.frames.data.as_ref().is_some_and(|data| !data.end);
        begins && !accepted.dropped && self.writing.is_none() && self.form.keeps_back()
    }

    fn is_rest(&self, data: &Data) -> bool {
        let elsewhere = data.offset > 0 && self.writing != Some(data.message);
        elsewhere && !matches!(self.form, Form::File(_))
    }

    /// A file is for one message.
    fn is_done(&self) -> bool {
        matches!(&self.form, Form::File(output) if output.done)
    }

    fn check(&self, accepted: &Accepted, identity: &Identity, waiting: usize) -> Result<(), Cause> {
        let is_json = matches!(self.form, Form::Json { .. });
        if let (true, Some(message)) = (is_json && waiting >= JSON_PACKETS, self.writing) {
            return Err(too_large(message).into());
        }
        let Some(data) = accepted.frames.data.as_ref().filter(|_| !accepted.dropped) else {
            return Ok(());
        };
        let after = data.offset.saturating_add(data.text.len() as u64);
        match &self.form {
            Form::Json { .. } if self.is_rest(data) => Err(elsewhere(data, "--json").into()),
            Form::Json { most, .. } if after > *most as u64 => Err(too_large(data.message).into()),
            // The part before it may still be queued, and not yet in the file.
            Form::File(output) if !self.is_in_line(data.message) => {
                Ok(output.check(data, identity)?)
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, piece: Piece) {
        self.writing = (!piece.data.end).then_some(piece.data.message);
        if let (Form::File(output), true) = (&mut self.form, piece.data.end) {
            output.done = true;
        }
        self.pieces.push(piece);
    }

    fn truncated(&mut self, message: u64) {
        if self.writing == Some(message) {
            self.writing = None;
        }
        if self.form.keeps_back() {
            // What nobody has seen of it must not begin another message.
            self.pieces.retain(|piece| piece.data.message != message);
        }
        match &mut self.form {
            Form::Json { text, .. } => *text = Zeroizing::default(),
            Form::File(output) => output.truncated(),
            Form::Exec(hook) => hook.truncated(),
            Form::Pipe { .. } | Form::Terminal { .. } => {}
        }
    }

    fn tell_unchecked(&mut self) -> bool {
        if self.voice.is_quiet() {
            return false;
        }
        self.voice.say(UNCHECKED);
        true
    }

    async fn deliver(
        &mut self,
        packets: &mut [Zeroizing<Vec<u8>>],
        session: Option<&Session>,
    ) -> Result<(), Cause> {
        for piece in std::mem::take(&mut self.pieces) {
            let Some(packet) = packets.get(piece.packet) else { continue };
            let text = body(packet).get(piece.data.text.clone()).unwrap_or_default();
            self.write(text, &piece, session)?;
        }
        Ok(())
    }

    fn stored(&mut self) {
        if let Form::File(output) = &mut self.form {
            output.stored();
        }
    }

    async fn checked(&mut self, event: &Event, session: Option<&Session>) -> Result<(), Cause> {
        let Form::Json { out, .. } = &mut self.form else {
            checks::tell(self.voice, event);
            return Ok(());
        };
        let mut object = checks::object(event);
        object["session"] = self.session.as_str().into();
        object["authenticated"] = session.map(authenticated).unwrap_or_default().into();
        let line = Zeroizing::new(printable::json(&format!("{object}\n")));
        let written = out.write_all(line.as_bytes());
        Ok(written.map_err(|error| Failure::output(&error))?)
    }

    fn publishes(&self) -> bool {
        self.reveal.is_some()
    }

    async fn publish(&mut self, keys: &[[u8; PUBLISHED_KEY]]) -> Result<(), Cause> {
        let Some(path) = &self.reveal else { return Ok(()) };
        let mut lines = Vec::new();
        for key in keys {
            encode::key(&mut lines, key, None);
        }
        Ok(append_keys(path, &lines)?)
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

fn append_keys(path: &Path, lines: &[u8]) -> Result<(), Failure> {
    let open = || -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    };
    open().and_then(|mut file| file.write_all(lines)).map_err(|error| {
        let what = format!("cannot write the MAC keys to {}: {error}", path.display());
        Failure::new(Code::Failed, what, "these keys are not published").about(path)
    })
}

/// Appends, and leaves no copy of the text behind if it has to move.
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
