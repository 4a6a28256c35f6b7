//! Wrong arguments, reported like every other failure: one line, or an object with `--json`. Also
//! the help and version texts.

use std::error::Error as _;
use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};
use otr::protocol::authentication::nameplate;

use crate::cli::Cli;
use crate::failure::{Code, Failure};
use crate::process;
use crate::story::TOUR;
use crate::ui::shell::{from_file, quoted};
use crate::ui::{printable, speak};

/// Ends the process with clap's output: help and version on stdout, errors on stderr.
pub(crate) fn end(error: &clap::Error) -> ! {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => show(error),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            no_command()
        }
        _ => fail(&wrong(error, command_typed().as_deref())),
    }
}

/// Ends the process because of a variable with an unusable value. It does not show the value: a
/// proxy's may contain a password.
pub(crate) fn end_by_environment(error: &clap::Error, command: &Command) -> ! {
    let option = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let long = option.split(' ').next().unwrap_or_default().trim_start_matches('-');
    let all = [command].into_iter().chain(command.get_subcommands());
    let arg = all.flat_map(Command::get_arguments).find(|arg| arg.get_long() == Some(long));
    let variable = arg.and_then(clap::Arg::get_env).map(OsStr::to_string_lossy);
    let (Some(variable), reason) = (variable, reason(error)) else {
        fail(&wrong(error, command_typed().as_deref()))
    };
    // A reason may be followed by its own hint.
    let (why, hint) = match reason.split_once("; ") {
        Some((why, hint)) => (why, hint.to_owned()),
        None => (reason.as_str(), format!("correct it, unset it, or give --{long}")),
    };
    fail(&Failure::new(Code::Usage, format!("{variable} cannot be used: {why}"), hint))
}

/// Why a value is wrong.
fn reason(error: &clap::Error) -> String {
    match (error.kind(), error.source()) {
        (ErrorKind::InvalidUtf8, _) => "it is not UTF-8".to_owned(),
        (_, Some(why)) => why.to_string(),
        (_, None) => "it has no such value".to_owned(),
    }
}

fn fail(failure: &Failure) -> ! {
    speak::in_json(json_was_typed());
    speak::fail(failure);
    std::process::exit(i32::from(failure.code as u8))
}

/// Parsing has failed, so nobody has read this option yet.
fn json_was_typed() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

/// Writes the requested text; exits with 1 if that fails, as for any other output.
fn show(error: &clap::Error) -> ! {
    let Err(failed) = error.print().and_then(|()| io::stdout().flush()) else {
        std::process::exit(0)
    };
    if failed.kind() == io::ErrorKind::BrokenPipe {
        process::end_by_broken_pipe();
    }
    fail(&Failure::output(&failed))
}

/// What there is, for a person who typed no command.
fn no_command() -> ! {
    if json_was_typed() || !io::stderr().is_terminal() {
        fail(&Failure::new(Code::Usage, "no command was given", "see 'otr --help'"));
    }
    let _ = write!(io::stderr(), "{TOUR}");
    std::process::exit(i32::from(Code::Usage as u8))
}

