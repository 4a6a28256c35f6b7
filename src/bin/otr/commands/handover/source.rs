//! What `otr put` hands over: looked at before there is a code, and read when the other side has taken it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use otr::postbox::client::Stop;
use otr::store::patient::Patient;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::fault::{Fault, shown, unreadable};
use super::message::{BROKEN, Have, Kind, Offer, TEXT, WHOLE};
use super::pack::{self, Tree};
use crate::commands::blocks::HeadBytes;
use crate::commands::source::text_on_stdin;
use crate::failure::{Code, Failure};
use crate::ui::stdio;

/// How often to look whether the content is still wanted, in nanoseconds.
const GLANCE: i64 = 200_000_000;
/// Bytes to compare at a time with what the other side has.
const COMPARED: usize = 1 << 18;

/// What is handed over.
pub(super) enum Source {
    File(PathBuf, u64),
    Tree(Arc<Tree>),
    Text(Zeroizing<Vec<u8>>),
    Stdin,
}

impl Source {
    /// What these words name: files, one directory, or `-`.
    pub(super) fn of(words: &[PathBuf]) -> Result<Self, Failure> {
        let [only] = words else {
            if words.is_empty() {
                let hint = "name a file or a directory, or '-' for stdin, or use --text";
                return Err(Failure::new(Code::Usage, "there is nothing to hand over", hint));
            }
            if words.iter().any(|word| word.as_os_str() == "-") {
                let hint = "hand over stdin by itself: otr put -";
                return Err(Failure::new(Code::Usage, "stdin cannot be one of several", hint));
            }
            return Tree::of_several(words).map(|tree| Self::Tree(Arc::new(tree)));
        };
        if only.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        let found = fs::metadata(only).map_err(|error| unreadable(only, &error))?;
        if found.is_dir() {
            return Tree::of_directory(only).map(|tree| Self::Tree(Arc::new(tree)));
        }
        if !found.is_file() {
            let what = format!("{} is neither a file nor a directory", shown(only));
            return Err(Failure::new(Code::Usage, what, "put what it gives: otr put - < IT"));
        }
        // Whether it may be read is known before anybody has the code.
        open(only).map_err(|error| unreadable(only, &error))?;
        Ok(Self::File(only.clone(), found.len()))
    }

    /// A text: this one, or what is typed or piped in.
    pub(super) fn text(given: &str, hint: impl FnOnce()) -> Result<Self, Failure> {
        if !given.is_empty() {
            return Ok(Self::Text(Zeroizing::new(given.as_bytes().to_vec())));
        }
        let most = usize::try_from(TEXT).unwrap_or(usize::MAX);
        // Never so much that it would have to move: what it leaves would not be wiped.
        let mut text = Zeroizing::new(Vec::with_capacity(most + 1));
        let read = text_on_stdin(hint)?.take(TEXT + 1).read_to_end(&mut text);
        read.map_err(|error| Failure::input(&error))?;
        match text.len() {
            0 => Err(Failure::new(Code::NothingYet, "the text is empty", "nobody was called")),
            length if length > most => {
                let what = "a text of more than 1 MiB is a file";
                Err(Failure::new(Code::Usage, what, "put it as one: otr put - or otr put FILE"))
            }
            _ => Ok(Self::Text(text)),
        }
    }

    pub(super) fn offer(&self) -> Offer {
        match self {
            Self::File(path, size) => {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                let name = name.unwrap_or_default();
                Offer { kind: Kind::File, name, size: Some(*size), files: 1, entries: 1 }
            }
            Self::Tree(tree) => Offer {
                kind: Kind::Tree,
                name: tree.name.clone(),
                size: Some(tree.bytes()),
                files: tree.files(),
                entries: tree.entries(),
            },
            Self::Text(text) => Offer {
                kind: Kind::Text,
                name: String::new(),
                size: Some(text.len() as u64),
                files: 1,
                entries: 1,
            },
            Self::Stdin => {
                Offer { kind: Kind::Stream, name: String::new(), size: None, files: 1, entries: 1 }
            }
        }
    }

    /// Whether it can be read again after this process has ended.
    pub(super) fn is_lasting(&self) -> bool {
        !matches!(self, Self::Stdin)
    }

    /// The content from the byte that is returned on, and the byte that says whether it is whole: from the
    /// end of what the other side has, if that is the beginning of what is here now.
    pub(super) fn content(
        &self,
        have: Have,
        fault: &Fault,
        stop: &Stop,
    ) -> Result<(u64, Box<dyn Read + Send>), Failure> {
        // What came on stdin cannot be read again.
        let have = if self.is_lasting() { have } else { Have::default() };
        let mut reader = self.reader(fault, stop)?;
        let begins = have.bytes > 0 && reader.begins_with(have);
        if have.bytes > 0 && !begins {
            reader = self.reader(fault, stop)?;
        }
        Ok((if begins { have.bytes } else { 0 }, Box::new(reader)))
    }

