//! What kinds of failure there are: one list for stored states and for conversations.

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
