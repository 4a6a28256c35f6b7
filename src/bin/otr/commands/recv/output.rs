//! `recv --output`: a file that appears when its message is complete, or something that is no file
//! (a device, a FIFO, a descriptor), which is written through and never replaced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use otr::protocol::packet::frame::Data;
use otr::protocol::session::Identity;
use otr::store::inherited::{self, Use};
use otr::store::patient::Patient;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::failure::{Code, Failure};
use crate::ui::printable;
use crate::ui::speak::warn_of_file;

/// How many bytes of the file's name begin the name of its part file: with the rest it fits the
/// shortest limit of a name, 143 bytes (eCryptfs), however long the file's own name is.
const PART_NAME: usize = 100;

/// The ending of its name.
const PART_ENDS: &str = ".otr-part";

/// The most symlinks to follow, as in Linux.
const LINKS: usize = 40;

/// What --output names.
pub(crate) enum Target {
    Stdout,
    /// No file: bytes that are written to it cannot be taken back.
    Through(Patient<File>),
    File(Output),
}

impl Target {
    /// Checks what exists at the path, before anything is read or spent.
    pub(crate) fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout);
        }
        let (to, descriptor) = follow(path).map_err(|error| unwritable(path, &error))?;
        match descriptor {
            Some(1) => return Ok(Self::Stdout),
            Some(number) => {
                let file = inherited::duplicate(number, Use::Write);
                return file.map(Self::Through).map_err(|error| unwritable(path, &error));
            }
            None => {}
        }
        let named = path.as_os_str().as_bytes();
        let found = match fs::metadata(&to) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if named.ends_with(b"/") || to.file_name().is_none() {
                    return Err(no_file(path, "names no file"));
                }
                // Otherwise we would learn only after the message came that its directory is
                // missing.
                fs::metadata(directory_of(&to)).map_err(|error| unwritable(path, &error))?;
                return Ok(Self::File(Output::new(path, to, force)));
            }
            Err(error) => return Err(unwritable(path, &error)),
        };
        let kind = found.file_type();
        if kind.is_dir() {
            return Err(no_file(path, "is a directory"));
        }
        if kind.is_file() {
            let twin = twin(&to, &found);
            if !force && twin.is_none() {
                return Err(exists(path));
            }
            Ok(Self::File(Output { twin, ..Output::new(path, to, force) }))
        } else if kind.is_fifo() || kind.is_char_device() {
            through(&to).map(Self::Through).map_err(|error| unwritable(path, &error))
        } else {
            Err(no_file(path, "is neither a file nor a pipe"))
        }
    }
}

fn through(to: &Path) -> io::Result<Patient<File>> {
    // Of a FIFO this waits for its reader, as in a shell.
    let flags = OFlags::WRONLY | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(Patient::new(rustix::fs::open(to, flags, Mode::empty())?.into()))
}

