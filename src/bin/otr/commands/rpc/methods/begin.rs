//! How a session begins.

use std::time::Duration;

use otr::armor::{Item, Scanner, encode};
use otr::conversation::{Conversation, Files, block_on};
use otr::protocol::authentication::password::Password;
use otr::protocol::session::stored::Stage;
use serde_json::{Value, json};

use crate::commands::recv::reason;
use crate::commands::rpc::call::{Call, Done, wrong};
use crate::commands::rpc::outlet::line;
use crate::commands::stored::{self, create};
use crate::commands::{code, hidden, init, meeting, respond, whom};
use crate::failure::{Code, Failure};
use otr::postbox::client::{Client, first_url};

/// How long `accept` waits for the reply, unless the call says so.
const REPLY_WAIT: Duration = Duration::from_secs(30);

/// The secret of a call.
pub(super) fn secret(call: &Call) -> Result<Option<Password>, Failure> {
    let given = call.params.text("secret");
    given.map(|text| hidden::password("secret", text.as_bytes())).transpose()
}

pub(super) fn init(call: &Call) -> Done {
    let params = &call.params;
    let anew = params.is_set("anew");
    let mut files = call.context.prepare_anew(anew)?;
    let named = match params.text("postbox") {
        None if anew => init::replaced_postbox(&mut files)?,
        other => other.filter(|url| !url.is_empty()).map(str::to_owned),
    };
    let unfit = |why| wrong(format!("'postbox' cannot be used: {why}"), "");
    let named = named.map(|names| meeting::invited(&names, &call.rpc.route, unfit)).transpose()?;
    let (postbox, expires) = (named.as_deref(), call.seconds("expires"));
    if !params.is_set("code") {
        let inviting = meeting::inviting(postbox, expires, secret(call)?.as_ref())?;
        let invite = invite_line(inviting.invite());
        create(&mut files, &Stage::Inviting(Box::new(inviting)), anew)?;
        return Ok(json!({ "invite": invite }));
    }
    let Some(postbox) = postbox else {
        return Err(wrong("a code needs a postbox", "name it with 'postbox'"));
    };
    if params.text("secret").is_some() {
        return Err(wrong("a code is a secret already", "leave out 'secret' or 'code'"));
    }
    let begun = meeting::begin(&call.postbox(first_url(postbox))?, postbox, expires)?;
    let code = begun.shown();
    begun.keep(&mut files, anew)?;
    Ok(json!({ "code": *code }))
}

fn invite_line(invite: &[u8]) -> String {
    line(|out| encode::invite(out, invite, None))
}

pub(super) fn init_again(call: &Call) -> Done {
    let invite = init::waiting_invite(&call.context)?;
    Ok(json!({ "invite": invite_line(&invite) }))
}

/// The first item in a text, of the kind that `is_it` picks.
fn item<T>(text: &str, is_it: impl Fn(Item) -> Option<T>) -> Option<T> {
    let mut scanner = Scanner::new();
    let mut text = text.as_bytes();
    loop {
        let taken = scanner.push(text);
        text = &text[taken..];
        if text.is_empty() {
            scanner.finish();
        }
        while let Some(item) = scanner.next_item() {
            if let Some(found) = is_it(item) {
                return Some(found);
            }
        }
        if text.is_empty() {
            return None;
        }
    }
}

pub(super) fn respond(call: &Call) -> Done {
    let params = &call.params;
    match (params.text("invite"), params.text("code")) {
        (Some(text), None) => by_invite(call, text),
        (None, Some(text)) => by_code(call, text),
        _ => Err(wrong("'respond' takes an 'invite' or a 'code'", "give one of the two")),
    }
}

fn by_invite(call: &Call, text: &str) -> Done {
    let invite = item(text, |item| match item {
        Item::Invite(invite) => Some(invite),
        _ => None,
    });
    let invite = invite.ok_or_else(|| {
        let hint = "an invite is a line that begins with otr1i:";
        Failure::new(Code::Refused, "there is no invite in 'invite', or a damaged one", hint)
    })?;
    respond::refuse_own(&call.context, &invite)?;
    let anew = call.params.is_set("anew");
    let mut files = call.context.prepare_anew(anew)?;
    let client = consented(call, whom::postbox_of(&invite).as_deref())?;
    let reply = meeting::answer(anew, &mut files, (&invite, None), secret(call)?)?;
    hand_over(&reply, client.as_ref())
}