    fn reader(&self, fault: &Fault, stop: &Stop) -> Result<Checked, Failure> {
        let (inner, left): (Box<dyn Read + Send>, _) = match self {
            Self::File(path, size) => {
                (Box::new(open(path).map_err(|error| unreadable(path, &error))?), Some(*size))
            }
            Self::Tree(tree) => (Box::new(pack::stream(tree, fault)?), None),
            Self::Text(text) => {
                (Box::new(Cursor::new(HeadBytes(text.clone()))), Some(text.len() as u64))
            }
            Self::Stdin => (Box::new(Idle { input: stdio::input()?, stop: stop.clone() }), None),
        };
        Ok(Checked { inner, left, fault: fault.clone(), ended: false })
    }
}

/// A file, which may be a FIFO by now: opening it then waits for nobody.
fn open(path: &Path) -> io::Result<Patient<File>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(Patient::new(File::from(rustix::fs::open(path, flags, Mode::empty())?)))
}

/// stdin, which may bring nothing for long: when the other side does not want any more, it ends.
struct Idle {
    input: Patient<File>,
    stop: Stop,
}

impl Read for Idle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let glance = Timespec { tv_sec: 0, tv_nsec: GLANCE };
        while poll(&mut [PollFd::new(&self.input, PollFlags::IN)], Some(&glance))? == 0 {
            if self.stop.is_asked() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        self.input.read(out)
    }
}

/// A content with the byte after it. An error while it is read ends it, with the byte that says so.
struct Checked {
    inner: Box<dyn Read + Send>,
    /// How much is to come, if that was announced.
    left: Option<u64>,
    fault: Fault,
    ended: bool,
}

impl Checked {
    /// Whether it begins with what the other side has; then that has been read.
    fn begins_with(&mut self, have: Have) -> bool {
        let mut hash = Sha256::new();
        let mut buffer = Zeroizing::new(vec![0; COMPARED]);
        let mut left = have.bytes;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(COMPARED).min(COMPARED);
            match self.inner.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => return false,
                Ok(count) => {
                    hash.update(&buffer[..count]);
                    left -= count as u64;
                }
            }
        }
        match &mut self.left {
            Some(all) if *all < have.bytes => return false,
            Some(all) => *all -= have.bytes,
            None => {}
        }
        let found: [u8; 32] = hash.finalize().into();
        found == have.hash
    }

    /// The end of it: whether that is where it should be.
    fn status(&mut self) -> u8 {
        self.ended = true;
        self.fault.end();
        if self.left.is_some_and(|left| left > 0) {
            self.fault.set("it has become shorter while it was read".into());
        } else if self.left.is_some() && matches!(self.inner.read(&mut [0]), Ok(1..)) {
            self.fault.set("it has become longer while it was read".into());
        }
        if self.fault.is_set() { BROKEN } else { WHOLE }
    }
}

impl Read for Checked {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        let most = match self.left {
            Some(left) => usize::try_from(left).unwrap_or(usize::MAX).min(out.len()),
            None => out.len(),
        };
        let read = if most == 0 { Ok(0) } else { self.inner.read(&mut out[..most]) };
        let count = match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                return Err(error);
            }
            Err(error) => {
                self.fault.set(error.to_string());
                0
            }
            Ok(count) => count,
        };
        if count == 0 {
            out[0] = self.status();
            return Ok(1);
        }
        if let Some(left) = &mut self.left {
            *left -= count as u64;
        }
        Ok(count)
    }
}

/// The words of the command line, as paths.
pub(super) fn paths(words: &[OsString]) -> Vec<PathBuf> {
    words.iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inner: &'static [u8], left: Option<u64>) -> (Vec<u8>, Option<String>) {
        let fault = Fault::default();
        let mut all = Vec::new();
        let mut checked =
            Checked { inner: Box::new(inner), left, fault: fault.clone(), ended: false };
        checked.read_to_end(&mut all).unwrap();
        (all, fault.take())
    }

    #[test]
    fn the_byte_after_the_content_says_whether_it_is_whole() {
        assert_eq!(read(b"abc", Some(3)), (b"abc\0".to_vec(), None));
        assert_eq!(read(b"abc", None), (b"abc\0".to_vec(), None));
        assert_eq!(read(b"", Some(0)), (b"\0".to_vec(), None));
        let (came, why) = read(b"abc", Some(4));
        assert_eq!((came, why.unwrap().contains("shorter")), (b"abc\x01".to_vec(), true));
        let (came, why) = read(b"abc", Some(2));
        assert_eq!((came, why.unwrap().contains("longer")), (b"ab\x01".to_vec(), true));
    }

    #[test]
    fn it_goes_on_only_behind_what_is_the_same() {
        let text = Source::Text(Zeroizing::new(b"abcdef".to_vec()));
        let rest = |bytes: u64, of: &[u8]| {
            let have = Have { bytes, hash: Sha256::digest(of).into() };
            let (from, mut reader) =
                text.content(have, &Fault::default(), &Stop::default()).unwrap();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            (from, rest)
        };
        assert_eq!(rest(0, b""), (0, b"abcdef\0".to_vec()));
        assert_eq!(rest(4, b"abcd"), (4, b"ef\0".to_vec()));
        assert_eq!(rest(6, b"abcdef"), (6, b"\0".to_vec()));
        assert_eq!(rest(4, b"abcx"), (0, b"abcdef\0".to_vec()));
        assert_eq!(rest(9, b"abcdefghi"), (0, b"abcdef\0".to_vec()));
    }
}
