//! One session's state as a file: read whole, replaced whole, overwritten before it is forgotten.
//!
//! The bytes come from the protocol; nothing is added to them. A replacement follows the order of
//! `protocol.md`, section 8: it writes a new file next to the old one, renames it over the old one,
//! and then overwrites the old one's bytes through the descriptor that is still open. A process
//! that is killed in between leaves a complete state, the old one or the new one. All of this
//! happens under the session's lock.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::directory::{self, Directory, STATE};
use super::error::StoreError;
use super::name::Name;

/// The largest state in bytes: 4,096 skipped keys, 1,024 keys to publish and an outbox take about
/// half a MiB, and imports may carry more; a larger file is not a state.
pub(super) const LARGEST: usize = 8 << 20;

/// The suffix of a new state before it gets its name. One suffix is enough: only the lock's holder
/// uses it.
const UNNAMED: &str = ".new";

/// What overwrites old bytes, in pieces; the usual state fits into one.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The state file of a session, whether it exists or not.
#[derive(Debug)]
pub(super) struct StateFile {
    directory: Arc<Directory>,
    name: Name,
}

/// The very file that was read or written, kept open, so that the system cannot give its inode to
/// another file meanwhile and equal inode numbers mean the same state. This file is also what gets
/// overwritten.
#[derive(Debug)]
pub(super) struct Opened {
    fd: OwnedFd,
    stat: Stat,
}

impl StateFile {
    pub(super) fn new(directory: Arc<Directory>, name: Name) -> Self {
        Self { directory, name }
    }

