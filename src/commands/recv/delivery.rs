//! Text on its way out of `recv`: to a pipe byte for byte, to a terminal made visible, as JSON, or
//! into a file that appears when it is complete.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use otr::protocol::frame::Data;
use otr::protocol::session::{Accepted, Identity, Session, body};
use otr::protocol::verify::Event;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Args, checks};
use crate::commands::{Context, authenticated};
use crate::failure::{Code, Failure};
use crate::ui::printable::{self, Printable};
use crate::ui::speak::{Voice, warn};
use crate::ui::stdio::{self, Patient};

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
    /// For a person's eyes.
    Terminal { shown: Option<Printable<Patient<File>>> },
    /// An object a message; what came of the one that is being put together.
    Json { out: Patient<File>, text: Zeroizing<Vec<u8>>, most: usize },
    /// One message into one file.
    File(Output),
}

impl Delivery {
    /// `json_max` is the size of the largest message that may become one JSON object.
    pub(super) fn new(context: &Context, args: &Args, json_max: usize) -> Result<Self, Failure> {
        let form = match &args.output {
            Some(path) => Form::File(Output::new(path, args.force)?),
            None if context.json => {
                Form::Json { out: stdio::output()?, text: Zeroizing::default(), most: json_max }
            }
            None if io::stdout().is_terminal() && !args.null => Form::Terminal { shown: None },
            None => Form::Pipe { out: stdio::output()?, null: args.null },
        };
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

fn show(shown: &mut Option<Printable<Patient<File>>>, text: &[u8], end: bool) -> io::Result<()> {
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

fn elsewhere(data: &Data, option: &str) -> Failure {
    let what = format!("the beginning of message {} was written elsewhere", data.message);
    Failure::new(Code::Refused, what, format!("receive its rest without {option}"))
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

/// A file that appears when its message is complete. Until then its bytes are beside it, and a run
/// that was killed is continued by the next one.
struct Output {
    path: PathBuf,
    force: bool,
    /// What came so far, and where.
    file: Option<(File, PathBuf)>,
    /// Whether the message is whole.
    done: bool,
}

impl Output {
    fn new(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.file_name().is_none() {
            let what = format!("{} names no file", path.display());
            return Err(Failure::new(Code::Usage, what, ""));
        }
        if !force && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        Ok(Self { path: path.to_owned(), force, file: None, done: false })
    }

    /// Beside the file, by a name that no other message of this or another session has.
    fn part(&self, message: u64, identity: &Identity) -> PathBuf {
        let mut part = OsString::from(".");
        part.push(self.path.file_name().unwrap_or_default());
        let tag = u64::from_be_bytes(identity.tag(message));
        part.push(format!(".{tag:016x}.otr-part"));
        self.path.with_file_name(part)
    }

    /// A message that began in a run before can go on only if its beginning is still here.
    fn check(&self, data: &Data, identity: &Identity) -> Result<(), Failure> {
        if data.offset == 0 || self.file.is_some() {
            return Ok(());
        }
        match go_on(&self.part(data.message, identity), data.offset) {
            Ok(Some(_)) => Ok(()),
            _ => Err(elsewhere(data, "--output")),
        }
    }

    fn write(&mut self, text: &[u8], data: &Data, identity: &Identity) -> Result<(), Failure> {
        self.write_part(text, data, identity).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return exists(&self.path);
            }
            let what = format!("cannot write {}: {error}", self.path.display());
            Failure::new(Code::Failed, what, "")
        })
    }

    fn write_part(&mut self, text: &[u8], data: &Data, identity: &Identity) -> io::Result<()> {
        let (mut file, part) = match self.file.take() {
            Some(open) => open,
            None => self.open(data, identity)?,
        };
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(data.offset))?;
        file.write_all(text)?;
        if data.end {
            file.sync_all()?;
            return self.appear(&part);
        }
        self.file = Some((file, part));
        Ok(())
    }

    fn open(&self, data: &Data, identity: &Identity) -> io::Result<(File, PathBuf)> {
        let part = self.part(data.message, identity);
        let file = if data.offset == 0 {
            begin(&part)?
        } else {
            let file = go_on(&part, data.offset)?.ok_or(io::ErrorKind::NotFound)?;
            // What a killed run wrote and did not store comes once more.
            file.set_len(data.offset)?;
            file
        };
        Ok((file, part))
    }

    fn appear(&self, part: &Path) -> io::Result<()> {
        if self.force {
            return std::fs::rename(part, &self.path);
        }
        // A link, unlike a rename, never replaces what is there.
        std::fs::hard_link(part, &self.path)?;
        std::fs::remove_file(part)
    }

    fn cut(&mut self) {
        if let Some((_, part)) = self.file.take() {
            let part = part.display();
            warn(format_args!("what came of the message is in {part}"));
        }
    }
}

/// A new part file; what has its name is left by a run that was killed before it stored.
fn begin(part: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(part, flags, mode) {
        Err(Errno::EXIST) => {
            std::fs::remove_file(part)?;
            Ok(rustix::fs::open(part, flags, mode)?.into())
        }
        opened => Ok(opened?.into()),
    }
}

/// The part file of a message of which `came` bytes came, if it is there, is ours alone, and
/// holds them.
fn go_on(part: &Path, came: u64) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(part, flags, Mode::empty())?);
    let found = file.metadata()?;
    let ours = found.is_file()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & 0o777 == 0o600
        && found.nlink() == 1;
    Ok((ours && found.len() >= came).then_some(file))
}

fn exists(path: &Path) -> Failure {
    let what = format!("{} is there already", path.display());
    Failure::new(Code::Exists, what, "use --force to replace it")
}
