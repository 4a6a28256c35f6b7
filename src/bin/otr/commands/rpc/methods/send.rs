//! What goes out.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use otr::conversation::{Cause, Conversation, Error, ErrorKind, K_SHORT, block_on, random_part};
use otr::protocol::packet::{K_MIN, size};
use otr::store::inherited::{self, Use};
use otr::store::patient::Patient;
use zeroize::Zeroizing;

use crate::commands::rpc::answer::{self, Answer};
use crate::commands::rpc::call::{Call, Done, Waiting, wrong};
use crate::commands::rpc::client::Running;
use crate::commands::rpc::outlet::{Way, posted_object};
use crate::commands::send::too_long_for_later;
use crate::failure::{Code, Failure};
use crate::worker;

/// What a call wants sent.
enum Text {
    Here(Zeroizing<Vec<u8>>),
    /// From a file or a descriptor.
    From(Patient<File>),
}

impl Text {
    fn of(call: &Call) -> Result<Self, Failure> {
        let params = &call.params;
        let given =
            (params.text("text"), params.text("base64"), params.text("file"), params.number("fd"));
        match given {
            (Some(text), None, None, None) => Ok(Self::Here(text.as_bytes().to_vec().into())),
            (None, Some(text), None, None) => match STANDARD.decode(text) {
                Ok(bytes) => Ok(Self::Here(bytes.into())),
                Err(_) => {
                    Err(wrong("'base64' is not base64", "use A-Z, a-z, 0-9, + and /, with ="))
                }
            },
            (None, None, Some(path), None) => {
                let path = Path::new(path);
                let opened = File::open(path).map(Patient::new).map(Self::From);
                opened.map_err(|error| {
                    let what = format!("cannot read {}: {error}", path.display());
                    Failure::new(Code::Usage, what, "'otr rpc' has to be able to read it")
                        .about(path)
                })
            }
            (None, None, None, Some(number)) => {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                inherited::duplicate(number, Use::Read).map(Self::From).map_err(|error| {
                    let what = format!("cannot read descriptor {number}: {error}");
                    Failure::new(Code::Usage, what, "'otr rpc' has to have inherited it")
                })
            }
            _ => Err(wrong(
                "'send' takes one of 'text', 'base64', 'file' and 'fd'",
                "an empty message is an empty 'text'",
            )),
        }
    }
}

/// Whether two messages can be posted in one step: short ones, which the caller need not hear of later.
pub(super) fn joins(one: &Call, next: &Call) -> bool {
    let is_plain = |call: &Call| {
        let params = &call.params;
        let given = ["text", "base64"].map(|name| params.text(name));
        given.iter().flatten().any(|text| text.len() < size(K_MIN) * 4 / 3)
            && !["confirm", "by_hand", "later"].iter().any(|name| params.is_set(name))
            && params.number("hold").is_none()
    };
    is_plain(one) && is_plain(next) && one.seconds("retry") == next.seconds("retry")
}

/// Sends messages of one session, in order.
pub(super) fn send(all: Vec<Waiting>) {
    let mut all = VecDeque::from(all);
    while !all.is_empty() {
        let (count, done) = if all.len() > 1 { together(&all) } else { (0, Ok(())) };
        if count > 0 {
            let done = done.map(|()| posted_object());
            let (answers, running): (Vec<_>, Vec<_>) = all
                .drain(..count)
                .map(|waiting| ((waiting.answer, done.clone()), waiting.running))
                .unzip();
            answer::give_all(answers);
            drop(running);
        } else if let Some(Waiting { call, answer, running }) = all.pop_front() {
            alone(call, answer, running);
        }
    }
}

/// Sends as many of these messages as fit into one step; of how many, from the first on, this is true, if
/// of any.
fn together(all: &VecDeque<Waiting>) -> (usize, Result<(), Failure>) {
    let here = all.iter().map_while(|waiting| match Text::of(&waiting.call) {
        Ok(Text::Here(text)) => Some(text),
        _ => None,
    });
    let texts: Vec<_> = here.collect();
    let Some(Waiting { call, .. }) = all.front().filter(|_| texts.len() > 1) else {
        return (0, Ok(()));
    };
    let begun = call.context.open().and_then(|files| {
        let mut conversation = Conversation::open(files);
        let way = Way::of(call, &mut conversation, false).map_err(Failure::of_sending)?;
        Ok((conversation, way))
    });
    let (mut conversation, mut way) = match begun {
        Ok(begun) => begun,
        Err(failure) => return (texts.len(), Err(failure)),
    };
    let texts: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
    let (count, sent) = block_on(async { conversation.send_together(&mut way, &texts).await });
    let sent = sent.map_err(|error| Failure::from(error).of_sending());
    // What prevents the first before it is sealed prevents them all: they need not wait for it one by one.
    let count = if count == 0 && sent.is_err() { texts.len() } else { count };
    (count, sent)
}

