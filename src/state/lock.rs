//! Who may do what at the same time: advisory locks on files of their own, for the state is
//! replaced by rename and a lock on it would go with the old one.
//!
//! A lock file lives as long as its session. It is removed by whoever lets go of a lock and finds
//! the state gone, while still holding it; and whoever has just got a lock makes sure that the
//! name still means the file that he locked. So at no time do two hold what bears one name.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::name::Name;
use super::place::Directory;
use crate::failure::{Code, Failure};

/// First pause between two tries: about as long as a state is held.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// Longest pause: nobody notices it, and a long wait costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// What a lock is for. Different ones do not hinder each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading and replacing the state: short.
    State,
    /// Being the one `send` of the session.
    Send,
    /// Being the one `recv` of the session.
    Receive,
}

impl Purpose {
    fn suffix(self) -> &'static str {
        match self {
            Self::State => ".lock",
            Self::Send => ".send",
            Self::Receive => ".recv",
        }
    }

    fn busy(self, name: &Name) -> Failure {
        let what = match self {
            Self::State => format!("another otr holds session '{name}'"),
            Self::Send => format!("another otr is sending in session '{name}'"),
            Self::Receive => format!("another otr is receiving in session '{name}'"),
        };
        Failure::new(Code::Busy, what, "try again when it is done")
    }
}

/// A lock that is held until it is dropped, or until the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Held {
    file: OwnedFd,
    directory: Arc<Directory>,
    name: Name,
    purpose: Purpose,
}

impl Held {
    /// Gets the lock, trying for at most `wait`; code 15 after that.
    pub(super) fn acquire(
        directory: &Arc<Directory>,
        name: &Name,
        purpose: Purpose,
        wait: Duration,
    ) -> Result<Self, Failure> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match Self::attempt(directory, name, purpose) {
                Ok(Some(held)) => return Ok(held),
                Ok(None) => {}
                Err(error) => {
                    let what = format!("cannot lock session '{name}': {error}");
                    return Err(Failure::new(Code::Failed, what, ""));
                }
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(purpose.busy(name));
            }
            sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(
        directory: &Arc<Directory>,
        name: &Name,
        purpose: Purpose,
    ) -> Result<Option<Self>, Errno> {
        let path = format!("{name}{}", purpose.suffix());
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &path, flags, Mode::RUSR | Mode::WUSR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
            Err(error) => return Err(error),
        }
        let locked = rustix::fs::fstat(&file)?;
        match rustix::fs::statat(directory, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if named.st_ino == locked.st_ino && named.st_dev == locked.st_dev => {}
            // Removed between opening and locking.
            Ok(_) | Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(Some(Self { file, directory: Arc::clone(directory), name: name.clone(), purpose }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // An empty file that stays behind does no harm, so neither result matters.
        if !self.directory.holds(&self.name) {
            let path = format!("{}{}", self.name, self.purpose.suffix());
            let _ = rustix::fs::unlinkat(&self.directory, path, AtFlags::empty());
        }
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}
