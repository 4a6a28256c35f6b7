//! Why an effect failed.

use std::fmt;

use crate::kind::ErrorKind;

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
