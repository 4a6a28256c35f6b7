//! The steps of the tour, in the order in which two people meet them.

use std::env;
use std::path::PathBuf;

use super::line::Line;
use crate::commands::Context;
use crate::failure::{Code, Failure};

/// One line, and what has to come of it.
pub(super) struct Step {
    pub(super) story: &'static str,
    pub(super) line: Line,
    pub(super) outcome: Outcome,
}

/// What has to come of a line. In each case but `Ends` all its commands end with 0.
pub(super) enum Outcome {
    Done,
    /// The last command writes this.
    Writes(&'static str),
    /// The last command writes this among other things.
    Shows(&'static str),
    /// These are the same, byte for byte.
    Copies {
        original: PathBuf,
        copy: &'static str,
    },
    /// The last command ends with this code.
    Ends(Code),
}

impl Outcome {
    /// What is worth saying when it came so.
    pub(super) fn praise(&self) -> String {
        match self {
            Self::Done | Self::Writes(_) | Self::Shows(_) => String::new(),
            Self::Copies { copy, .. } => format!("  ({copy} is the same, byte for byte)\n"),
            Self::Ends(code) => format!("  (exit code {}, {})\n", *code as u8, code.name()),
        }
    }
}

/// All of it. A new command of `otr` gets its step here.
pub(super) fn tour(context: &Context) -> Result<Vec<Step>, Failure> {
    let program = env::current_exe().map_err(|error| {
        Failure::new(Code::Failed, format!("cannot find this program's file: {error}"), "")
    })?;
    let alice = Person { name: "alice", context };
    let bob = Person { name: "bob", context };
    let step = |story, line, outcome| Step { story, line, outcome };
    Ok(vec![
        step(
            "Alice's invite, Bob's reply, and back: the handshake as one pipeline",
            Line::new(alice.otr(&["init"])).pipe(bob.otr(&["respond"])).pipe(alice.otr(&["recv"])),
            Outcome::Done,
        ),
        step(
            "a line from Alice to Bob",
            Line::new(["echo", "hello, bob"]).pipe(alice.otr(&["send"])).pipe(bob.otr(&["recv"])),
            Outcome::Writes("hello, bob\n"),
        ),
        step(
            "and one back; from here on every turn brings fresh keys",
            Line::new(["echo", "hello, alice"]).pipe(bob.otr(&["send"])).pipe(alice.otr(&["recv"])),
            Outcome::Writes("hello, alice\n"),
        ),
        step(
            "a real file, as bytes instead of lines: this program's own",
            Line::new(alice.otr(&["send", "--raw"]))
                .from(&program)
                .pipe(bob.otr(&["recv"]))
                .to("copy"),
            Outcome::Copies { original: program, copy: "copy" },
        ),
        step("what Bob's end knows now", Line::new(bob.otr(&["status"])), Outcome::Done),
        step(
            "Alice closes: Bob is told, and her keys are gone",
            Line::new(alice.otr(&["close"])).pipe(bob.otr(&["recv"])),
            Outcome::Ends(Code::Closed),
        ),
        step("so does Bob", Line::new(bob.otr(&["close"])).to("last"), Outcome::Done),
    ])
}

/// One of the two ends.
struct Person<'a> {
    name: &'static str,
    context: &'a Context,
}

impl Person<'_> {
    /// A command of this person's.
    fn otr(&self, arguments: &[&'static str]) -> Vec<&'static str> {
        let disk = self.context.options.allow_disk.then_some("--allow-disk");
        let begin = ["otr"].into_iter().chain(disk).chain(["-s", self.name]);
        begin.chain(arguments.iter().copied()).collect()
    }
}