/// Where the symlinks at this path lead, or the number of the descriptor that they name. Links in
/// the directories before it are the system's business.
fn follow(path: &Path) -> io::Result<(PathBuf, Option<u32>)> {
    let mut to = path.to_owned();
    for _ in 0..LINKS {
        if let Some(number) = descriptor(&to) {
            return Ok((to, Some(number)));
        }
        match fs::symlink_metadata(&to) {
            Ok(found) if found.is_symlink() => {
                // The kernel may forbid following this link (protected_symlinks).
                if let Err(error) = fs::metadata(&to)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(error);
                }
                to = directory_of(&to).join(fs::read_link(&to)?);
            }
            Ok(_) => return Ok((to, None)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((to, None)),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::LOOP.into())
}

/// The number of the open descriptor with this name: opening it by name would truncate a file that
/// the shell has open for appending.
fn descriptor(path: &Path) -> Option<u32> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        name => {
            let number = name.strip_prefix("/dev/fd/").or(name.strip_prefix("/proc/self/fd/"));
            number?.parse().ok()
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Checks, before anything is spent, that MAC keys can be written there, since they leave the state
/// first.
pub(super) fn check_reveal(path: &Path) -> Result<(), Failure> {
    // Opening a FIFO or a device just to check would already affect it.
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Ok(());
    }
    let mut how = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(how.append(true).create(true), 0o600);
    how.open(path).map(drop).map_err(|error| unwritable(path, &error))
}

/// A file that appears when its message is complete. Until then its bytes are beside it, and a run
/// that was killed is continued by the next one.
pub(crate) struct Output {
    /// The path as the user gave it.
    name: PathBuf,
    /// The path after following symlinks.
    path: PathBuf,
    force: bool,
    /// The part file, with what came so far.
    file: Option<(File, PathBuf)>,
    /// The part file of a message that has appeared, which is the same file by a second name: it stays
    /// until the session has noted the message, so that the same command, after a kill in between,
    /// knows what it finds.
    twin: Option<PathBuf>,
    /// Whether the message is complete.
    pub(crate) done: bool,
}

impl Output {
    fn new(name: &Path, path: PathBuf, force: bool) -> Self {
        Self { name: name.to_owned(), path, force, file: None, twin: None, done: false }
    }

    /// The part file's path beside the file; no other message of any session has the same.
    pub(crate) fn part(&self, message: u64, identity: &Identity) -> PathBuf {
        let mut part = part_begins(&self.path);
        part.extend_from_slice(part_ends(message, identity).as_bytes());
        self.path.with_file_name(OsString::from_vec(part))
    }

    /// The part file that has the beginning of a message, under whatever name beside this file.
    pub(crate) fn begun_beside(&self, message: u64, identity: &Identity) -> Option<PathBuf> {
        part_in(directory_of(&self.path), message, identity)
    }

    /// Takes over the beginning of a message from the part file that has it.
    pub(crate) fn take_over(
        &self,
        from: &Path,
        data: &Data,
        identity: &Identity,
    ) -> Result<(), Failure> {
        let part = self.part(data.message, identity);
        if *from == *part {
            return Ok(());
        }
        moved(from, &part, data.offset).map_err(|error| unwritable(&self.name, &error))
    }

    /// Whether the complete message is there, from a run that was killed before it was noted.
    fn is_there(&self, message: u64, identity: &Identity) -> bool {
        self.twin.as_ref().is_some_and(|twin| *twin == self.part(message, identity))
    }

    /// A message that an earlier run began can go on only if its beginning is still here, and no
    /// message replaces another one.
    pub(crate) fn check(&self, data: &Data, identity: &Identity) -> Result<(), Failure> {
        if self.is_there(data.message, identity) {
            return Ok(());
        }
        if self.twin.is_some() && !self.force {
            return Err(exists(&self.name));
        }
        if data.offset == 0 || self.file.is_some() {
            return Ok(());
        }
        match go_on(&self.part(data.message, identity), data.offset) {
            Ok(Some(_)) => Ok(()),
            _ => Err(elsewhere(data, "--output")),
        }
    }

    /// The part file of a message whose beginning has come, in this run or an earlier one.
    pub(crate) fn begun(&self, message: u64, identity: &Identity) -> Option<PathBuf> {
        Some(self.part(message, identity)).filter(|part| part.is_file())
    }

    pub(crate) fn write(
        &mut self,
        text: &[u8],
        data: &Data,
        identity: &Identity,
    ) -> Result<(), Failure> {
        self.write_part(text, data, identity).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                exists(&self.name)
            } else {
                unwritable(&self.name, &error)
            }
        })
    }

    fn write_part(&mut self, text: &[u8], data: &Data, identity: &Identity) -> io::Result<()> {
        if self.is_there(data.message, identity) {
            return Ok(());
        }
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
            // What a killed run wrote but did not store comes once more.
            file.set_len(data.offset)?;
            file
        };
        Ok((file, part))
    }

    fn appear(&mut self, part: &Path) -> io::Result<()> {
        if self.force {
            return fs::rename(part, &self.path);
        }
        // A link, unlike a rename, never replaces what is there.
        match fs::hard_link(part, &self.path) {
            Ok(()) => {
                self.twin = Some(part.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // A file system without hard links, such as FAT.
            Err(_) => rename_unless_there(part, &self.path),
        }
    }

    /// The session has noted what was written.
    pub(crate) fn stored(&mut self) {
        if let Some(twin) = self.twin.take_if(|_| self.done)
            && let Err(error) = fs::remove_file(&twin)
        {
            let shown = twin.display();
            warn_of_file(&twin, format_args!("cannot remove {shown}: {error}"));
        }
    }

    pub(crate) fn truncated(&mut self) {
        if let Some((_, part)) = self.file.take() {
            let shown = part.display();
            warn_of_file(&part, format_args!("what came of the message is in {shown}"));
        }
    }
}

/// A new file with this in it, which appears when it is whole; never one that is there.
pub(crate) fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let part = [&part_begins(path)[..], b"text", PART_ENDS.as_bytes()].concat();
    let part = path.with_file_name(OsString::from_vec(part));
    let mut file = begin(&part)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    let appeared = written.and_then(|()| match fs::hard_link(&part, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            rename_unless_there(&part, path)
        }
        linked => linked,
    });
    // After a rename there is none.
    let _ = fs::remove_file(&part);
    appeared
}

