//! Lines on stderr: `otr: what happened; what to do about it`.
//!
//! No capital, no full stop, one line each, written with one call so that two processes do not
//! mix theirs. A stderr that is closed or full changes nothing: the exit code says it too.

use std::fmt::Display;

use super::{printable, progress, stdio};
use crate::failure::Failure;

/// How much is said, and in which form errors are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    quiet: bool,
    verbose: bool,
    json: bool,
}

impl Voice {
    /// From the options `-q`, `-v` and `--json`.
    pub(crate) fn new(quiet: bool, verbose: bool, json: bool) -> Self {
        Self { quiet, verbose, json }
    }

    /// Something worth knowing; not with `-q`.
    pub(crate) fn say(self, words: impl Display) {
        if !self.quiet {
            speak(&words);
        }
    }

    /// How it is done; with `-v` only, and never a secret even then.
    pub(crate) fn detail(self, words: impl Display) {
        if self.verbose {
            speak(&words);
        }
    }

    /// Why the command stops: a line, or with `--json` an object with the code's name.
    pub(crate) fn fail(self, failure: &Failure) {
        if self.json { write(&object(failure)) } else { speak(&sentence(failure)) }
    }

    /// Whether progress may be shown.
    pub(crate) fn is_quiet(self) -> bool {
        self.quiet
    }
}

/// Something that a person has to know, whatever `-q` says.
pub(crate) fn warn(words: impl Display) {
    speak(&words);
}

fn sentence(failure: &Failure) -> String {
    let Failure { what, hint, .. } = failure;
    if hint.is_empty() { what.to_string() } else { format!("{what}; {hint}") }
}

fn object(failure: &Failure) -> String {
    let mut object = serde_json::json!({
        "error": failure.code.name(),
        "code": failure.code as u8,
        "message": failure.what,
        "hint": failure.hint,
    });
    if let (Some(taken), Some(object)) = (failure.taken, object.as_object_mut()) {
        object.insert("taken".to_owned(), taken.into());
    }
    object.to_string()
}

fn speak(words: &impl Display) {
    write(&format!("otr: {}", printable::line(&words.to_string())));
}

fn write(line: &str) {
    let line = format!("{}{line}\n", progress::take_line_away());
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
            object(&failure),
            r#"{"code":14,"error":"not_ready","hint":"wait","message":"no \"reply\" yet\n"}"#
        );
    }
}
