//! Why something of a store failed: what happened, and to what. What a person is told to do about it
//! is not said here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::name::Name;
use super::unfit::Unfit;

/// What a lock is for. Different ones do not hinder each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reading and replacing the state: short.
    State,
    /// Being the one sender of the session.
    Send,
    /// Being the one receiver of the session.
    Receive,
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such session.
    NoSession,
    /// A session of that name is there already.
    Exists,
    /// Another process holds it.
    Busy,
    /// The state is not in memory, not ours, readable by others, or damaged.
    Unsafe,
    /// No room; the state is as it was.
    Full,
    /// A descriptor that was named by number cannot be used.
    Descriptor,
    /// Anything else.
    Failed,
}

/// Why something of a store failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no session of that name, or none at all; the directories that were searched.
    NoSession {
        /// The name that was looked for.
        name: Option<Name>,
        /// Where, and what was wrong with a place.
        searched: Vec<String>,
    },
    /// The session was there, and was ended or moved away meanwhile.
    Gone {
        /// Its name.
        name: Name,
        /// Where it lay.
        directory: PathBuf,
    },
    /// The state descriptor holds no session.
    NothingInDescriptor,
    /// A session of that name is there already.
    Exists(Name),
    /// The state descriptor holds a session already.
    ExistsInDescriptor,
    /// Another process holds the lock.
    Busy {
        /// The session.
        name: Name,
        /// Which of its locks.
        purpose: Purpose,
    },
    /// A directory is not one where keys may lie.
    Unfit {
        /// The directory.
        path: PathBuf,
        /// Why not.
        unfit: Unfit,
    },
    /// No directory is one where keys may lie.
    NoPlace {
        /// Each that was tried, and why not.
        tried: Vec<(PathBuf, Unfit)>,
    },
    /// The state is one that only this user can have written and only he can read, or it is not used.
    Damaged {
        /// The session.
        name: Name,
        /// What is wrong with its file.
        why: &'static str,
    },
    /// What the state descriptor gives is no state.
    DamagedLine {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another process, or another part of this one, has stored or ended the session since it was
    /// loaded: nothing was stored.
    Changed {
        /// The session, where it has a name.
        name: Option<Name>,
    },
    /// The version is one of another store.
    AnotherStore,
    /// No room for the state, which is as it was.
    Full {
        /// What was done.
        doing: String,
        /// Where room is needed, if that is a directory.
        place: Option<PathBuf>,
        /// The system's reason; none where no state may be so large.
        error: Option<io::Error>,
    },
    /// A descriptor that was named by number cannot be used.
    Descriptor {
        /// Its number.
        number: u32,
        /// The system's reason.
        error: io::Error,
    },
    /// The system refused something else.
    System {
        /// What was done.
        doing: String,
        /// What it was done to, if that is a file.
        path: Option<PathBuf>,
        /// The system's reason.
        error: io::Error,
    },
}

impl StoreError {
    /// The system refused to do this.
    pub(super) fn system(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::System { doing: doing.into(), path: None, error: error.into() }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSession { .. } | Self::Gone { .. } | Self::NothingInDescriptor => {
                ErrorKind::NoSession
            }
            Self::Exists(_) | Self::ExistsInDescriptor => ErrorKind::Exists,
            Self::Busy { .. } => ErrorKind::Busy,
            // It says nothing of the place.
            Self::Unfit { unfit, .. } if unfit.is_shortage() => ErrorKind::Failed,
            Self::Unfit { .. }
            | Self::NoPlace { .. }
            | Self::Damaged { .. }
            | Self::DamagedLine { .. } => ErrorKind::Unsafe,
            Self::Full { .. } => ErrorKind::Full,
            Self::Descriptor { .. } => ErrorKind::Descriptor,
            Self::Changed { .. } | Self::AnotherStore | Self::System { .. } => ErrorKind::Failed,
        }
    }

    /// The file or directory that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unfit { path, .. } | Self::System { path: Some(path), .. } => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSession { name: Some(name), searched } => {
                write!(f, "no session '{name}' in {}", searched.join(", "))
            }
            Self::NoSession { name: None, searched } => {
                write!(f, "no session in {}", searched.join(", "))
            }
            Self::Gone { name, directory } => {
                write!(f, "no session '{name}' in {}", directory.display())
            }
            Self::NothingInDescriptor => f.write_str("no session in the state descriptor"),
            Self::Exists(name) => write!(f, "a session '{name}' is there already"),
            Self::ExistsInDescriptor => f.write_str("a session is in the state descriptor already"),
            Self::Busy { name, purpose } => match purpose {
                Purpose::State => write!(f, "another otr holds session '{name}'"),
                Purpose::Send => write!(f, "another otr is sending in session '{name}'"),
                Purpose::Receive => write!(f, "another otr is receiving in session '{name}'"),
            },
            Self::Unfit { path, unfit } if unfit.is_shortage() => {
                write!(f, "cannot look at {}: {unfit}", path.display())
            }
            Self::Unfit { path, unfit } => write!(f, "{} {unfit}", path.display()),
            Self::NoPlace { tried } => {
                let tried: Vec<_> = tried
                    .iter()
                    .map(|(path, unfit)| format!("{} {unfit}", path.display()))
                    .collect();
                write!(f, "no safe place for a session: {}", tried.join(", "))
            }
            Self::Damaged { name, why } => write!(f, "the state of session '{name}' {why}"),
            Self::DamagedLine { why } => write!(f, "what the state descriptor gives {why}"),
            Self::Changed { name: Some(name) } => {
                write!(f, "session '{name}' was changed or ended by another otr")
            }
            Self::Changed { name: None } => {
                f.write_str("the session was changed or ended meanwhile")
            }
            Self::AnotherStore => f.write_str("this state is of another store"),
            Self::Full { error: None, .. } => f.write_str("the state has grown too large"),
            Self::Descriptor { number, error } => {
                write!(f, "cannot use descriptor {number}: {error}")
            }
            Self::Full { doing, error: Some(error), .. } | Self::System { doing, error, .. } => {
                write!(f, "cannot {doing}: {error}")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { error, .. }
            | Self::Descriptor { error, .. }
            | Self::Full { error: Some(error), .. } => Some(error),
            _ => None,
        }
    }
}
