//! Why an effect failed, and what kinds of failure there are.

use std::fmt;

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such session, or another one stands under its name by now.
    NoSession,
    /// A session is there already.
    Exists,
    /// Another process holds the session.
    Busy,
    /// The state is damaged, or lies where it must not.
    Unsafe,
    /// A limit is reached; nothing was changed.
    Full,
    /// Nothing was accepted, nothing has changed.
    Refused,
    /// The other side is not who it should be; the session has been ended.
    NotAuthentic,
    /// A message ended before its end.
    CutShort,
    /// The other side has closed.
    Closed,
    /// Nothing came.
    NothingYet,
    /// What carries packets could not be reached, or answered what it should not.
    Unreachable,
    /// The invite is too old.
    Expired,
    /// A step that must come first has not come yet.
    NotReady,
    /// The call was a wrong one.
    Usage,
    /// Anything else.
    Failed,
}

/// Why an effect failed: the caller's own error, and what the engine has to know of it.
pub struct Cause {
    kind: ErrorKind,
    error: Box<dyn std::error::Error + Send + Sync>,
}

impl Cause {
    /// `error`, which is of that kind.
    pub fn new(
        kind: ErrorKind,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, error: error.into() }
    }

    /// What the engine knows of it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The caller's error again.
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
