//! Two people meet by a code: one lays an invite under its number and waits for the reply, the other
//! one fetches it and answers.
//!
//! ```text
//! begin → (show the code) → keep │ await_reply
//! code::given → find → answer → post → take_away
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use otr::conversation::{Error, Files, Host as _, block_on, pause_apart};
use otr::postbox::api::{Discard, PacketStatus, address_of};
use otr::postbox::client::{Client, Urls, first_url, with_secret, without_secret};
use otr::protocol::authentication::nameplate::Code;
use otr::protocol::authentication::password::Password;
use otr::protocol::handshake::invite::POSTBOX_MAX;
use otr::protocol::handshake::{Invitation, Inviting, respond};
use otr::protocol::session::stored::Stage;
use zeroize::Zeroizing;

use super::code::{self, Spoken};
use super::hidden;
pub(super) use super::recv::take_reply as await_reply;
use super::stored::{self, create};
use super::whom::postbox_of;
use crate::context::now;
use crate::failure::{self, Failure};
use crate::origins::Origins;
use crate::randomness::System;
use crate::route::RouteArgs;
use crate::ui::speak::warn;

/// The postboxes as they were named on the command line or in the environment, with the secret of
/// `--post-secret`, as an invite names them. An option of that name has to be called `postbox`.
pub(super) fn postbox(
    origins: &Origins,
    given: Option<String>,
    post_secret: Option<&Path>,
    route: &RouteArgs,
) -> Result<Option<String>, Failure> {
    let typed = origins.was_typed("postbox");
    let from = if typed { "--postbox" } else { "OTR_POSTBOX" };
    let has_secret = |text: &String| **text != *without_secret(text);
    if typed && given.as_ref().is_some_and(has_secret) {
        let what = "the address contains a secret, and everyone on this machine can see what is typed here";
        let hint = "give it with --post-secret FILE, or in OTR_POSTBOX";
        return Err(Failure::new(failure::Code::Usage, what, hint));
    }
    let text = match post_secret {
        Some(file) => {
            Some(private(given.as_deref().unwrap_or_default(), &hidden::post_secret(file)?)?)
        }
        None => given,
    };
    let unfit =
        |why| Failure::new(failure::Code::Usage, format!("{from} cannot be used: {why}"), "");
    text.map(|text| invited(&text, route, unfit)).transpose()
}

/// The postboxes that a person or a program names, separated by blanks, as an invite names them; `unfit` makes an error.
pub(super) fn invited(
    names: &str,
    route: &RouteArgs,
    unfit: impl Fn(&'static str) -> Failure,
) -> Result<String, Failure> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| unfit("the system gave no randomness"))?;
    let text = Urls::of_names(names, random).map_err(&unfit)?;
    if text.len() > POSTBOX_MAX {
        return Err(unfit("the addresses together are longer than 1,024 bytes"));
    }
    let urls = Urls::parse(&text).map_err(&unfit)?;
    urls.iter().try_for_each(|url| route.check(url))?;
    if urls.iter().nth(1).is_some() {
        // If one of them is called through Tor, all are, to which not all lead.
        route.client(urls)?;
    }
    Ok(text)
}

/// What was given by `--postbox`, which may be repeated, or by `OTR_POSTBOX`.
pub(super) fn named(given: &[String]) -> Option<String> {
    let names: Vec<&str> = given.iter().map(String::as_str).filter(|url| !url.is_empty()).collect();
    Some(names.join(" ")).filter(|names| !names.is_empty())
}

/// The URL with the post secret.
fn private(url: &str, secret: &str) -> Result<String, Failure> {
    if url.contains(' ') {
        let what = "--post-secret is for one postbox";
        let hint = "give several in OTR_POSTBOX, each with its secret: https://:SECRET@HOST";
        return Err(Failure::new(failure::Code::Usage, what, hint));
    }
    with_secret(url, secret).ok_or_else(|| {
        let what = "--post-secret is for a postbox at https://";
        let hint = "who may call a Unix socket is decided by its mode";
        Failure::new(failure::Code::Usage, what, hint)
    })
}

