//! Why an operation of a store failed: what happened, and to what. What a person should do about it
//! is not said here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::name::Name;
use super::unfit::Unfit;
use crate::kind::ErrorKind;

/// What a lock is for. Locks for different purposes do not exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reading and replacing the state; held briefly.
    State,
    /// Being the one sender of the session.
    Send,
    /// Being the one receiver of the session.
    Receive,
    /// Being the one command that does with the session what it is for.
    Whole,
}

/// Why an operation of a store failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no session of that name, or none at all.
    NoSession {
        /// The name that was searched for, if any.
        name: Option<Name>,
        /// The directories that were searched, each with what was wrong with it.
        searched: Vec<String>,
    },
    /// The session existed, but was ended or moved away meanwhile.
    Gone {
        /// Its name.
        name: Name,
        /// Where it was.
        directory: PathBuf,
    },
    /// The state descriptor holds no session.
    NothingInDescriptor,
    /// A session of that name exists already.
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
    /// A directory is not safe for keys.
    Unfit {
        /// The directory.
        path: PathBuf,
        /// Why not.
        unfit: Unfit,
    },
    /// No directory is safe for keys.
    NoPlace {
        /// Each directory that was tried, and why it is not.
        tried: Vec<(PathBuf, Unfit)>,
    },
    /// The state file is damaged, or somebody else could have written or read it, so it is not
    /// used.
    Damaged {
        /// The session.
        name: Name,
        /// What is wrong with the file.
        why: &'static str,
    },
    /// The state descriptor does not supply a state.
    DamagedLine {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another process, or another part of this one, has stored or ended the session since it was
    /// loaded: nothing was stored.
    Changed {
        /// The session, if it has a name.
        name: Option<Name>,
    },
    /// The version belongs to another store.
    AnotherStore,
    /// There is no room for the state, which is unchanged.
    Full {
        /// What was being done.
        doing: String,
        /// The directory where room is needed, if it is one.
        place: Option<PathBuf>,
        /// The system's reason; `None` if the state exceeds the limit for all states.
        error: Option<io::Error>,
    },
    /// A descriptor given by number cannot be used.
    Descriptor {
        /// Its number.
        number: u32,
        /// The system's reason.
        error: io::Error,
    },
    /// The system refused something else.
    System {
        /// What was being done.
        doing: String,
        /// The file concerned, if any.
        path: Option<PathBuf>,
        /// The system's reason.
        error: io::Error,
    },
}

impl StoreError {
    /// The system refused an operation.
    pub(super) fn system(doing: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::System { doing: doing.into(), path: None, error: error.into() }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSession { .. } | Self::Gone { .. } | Self::NothingInDescriptor => {
                ErrorKind::NoSession
            }
            Self::Exists(_) | Self::ExistsInDescriptor => ErrorKind::Exists,
            Self::Busy { .. } => ErrorKind::Busy,
            // It says nothing about the directory.
            Self::Unfit { unfit, .. } if unfit.is_shortage() => ErrorKind::Failed,
            Self::Unfit { .. }
            | Self::NoPlace { .. }
            | Self::Damaged { .. }
            | Self::DamagedLine { .. } => ErrorKind::Unsafe,
            Self::Full { .. } => ErrorKind::Full,
            Self::Descriptor { .. } => ErrorKind::Usage,
            Self::Changed { .. } | Self::AnotherStore | Self::System { .. } => ErrorKind::Failed,
        }
    }

    /// The file or directory concerned.
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
            Self::Exists(name) => write!(f, "session '{name}' already exists"),
            Self::ExistsInDescriptor => f.write_str("the state descriptor already holds a session"),
            Self::Busy { name, purpose } => match purpose {
                Purpose::State => write!(f, "another otr holds session '{name}'"),
                Purpose::Send => write!(f, "another otr is sending in session '{name}'"),
                Purpose::Receive => write!(f, "another otr is receiving in session '{name}'"),
                Purpose::Whole => write!(f, "another otr is at work in session '{name}'"),
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
            Self::DamagedLine { why } => write!(f, "the input of the state descriptor {why}"),
            Self::Changed { name: Some(name) } => {
                write!(f, "session '{name}' was changed or ended by another otr")
            }
            Self::Changed { name: None } => {
                f.write_str("the session was changed or ended meanwhile")
            }
            Self::AnotherStore => f.write_str("this state belongs to another store"),
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