fn alone(call: Call, answer: Answer, running: Running) {
    // If there is no thread for it, the answer says that the call has ended.
    if call.seconds("hold").is_some() {
        drop(worker::start(move || {
            match held(&call).and_then(|()| whole(&call)) {
                Ok(way) => confirmed(&call, way, answer),
                Err(failure) => answer.give(Err(failure)),
            }
            drop(running);
        }));
        return;
    }
    match whole(&call) {
        Ok(way) if call.params.is_set("confirm") => drop(worker::start(move || {
            confirmed(&call, way, answer);
            drop(running);
        })),
        sent => answer.give(sent.map(Way::told)),
    }
}

/// Answers when the other side has opened the message, if the call asks for that.
fn confirmed(call: &Call, mut way: Way, answer: Answer) {
    let is_asked = call.params.is_set("confirm");
    let opened = if is_asked { way.opened(call.seconds("wait")) } else { Ok(()) };
    answer.give(opened.map(|()| way.told()));
}

/// Waits for the message's moment. Nobody else waits for it, and until then it is not in the session.
fn held(call: &Call) -> Result<(), Failure> {
    let not_held = |what, hint: &'static str| Err(wrong(what, hint).of_sending());
    if call.params.is_set("by_hand") || call.params.is_set("later") {
        return not_held(
            "'hold' is for what is posted at its moment",
            "leave 'by_hand' and 'later' out",
        );
    }
    // Before anything is waited for in vain.
    Text::of(call)?;
    let mut conversation = Conversation::open(call.context.open()?);
    if let Way::Gather(_) = Way::of(call, &mut conversation, false).map_err(Failure::of_sending)? {
        return not_held(
            "'hold' is for a session with a postbox",
            "nothing was sent: leave it out",
        );
    }
    let part = random_part(call.seconds("hold").unwrap_or_default());
    std::thread::sleep(part.map_err(|error| Failure::from(error).of_sending())?);
    Ok(())
}

/// Sends it, and with 'later' leaves it in the session.
fn whole(call: &Call) -> Result<Way, Failure> {
    if !call.params.is_set("later") {
        return sent(call);
    }
    if ["confirm", "by_hand"].iter().any(|name| call.params.is_set(name)) {
        let what = "'later' leaves the message in the session, without 'confirm' and 'by_hand'";
        return Err(wrong(what, "nothing was sent: leave them out").of_sending());
    }
    let text = match Text::of(call)? {
        Text::Here(text) => text,
        Text::From(_) => {
            return Err(wrong("'later' takes 'text' or 'base64'", "nothing was sent").of_sending());
        }
    };
    let mut conversation = Conversation::open(call.context.open()?);
    let mut way = Way::of(call, &mut conversation, false).map_err(Failure::of_sending)?;
    if let Way::Gather(_) = way {
        let what = "'later' is for a session with a postbox";
        return Err(wrong(what, "nothing was sent: leave it out").of_sending());
    }
    if text.len() >= size(K_SHORT) {
        return Err(too_long_for_later().of_sending());
    }
    match block_on(conversation.send(&mut way, &text)) {
        Ok(()) | Err(Error::Taken(_)) => Ok(way),
        // It needs more than one packet.
        Err(Error::NotBegun(_)) => Err(too_long_for_later().of_sending()),
        Err(error) => Err(Failure::from(error).of_sending()),
    }
}

fn sent(call: &Call) -> Result<Way, Failure> {
    let text = Text::of(call)?;
    let mut conversation = Conversation::open(call.context.open()?);
    // What flows can tell later that it was opened.
    let flows = matches!(text, Text::From(_)) || call.params.is_set("confirm");
    let mut way = Way::of(call, &mut conversation, flows).map_err(Failure::of_sending)?;
    if call.params.is_set("confirm") && matches!(way, Way::Gather(_)) {
        let what =
            "'confirm' is for a session with a postbox, which learns that the message was opened";
        return Err(wrong(what, "nothing was sent: leave it out").of_sending());
    }
    let sent = match text {
        Text::Here(text) => block_on(conversation.send(&mut way, &text)),
        Text::From(mut file) => {
            let read = |room: &mut [u8]| {
                file.read(room).map_err(|error| Cause::new(ErrorKind::Failed, error))
            };
            block_on(conversation.send_from(&mut way, read))
        }
    };
    sent.map_err(|error| Failure::from(error).of_sending())?;
    Ok(way)
}

pub(super) fn flush(call: &Call) -> Done {
    let mut conversation = Conversation::open(call.context.open()?);
    let mut way = Way::of(call, &mut conversation, false)?;
    block_on(conversation.flush(&mut way))?;
    Ok(way.told())
}

pub(super) fn resend(call: &Call) -> Done {
    let mut conversation = Conversation::open(call.context.open()?);
    let mut way = Way::of(call, &mut conversation, false)?;
    match block_on(conversation.resend(&mut way)) {
        Ok(true) => Ok(way.told()),
        Ok(false) => {
            let hint = "only the last message is kept, and only if it is short";
            Err(Failure::new(Code::Refused, "there is no message to send again", hint))
        }
        Err(error @ Error::Taken(_)) => Err(Failure::from(error).of_sending()),
        Err(error) => Err(error.into()),
    }
}
