//! Who may do what at the same time: advisory locks on separate files, because the state is
//! replaced by rename, and a lock on it would stay with the old one.
//!
//! A lock file lives as long as its session. A process that is about to release a lock and finds
//! the state gone removes the lock file while still holding the lock; and a process that has just
//! acquired a lock checks that the name still refers to the locked file. So two processes never
//! hold locks under the same name.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::directory::Directory;
use super::error::{Purpose, StoreError};
use super::name::Name;

/// The first pause between two attempts: about as long as a process holds a state.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// The longest pause: nobody notices it, and a long wait costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

impl Purpose {
    fn path(self, name: &Name) -> String {
        let suffix = match self {
            Self::State => "lock",
            Self::Send => "send",
            Self::Receive => "recv",
            Self::Whole => "whole",
        };
        format!("{name}.{suffix}")
    }
}

/// A locked file. The lock is held until this is dropped, or until the process ends, however it
/// ends.
#[derive(Debug)]
pub(super) struct LockFile {
    file: OwnedFd,
    directory: Arc<Directory>,
    name: Name,
    purpose: Purpose,
}

impl LockFile {
    /// Acquires the lock, trying for at most `wait`.
    pub(super) fn acquire(
        directory: &Arc<Directory>,
        name: &Name,
        purpose: Purpose,
        wait: Duration,
    ) -> Result<Self, StoreError> {
        let path = purpose.path(name);
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match attempt(directory, &path) {
                Ok(Some(file)) => {
                    let (directory, name) = (Arc::clone(directory), name.clone());
                    return Ok(Self { file, directory, name, purpose });
                }
                Ok(None) => {}
                Err(error) => {
                    return Err(StoreError::system(format!("lock session '{name}'"), error));
                }
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(StoreError::Busy { name: name.clone(), purpose });
            }
            sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// One attempt: the locked file, or `None` if another process holds the lock.
fn attempt(directory: &Directory, path: &str) -> Result<Option<OwnedFd>, Errno> {
    claim(directory, path, open(directory, path)?)
}

fn open(directory: &Directory, path: &str) -> Result<OwnedFd, Errno> {
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(directory, path, flags, Mode::RUSR | Mode::WUSR)
}

fn claim(directory: &Directory, path: &str, file: OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error),
    }
    let locked = rustix::fs::fstat(&file)?;
    match rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if named.st_ino == locked.st_ino && named.st_dev == locked.st_dev => {
            Ok(Some(file))
        }
        // The file lost its name between opening and locking.
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // An empty file left behind does no harm, so neither result matters.
        if !self.directory.holds(&self.name) {
            let path = self.purpose.path(&self.name);
            let _ = rustix::fs::unlinkat(&self.directory, path, AtFlags::empty());
        }
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::directory::{Options, Search};
    use super::*;

    #[test]
    fn a_lock_file_that_has_lost_its_name_is_no_lock() {
        let closed = Permissions::from_mode(0o700);
        let place = tempfile::Builder::new().permissions(closed).tempdir_in("/dev/shm").unwrap();
        let options = Options {
            named: Some(place.path().to_owned()),
            allow_disk: false,
            ..Options::default()
        };
        let name: Name = "ann".parse().unwrap();
        let directory = Arc::new(Search::new(&options).make(&name).unwrap());
        let acquire =
            || LockFile::acquire(&directory, &name, Purpose::State, Duration::ZERO).unwrap();

        // Two waiting processes open the file, while the holder ends the session and removes it.
        let holder = acquire();
        let [one, other] = [(); 2].map(|()| open(&directory, "ann.lock").unwrap());
        drop(holder);
        assert!(claim(&directory, "ann.lock", one).unwrap().is_none());
        // The next process makes a new file; the old one must not count next to it either.
        let next = acquire();
        assert!(claim(&directory, "ann.lock", other).unwrap().is_none());
        drop(next);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
