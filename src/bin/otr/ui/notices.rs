//! The notices of the conversation engine and of the postbox's client, as sentences.

use std::sync::Arc;

use otr::conversation::Notice;
use otr::postbox::client;

use super::speak::{Voice, warn};
use super::units;

/// Reports the engine's notices.
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
        "the session is open; nobody's identity has been checked yet"
    }
}

/// Tells a person, even with `-q`, because nothing else shows any of this.
pub(crate) fn tell(notice: &Notice<'_>) {
    match *notice {
        Notice::TooLarge { count, largest } => too_large(count, largest >> 10),
        Notice::Waits(error) => warn(format_args!("a packet is waiting to be posted: {error}")),
        Notice::Dropped(1) => {
            warn("a packet that waited to be handed out is dropped with the session");
        }
        Notice::Dropped(count) => warn(format_args!(
            "{count} packets that waited to be handed out are dropped with the session"
        )),
        Notice::GivenUp(message) => warn(format_args!(
            "message {message} is given up: later ones have arrived, but its rest has not"
        )),
        Notice::StillWaits(error) => {
            warn(format_args!("a packet is still waiting to be posted: {error}"));
        }
        Notice::NotTold(error) => {
            warn(format_args!(
                "the other side has not been told yet that the session is open: {error}"
            ));
        }
        Notice::ReplyStays(error) => {
            warn(format_args!("the reply stays in the postbox until it expires: {error}"));
        }
        Notice::Guesses(Ok(count)) if count > 1 => warn(format_args!(
            "this is invite {count} answered with a secret within a day, and of none of them is it \
             known yet that the other side has it; each gave its author one guess at the \
             secret, so take another one if you did not expect that many"
        )),
        Notice::Guesses(Err(error)) => {
            warn(format_args!("cannot count answered invites: {error}"));
        }
        Notice::GoesOn(message) => {
            warn(format_args!("message {message} continues where an earlier recv was stopped"));
        }
        _ => {}
    }
}

/// Reports waiting packets of earlier commands that are refused for their size.
fn too_large(count: usize, largest: usize) {
    let which = match count {
        1 => format!("a waiting packet of {largest} KiB is refused for its size"),
        count => {
            format!("{count} waiting packets of up to {largest} KiB are refused for their size")
        }
    };
    warn(format_args!(
        "{which}, and later ones overtake; 'otr send --last --stdout' writes out what is waiting, for \
         'otr recv --stdin'"
    ));
}

/// Reports what takes long at the postbox; not with `-q`.
pub(crate) fn of_postbox(voice: Voice) -> client::Listener {
    Arc::new(move |notice| {
        match notice {
        client::Notice::Unreachable(error) => {
            voice.say(format_args!("{error}; trying again"));
        }
        client::Notice::Instead(error) => {
            voice.say(format_args!("{error}; another one is used meanwhile"));
        }
        client::Notice::Back(host) => {
            voice.say(format_args!("the postbox {host} answers again"));
        }
        client::Notice::Crowded(host) => {
            voice.say(format_args!("the postbox {host} is crowded and asks for work first"));
        }
        client::Notice::Joined => voice.say(
            "the proxy takes no user names that are made up for each call, so all calls may go one way, \
             and the postbox can see which belong together; if it is Tor, use --tor",
        ),
        _ => {}
    }
    })
}

/// Reports that the postbox keeps packets for a much shorter time than usual.
pub(crate) fn keeps_short(voice: Voice, host: &str, seconds: u64) {
    let age = units::age(seconds);
    let words = format_args!(
        "the postbox {host} keeps this for only {age}; the other side must collect it by then"
    );
    voice.say_number(words, "keeps", seconds);
}
