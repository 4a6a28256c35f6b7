//! Wrong arguments, told as every other failure: one line, or an object with `--json`.

use std::ffi::OsStr;

use clap::error::ErrorKind;

use crate::failure::{Code, Failure};
use crate::ui::speak::Voice;

/// Ends the process with what clap says: help and versions on stdout, what is wrong on stderr.
pub(crate) fn end(error: &clap::Error) -> ! {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        error.exit();
    }
    // Parsing has failed, so that nobody has read this option yet.
    let json = std::env::args_os().take_while(|word| word != "--").any(|word| is_json(&word));
    let failure = failure(&error.render().to_string());
    Voice::new(false, false, json).fail(&failure);
    std::process::exit(i32::from(Code::Usage as u8))
}

fn is_json(word: &OsStr) -> bool {
    word == "--json"
}

/// Of clap's paragraphs (what is wrong, tips, usage, where to look) the first, and the tip if there
/// is one.
fn failure(told: &str) -> Failure {
    let mut lines = told.lines();
    let first = lines.by_ref().take_while(|line| !line.trim().is_empty());
    let what = first.map(str::trim).collect::<Vec<_>>().join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
    let (mut tip, mut command) = (None, "otr".to_owned());
    for line in lines {
        if let Some(text) = line.trim().strip_prefix("tip: ") {
            // Nobody who mistyped an option means it as a value.
            tip = tip.or_else(|| (!text.starts_with("to pass")).then(|| text.to_owned()));
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            let words = usage.split(' ').take_while(|word| word.starts_with(char::is_alphabetic));
            command = words.collect::<Vec<_>>().join(" ");
        }
    }
    Failure::new(Code::Usage, what, tip.unwrap_or_else(|| format!("see '{command} --help'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_becomes_one_line() {
        let told = "error: unexpected argument '--rw' found\n\n  tip: a similar argument exists: \
                    '--raw'\n\nUsage: otr send [OPTIONS]\n\nFor more information, try '--help'.\n";
        let failure = failure(told);
        assert_eq!(failure.what, "unexpected argument '--rw' found");
        assert_eq!(failure.hint, "a similar argument exists: '--raw'");
    }

    #[test]
    fn what_is_missing_is_in_the_line() {
        let told = "error: the following required arguments were not provided:\n  <SHELL>\n\n\
                    Usage: otr completions <SHELL>\n\nFor more information, try '--help'.\n";
        let failure = failure(told);
        assert_eq!(failure.what, "the following required arguments were not provided: <SHELL>");
        assert_eq!(failure.hint, "see 'otr completions --help'");
    }
}
