//! Why a directory is not one where keys may lie.

use std::fmt;

use rustix::io::Errno;

/// Why a directory is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// It is not there.
    Missing,
    /// It is a symlink, or no directory.
    NoDirectory,
    /// It belongs to another user.
    NotOurs,
    /// Others may look into it.
    Open,
    /// Others may put another one in its place.
    ParentOpen,
    /// It is on no memory file system.
    Disk,
    /// The system's reason.
    Error(Errno),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::NoDirectory => f.write_str("is a symlink or no directory"),
            Self::NotOurs => f.write_str("belongs to another user"),
            Self::Open => f.write_str("is open to other users"),
            Self::ParentOpen => f.write_str("can be replaced by other users"),
            Self::Disk => f.write_str("is not on a memory file system"),
            Self::Error(error) => write!(f, "{error}"),
        }
    }
}

impl Unfit {
    /// Whether the system has run out of something, which says nothing of the directory.
    pub fn is_shortage(self) -> bool {
        matches!(self, Self::Error(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
    }
}

impl From<Errno> for Unfit {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            // A symlink is NOTDIR to Linux and LOOP to others when both flags are given.
            Errno::NOTDIR | Errno::LOOP | Errno::MLINK => Self::NoDirectory,
            other => Self::Error(other),
        }
    }
}
