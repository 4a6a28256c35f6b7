//! The end of the tour: a stranger who recorded a conversation rewrites it, and both versions
//! verify.

use super::line::Line;
use super::tour::{Outcome, Step, step};
use crate::context::Context;
use crate::failure::Code;

const SAID: &str = "I owe you 10";
const FORGED: &str = "I owe you 99";

/// Uses a separate conversation; by then no earlier session is left.
pub(super) fn steps(context: &Context) -> Vec<Step> {
    let otr = |arguments: &[&'static str]| -> Vec<&'static str> {
        let disk = context.options.allow_disk.then_some("--allow-disk");
        ["otr"].into_iter().chain(disk).chain(arguments.iter().copied()).collect()
    };
    let record = || ["tee", "-a", "tape"];
    vec![
        step(
            "now Mallory listens, and keeps everything that goes over the line",
            Line::new(otr(&["-s", "alice", "init"]))
                .pipe(record())
                .pipe(otr(&["-s", "bob", "respond"]))
                .pipe(record())
                .pipe(otr(&["-s", "alice", "recv"])),
            Outcome::Done,
        ),
        step(
            "Alice writes to Bob",
            Line::new(["echo", SAID])
                .pipe(otr(&["-s", "alice", "send"]))
                .pipe(record())
                .to("packet"),
            Outcome::Done,
        ),
        step(
            "somebody copies Bob's keys before he reads it",
            Line::new(otr(&["-q", "-s", "bob", "export"])).to("keys"),
            Outcome::Done,
        ),
        step(
            "Bob's session continues from the copy",
            Line::new(otr(&["-q", "-s", "bob", "export", "--forget"])),
            Outcome::Done,
        ),
        step(
            "as if nothing had happened",
            Line::new(otr(&["-q", "-s", "bob", "import"])).from("keys"),
            Outcome::Done,
        ),
        step(
            "and reads",
            Line::new(otr(&["-s", "bob", "recv"])).from("packet"),
            Outcome::Writes("I owe you 10\n"),
        ),
        step(
            "Bob closes, and publishes the MAC key of what he has read",
            Line::new(otr(&["-s", "bob", "close"]))
                .pipe(record())
                .pipe(otr(&["-s", "alice", "recv"])),
            Outcome::Ends(Code::Closed),
        ),
        step(
            "with that key alone Mallory rewrites the line",
            Line::new(otr(&["forge", "--was", SAID, "--says", FORGED, "tape"])).to("forged"),
            Outcome::Done,
        ),
        step(
            "both versions verify; nothing tells which is Alice's",
            Line::new(["cat", "tape", "forged"]).pipe(otr(&["inspect", "--keys"])).pipe([
                "sed",
                "-n",
                "/Which/,$p",
            ]),
            Outcome::Shows("at least one is forged, and nothing tells which"),
        ),
        step(
            "even with Bob's own keys from before he read",
            Line::new(otr(&["-q", "-s", "judge", "import"])).from("keys"),
            Outcome::Done,
        ),
        step(
            "the forgery says what Mallory wants",
            Line::new(otr(&["-s", "judge", "recv"])).from("forged"),
            Outcome::Writes("I owe you 99\n"),
        ),
        step(
            "so a tape proves nothing; all are wiped",
            Line::new(otr(&["close", "--all"])),
            Outcome::Done,
        ),
    ]
}
