//! `otr completions`: the scripts with which shells complete `otr`, from the definitions in
//! `cli.rs`.
//!
//! `clap_complete` writes the script, but it cannot know which sessions exist. So each script is
//! changed where it completes a session's name: there it asks `otr complete-sessions`, with the
//! words typed so far, because a `--dir` may be among them.

use std::fmt::Write as _;
use std::io::Write;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args as _, Command, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use crate::context::Context;
use crate::failure::Failure;
use crate::options::Common;
use crate::ui::stdio;

/// `otr completions`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The shell to write for: bash, zsh or fish
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// The shells whose completions the tests load and use.
#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const HELP: &str = "\
The script goes to stdout. Where the shells look for it:
  otr completions bash > ~/.local/share/bash-completion/completions/otr
  otr completions zsh > DIR/_otr     (DIR is one of $fpath)
  otr completions fish > ~/.config/fish/completions/otr.fish";

pub(crate) fn run(context: &Context, args: &Args, all: &Command) -> Result<(), Failure> {
    let script = script(args.shell, all);
    let written = stdio::output()?.write_all(script.as_bytes());
    written.map_err(|error| Failure::output(&error))?;
    context.voice.guide(match args.shell {
        Shell::Bash => {
            "to have bash use this: otr completions bash > \
                 ~/.local/share/bash-completion/completions/otr"
        }
        Shell::Zsh => {
            "to have zsh use this: otr completions zsh > DIR/_otr, where DIR is one of $fpath"
        }
        Shell::Fish => {
            "to have fish use this: otr completions fish > ~/.config/fish/completions/otr.fish"
        }
    });
    Ok(())
}

fn script(shell: Shell, all: &Command) -> String {
    let mut bytes = Vec::new();
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    generate(generator, &mut visible(all), "otr", &mut bytes);
    let script = String::from_utf8_lossy(&bytes);
    match shell {
        Shell::Bash => bash(&script),
        Shell::Zsh => zsh(&script),
        Shell::Fish => fish(&script, all),
    }
}

/// The command without hidden parts, which the generators do not leave out.
fn visible(all: &Command) -> Command {
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let top = Command::new("otr").version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true);
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set());
    // Leaked, because clap requires static strings; this command ends as soon as they are written.
    let names: Vec<&'static str> =
        commands.map(|command| &*command.get_name().to_owned().leak()).collect();
    // clap's own `help` would have a subcommand for each other command.
    let command = Arg::new("command").value_parser(PossibleValuesParser::new(names));
    let help = Command::new("help").about("Show the help of a command").arg(command);
    Common::augment_args(top).subcommands(shown).subcommand(help)
}

/// Replaces file names by session names, and leaves file names to readline, which quotes them
/// properly. To bash, `--session=al` is three words, of which the second is `=`.
fn bash(script: &str) -> String {
    const FILES: &str = r#"COMPREPLY=($(compgen -f "${cur}"))"#;
    const NAMES: &str = concat!(
        r#"COMPREPLY=($(compgen -W "$(otr complete-sessions -- "${COMP_WORDS[@]}" 2>/dev/null)" "#,
        r#"-- "${cur}"))"#
    );
    const BY_READLINE: &str = "COMPREPLY=()";
    const PREVIOUS: &str = "    prev=\"$3\"\n";
    const BEFORE_EQUALS: &str = r#"    if [[ "${prev}" == "=" && COMP_CWORD -gt 1 ]]; then
        prev="${COMP_WORDS[COMP_CWORD - 2]}"
    fi
"#;
    let mut script = script.replace(PREVIOUS, &format!("{PREVIOUS}{BEFORE_EQUALS}"));
    for option in ["--session)", "-s)"] {
        let arm = |words| format!("{option}\n                    {words}\n");
        script = script.replace(&arm(FILES), &arm(NAMES));
    }
    // readline quotes directories only if they are declared to be file names.
    script
        .replace(FILES, BY_READLINE)
        .replace("compopt -o plusdirs", "compopt -o plusdirs -o filenames")
}

/// Makes a function the source of the words; `$words` lacks everything before the command, so the
/// function reads the line itself.
fn zsh(script: &str) -> String {
    const NAMES: &str = r#"
_otr_sessions() {
    local -a names
    names=(${(f)"$(otr complete-sessions -- ${(Q)${(z)LBUFFER}} 2>/dev/null)"})
    compadd -a names
}
"#;
    alter_lines(script, |line| match line.strip_suffix(":NAME:_default' \\") {
        Some(option) => format!("{option}:NAME:_otr_sessions' \\"),
        None if line.starts_with("if [ \"$funcstack") => format!("{NAMES}\n{line}"),
        None => line.to_owned(),
    })
}

/// Adds the source of the words, and the words that are possible as arguments: the generator only
/// knows those of options.
fn fish(script: &str, all: &Command) -> String {
    let mut script = alter_lines(script, |line| {
        if !line.contains(" -s s -l session ") {
            return line.to_owned();
        }
        // The condition is false after `otr -s `, because argparse finds no value there.
        let line = line.replace(r#" -n "__fish_otr_needs_command""#, "");
        line + r#" -f -a "(otr complete-sessions -- (commandline -opc) 2>/dev/null)""#
    });
    let command = visible(all);
    for command in command.get_subcommands() {
        let words = command.get_positionals().flat_map(Arg::get_possible_values);
        let words: Vec<_> = words.map(|word| word.get_name().to_owned()).collect();
        if !words.is_empty() {
            let (name, words) = (command.get_name(), words.join(" "));
            let when = format!("__fish_otr_using_subcommand {name}");
            let _ = writeln!(script, r#"complete -c otr -n "{when}" -f -a "{words}""#);
        }
    }
    script
}

fn alter_lines(script: &str, alter: impl Fn(&str) -> String) -> String {
    script.lines().map(|line| alter(line) + "\n").collect()
}
