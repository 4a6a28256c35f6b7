//! The steps of the tour, in the order in which two people would take them.

use std::env;
use std::path::PathBuf;

use super::line::Line;
use crate::context::Context;
use crate::failure::{Code, Failure};

/// One line and its expected outcome.
pub(super) struct Step {
    pub(super) story: &'static str,
    /// What runs in the background meanwhile, and must succeed.
    pub(super) background: Option<Line>,
    pub(super) line: Line,
    pub(super) outcome: Outcome,
}

/// The expected outcome of a line. In every case except `Ends`, all its commands end with 0.
pub(super) enum Outcome {
    Done,
    /// The last command writes this.
    Writes(&'static str),
    /// The last command writes this among other things.
    Shows(&'static str),
    /// These files are identical.
    Copies {
        original: PathBuf,
        copy: &'static str,
    },
    /// The last command ends with this code.
    Ends(Code),
}

impl Outcome {
    /// What to say when the outcome is as expected.
    pub(super) fn praise(&self) -> String {
        match self {
            Self::Done | Self::Writes(_) | Self::Shows(_) => String::new(),
            Self::Copies { copy, .. } => format!("  ({copy} is the same, byte for byte)\n"),
            Self::Ends(code) => format!("  (exit code {}, {})\n", *code as u8, code.name()),
        }
    }
}

/// The whole tour, over the postbox at `url`. A new command of `otr` gets its step here.
pub(super) fn tour(context: &Context, url: &str) -> Result<Vec<Step>, Failure> {
    let mut steps = through_the_postbox(context, url)?;
    steps.extend(without_a_server(context));
    Ok(steps)
}

pub(super) fn step(story: &'static str, line: Line, outcome: Outcome) -> Step {
    Step { story, background: None, line, outcome }
}

fn through_the_postbox(context: &Context, url: &str) -> Result<Vec<Step>, Failure> {
    let program = env::current_exe().map_err(|error| {
        Failure::new(Code::Failed, format!("cannot find this program's file: {error}"), "")
    })?;
    let alice = Person { name: "alice", context };
    let bob = Person { name: "bob", context };
    Ok(vec![
        step(
            "Alice's invite names it; she sends the invite to Bob over any channel",
            Line::new(alice.otr(&["init", "--postbox", url])).to("invite"),
            Outcome::Done,
        ),
        step(
            "Bob agrees to this postbox, and posts his reply there",
            Line::new(bob.otr(&["respond", "--postbox", url])).from("invite"),
            Outcome::Done,
        ),
        step(
            "a line from Alice: her end finds the reply, and posts it",
            Line::new(["echo", "hello, bob"]).pipe(alice.otr(&["send"])),
            Outcome::Done,
        ),
        step("for Bob", Line::new(bob.otr(&["recv"])), Outcome::Writes("hello, bob\n")),
        step(
            "and one back; from here on every turn brings fresh keys",
            Line::new(["echo", "hello, alice"]).pipe(bob.otr(&["send"])),
            Outcome::Done,
        ),
        step("for Alice", Line::new(alice.otr(&["recv"])), Outcome::Writes("hello, alice\n")),
        Step {
            background: Some(Line::new(bob.otr(&["recv"])).to("copy")),
            ..step(
                "a real file, this program itself; Alice's end waits until Bob's has opened it",
                Line::new(alice.otr(&["send", "--confirm"])).from(&program),
                Outcome::Copies { original: program, copy: "copy" },
            )
        },
        step("what Bob's end knows now", Line::new(bob.otr(&["status"])), Outcome::Done),
        step(
            "Alice closes: her keys are gone, the packet that says so is posted",
            Line::new(alice.otr(&["close"])),
            Outcome::Done,
        ),
        step("Bob is told", Line::new(bob.otr(&["recv"])), Outcome::Ends(Code::Closed)),
        step("so he closes, too", Line::new(bob.otr(&["close"])), Outcome::Done),
    ])
}

fn without_a_server(context: &Context) -> Vec<Step> {
    let carol = Person { name: "carol", context };
    let dave = Person { name: "dave", context };
    vec![
        step(
            "without any server: the handshake as one pipeline, over ssh if you like",
            Line::new(carol.otr(&["init"])).pipe(dave.otr(&["respond"])).pipe(carol.otr(&["recv"])),
            Outcome::Done,
        ),
        step(
            "and a line the same way",
            Line::new(["echo", "hello, dave"]).pipe(carol.otr(&["send"])).pipe(dave.otr(&["recv"])),
            Outcome::Writes("hello, dave\n"),
        ),
        step(
            "the emergency exit: every session is wiped, nobody is told",
            Line::new(carol.program().into_iter().chain(["close", "--all"])),
            Outcome::Done,
        ),
    ]
}

/// One of the ends.
struct Person<'a> {
    name: &'static str,
    context: &'a Context,
}

impl Person<'_> {
    /// A command of this person.
    fn otr<'w>(&self, arguments: &[&'w str]) -> Vec<&'w str> {
        let named = self.program().into_iter().chain(["-s", self.name]);
        named.chain(arguments.iter().copied()).collect()
    }

    /// `otr`, with the options that it needs in the tour's directory.
    fn program(&self) -> Vec<&'static str> {
        let disk = self.context.options.allow_disk.then_some("--allow-disk");
        ["otr"].into_iter().chain(disk).collect()
    }
}