/// Renames a file, or a directory, unless something has the new name.
pub(crate) fn rename_unless_there(part: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
        // The file system has no such rename either: the rename replaces something new of ours.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            if part.is_dir() {
                fs::create_dir(path)?;
            } else {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
            }
            fs::rename(part, path)
        }
        done => Ok(done?),
    }
}

/// The beginning of the names of this file's part files.
fn part_begins(path: &Path) -> Vec<u8> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    [b".", &name[..cut_at(name)], b"."].concat()
}

/// The ending of the names of this message's part files.
fn part_ends(message: u64, identity: &Identity) -> String {
    format!("{:016x}{PART_ENDS}", u64::from_be_bytes(identity.tag(message)))
}

/// The part file in this directory that has the beginning of a message.
pub(crate) fn part_in(directory: &Path, message: u64, identity: &Identity) -> Option<PathBuf> {
    let ends = format!(".{}", part_ends(message, identity));
    let mut there = fs::read_dir(directory).ok()?.flatten();
    let is_it = |entry: &fs::DirEntry| entry.file_name().as_bytes().ends_with(ends.as_bytes());
    there.find(is_it).map(|entry| directory.join(entry.file_name()))
}

/// Moves a part file with this many bytes, perhaps to another file system.
fn moved(from: &Path, to: &Path, bytes: u64) -> io::Result<()> {
    go_on(from, bytes)?.ok_or(io::ErrorKind::NotFound)?;
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        renamed => return renamed,
    }
    let mut copy = begin(to)?;
    if let Err(error) = File::open(from).and_then(|old| io::copy(&mut old.take(bytes), &mut copy)) {
        let _ = fs::remove_file(to);
        return Err(error);
    }
    fs::remove_file(from)
}

/// The part file that is this file under another name, left by a run that was killed before the
/// session noted its message.
fn twin(path: &Path, found: &fs::Metadata) -> Option<PathBuf> {
    if found.nlink() < 2 || !is_ours(found) {
        return None;
    }
    let begins = part_begins(path);
    let beside = fs::read_dir(directory_of(path)).ok()?.flatten();
    let is_twin = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let name = name.as_bytes();
        name.starts_with(&begins)
            && name.ends_with(PART_ENDS.as_bytes())
            && entry
                .metadata()
                .is_ok_and(|part| (part.dev(), part.ino()) == (found.dev(), found.ino()))
    };
    beside.into_iter().find(is_twin).map(|entry| path.with_file_name(entry.file_name()))
}

/// Whether it is a file as `recv` makes them.
fn is_ours(found: &fs::Metadata) -> bool {
    found.is_file()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.mode() & 0o777 == 0o600
}

/// Where to cut a name that is too long, never within a character: some file systems take UTF-8
/// alone.
fn cut_at(name: &[u8]) -> usize {
    let is_inner = |at: &usize| name.get(*at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let most = name.len().min(PART_NAME);
    (most.saturating_sub(3)..=most).rev().find(|at| !is_inner(at)).unwrap_or(most)
}

/// A new part file; an existing one with its name is left from a run that was killed before it
/// stored.
fn begin(part: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(part, flags, mode) {
        Err(Errno::EXIST) => {
            fs::remove_file(part)?;
            Ok(rustix::fs::open(part, flags, mode)?.into())
        }
        opened => Ok(opened?.into()),
    }
}

/// The part file of a message of which `came` bytes have come, if it exists, only we can use it,
/// and it holds them.
fn go_on(part: &Path, came: u64) -> io::Result<Option<File>> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(part, flags, Mode::empty())?);
    let found = file.metadata()?;
    Ok((is_ours(&found) && found.nlink() == 1 && found.len() >= came).then_some(file))
}

fn shown(path: &Path) -> String {
    printable::line(&path.to_string_lossy())
}

fn exists(path: &Path) -> Failure {
    let what = format!("{} is there already", shown(path));
    Failure::new(Code::Exists, what, "use --force to replace it").about(path)
}

fn no_file(path: &Path, why: &str) -> Failure {
    Failure::new(Code::Usage, format!("{} {why}", shown(path)), "name a file to be made")
        .about(path)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot write {}: {error}", shown(path)), "").about(path)
}

pub(super) fn elsewhere(data: &Data, option: &str) -> Failure {
    let what = format!("the beginning of message {} was written elsewhere", data.message);
    Failure::new(Code::Refused, what, format!("receive its rest without {option}"))
}
