//! The handshake over a link, where there is no session yet: the side of `--via` makes the invite, the
//! other one answers it.

use otr::armor::Item;
use otr::conversation::{Conversation, Files, Invitation, Packets, block_on};
use otr::protocol::authentication::password::Password;
use otr::protocol::session::stored::Stage;

use super::link::{Link, garbled};
use crate::commands::stored::{self, warn_of_logout};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::notices;

/// The session for the pipe, which is made now if there is none.
pub(super) fn greet(
    context: &Context,
    link: &mut Link,
    invites: bool,
    secret: Option<Password>,
) -> Result<Files, Failure> {
    let mut files = match context.open() {
        Ok(files) => files,
        Err(failure) if failure.code == Code::NoSession => {
            let files = context.prepare()?;
            let has_secret = secret.is_some();
            let files =
                if invites { invite(link, files, secret)? } else { answer(link, files, secret)? };
            warn_of_logout(&files.store);
            context.voice.say(notices::opened(has_secret && invites));
            return Ok(files);
        }
        Err(failure) => return Err(failure),
    };
    if secret.is_some() {
        let what = "the session has begun already, without or with another secret";
        return Err(Failure::new(
            Code::Exists,
            what,
            "leave the secret out; 'otr status' says more",
        ));
    }
    match stored::take(&mut files)?.into_snapshot().stage {
        // Its MAC keys are published with discards, of which there are none here.
        Stage::Session(session) if session.postbox().is_some() => {
            let what = "the session has a postbox, through which a pipe goes without --via";
            Err(Failure::new(Code::Usage, what, "take another session for the link, with -s NAME"))
        }
        Stage::Session(_) => Ok(files),
        Stage::Inviting(inviting) if invites && !inviting.is_by_code() => {
            let invite = inviting.invite().to_vec();
            link.output.invite(&invite)?;
            accept(link, Conversation::open(files))
        }
        Stage::Inviting(_) => Err(stored::no_reply_yet()),
    }
}

fn invite(link: &mut Link, files: Files, secret: Option<Password>) -> Result<Files, Failure> {
    let invitation = Invitation { postbox: None, expires: None, secret: secret.as_ref() };
    let (conversation, invite) = block_on(Conversation::invite(files, invitation))?;
    drop(secret);
    link.output.invite(&invite)?;
    accept(link, conversation)
}

/// Takes the reply.
fn accept(link: &mut Link, mut conversation: Conversation<Files>) -> Result<Files, Failure> {
    let reply = match link.input.item()? {
        Some(Item::Reply(reply)) => reply,
        Some(Item::Damaged(damaged)) => return Err(garbled(damaged)),
        Some(Item::Packet(_)) => {
            let what = "the other side has a session already, and this side has just begun one";
            let hint = "'otr close --silent' at both ends, or take another one with -s NAME";
            // The code of a link that ended first: which of the two is seen is chance.
            return Err(Failure::new(Code::NotReady, what, hint));
        }
        Some(_) => return Err(garbled("not a reply")),
        None => {
            let what = "the link ended before the invite was answered";
            let hint = "at its other end there must be an 'otr pipe --stdio'";
            return Err(Failure::new(Code::NotReady, what, hint));
        }
    };
    let mut receiving = block_on(conversation.receive(None::<Packets>, |_| Ok(())))?;
    block_on(receiving.packet(reply))?;
    let replied = receiving.counts().replied;
    drop(receiving);
    if replied { Ok(conversation.into_host()) } else { Err(garbled("a reply to another invite")) }
}

fn answer(link: &mut Link, files: Files, secret: Option<Password>) -> Result<Files, Failure> {
    let invite = match link.input.item()? {
        Some(Item::Invite(invite)) => invite,
        Some(Item::Packet(_)) => {
            let what = "the other side has a session, and there is none here";
            let hint = "name the right one with -s NAME, or 'otr close --silent' there begins anew";
            return Err(Failure::new(Code::NoSession, what, hint));
        }
        Some(Item::Damaged(damaged)) => return Err(garbled(damaged)),
        Some(_) => return Err(garbled("not an invite")),
        None => {
            let what = "stdin ended without an invite or a packet";
            let hint = "at its other end there must be an 'otr pipe --via'";
            return Err(Failure::new(Code::NothingYet, what, hint));
        }
    };
    let (conversation, reply) = block_on(Conversation::respond(files, &invite, secret.as_ref()))?;
    drop(secret);
    link.output.reply(&reply)?;
    Ok(conversation.into_host())
}
