//! Where a session is stored between two commands: in a file in memory, or behind the caller's
//! descriptors.
//!
//! A command opens the session's [`Store`], takes its lock, loads the state, and replaces it while
//! still holding the lock. Every call that needs the lock takes a reference to it, so none can be
//! made without. A loaded state comes with its [`Version`], which identifies the very file or line
//! that it came from, and storing its successor requires that version: another process, or another
//! part of this one, may have stored meanwhile, and an older copy must never replace what it
//! stored.

mod descriptors;
mod directory;
mod error;
mod file;
mod guesses;
pub mod hazards;
pub mod inherited;
pub mod line;
mod lock;
mod name;
pub mod patient;
pub mod sealed;
mod unfit;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

pub use crate::kind::ErrorKind;
pub use descriptors::{BadNumbers, Numbers};
pub use directory::{Directory, Options, Search, usual_places};
pub use error::{Purpose, StoreError};
pub use name::{BadName, Name};
pub use unfit::Unfit;

use descriptors::{Descriptors, Line};
use file::{Opened, StateFile};
use lock::LockFile;

/// One session's state.
#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    File { directory: Arc<Directory>, name: Name, file: StateFile },
    Descriptors(Descriptors),
}

/// Identifies a stored state: while this value lives, no other state has the same version.
#[derive(Debug)]
pub struct Version(Which);

#[derive(Debug)]
enum Which {
    File(Opened),
    Line(Line),
}

/// A state's bytes and version.
pub struct Loaded {
    /// The state.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Its version.
    pub version: Version,
}

/// Proof that nobody else reads or replaces the state meanwhile. Released on drop.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct StateLock(#[expect(dead_code, reason = "held for its drop")] Option<LockFile>);

/// Proof of being the session's one `send`, or its one `recv`. Released on drop.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct RoleLock(#[expect(dead_code, reason = "held for its drop")] Option<LockFile>);

impl Store {
    /// The store of an existing session.
    ///
    /// # Errors
    /// [`ErrorKind::NoSession`], or [`ErrorKind::Unsafe`] if its directory is not safe.
    pub fn open(options: &Options, name: &Name) -> Result<Self, StoreError> {
        Ok(Self::in_directory(Arc::new(Search::new(options).find(name)?), name))
    }

    /// The store for a new session; makes its directory if necessary. There is no session until
    /// [`create`](Self::create).
    pub fn prepare(options: &Options, name: &Name) -> Result<Self, StoreError> {
        Ok(Self::in_directory(Arc::new(Search::new(options).make(name)?), name))
    }

    /// The store of a session in a directory that [`Search::all`] found.
    pub fn in_directory(directory: Arc<Directory>, name: &Name) -> Self {
        let file = StateFile::new(Arc::clone(&directory), name.clone());
        Self(Kind::File { directory, name: name.clone(), file })
    }

    /// The store of two descriptors. This reads the input to its end.
    pub fn from_descriptors(numbers: Numbers) -> Result<Self, StoreError> {
        Descriptors::open(numbers).map(|descriptors| Self(Kind::Descriptors(descriptors)))
    }

    /// Another store of the same session, for another thread; `None` for a store of descriptors.
    pub fn another(&self) -> Option<Self> {
        match &self.0 {
            Kind::File { directory, name, .. } => {
                Some(Self::in_directory(Arc::clone(directory), name))
            }
            Kind::Descriptors(_) => None,
        }
    }

    /// The directory of the state, if it has one.
    pub fn directory(&self) -> Option<&Directory> {
        match &self.0 {
            Kind::File { directory, .. } => Some(directory),
            Kind::Descriptors(_) => None,
        }
    }

    /// The path of that directory if it is not on a memory file system: the caller warns each time.
    pub fn on_disk(&self) -> Option<&Path> {
        self.directory().filter(|directory| !directory.in_memory()).map(Directory::path)
    }

    /// Locks the state for reading and replacing it, waiting at most `wait` ([`ErrorKind::Busy`]).
    pub fn lock_state(&self, wait: Duration) -> Result<StateLock, StoreError> {
        self.lock(Purpose::State, wait).map(StateLock)
    }

