//! Lines on stderr: `otr: what happened; what to do about it`, or with `--json` an object each.
//!
//! No capital, no full stop, one line each, written with one call so that two processes do not
//! mix theirs. A stderr that is closed or full changes nothing: the exit code says it too.
//!
//! The objects are a promise: `level` (error, warning, notice, detail) and `message`; an error has
//! `error`, `code` and `hint` too, and what is about a file has `file` or `file_base64`.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{names, printable, screen, stdio};
use crate::failure::Failure;

/// Whether stderr is for a program: of the whole process, since a warning may come from anywhere.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on each line on stderr is a JSON object, if `json` is set.
pub(crate) fn in_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}

/// Whether each line on stderr has to be a JSON object.
pub(super) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    quiet: bool,
    verbose: bool,
}

impl Voice {
    /// From the options `-q` and `-v`.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose }
    }

    /// Something worth knowing; not with `-q`.
    pub(crate) fn say(self, words: impl Display) {
        if !self.quiet {
            speak("notice", &words);
        }
    }

    /// As [`Self::say`], of a number that is a field of its own in JSON.
    pub(crate) fn say_number(self, words: impl Display, name: &str, number: u64) {
        if !self.quiet {
            tell("notice", &words, |object| object[name] = number.into());
        }
    }

    /// What to do with what stands on stdout: to a person alone, who sees both.
    pub(crate) fn guide(self, words: impl Display) {
        if !is_json() && io::stdout().is_terminal() && io::stderr().is_terminal() {
            self.say(words);
        }
    }

    /// How it is done; with `-v` only, and never a secret even then.
    pub(crate) fn detail(self, words: impl Display) {
        if self.verbose {
            speak("detail", &words);
        }
    }

    /// Whether progress may be shown.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }
}

/// Why the command stops.
pub(crate) fn fail(failure: &Failure) {
    if is_json() {
        write(&object(failure).to_string());
    } else {
        write(&format!("otr: {}", printable::line(&sentence(failure))));
    }
}

/// Something that a person has to know, whatever `-q` says.
pub(crate) fn warn(words: impl Display) {
    speak("warning", &words);
}

/// As [`warn`], about a file that `words` names.
pub(crate) fn warn_of_file(path: &Path, words: impl Display) {
    tell("warning", &words, |object| names::put(object, "file", path));
}

/// What a shell can take over as it stands, `NAME=VALUE`; in JSON a field of the notice.
pub(crate) fn setting(name: &str, value: &str) {
    let line = format!("{name}={value}");
    if is_json() {
        write(&json!({ "level": "notice", "message": line, name: value }).to_string());
    } else {
        write(&line);
    }
}

fn sentence(failure: &Failure) -> String {
    let Failure { what, hint, .. } = failure;
    if hint.is_empty() { what.to_string() } else { format!("{what}; {hint}") }
}

fn object(failure: &Failure) -> Value {
    let mut object = json!({
        "level": "error",
        "error": failure.code.name(),
        "code": failure.code as u8,
        "message": failure.what,
        "hint": failure.hint,
    });
    if let Some(taken) = failure.taken {
        object["taken"] = taken.into();
    }
    if let Some(path) = &failure.file {
        names::put(&mut object, "file", path);
    }
    object
}

fn speak(level: &str, words: &impl Display) {
    tell(level, words, |_| {});
}

fn tell(level: &str, words: &impl Display, more: impl FnOnce(&mut Value)) {
    let words = words.to_string();
    if is_json() {
        let mut object = json!({ "level": level, "message": words });
        more(&mut object);
        write(&object.to_string());
    } else {
        write(&format!("otr: {}", printable::line(&words)));
    }
}

fn write(line: &str) {
    let line = format!("{}{}\n", screen::take_line_away(), printable::json(line));
    stdio::say(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Code;

    #[test]
    fn an_error_is_what_happened_and_what_to_do() {
        let failure = Failure::new(Code::NotReady, "no reply yet", "try again later");
        assert_eq!(sentence(&failure), "no reply yet; try again later");
        assert_eq!(
            sentence(&Failure::new(Code::Failed, "no room on stdout", "")),
            "no room on stdout"
        );
    }

    #[test]
    fn an_error_object_carries_the_stable_name() {
        let failure = Failure::new(Code::NotReady, "no \"reply\" yet\n", "wait");
        assert_eq!(
            object(&failure).to_string(),
            r#"{"code":14,"error":"not_ready","hint":"wait","level":"error","message":"no \"reply\" yet\n"}"#
        );
    }
}
