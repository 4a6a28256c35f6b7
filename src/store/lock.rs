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

use super::error::{Purpose, StoreError};
use super::name::Name;
use super::place::Directory;

/// First pause between two tries: about as long as a state is held.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// Longest pause: nobody notices it, and a long wait costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

impl Purpose {
    fn path(self, name: &Name) -> String {
        let suffix = match self {
            Self::State => "lock",
            Self::Send => "send",
            Self::Receive => "recv",
        };
        format!("{name}.{suffix}")
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
    /// Gets the lock, trying for at most `wait`.
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

/// One try: the locked file, or none if somebody else has it.
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
        // Its name was taken from it between opening and locking.
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // An empty file that stays behind does no harm, so neither result matters.
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

    use super::super::place::{Options, Search};
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
        let acquire = || Held::acquire(&directory, &name, Purpose::State, Duration::ZERO).unwrap();

        // Opened by two that wait, while the holder ends the session and removes the file.
        let holder = acquire();
        let [one, other] = [(); 2].map(|()| open(&directory, "ann.lock").unwrap());
        drop(holder);
        assert!(claim(&directory, "ann.lock", one).unwrap().is_none());
        // The next one makes a file of its own, beside which the old one must not count either.
        let next = acquire();
        assert!(claim(&directory, "ann.lock", other).unwrap().is_none());
        drop(next);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
