//! What is typed after a slash, and how TAB completes it.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::ui::printable;

/// What was entered.
#[cfg_attr(test, derive(Debug))]
#[derive(PartialEq, Eq)]
pub(super) enum Typed<'a> {
    Text(&'a str),
    Words,
    Same,
    Differ,
    /// With the question, which may be empty.
    Verify(&'a str),
    Send(PathBuf),
    Save(PathBuf),
    /// Throws away what waits.
    Drop,
    Close,
    Quit,
    Help,
    /// Why it is none of these.
    Wrong(&'static str),
}

/// The commands, and what `/help` says about each.
pub(super) const COMMANDS: [(&str, &str); 8] = [
    ("/words", "show the four words; then '/words same' or '/words differ'"),
    ("/verify", "compare a secret that you both know: '/verify [QUESTION]'"),
    ("/send", "send a file: '/send FILE'"),
    ("/save", "put what waits, or the last message, into a new file: '/save NAME'"),
    ("/drop", "throw away what waits"),
    ("/close", "end the session on both sides, and wipe it here"),
    ("/quit", "leave the chat; the session stays open"),
    ("/help", "show this"),
];

/// What `/help` says besides.
pub(super) const KEYS: [&str; 4] = [
    "Enter sends, Alt-Enter begins a new line, arrows bring back what you entered",
    "PgUp and PgDn scroll, TAB completes, Ctrl-C asks whether to leave or to close",
    "'//' at the beginning of a line sends a line that begins with one slash",
    "whoever you talk to sees only what you enter: no receipts, no 'is typing'",
];

impl<'a> Typed<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        let Some(rest) = line.strip_prefix('/') else { return Self::Text(line) };
        if rest.starts_with('/') {
            return Self::Text(rest);
        }
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let argument = argument.trim();
        match (name, argument) {
            ("words", "") => Self::Words,
            ("words", "same") => Self::Same,
            ("words", "differ") => Self::Differ,
            ("words", _) => Self::Wrong("it is '/words', '/words same' or '/words differ'"),
            ("verify", question) => Self::Verify(question),
            ("send", "") => Self::Wrong("name the file: '/send FILE'"),
            ("send", name) => Self::Send(path(name)),
            ("save", "") => Self::Wrong("choose a name for the file: '/save NAME'"),
            ("save", name) => Self::Save(path(name)),
            ("drop", "") => Self::Drop,
            ("close", "") => Self::Close,
            ("quit" | "exit", "") => Self::Quit,
            ("help", _) => Self::Help,
            ("drop" | "close" | "quit" | "exit", _) => {
                Self::Wrong("nothing follows this command: nothing was done")
            }
            _ => Self::Wrong("no such command: '/help' shows all; '//' sends a slash"),
        }
    }
}

/// A file's name, in which `~` stands for the home directory.
fn path(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => name.into(),
    }
}

fn home() -> Option<OsString> {
    std::env::var_os("HOME").filter(|home| !home.is_empty())
}

/// Completes what was typed up to the cursor: the text to put in its place, and the candidates if there
/// is more than one.
pub(super) fn completed(typed: &str) -> Option<(String, Vec<String>)> {
    if !typed.starts_with('/') {
        return None;
    }
    let Some((command, argument)) = typed.split_once(' ') else {
        let all = COMMANDS.iter().map(|(name, _)| format!("{name} "));
        return chosen("", typed, all.collect());
    };
    match command {
        "/words" => chosen("/words ", argument, vec!["same".to_owned(), "differ".to_owned()]),
        "/send" | "/save" => {
            let (directory, begun) = match argument.rfind('/') {
                Some(at) => argument.split_at(at + 1),
                None => ("", argument),
            };
            let names = names(directory, begun.starts_with('.'));
            chosen(&format!("{command} {directory}"), begun, names)
        }
        _ => None,
    }
}

/// The names in a directory that can be typed, those of directories with a slash.
fn names(directory: &str, hidden: bool) -> Vec<String> {
    let place = if directory.is_empty() { PathBuf::from(".") } else { path(directory) };
    let mut names: Vec<String> = fs::read_dir(place)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_directory = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
            Some(if is_directory { name + "/" } else { name })
        })
        .filter(|name| hidden || !name.starts_with('.'))
        .filter(|name| printable::line(name) == *name)
        .collect();
    names.sort();
    names
}

/// As much as all that fit have in common.
fn chosen(before: &str, begun: &str, all: Vec<String>) -> Option<(String, Vec<String>)> {
    let mut fit: Vec<String> = all.into_iter().filter(|one| one.starts_with(begun)).collect();
    let first = fit.first()?;
    let common = fit.iter().fold(first.len(), |common, one| {
        let same = first.char_indices().zip(one.chars()).find(|((_, a), b)| a != b);
        common.min(one.len()).min(same.map_or(usize::MAX, |((at, _), _)| at))
    });
    let text = format!("{before}{}", first.get(..common).unwrap_or(begun));
    if fit.len() == 1 {
        fit.clear();
    }
    Some((text, fit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_and_two_begin_a_text() {
        assert_eq!(Typed::of("hello /close"), Typed::Text("hello /close"));
        assert_eq!(Typed::of("//close"), Typed::Text("/close"));
        assert_eq!(Typed::of("/words same"), Typed::Same);
        assert_eq!(Typed::of("/verify what did we eat?"), Typed::Verify("what did we eat?"));
        assert_eq!(Typed::of("/send a b "), Typed::Send("a b".into()));
        assert_eq!(Typed::of("/close"), Typed::Close);
        for wrong in ["/close now", "/clos", "/", "/save", "/words equal", "/tmp/x"] {
            assert!(matches!(Typed::of(wrong), Typed::Wrong(_)), "{wrong}");
        }
    }

    #[test]
    fn tab_completes_what_is_unambiguous() {
        let done = |typed: &str| completed(typed);
        assert_eq!(done("/w"), Some(("/words ".to_owned(), vec![])));
        assert_eq!(done("/s"), Some(("/s".to_owned(), vec!["/send ".into(), "/save ".into()])));
        assert_eq!(done("/words d"), Some(("/words differ".to_owned(), vec![])));
        assert_eq!(done("/nothing"), None);
        assert_eq!(done("text"), None);
        let place = tempfile::tempdir().unwrap();
        let at = place.path().to_str().unwrap();
        for name in ["über.txt", "übung", ".hidden", "b\x1b", "b\u{202e}txt.exe"] {
            fs::write(place.path().join(name), "").unwrap();
        }
        fs::create_dir(place.path().join("dir")).unwrap();
        let (text, names) = done(&format!("/send {at}/")).unwrap();
        assert_eq!((text, names.len()), (format!("/send {at}/"), 3));
        assert_eq!(done(&format!("/send {at}/d")), Some((format!("/send {at}/dir/"), vec![])));
        let (text, _) = done(&format!("/save {at}/ü")).unwrap();
        assert_eq!(text, format!("/save {at}/üb"));
        assert_eq!(done(&format!("/send {at}/.h")), Some((format!("/send {at}/.hidden"), vec![])));
    }
}
