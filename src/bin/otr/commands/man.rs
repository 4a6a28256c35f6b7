//! `otr man`: the manual, from the definitions in `cli.rs`: a page for `otr` and one for each
//! command. This module adds what clap does not know: exit codes, environment and files.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::story::FIRST_STEPS;
use crate::ui::stdio;

/// When the pages last changed in substance. A page needs a date, and a date from the clock would
/// make the pages of every build differ.
const DATE: &str = "2026-11-23";

/// `otr man`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write all pages to DIR, which is made if necessary, instead of otr(1) to stdout
    // A separate id, because the common --dir uses the name of the field.
    #[arg(id = "pages", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &Args, mut command: Command) -> Result<(), Failure> {
    command.build();
    let Some(dir) = &args.dir else {
        let page = page(&command, &command).map_err(|error| Failure::output(&error))?;
        stdio::output()?.write_all(&page).map_err(|error| Failure::output(&error))?;
        context.voice.guide("to read it: otr man | man -l -; to have all pages: otr man DIR");
        return Ok(());
    };
    fs::create_dir_all(dir).map_err(|error| {
        let what = format!("cannot make {}: {error}", dir.display());
        Failure::new(Code::Failed, what, "name a directory that you can write to").about(dir)
    })?;
    let commands = command.get_subcommands().filter(|command| has_page(command));
    for one in commands.chain([&command]) {
        let file = dir.join(format!("{}.1", title(one)));
        let written = page(one, &command).and_then(|page| fs::write(&file, page));
        written.map_err(|error| {
            let what = format!("cannot write {}: {error}", file.display());
            Failure::new(Code::Failed, what, "name a directory that you can write to").about(&file)
        })?;
    }
    let shown = dir.display();
    let words = format_args!("the pages are in {shown}; to read one: man -l {shown}/otr.1");
    context.voice.guide(words);
    Ok(())
}

/// `otr help` needs no page: what it shows is in these pages.
fn has_page(command: &Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// The page of `command`, which is `top` or one of its commands.
fn page(command: &Command, top: &Command) -> io::Result<Vec<u8>> {
    let is_top = command.get_name() == top.get_name();
    let source = format!("otr {}", env!("CARGO_PKG_VERSION"));
    let command =
        command.clone().subcommand_value_name("COMMAND").subcommand_help_heading("COMMANDS");
    let man = Man::new(command.clone()).date(DATE).source(source).manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if is_top {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    if let (false, Some(notes)) = (is_top, command.get_after_long_help()) {
        as_it_stands(&mut rest, "NOTES", &notes.to_string());
    }
    exit_status(&mut rest);
    json(&mut rest);
    environment(&mut rest, top);
    files(&mut rest);
    if is_top {
        as_it_stands(&mut rest, "EXAMPLES", FIRST_STEPS);
    }
    see_also(&mut rest, &command, top);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// A paragraph with a hanging first line.
fn entry(roff: &mut Roff, head: Inline, text: impl Into<String>) {
    roff.control("TP", []);
    roff.text([head]);
    roff.text([roman(text)]);
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    roff.text([roman("The numbers and the names, which errors carry under --json, are stable.")]);
    entry(roff, bold("0 ok"), "done; for mixed input, at least one new message arrived complete");
    for code in Code::ALL {
        entry(roff, bold(format!("{} {}", code as u8, code.name())), code.meaning());
    }
}

fn json(roff: &mut Roff) {
    roff.control("SH", ["JSON"]);
    roff.text([roman(
        "Under --json each line on stderr is an object. It has a level (error, warning, notice or, \
         with -v, detail) and a message for people. An error is the last line, and also has error \
         (the name of the exit status), code (its number) and hint. What is about a file has file, \
         its exact name, or file_base64 where that is not UTF-8. More fields may come.",
    )]);
}

fn environment(roff: &mut Roff, top: &Command) {
    roff.control("SH", ["ENVIRONMENT"]);
    for option in top.get_arguments() {
        if let (Some(name), Some(long)) = (option.get_env(), option.get_long()) {
            let name = bold(name.to_string_lossy());
            entry(
                roff,
                name,
                format!("what --{long} is where it is not given; empty counts as unset"),
            );
        }
    }
    entry(
        roff,
        bold("RUNTIME_DIRECTORY, XDG_RUNTIME_DIR"),
        "where a directory in memory is looked for first",
    );
    entry(roff, bold("TERM"), "a terminal that is dumb is shown no progress");
}

fn files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    for directory in [
        "$RUNTIME_DIRECTORY/otr/",
        "$XDG_RUNTIME_DIR/otr/",
        "/run/user/UID/otr/",
        "/dev/shm/otr-UID/",
    ] {
        roff.control("TP", []);
        roff.text([roman(directory), italic("NAME"), roman(".state")]);
        roff.text([roman(match directory {
            "$RUNTIME_DIRECTORY/otr/" => {
                "the state of a session, with all its keys: for its user alone, in memory alone, \
                 and gone with a restart"
            }
            _ => "the same, where the directories above cannot be used",
        })]);
    }
}

/// A section whose line breaks are kept.
fn as_it_stands(roff: &mut Roff, heading: &str, text: &str) {
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

fn see_also(roff: &mut Roff, command: &Command, top: &Command) {
    roff.control("SH", ["SEE ALSO"]);
    let commands = top.get_subcommands().filter(|other| has_page(other));
    let others = [top].into_iter().chain(commands);
    let others = others.map(title).filter(|other| *other != title(command));
    let list: Vec<String> = others.map(|other| format!("{other}(1)")).collect();
    roff.text([roman(list.join(", "))]);
}
