//! What the engine of a conversation may tell, as sentences.

use otr::conversation::Notice;

use super::speak::warn;

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
