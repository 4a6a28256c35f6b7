//! What the check of a secret (`verify`) has come to, for the person, or for a program.

use otr::protocol::authentication::verify::{Event, FAILURES_MAX};
use serde_json::{Value, json};

use crate::ui::printable::line;
use crate::ui::speak::{Voice, warn};

/// Tells a person. Events that count against the session are told even with `-q`.
pub(super) fn tell(voice: Voice, event: &Event) {
    match event {
        Event::Asked { question } if question.is_empty() => {
            voice.say("the other side asks for a secret that you both know; answer: otr verify");
        }
        Event::Asked { question } => {
            voice.say(format_args!(
                "the other side asks \"{}\"; answer: otr verify",
                line(question)
            ));
        }
        Event::Crossed => voice.say("both sides asked at once; your question goes on"),
        Event::GaveWay => voice.say("both sides asked at once; the other side's question goes on"),
        Event::Equal => voice.say("the secrets are equal: nobody is in between"),
        Event::Different { failures } => {
            warn(format_args!("the secrets differ ({failures} of {FAILURES_MAX} failures)"));
        }
        Event::Unfinished { failures } => warn(format_args!(
            "the other side never ended the check before ({failures} of {FAILURES_MAX} failures)"
        )),
        Event::BadShare => warn("the other side asked with a value that cannot be used"),
        Event::Stopped => voice.say("the other side has stopped the check; nothing was compared"),
        Event::Dropped => voice.say("a step of a check that is over was dropped"),
    }
}

/// For a program: the fields of a line of `recv --json` that is no message.
pub(crate) fn object(event: &Event) -> Value {
    match event {
        Event::Asked { question } => json!({ "verify": "asked", "question": &**question }),
        Event::Crossed => json!({ "verify": "crossed" }),
        Event::GaveWay => json!({ "verify": "gave_way" }),
        Event::Equal => json!({ "verify": "equal" }),
        Event::Different { failures } => json!({ "verify": "different", "failures": failures }),
        Event::Unfinished { failures } => json!({ "verify": "unfinished", "failures": failures }),
        Event::BadShare => json!({ "verify": "bad_share" }),
        Event::Stopped => json!({ "verify": "stopped" }),
        Event::Dropped => json!({ "verify": "dropped" }),
    }
}
