//! Lines on stderr: `otr: what happened; what to do about it`, or with `--json` one object each.
//!
//! Each is one line, without a capital and a full stop, written with one call so that the lines of
//! two processes do not mix. A closed or full stderr changes nothing, because the exit code says
//! the same.
//!
//! The objects are a promise: every one has `level` (error, warning, notice, detail) and `message`;
//! an error also has `error`, `code` and `hint`, and an object about a file has `file` or
//! `file_base64`.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::{names, printable, screen, stdio};
use crate::failure::Failure;

/// Whether stderr is for a program. This is global, because a warning may come from anywhere.
static JSON: AtomicBool = AtomicBool::new(false);

/// If `json` is set, each line on stderr is a JSON object from now on.
pub(crate) fn in_json(json: bool) {
    JSON.store(json, Ordering::Relaxed);
}

/// Whether each line on stderr must be a JSON object.
pub(super) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Hears each sentence in place of stderr.
type Listener = Box<dyn Fn(&str) + Send>;

/// Who hears what is said while the screen is somebody's, if anybody is.
static LISTENER: Mutex<Option<Listener>> = Mutex::new(None);

fn listener() -> MutexGuard<'static, Option<Listener>> {
    LISTENER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is said goes to stderr again when this is dropped.
pub(crate) struct Heard(());

impl Drop for Heard {
    fn drop(&mut self) {
        unheard();
    }
}

/// From now on what is said goes to stderr, whoever has heard it before.
pub(crate) fn unheard() {
    *listener() = None;
}

/// From now on `hears` is given each sentence, without the name of the program before it.
pub(crate) fn heard_by(hears: impl Fn(&str) + Send + 'static) -> Heard {
    *listener() = Some(Box::new(hears));
    Heard(())
}

/// How much the program says.
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

    /// Says something worth knowing; not with `-q`.
    pub(crate) fn say(self, words: impl Display) {
        if !self.quiet {
            speak("notice", &words);
        }
    }

    /// Like [`Self::say`], about a number that is a separate field in JSON.
    pub(crate) fn say_number(self, words: impl Display, name: &str, number: u64) {
        if !self.quiet {
            tell("notice", &words, |object| object[name] = number.into());
        }
    }

    /// Says what the output on stdout will be; only to a person, who sees both.
    pub(crate) fn announce(self, words: impl Display) {
        if !is_json() && io::stdout().is_terminal() && io::stderr().is_terminal() {
            self.say(words);
        }
    }

    /// Says what to do next; only to a person, who sees the output or has put it into a file, never in a
    /// pipe.
    pub(crate) fn guide(self, words: impl Display) {
        if !is_json() && io::stderr().is_terminal() && stdio::output_stays() {
            self.say(words);
        }
    }

    /// Says a detail; only with `-v`, and never a secret.
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

/// Says why the command stops.
pub(crate) fn fail(failure: &Failure) {
    if is_json() {
        write(&object(failure).to_string());
    } else {
        write(&format!("otr: {}", printable::line(&sentence(failure))));
    }
}

/// Says something that a person must know, even with `-q`.
pub(crate) fn warn(words: impl Display) {
    speak("warning", &words);
}

/// Like [`warn`], about a file that `words` names.
pub(crate) fn warn_of_file(path: &Path, words: impl Display) {
    tell("warning", &words, |object| names::put(object, "file", path));
}

/// Writes a setting that a shell can evaluate, `NAME=VALUE`; in JSON, a field of the notice.
pub(crate) fn setting(name: &str, value: &str) {
    let line = format!("{name}={value}");
    if is_json() {
        write(&json!({ "level": "notice", "message": line, name: value }).to_string());
    } else {
        write(&line);
    }
}

/// What happened, and what to do about it.
pub(crate) fn sentence(failure: &Failure) -> String {
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
    if let Some(hears) = &*listener() {
        return hears(&printable::line(&words));
    }
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