fn by_code(call: &Call, text: &str) -> Done {
    if call.params.text("secret").is_some() {
        return Err(wrong("a code is a secret already", "leave out 'secret'"));
    }
    let anew = call.params.is_set("anew");
    let mut files = call.context.prepare_anew(anew)?;
    let spoken = code::parse(text)?;
    let found =
        meeting::find((call.params.text("postbox"), call.params.is_set("yes")), &spoken, |url| {
            call.postbox(url)
        })?;
    found.answer(&mut files, &spoken, anew)?;
    Ok(posted())
}

/// The postbox to post a reply to, if the call agrees to it.
fn consented(call: &Call, named: Option<&str>) -> Result<Option<Client>, Failure> {
    let (wanted, yes) = (call.params.text("postbox"), call.params.is_set("yes"));
    let agreed = respond::agreed(wanted, yes, named)?;
    match named.filter(|_| agreed == Some(true)) {
        Some(url) => call.postbox(url).map(Some),
        None => Ok(None),
    }
}

fn hand_over(reply: &[u8], client: Option<&Client>) -> Done {
    let Some(client) = client else {
        return Ok(
            json!({ "posted": false, "reply": line(|out| encode::reply(out, reply, None)) }),
        );
    };
    meeting::post(reply, client)?;
    Ok(posted())
}

fn posted() -> Value {
    json!({ "posted": true })
}

pub(super) fn respond_again(call: &Call) -> Done {
    let kept = respond::kept_reply(&call.context)?;
    let client = consented(call, kept.postbox.as_deref())?;
    let told = hand_over(&kept.reply, client.as_ref())?;
    if let Some(client) = client {
        meeting::take_away(&mut call.context.open()?, &client)?;
    }
    Ok(told)
}

pub(super) fn accept(call: &Call) -> Done {
    let mut files = call.context.open()?;
    let stage = stored::take(&mut files)?.into_snapshot().stage;
    let client = whom::postbox_of_stage(&stage).map(|url| call.postbox(&url)).transpose()?;
    match (stage, call.params.text("reply"), client) {
        (Stage::Session(session), None, _) => Ok(opened(session.used_secret())),
        (_, Some(text), client) => by_reply(files, text, client),
        (Stage::Inviting(_), None, Some(client)) => {
            let wait = call.seconds("wait").unwrap_or(REPLY_WAIT);
            let mut files = meeting::await_reply(&call.context, files, &client, wait)?;
            let used_secret = stored::take(&mut files)?.session()?.used_secret();
            Ok(opened(used_secret))
        }
        (Stage::Inviting(_), None, None) => {
            Err(wrong("the session has no postbox", "give the reply, as 'reply'"))
        }
    }
}

fn opened(secret: bool) -> Value {
    json!({ "secret": secret })
}

fn by_reply(files: Files, text: &str, client: Option<Client>) -> Done {
    let reply = item(text, |item| match item {
        Item::Reply(reply) => Some(reply),
        _ => None,
    });
    let reply = reply.ok_or_else(|| {
        let hint = "a reply is a line that begins with otr1r:";
        Failure::new(Code::Refused, "there is no reply in 'reply', or a damaged one", hint)
    })?;
    let mut conversation = Conversation::open(files);
    let mut receiving = block_on(conversation.receive(client, |_| Ok(())))?;
    block_on(receiving.packet(reply))?;
    block_on(receiving.store())?;
    let counts = receiving.counts();
    let refused = counts.rejected.keys().next().filter(|_| !counts.replied);
    if let Some(why) = refused {
        let what = format!("this is {}", reason(*why));
        return Err(Failure::new(Code::Refused, what, "nothing has changed"));
    }
    drop(receiving);
    let mut files = conversation.into_host();
    let used_secret = stored::take(&mut files)?.session()?.used_secret();
    Ok(opened(used_secret))
}