/// An invite of this machine's, which has no session yet.
pub(super) fn inviting(
    postbox: Option<&str>,
    expires: Option<Duration>,
    secret: Option<&Password>,
) -> Result<Inviting, Failure> {
    let expires = expires.map(|time| now().saturating_add(time.as_secs()));
    let made = Inviting::new(Invitation { postbox, expires, secret }, now(), &mut System);
    Ok(made.map_err(Error::from)?)
}

/// An invite that lies in the postbox under a code's number, and has no session yet.
#[must_use = "without a session nobody can take the reply"]
pub(super) struct Begun {
    pub(super) code: Code,
    inviting: Inviting,
    postbox: String,
}

/// Lays an invite into the postbox, the first of those that it names, under a new code, which the other person
/// answers.
pub(super) fn begin(
    client: &Client,
    postbox: &str,
    expires: Option<Duration>,
) -> Result<Begun, Failure> {
    let make = |secret: &Password| inviting(Some(postbox), expires, Some(secret));
    let (code, inviting) = code::place(client, make)?;
    Ok(Begun { code, inviting, postbox: postbox.to_owned() })
}

impl Begun {
    /// The code for the other person, with its postbox.
    pub(super) fn shown(&self) -> Zeroizing<String> {
        code::show(&self.code, &self.postbox)
    }

    /// The invite's bytes, for whoever may have to take it away.
    pub(super) fn invite(&self) -> &[u8] {
        self.inviting.invite()
    }

    /// Stores the session, which from now on waits for the reply.
    pub(super) fn keep(self, files: &mut Files, anew: bool) -> Result<(), Failure> {
        create(files, &Stage::Inviting(Box::new(self.inviting)), anew)
    }
}

/// What lies under a code.
pub(super) struct Found {
    pub(super) fetched: code::Fetched,
    /// The postbox, as the invite names it.
    pub(super) client: Client,
}

/// Finds the invite that lies under the code's number: in the code's own postbox, the `wanted` one, or the
/// usual one. If it names further ones, all of them must be `wanted`, or `any` may be called.
pub(super) fn find(
    (wanted, any): (Option<&str>, bool),
    spoken: &Spoken,
    connect: impl Fn(&str) -> Result<Client, Failure>,
) -> Result<Found, Failure> {
    let Some(postbox) = postbox_of_code(wanted, spoken.postbox.clone())? else {
        let hint = "name it with --postbox URL, OTR_POSTBOX, or after an @ in the code";
        return Err(Failure::new(failure::Code::Usage, "the code names no postbox", hint));
    };
    let fetched = code::fetch(&connect(&postbox)?, &spoken.code)?;
    let named = postbox_of(&fetched.invite).filter(|named| same(first_url(named), &postbox));
    if let Some(named) = &named
        && !same(named, &postbox)
        && !any
        && !wanted.is_some_and(|wanted| same(named, wanted))
    {
        // Whoever knows the number can lay an invite there, and have anybody called.
        let what = format!(
            "the invite under this number names further postboxes: {}",
            without_secret(named)
        );
        let hint = "nobody there was called, and the code is still good: agree to all of them with --postbox URL for \
                    each, or --yes";
        return Err(Failure::new(failure::Code::Refused, what, hint));
    }
    let Some(named) = named else {
        let what = "the invite under this number names another postbox";
        return Err(Failure::new(
            failure::Code::Refused,
            what,
            "nobody there was called: ask for another code",
        ));
    };
    // The invite's own address may contain the post secret.
    Ok(Found { fetched, client: connect(&named)? })
}

impl Found {
    /// Answers it: the session is stored, the reply posted, and the invite taken away.
    pub(super) fn answer(
        &self,
        files: &mut Files,
        spoken: &Spoken,
        anew: bool,
    ) -> Result<(), Failure> {
        self.reply(files, spoken, anew)?;
        take_away(files, &self.client)
    }

