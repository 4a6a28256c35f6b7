//! Text on its way out of `recv`: to a pipe byte for byte, to a terminal made visible, as JSON, or
//! into a file that appears when it is complete.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otr::protocol::frame::Data;
use otr::protocol::session::{Accepted, Session, body};
use otr::protocol::verify::Event;
use rustix::fs::{Mode, OFlags};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Args, checks};
use crate::commands::{Context, authenticated};
use crate::failure::{Code, Failure};
use crate::ui::printable::Printable;
use crate::ui::speak::{Voice, warn};
use crate::ui::stdio;

/// The largest message that becomes one JSON object.
const JSON_MAX: usize = 64 << 20;

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
    Pipe { out: File, null: bool },
    /// For a person's eyes.
    Terminal { shown: Option<Printable<File>> },
    /// An object a message.
    Json { out: File, messages: BTreeMap<u64, Zeroizing<Vec<u8>>> },
    /// One message into one file.
    File(Output),
}

impl Delivery {
    pub(super) fn new(context: &Context, args: &Args) -> Result<Self, Failure> {
        let form = match &args.output {
            Some(path) => Form::File(Output::new(path, args.force)?),
            None if context.json => Form::Json { out: stdio::output()?, messages: BTreeMap::new() },
            None if io::stdout().is_terminal() && !args.null => Form::Terminal { shown: None },
            None => Form::Pipe { out: stdio::output()?, null: args.null },
        };
        let session = context.name.to_string();
        Ok(Self { session, pieces: Vec::new(), writing: None, form })
    }

    /// The message that must be finished before a part of another can go out. JSON puts each
    /// message together by itself.
    pub(super) fn writing(&self) -> Option<u64> {
        match &self.form {
            Form::Json { .. } => None,
            _ => self.writing,
        }
    }

    /// Whether nothing more can be taken: a file is for one message, what follows keeps its keys
    /// for another run.
    pub(super) fn is_done(&self) -> bool {
        matches!(&self.form, Form::File(output) if output.done)
    }

    /// Refuses what could not be delivered, before its key is spent.
    pub(super) fn check(&self, accepted: &Accepted) -> Result<(), Failure> {
        let Some(data) = accepted.frames.data.as_ref().filter(|_| !accepted.dropped) else {
            return Ok(());
        };
        let after = data.offset.saturating_add(data.text.len() as u64);
        match &self.form {
            Form::Json { .. } if after > JSON_MAX as u64 => Err(Failure::new(
                Code::Full,
                format!("message {} is too large for one JSON object", data.message),
                "receive it without --json",
            )),
            // The part before it may be in line with it, and not in the file yet.
            Form::File(output) if !self.is_in_line(data.message) => output.check(data),
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
            Form::Json { messages, .. } => drop(messages.remove(&message)),
            Form::File(output) => output.cut(),
            Form::Pipe { .. } | Form::Terminal { .. } => {}
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
                Form::Terminal { shown } => show(shown, text, piece.data.end),
                Form::Json { out, messages } => {
                    let message = messages.entry(piece.data.message).or_default();
                    message.extend_from_slice(text);
                    if piece.data.end {
                        let whole = messages.remove(&piece.data.message).unwrap_or_default();
                        let line = object(&self.session, piece.data.message, &whole, session);
                        out.write_all(line.as_bytes())
                    } else {
                        Ok(())
                    }
                }
                Form::File(output) => {
                    output.write(text, &piece.data)?;
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
        let line = Zeroizing::new(format!("{object}\n"));
        out.write_all(line.as_bytes()).map_err(|error| Failure::output(&error))
    }
}

fn show(shown: &mut Option<Printable<File>>, text: &[u8], end: bool) -> io::Result<()> {
    let mut printable = if let Some(printable) = shown.take() {
        printable
    } else {
        let out = stdio::output().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Printable::new(out)
    };
    printable.write_all(text)?;
    if end {
        printable.finish()?;
    } else {
        printable.flush()?;
        *shown = Some(printable);
    }
    Ok(())
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
    Zeroizing::new(format!("{object}\n"))
}

fn authenticated(session: &Session) -> Vec<&'static str> {
    authenticated::names(session.authentication())
}

/// A file that appears when its message is complete. Until then its bytes are beside it, and a run
/// that was killed is continued by the next one.
struct Output {
    path: PathBuf,
    part: PathBuf,
    force: bool,
    file: Option<File>,
    /// Whether the message is whole.
    done: bool,
}

impl Output {
    fn new(path: &Path, force: bool) -> Result<Self, Failure> {
        let Some(name) = path.file_name() else {
            let what = format!("{} names no file", path.display());
            return Err(Failure::new(Code::Usage, what, ""));
        };
        if !force && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let mut part = std::ffi::OsString::from(".");
        part.push(name);
        part.push(".otr-part");
        let part = path.with_file_name(part);
        Ok(Self { path: path.to_owned(), part, force, file: None, done: false })
    }

    /// A message that began in a run before can go on only if its beginning is still here.
    fn check(&self, data: &Data) -> Result<(), Failure> {
        if data.offset == 0 || self.file.is_some() {
            return Ok(());
        }
        let here = self.part.symlink_metadata().map_or(0, |part| part.len());
        if here >= data.offset {
            return Ok(());
        }
        let what = format!("the beginning of message {} was written elsewhere", data.message);
        Err(Failure::new(Code::Refused, what, "receive its rest without --output"))
    }

    fn write(&mut self, text: &[u8], data: &Data) -> Result<(), Failure> {
        self.write_part(text, data).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return exists(&self.path);
            }
            let what = format!("cannot write {}: {error}", self.path.display());
            Failure::new(Code::Failed, what, "")
        })
    }

    fn write_part(&mut self, text: &[u8], data: &Data) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = File::from(rustix::fs::open(&self.part, flags, Mode::from(0o600))?);
                // What a killed run wrote and did not store comes once more.
                file.set_len(data.offset)?;
                none.insert(file)
            }
        };
        rustix::fs::seek(&*file, rustix::fs::SeekFrom::Start(data.offset))?;
        file.write_all(text)?;
        if data.end {
            file.sync_all()?;
            self.appear()?;
        }
        Ok(())
    }

    fn appear(&mut self) -> io::Result<()> {
        self.file = None;
        if self.force {
            return std::fs::rename(&self.part, &self.path);
        }
        // A link, unlike a rename, never replaces what is there.
        std::fs::hard_link(&self.part, &self.path)?;
        std::fs::remove_file(&self.part)
    }

    fn cut(&mut self) {
        if self.file.take().is_some() {
            let part = self.part.display();
            warn(format_args!("what came of the message is in {part}"));
        }
    }
}

fn exists(path: &Path) -> Failure {
    let what = format!("{} is there already", path.display());
    Failure::new(Code::Exists, what, "use --force to replace it")
}