    /// Reads the state into a buffer that never grows, so that no copy stays behind.
    pub(super) fn load(&self) -> Result<(Zeroizing<Vec<u8>>, Opened), StoreError> {
        let opened = self.open()?;
        let size = self.examine(&opened.stat)?;
        let mut bytes = Zeroizing::new(vec![0; size]);
        let mut filled = 0;
        while filled < size {
            match rustix::io::pread(&opened.fd, &mut bytes[filled..], filled as u64) {
                Ok(0) => return Err(self.damaged("is shorter than its size")),
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.failed("read the", error)),
            }
        }
        Ok((bytes, opened))
    }

    /// Whether `one` is still the stored state.
    pub(super) fn is_current(&self, one: &Opened) -> Result<bool, StoreError> {
        match rustix::fs::statat(&self.directory, self.path(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(is_same(&one.stat, &stat)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed("look at the", error)),
        }
    }

    /// Stores the first state.
    pub(super) fn create(&self, bytes: &[u8]) -> Result<Opened, StoreError> {
        if self.directory.holds(&self.name) {
            return Err(StoreError::Exists(self.name.clone()));
        }
        self.store(bytes)
    }

    /// Stores the state that follows `old`, and updates `old` to the new file. It refuses if `old`
    /// is not the stored state: a state lost to a race would mean keys used twice.
    pub(super) fn replace(&self, old: &mut Opened, bytes: &[u8]) -> Result<(), StoreError> {
        if !self.is_current(old)? {
            return Err(StoreError::Changed { name: Some(self.name.clone()) });
        }
        let old = std::mem::replace(old, self.store(bytes)?);
        overwrite(&old).map_err(|error| self.failed("overwrite the old", error))
    }

    /// Overwrites and removes the state, whatever condition it is in. It is no error if there is
    /// none.
    pub(super) fn wipe(&self) -> Result<(), StoreError> {
        // The leftover of an interrupted replacement holds keys as well.
        let leftover = self.discard(&self.unnamed());
        let state = self.discard(&self.path());
        state.and(leftover).map_err(|error| self.failed("wipe the", error))
    }

    fn store(&self, bytes: &[u8]) -> Result<Opened, StoreError> {
        let unnamed = self.unnamed();
        let stored = self.write_unnamed(&unnamed, bytes).and_then(|file| {
            rustix::fs::renameat(&self.directory, &unnamed, &self.directory, self.path())?;
            Ok(file)
        });
        let file = stored.map_err(|error| {
            // Best effort: the next writer overwrites it first.
            let _ = self.discard(&unnamed);
            self.failed("store the", error)
        })?;
        self.settle(&self.directory).map_err(|error| self.failed("store the", error))?;
        Ok(file)
    }

    fn write_unnamed(&self, unnamed: &str, bytes: &[u8]) -> Result<Opened, Errno> {
        if bytes.len() > LARGEST {
            return Err(Errno::FBIG);
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = match rustix::fs::openat(&self.directory, unnamed, flags, mode) {
            Err(Errno::EXIST) => {
                self.discard(unnamed)?;
                rustix::fs::openat(&self.directory, unnamed, flags, mode)?
            }
            done => done?,
        };
        let mut stat = rustix::fs::fstat(&fd)?;
        if Mode::from_raw_mode(stat.st_mode) != mode {
            // A umask that restricts the owner would make a state that nobody can read again.
            rustix::fs::fchmod(&fd, mode)?;
        }
        write_at(&fd, bytes, 0)?;
        stat.st_size = size_of_file(bytes.len());
        self.settle(&fd)?;
        Ok(Opened { fd, stat })
    }

    /// On a disk, written data must also be flushed; in memory there is no need.
    fn settle(&self, fd: impl std::os::fd::AsFd) -> Result<(), Errno> {
        if self.directory.in_memory() { Ok(()) } else { rustix::fs::fsync(fd) }
    }

    /// Overwrites a path's file, if it is a regular file of ours, and removes the path.
    fn discard(&self, path: &str) -> Result<(), Errno> {
        // NONBLOCK: whatever is there, opening it must not wait.
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let overwritten = match rustix::fs::openat(&self.directory, path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            // A symlink, or a pipe without a reader: it holds no bytes of ours.
            Err(Errno::LOOP | Errno::MLINK | Errno::NXIO) => Ok(()),
            Err(error) => Err(error),
            Ok(fd) => rustix::fs::fstat(&fd).and_then(|stat| {
                if directory::is_file(&stat) && directory::is_ours(&stat) {
                    overwrite(&Opened { fd, stat })
                } else {
                    Ok(())
                }
            }),
        };
        rustix::fs::unlinkat(&self.directory, path, AtFlags::empty()).and(overwritten)
    }

    fn open(&self) -> Result<Opened, StoreError> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.directory, self.path(), flags, Mode::empty()) {
            Ok(fd) => {
                let stat =
                    rustix::fs::fstat(&fd).map_err(|error| self.failed("read the", error))?;
                Ok(Opened { fd, stat })
            }
            Err(Errno::NOENT) => {
                let directory = self.directory.path().to_owned();
                Err(StoreError::Gone { name: self.name.clone(), directory })
            }
            Err(Errno::LOOP | Errno::MLINK) => Err(self.damaged("is a symlink")),
            Err(Errno::ISDIR | Errno::NXIO) => Err(self.damaged("is not a regular file")),
            Err(Errno::ACCESS) => Err(self.damaged("may not be read and written by its owner")),
            Err(error) => Err(self.failed("read the", error)),
        }
    }

    /// Its size in bytes, if only we can have written it and only we can read it.
    fn examine(&self, stat: &Stat) -> Result<usize, StoreError> {
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        let wrong = if !directory::is_file(stat) {
            "is not a regular file"
        } else if !directory::is_ours(stat) {
            "belongs to another user"
        } else if directory::is_open_to_others(stat) {
            "is open to other users"
        } else if stat.st_nlink != 1 {
            "has a second name (hard link)"
        } else if self.directory.in_memory() && stat.st_dev != self.directory.stat().st_dev {
            // A file may be mounted over the name. (On overlay file systems on a disk the two
            // numbers differ anyway.)
            "is on another file system than its directory"
        } else if size == 0 {
            "is empty"
        } else if size > LARGEST {
            "is larger than any state"
        } else {
            return Ok(size);
        };
        Err(self.damaged(wrong))
    }

    fn path(&self) -> String {
        format!("{}{STATE}", self.name)
    }

    fn unnamed(&self) -> String {
        format!("{}{UNNAMED}", self.name)
    }

    fn damaged(&self, why: &'static str) -> StoreError {
        StoreError::Damaged { name: self.name.clone(), why }
    }

    fn failed(&self, verb: &str, error: Errno) -> StoreError {
        let doing = format!("{verb} state of session '{}'", self.name);
        if matches!(error, Errno::NOSPC | Errno::DQUOT | Errno::FBIG) {
            let place = Some(self.directory.path().to_owned());
            StoreError::Full { doing, place, error: Some(error.into()) }
        } else {
            StoreError::system(doing, error)
        }
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    one.st_ino == other.st_ino && one.st_dev == other.st_dev
}

/// The length of a buffer in the type of `Stat`; it always fits.
fn size_of_file(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn overwrite(file: &Opened) -> Result<(), Errno> {
    let size = u64::try_from(file.stat.st_size).unwrap_or(0);
    let mut done = 0;
    while done < size {
        let piece = usize::try_from(size - done).map_or(ZEROS.len(), |n| n.min(ZEROS.len()));
        write_at(&file.fd, &ZEROS[..piece], done)?;
        done += piece as u64;
    }
    Ok(())
}

fn write_at(fd: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