    /// The same, but that the invite is not taken away.
    pub(super) fn reply(
        &self,
        files: &mut Files,
        spoken: &Spoken,
        anew: bool,
    ) -> Result<(), Failure> {
        let secret = code::secret(&spoken.code)?;
        let invite = (&self.fetched.invite[..], Some(&self.fetched.record));
        let reply = answer(anew, files, invite, Some(secret))?;
        // Whoever tries all numbers knows who has collected the invite.
        pause_apart(&self.client)?;
        post(&reply, &self.client)
    }

    /// Whether the invite still lies there. Where we have not taken it away, somebody else has, who has answered
    /// it before us, or its author.
    pub(super) fn is_there(&self) -> Result<bool, Failure> {
        let token = Discard::from_record(&self.fetched.record).token;
        let status = self.client.gone(&[address_of(&token)], Duration::ZERO)?;
        Ok(status.first() == Some(&PacketStatus::Held))
    }
}

/// The code's own postbox, which --postbox may only confirm; otherwise that of --postbox, or the
/// usual one.
fn postbox_of_code(wanted: Option<&str>, own: Option<String>) -> Result<Option<String>, Failure> {
    match (own, wanted) {
        (Some(own), Some(wanted)) if !wanted.split(' ').any(|wanted| same(&own, wanted)) => {
            let own = without_secret(&own);
            let what = format!("the code names another postbox, {own}");
            Err(Failure::new(failure::Code::Refused, what, "nobody was called"))
        }
        (Some(own), _) => Ok(Some(own)),
        (None, Some(wanted)) => {
            Ok(Some(first_url(wanted).to_owned()).filter(|url| !url.is_empty()))
        }
        (None, None) => {
            let usual = std::env::var("OTR_POSTBOX").ok();
            Ok(usual.map(|urls| first_url(&urls).to_owned()).filter(|url| !url.is_empty()))
        }
    }
}

/// Whether two texts name the same postboxes.
pub(super) fn same(one: &str, other: &str) -> bool {
    let read = |names| Urls::parse(&Urls::of_names(names, [0; 16])?);
    match (read(one), read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Makes the session and stores it; returns the reply, which must still be handed over. If the
/// invite lies in a postbox, the record discards it.
pub(super) fn answer(
    anew: bool,
    files: &mut Files,
    (invite, lies): (&[u8], Option<&[u8; Discard::SIZE]>),
    secret: Option<Password>,
) -> Result<Vec<u8>, Failure> {
    let at = now();
    let (mut session, reply) =
        respond(invite, secret.as_ref(), at, &mut System).map_err(Error::from)?;
    if let Some(record) = lies {
        // Whatever ends this command, a later one discards the invite.
        let record = Discard::from_record(record);
        session.discard_too(&record.token, record.hash);
        if session.postbox().is_some_and(|urls| urls.contains(' ')) {
            // The invite of a code lies at the first of several.
            session.note_elsewhere(&BTreeMap::from([(record.token, 0)]));
        }
    }
    if secret.is_some() {
        // Count the guess before anything is handed over, whatever ends this command: the author of
        // the invite may drop the answer and make another invite.
        files.gave_guess(at);
    }
    // The secret is wiped before anybody is called.
    drop(secret);
    create(files, &Stage::Session(Box::new(session)), anew)?;
    Ok(reply)
}

/// Posts the reply.
pub(super) fn post(reply: &[u8], client: &Client) -> Result<(), Failure> {
    client.post(&[reply]).map_err(|error| Failure {
        hint: "the session exists: post the reply with 'otr respond --again'".into(),
        ..error.into()
    })
}

/// Discards the answered invite if it lies under a number in the postbox. If that fails, a later
/// command does it, or it expires.
pub(super) fn take_away(files: &mut Files, client: &Client) -> Result<(), Failure> {
    let mut held = stored::take(files)?;
    let session = held.session()?;
    let records = session.collected();
    client.know(session.elsewhere());
    drop(held);
    pause_apart(client)?;
    if let Err(failure) = client.discard_all(&records) {
        warn(format_args!("the answered invite still lies in the postbox: {failure}"));
        return Ok(());
    }
    let mut held = stored::take(files)?;
    held.session()?.forget_collected(&records);
    block_on(held.commit())?;
    Ok(())
}
