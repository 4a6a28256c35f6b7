//! The failure of a command: an exit code of the stable table, what happened, and what to do about
//! it.
//!
//! Rules of speech: no capital, no full stop, `what happened; what to do about it`, one line.
//! Neither part ever holds a secret, a packet's bytes, a token or an address.

mod client;
mod engine;
mod store;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// Exit codes; the numbers and names are a promise to scripts (`man otr`, "EXIT STATUS").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// I/O, or anything that no other code names.
    Failed = 1,
    /// Wrong arguments.
    Usage = 2,
    /// No session of that name.
    NoSession = 3,
    /// Nothing was accepted, nothing changed.
    Refused = 4,
    /// The other side is not who it should be; the session has been ended.
    NotAuthentic = 5,
    /// A message ended before its end, or is missing.
    CutShort = 6,
    /// The other side has closed.
    Closed = 7,
    /// Nothing came.
    NothingYet = 8,
    /// The postbox could not be reached, or answered what it should not.
    Postbox = 9,
    /// A postbox or a limit is full.
    Full = 10,
    /// The state is not on tmpfs, not ours, readable by others, or damaged.
    UnsafeState = 11,
    /// The invite is too old.
    Expired = 12,
    /// A session of that name is there already.
    Exists = 13,
    /// A step that must come first has not come yet.
    NotReady = 14,
    /// Another `otr` holds the session.
    Busy = 15,
}

impl Code {
    /// All of them, in order, for the manual.
    pub(crate) const ALL: [Self; 15] = [
        Self::Failed,
        Self::Usage,
        Self::NoSession,
        Self::Refused,
        Self::NotAuthentic,
        Self::CutShort,
        Self::Closed,
        Self::NothingYet,
        Self::Postbox,
        Self::Full,
        Self::UnsafeState,
        Self::Expired,
        Self::Exists,
        Self::NotReady,
        Self::Busy,
    ];

    /// Its meaning, for the manual.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "input or output failed, or anything not named below",
            Self::Usage => "wrong arguments",
            Self::NoSession => "there is no session of that name",
            Self::Refused => {
                "nothing was accepted: damaged, replayed or somebody else's; nothing changed"
            }
            Self::NotAuthentic => {
                "the other side is not who it should be; the session was ended and wiped"
            }
            Self::CutShort => "a message ended before its end, or is missing",
            Self::Closed => "the other side has closed the session",
            Self::NothingYet => "nothing came, or not in the time given; or stdin is empty",
            Self::Postbox => "the postbox could not be reached, or gave a wrong answer",
            Self::Full => "the postbox or a limit is full; try again later",
            Self::UnsafeState => {
                "the state is not in memory, not yours, readable by others, or damaged"
            }
            Self::Expired => "the invite is too old",
            Self::Exists => "a session of that name is there already",
            Self::NotReady => "a step that must come first has not come yet; try again later",
            Self::Busy => "another otr holds the session for longer than the wait limit",
        }
    }

    /// The name that `--json` carries.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NoSession => "no_session",
            Self::Refused => "refused",
            Self::NotAuthentic => "not_authentic",
            Self::CutShort => "cut_short",
            Self::Closed => "closed",
            Self::NothingYet => "nothing_yet",
            Self::Postbox => "postbox",
            Self::Full => "full",
            Self::UnsafeState => "unsafe_state",
            Self::Expired => "expired",
            Self::Exists => "exists",
            Self::NotReady => "not_ready",
            Self::Busy => "busy",
        }
    }
}

/// Why a command stopped.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: Code,
    /// What happened.
    pub(crate) what: Cow<'static, str>,
    /// What to do about it; may be empty when `what` says it.
    pub(crate) hint: Cow<'static, str>,
    /// The file that it is about, for programs: its exact name.
    pub(crate) file: Option<PathBuf>,
    /// Whether our output has no reader any more: the process then ends as by SIGPIPE.
    pub(crate) broken_pipe: bool,
    /// For a command that sends: whether its input goes out later without being given again.
    pub(crate) taken: Option<bool>,
}

impl Failure {
    /// A failure with both halves of its line.
    pub(crate) fn new(
        code: Code,
        what: impl Into<Cow<'static, str>>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            what: what.into(),
            hint: hint.into(),
            file: None,
            broken_pipe: false,
            taken: None,
        }
    }

    /// Names the file that it is about; `what` says it, too, as far as it can be shown.
    pub(crate) fn about(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// The failure for packets that could not be posted now and are stored: a later command posts
    /// them.
    pub(crate) fn taken(self) -> Self {
        if !matches!(self.code, Code::Postbox | Code::Full) {
            return self;
        }
        let hint = "nothing is lost: the next command posts it, and it need not be sent again";
        Self { code: Code::Postbox, hint: hint.into(), taken: Some(true), ..self }
    }

    /// The same failure for a command that sends; its input counts as not taken unless the failure
    /// says otherwise.
    pub(crate) fn of_sending(self) -> Self {
        Self { taken: Some(self.taken.unwrap_or(false)), ..self }
    }

    /// Writing to stdout failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        let what = format!("cannot write to stdout: {error}");
        Self { broken_pipe, ..Self::new(Code::Failed, what, "") }
    }

    /// Reading stdin failed.
    pub(crate) fn input(error: &io::Error) -> Self {
        Self::new(Code::Failed, format!("cannot read stdin: {error}"), "")
    }

    /// The system gave no randomness: nothing may be sealed.
    pub(crate) fn no_randomness() -> Self {
        Self::new(Code::Failed, "the system gave no randomness", "nothing was sent")
    }

    /// Argon2id takes 64 MiB at once.
    pub(crate) fn out_of_memory() -> Self {
        let what = "not enough memory: a secret or a passphrase takes 64 MiB";
        Self::new(Code::Failed, what, "raise the limit (ulimit -v), or end other programs")
    }
}
