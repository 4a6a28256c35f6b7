//! What the engine of a conversation and the postbox's client may tell, as sentences.

use std::sync::Arc;

use otr::conversation::Notice;
use otr::postbox::client;

use super::speak::{Voice, warn};
use super::units;

/// Tells what the engine may tell.
pub(crate) fn of_engine(voice: Voice) -> impl Fn(&Notice<'_>) + Send + Sync + 'static {
    move |notice| match notice {
        Notice::Opened { secret } => voice.say(opened(*secret)),
        other => tell(other),
    }
}

/// What to say when the reply was accepted.
pub(crate) fn opened(secret: bool) -> &'static str {
    if secret {
        "the session is open; the other side knows the secret"
    } else {
        "the session is open; nobody's identity was checked yet"
    }
}

/// Tells a person, also with `-q`: none of it is seen otherwise.
pub(crate) fn tell(notice: &Notice<'_>) {
    match *notice {
        Notice::TooLarge { count, largest } => too_large(count, largest >> 10),
        Notice::Waits(error) => warn(format_args!("a packet waits to be posted: {error}")),
        Notice::Dropped(1) => {
            warn("a packet that waited to be handed out is dropped with the session");
        }
        Notice::Dropped(count) => warn(format_args!(
            "{count} packets that waited to be handed out are dropped with the session"
        )),
        Notice::GivenUp(message) => warn(format_args!(
            "message {message} is given up: later ones came, and its rest did not"
        )),
        Notice::StillWaits(error) => {
            warn(format_args!("a packet still waits to be posted: {error}"));
        }
        Notice::NotTold(error) => {
            warn(format_args!("the other side was not told yet that the session is open: {error}"));
        }
        Notice::ReplyStays(error) => {
            warn(format_args!("the reply stays in the postbox until its time is up: {error}"));
        }
        Notice::GoesOn(message) => {
            warn(format_args!("message {message} goes on where an earlier recv was ended"));
        }
        _ => {}
    }
}

/// Packets that an earlier command has taken are refused for their size.
fn too_large(count: usize, largest: usize) {
    let which = match count {
        1 => format!("a packet of {largest} KiB that waits is refused for its size"),
        count => {
            format!("{count} packets that wait, of up to {largest} KiB, are refused for their size")
        }
    };
    warn(format_args!(
        "{which}, and what comes after goes by; 'otr send --last --stdout' writes out what waits, for \
         'otr recv --stdin'"
    ));
}

/// Tells what takes long at the postbox; not with `-q`.
pub(crate) fn of_postbox(voice: Voice) -> client::Listener {
    Arc::new(move |notice| match notice {
        client::Notice::Unreachable(error) => {
            voice.say(format_args!("{error}; it is tried again and again"));
        }
        client::Notice::Back(host) => {
            voice.say(format_args!("the postbox {host} is there again"));
        }
        client::Notice::Crowded(host) => {
            voice.say(format_args!("the postbox {host} is crowded, and asks for work first"));
        }
        _ => {}
    })
}

/// The postbox keeps what was posted much shorter than is usual.
pub(crate) fn keeps_short(voice: Voice, host: &str, seconds: u64) {
    let age = units::age(seconds);
    let words = format_args!(
        "the postbox {host} keeps this for {age} only; the other side has to collect it by then"
    );
    voice.say_number(words, "keeps", seconds);
}
