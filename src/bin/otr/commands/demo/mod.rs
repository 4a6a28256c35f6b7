//! `otr demo`: the whole tour in one command. Both ends and the postbox between them are processes
//! of this very program, in a directory that disappears afterwards; every line that is shown is the
//! line that runs.

mod family;
mod line;
mod place;
mod relay;
mod rewrite;
mod tour;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use otr::store::patient::Patient;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::stdio;
use line::Ran;
use place::Place;
use relay::Relay;
use tour::{Outcome, Step, tour};

pub(crate) fn run(context: &Context) -> Result<(), Failure> {
    let begin = Instant::now();
    let place = Place::make(context)?;
    let mut screen = Screen(stdio::output()?);
    let directory = place.path().display();
    screen.print(&format!("$ cd {directory} && export OTR_DIR=$PWD\n"))?;
    let line = relay::line()?;
    screen.print(&format!("\n# a postbox of our own, on this machine\n$ {line} &\n"))?;
    let relay = Relay::start(&line, &place)?;
    screen.indent(relay.said.as_bytes())?;
    for step in tour(context, &relay.url)?.into_iter().chain(rewrite::steps(context)) {
        show(&step, &place, &mut screen)?;
    }
    screen.print("\n# the postbox ends, and with it whatever lies in it\n$ kill %1\n")?;
    match relay.end(&place) {
        Ok(Some(said)) => screen.indent(said.as_bytes())?,
        _ => return Err(fault()),
    }
    let spent = begin.elapsed().as_secs_f32();
    screen.print(&format!("\nAll of it held, in {spent:.2} s; the directory is wiped.\n"))
}

/// Runs a step and shows it meanwhile.
fn show(step: &Step, place: &Place, screen: &mut Screen) -> Result<(), Failure> {
    let (directory, family) = (place.path(), place.family());
    screen.print(&format!("\n# {}\n", step.story))?;
    let background = match &step.background {
        None => None,
        Some(line) => {
            screen.print(&format!("$ {line} &\n"))?;
            Some(line.start(directory, family).map_err(|error| not_started(&error))?)
        }
    };
    screen.print(&format!("$ {}\n", step.line))?;
    let mut ran = step.line.run(directory, family).map_err(|error| not_started(&error))?;
    screen.indent(&ran.stdout)?;
    screen.indent(&ran.stderr)?;
    if let Some(background) = background {
        // The postbox is the first job.
        screen.print("$ wait %2\n")?;
        let background = background.wait().map_err(|error| not_started(&error))?;
        screen.indent(&background.stderr)?;
        ran.fed &= background.fed && background.code == Some(0);
    }
    judge(step, &ran, directory)?;
    screen.print(&step.outcome.praise())
}

fn not_started(error: &std::io::Error) -> Failure {
    Failure::new(Code::Failed, format!("cannot run this line: {error}"), "")
}

/// Where the tour is shown.
struct Screen(Patient<File>);

impl Screen {
    fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
    }

    /// Shows a command's output, indented.
    fn indent(&mut self, text: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(text);
        text.lines().try_for_each(|line| self.print(&format!("  {line}\n")))
    }
}

/// Checks the result of a step.
fn judge(step: &Step, ran: &Ran, directory: &Path) -> Result<(), Failure> {
    let code = match step.outcome {
        Outcome::Ends(code) => Some(i32::from(code as u8)),
        _ => Some(0),
    };
    let came_out = match &step.outcome {
        Outcome::Done | Outcome::Ends(_) => Ok(true),
        Outcome::Writes(text) => Ok(ran.stdout == text.as_bytes()),
        Outcome::Shows(text) => Ok(String::from_utf8_lossy(&ran.stdout).contains(text)),
        Outcome::Copies { original, copy } => same(original, &directory.join(copy)),
    };
    let came_out = came_out.map_err(|error| {
        Failure::new(Code::Failed, format!("cannot compare the files: {error}"), "")
    })?;
    if ran.fed && ran.code == code && came_out {
        return Ok(());
    }
    Err(fault())
}

fn fault() -> Failure {
    let what = "this line did not do what it should";
    Failure::new(Code::Failed, what, "this is a fault of otr: report it with what is above")
}

/// Whether two files are the same, byte for byte.
fn same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&mut one).take(COMPARED).read_to_end(&mut left)?;
        (&mut other).take(COMPARED).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

/// How much of each file is in memory while two files are compared, in bytes.
const COMPARED: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use line::Line;

    fn verdict(outcome: Outcome, ran: &Ran, directory: &Path) -> bool {
        let step = Step { story: "", background: None, line: Line::new(["true"]), outcome };
        judge(&step, ran, directory).is_ok()
    }

    #[test]
    fn a_step_that_goes_wrong_is_seen() {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        let here = directory.path();
        let ran = |code, stdout: &str, fed| Ran {
            code: Some(code),
            stdout: stdout.into(),
            stderr: Vec::new(),
            fed,
        };
        assert!(verdict(Outcome::Done, &ran(0, "", true), here));
        assert!(!verdict(Outcome::Done, &ran(0, "", false), here));
        assert!(!verdict(Outcome::Done, &ran(1, "", true), here));
        assert!(verdict(Outcome::Writes("a\n"), &ran(0, "a\n", true), here));
        assert!(!verdict(Outcome::Writes("a\n"), &ran(0, "a", true), here));
        assert!(verdict(Outcome::Shows("b"), &ran(0, "a b c\n", true), here));
        assert!(!verdict(Outcome::Shows("d"), &ran(0, "a b c\n", true), here));
        assert!(verdict(Outcome::Ends(Code::Closed), &ran(7, "", true), here));
        assert!(!verdict(Outcome::Ends(Code::Closed), &ran(0, "", true), here));

        let original = here.join("original");
        let copies = || Outcome::Copies { original: original.clone(), copy: "copy" };
        let long = vec![7; 3 << 20];
        std::fs::write(&original, &long).unwrap();
        assert!(!verdict(copies(), &ran(0, "", true), here), "no copy");
        for (copy, held) in [(&long[..], true), (&long[1..], false), (&[], false)] {
            std::fs::write(here.join("copy"), copy).unwrap();
            assert_eq!(verdict(copies(), &ran(0, "", true), here), held);
        }
    }
}
