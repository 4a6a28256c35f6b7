//! Why an effect failed, and the kinds of failure.

use std::fmt;

/// The kinds of failure that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such session, or another one has taken its name.
    NoSession,
    /// A session exists already.
    Exists,
    /// Another process holds the session.
    Busy,
    /// The state is damaged, or is kept in an unsafe place.
    Unsafe,
    /// A limit is reached; nothing has changed.
    Full,
    /// Nothing was accepted, and nothing has changed.
    Refused,
    /// The other side is not who it should be; the session has been ended.
    NotAuthentic,
    /// A message was truncated.
    CutShort,
    /// The other side has closed.
    Closed,
    /// Nothing has arrived.
    NothingYet,
    /// The carrier of packets could not be reached, or gave a wrong answer.
    Unreachable,
    /// The invite has expired.
    Expired,
    /// A step that must come first has not happened yet.
    NotReady,
    /// The caller made a mistake.
    Usage,
    /// Anything else.
    Failed,
}

/// Why an effect failed: the caller's own error, and what the engine must know about it.
pub struct Cause {
    kind: ErrorKind,
    error: Box<dyn std::error::Error + Send + Sync>,
}

impl Cause {
    /// Wraps `error` as a failure of this kind.
    pub fn new(
        kind: ErrorKind,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, error: error.into() }
    }

    /// What the engine knows about the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the caller's error.
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.error
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