/// The command among the words, whatever else is wrong with them.
fn command_typed() -> Option<String> {
    let lenient = Cli::command().ignore_errors(true).subcommand_required(false);
    let matches = lenient.try_get_matches_from(std::env::args_os()).ok()?;
    matches.subcommand_name().map(str::to_owned)
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// The first of clap's paragraphs (what is wrong, tips, usage, where to look), and the most helpful
/// hint: what the person may have meant, clap's tip, or the command's own help.
fn wrong(error: &clap::Error, command: Option<&str>) -> Failure {
    let told = error.render().to_string();
    let mut lines = told.lines();
    let first = lines.by_ref().take_while(|line| !line.trim().is_empty());
    let what = first.map(str::trim).collect::<Vec<_>>().join(" ");
    let what = what.strip_prefix("error: ").unwrap_or(&what).to_owned();
    let tips = lines.filter_map(|line| line.trim().strip_prefix("tip: "));
    // A person who mistyped an option does not mean it as a value.
    let tip = tips.map(str::to_owned).find(|tip| !tip.starts_with("to pass"));
    let word = context(error, ContextKind::InvalidArg).filter(|word| !word.starts_with('-'));
    if let (ErrorKind::UnknownArgument, Some(command), Some(word)) = (error.kind(), command, word)
        && let Some(failure) = stray(command, word)
    {
        return failure;
    }
    if let (ErrorKind::UnknownArgument, Some(command)) = (error.kind(), command)
        && let Some(hint) =
            context(error, ContextKind::InvalidArg).and_then(|typed| others(command, typed))
    {
        return Failure::new(Code::Usage, what, hint);
    }
    let see = || {
        let command = command.map(|command| format!(" {command}")).unwrap_or_default();
        format!("see 'otr{command} --help'")
    };
    Failure::new(Code::Usage, what, tip.unwrap_or_else(see))
}

/// The other commands that take this option.
fn others(command: &str, option: &str) -> Option<String> {
    let long = option.strip_prefix("--")?;
    let cli = Cli::command();
    let takes = |other: &&Command| {
        let mut options = other.get_arguments().filter(|arg| !arg.is_hide_set());
        other.get_name() != command
            && !other.is_hide_set()
            && options.any(|arg| arg.get_long() == Some(long))
    };
    let all: Vec<_> = cli
        .get_subcommands()
        .filter(takes)
        .map(|other| format!("'otr {}'", other.get_name()))
        .collect();
    (!all.is_empty()).then(|| format!("{option} is an option of {}", all.join(", ")))
}

/// A word after a command that takes none: what the person may have meant.
fn stray(command: &str, word: &str) -> Option<Failure> {
    let what = format!("{command} takes no '{}'", printable::line(word));
    let hint = match command {
        // The word may be the secret, so do not show it again.
        "verify" => {
            let what = "verify takes no secret as an argument, where others can read it";
            let hint = "it is asked for, or comes by --secret-file or --secret-fd";
            return Some(Failure::new(Code::Usage, what, hint));
        }
        "respond" if nameplate::Code::parse(word.split('@').next().unwrap_or(word)).is_ok() => {
            let what = "respond takes a code with --code";
            return Some(Failure::new(Code::Usage, what, "otr respond --code, which asks for it"));
        }
        "recv" | "respond" | "import" => {
            let what = format!("{command} reads stdin, not a file that is named");
            let hint = from_file(command, OsStr::new(word));
            return Some(Failure::new(Code::Usage, what, hint).about(Path::new(word)));
        }
        "init" | "close" | "words" | "expect" | "export" | "status" => {
            format!("for a session of that name: otr -s {} {command}", quoted(OsStr::new(word)))
        }
        _ => return None,
    };
    Some(Failure::new(Code::Usage, what, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str]) -> Failure {
        let words = ["otr"].iter().chain(arguments);
        let Err(error) = Cli::command().try_get_matches_from(words) else {
            panic!("{arguments:?} is right");
        };
        wrong(&error, arguments.first().copied())
    }

    #[test]
    fn what_is_wrong_becomes_one_line_with_what_was_meant() {
        let failure = told(&["recv", "--folow"]);
        assert_eq!(failure.what, "unexpected argument '--folow' found");
        assert_eq!(failure.hint, "a similar argument exists: '--follow'");
        for (arguments, what, hint) in [
            (
                &["completions"][..],
                "the following required arguments were not provided: <SHELL>",
                "see 'otr completions --help'",
            ),
            (
                &["recv", "my packet"],
                "recv reads stdin, not a file that is named",
                "otr recv < 'my packet'",
            ),
            (
                &["respond", "invite"],
                "respond reads stdin, not a file that is named",
                "otr respond < invite",
            ),
            (
                &["respond", "417-guitar-vanish@box.example"],
                "respond takes a code with --code",
                "otr respond --code, which asks for it",
            ),
            (
                &["close", "bob"],
                "close takes no 'bob'",
                "for a session of that name: otr -s bob close",
            ),
            (
                &["recv", "--later"],
                "unexpected argument '--later' found",
                "--later is an option of 'otr send'",
            ),
            (
                &["recv", "--wait", "long"],
                "invalid value 'long' for '--wait <TIME>': use 30s, 5m, 1h or 7d",
                "see 'otr recv --help'",
            ),
        ] {
            let failure = told(arguments);
            assert_eq!((&*failure.what, &*failure.hint), (what, hint));
        }
        assert!(!sentence(&told(&["verify", "hunter2"])).contains("hunter2"));
    }

    fn sentence(failure: &Failure) -> String {
        format!("{} {}", failure.what, failure.hint)
    }
}
