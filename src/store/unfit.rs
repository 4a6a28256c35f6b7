//! Why a directory is not safe for keys.

use std::fmt;

use rustix::io::Errno;

/// Why a directory is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unfit {
    /// It is not there.
    Missing,
    /// It is a symlink, or not a directory.
    NoDirectory,
    /// It belongs to another user.
    NotOurs,
    /// Others may look into it.
    Open,
    /// Others may replace it.
    ParentOpen,
    /// It is not on a memory file system.
    Disk,
    /// The system's reason.
    Error(Errno),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("does not exist"),
            Self::NoDirectory => f.write_str("is a symlink or not a directory"),
            Self::NotOurs => f.write_str("belongs to another user"),
            Self::Open => f.write_str("is open to other users"),
            Self::ParentOpen => f.write_str("can be replaced by other users"),
            Self::Disk => f.write_str("is not on a memory file system"),
            Self::Error(error) => write!(f, "{error}"),
        }
    }
}

impl Unfit {
    /// Whether the system has run out of a resource, which says nothing about the directory.
    pub fn is_shortage(self) -> bool {
        matches!(self, Self::Error(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
    }
}

impl From<Errno> for Unfit {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Missing,
            // With both flags, Linux reports a symlink as NOTDIR, other systems as LOOP.
            Errno::NOTDIR | Errno::LOOP | Errno::MLINK => Self::NoDirectory,
            other => Self::Error(other),
        }
    }
}