    /// Becomes the session's one sender, waiting at most `wait`. Take this lock before the state's
    /// lock, never while holding that.
    pub fn lock_sender(&self, wait: Duration) -> Result<RoleLock, StoreError> {
        self.lock(Purpose::Send, wait).map(RoleLock)
    }

    /// Becomes the session's one receiver; otherwise like [`lock_sender`](Self::lock_sender).
    pub fn lock_receiver(&self, wait: Duration) -> Result<RoleLock, StoreError> {
        self.lock(Purpose::Receive, wait).map(RoleLock)
    }

    /// Becomes the one command that does with the session what it is for, which needs no session yet; otherwise
    /// like [`lock_sender`](Self::lock_sender).
    pub fn lock_whole(&self, wait: Duration) -> Result<RoleLock, StoreError> {
        self.lock(Purpose::Whole, wait).map(RoleLock)
    }

    fn lock(&self, purpose: Purpose, wait: Duration) -> Result<Option<LockFile>, StoreError> {
        match &self.0 {
            Kind::File { directory, name, .. } => {
                LockFile::acquire(directory, name, purpose, wait).map(Some)
            }
            Kind::Descriptors(_) => Ok(None),
        }
    }

    /// The stored state.
    ///
    /// # Errors
    /// [`ErrorKind::NoSession`], or [`ErrorKind::Unsafe`] if somebody else could have written or
    /// read it.
    pub fn load(&self, _: &StateLock) -> Result<Loaded, StoreError> {
        Ok(match &self.0 {
            Kind::File { file, .. } => {
                let (bytes, opened) = file.load()?;
                Loaded { bytes, version: Version(Which::File(opened)) }
            }
            Kind::Descriptors(descriptors) => {
                let (bytes, line) = descriptors.load()?;
                Loaded { bytes, version: Version(Which::Line(line)) }
            }
        })
    }

    /// Whether `version` is still the stored state, so that it need not be read again.
    pub fn is_current(&self, _: &StateLock, version: &Version) -> Result<bool, StoreError> {
        match (&self.0, &version.0) {
            (Kind::File { file, .. }, Which::File(opened)) => file.is_current(opened),
            (Kind::Descriptors(descriptors), Which::Line(line)) => {
                Ok(descriptors.is_current(*line))
            }
            _ => Ok(false),
        }
    }

    /// Stores the first state.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] or [`ErrorKind::Full`].
    pub fn create(&mut self, _: &StateLock, bytes: &[u8]) -> Result<Version, StoreError> {
        Ok(Version(match &mut self.0 {
            Kind::File { file, .. } => Which::File(file.create(bytes)?),
            Kind::Descriptors(descriptors) => Which::Line(descriptors.create(bytes)?),
        }))
    }

    /// Stores the state that follows `version`, overwrites the old one, and updates `version` to
    /// the new one. It fails and changes nothing if `version` is no longer the stored state
    /// ([`StoreError::Changed`]) or the new one does not fit ([`ErrorKind::Full`]).
    pub fn replace(
        &mut self,
        _: &StateLock,
        version: &mut Version,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        match (&mut self.0, &mut version.0) {
            (Kind::File { file, .. }, Which::File(opened)) => file.replace(opened, bytes),
            (Kind::Descriptors(descriptors), Which::Line(line)) => descriptors.replace(line, bytes),
            _ => Err(StoreError::AnotherStore),
        }
    }

    /// Overwrites and removes the state, whatever condition it is in; no error if there is none.
    /// The lock files go with it, or when their last holder releases them.
    pub fn wipe(&mut self, _: &StateLock) -> Result<(), StoreError> {
        match &mut self.0 {
            Kind::File { file, .. } => file.wipe()?,
            Kind::Descriptors(descriptors) => descriptors.wipe()?,
        }
        // Removes each lock file that nobody holds, because dropping a lock does.
        for purpose in [Purpose::Send, Purpose::Receive, Purpose::Whole] {
            drop(self.lock(purpose, Duration::ZERO));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
