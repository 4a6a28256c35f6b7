//! `otr respond`: a new session as the answering side.

use std::io::IsTerminal;

use otr::armor::{Damaged, Item};
use otr::protocol::handshake::{RespondError, respond};
use otr::protocol::invite::InviteError;
use otr::protocol::stored::Stage;

use super::calling::{connect, postbox_of};
use super::emit::Emitter;
use super::held::{Held, create};
use super::init::warn_of_logout;
use super::source::Source;
use super::{Context, now};
use crate::cli::Form;
use crate::failure::{Code, Failure};
use crate::postbox::client::{Client, Reach};
use crate::randomness::System;
use crate::ui::prompt;

/// `otr respond`
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// Write the same reply once more; until the other side's first packet has come
    #[arg(long)]
    again: bool,

    /// Begin anew under a name that is in use: that session is wiped, and nobody is told
    #[arg(long, conflicts_with = "again")]
    anew: bool,

    /// Post the reply to this postbox, which must be the one that the invite names
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    postbox: Option<String>,

    /// Post the reply to whatever postbox the invite names, without a question
    #[arg(long)]
    yes: bool,

    /// Write the reply to stdout even if the invite names a postbox; nobody is called
    #[arg(long, conflicts_with_all = ["postbox", "yes"])]
    stdout: bool,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    form: Form,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&args.form)?;
    if args.again {
        let (reply, postbox) = kept_reply(context)?;
        let client = consented(args, &postbox)?;
        return hand_over(&reply, client.as_ref(), &mut emitter);
    }
    let invite = read_invite()?;
    // A state from a descriptor can be read once only.
    if context.state_fd.is_none() && is_own(context, &invite) {
        return Err(Failure::new(
            Code::Exists,
            format!("this is the invite of your own session '{}'", context.name),
            "give it to the other person, or play the other end with -s NAME",
        ));
    }
    let mut store = context.prepare_anew(args.anew)?;
    let client = consented(args, &postbox_of(&invite))?;
    let (session, reply) = respond(&invite, None, now(), &mut System).map_err(explain)?;
    create(&mut store, context.lock_wait, &Stage::Session(Box::new(session)), args.anew)?;
    warn_of_logout(&store);
    hand_over(&reply, client.as_ref(), &mut emitter)
}

/// The postbox to call, if there is one and the person agrees: calling it tells that host who
/// answers this invite.
fn consented(args: &Args, postbox: &str) -> Result<Option<Client>, Failure> {
    if args.stdout {
        return Ok(None);
    }
    let Some(client) = connect(postbox, &args.reach)? else {
        return match args.postbox {
            None => Ok(None),
            Some(_) => Err(Failure::new(
                Code::Refused,
                "the invite names no postbox",
                "leave --postbox out, and hand the reply over yourself",
            )),
        };
    };
    let same = |url: &String| url.trim_end_matches('/') == postbox.trim_end_matches('/');
    let agreed = match &args.postbox {
        Some(wanted) if same(wanted) => true,
        Some(_) => {
            let what = format!("the invite names another postbox, {postbox}");
            return Err(Failure::new(Code::Refused, what, "nobody was called"));
        }
        None if args.yes => true,
        None => asked(postbox)?,
    };
    if agreed {
        return Ok(Some(client));
    }
    let hint = "--stdout writes the reply, to be handed over in another way";
    Err(Failure::new(Code::Failed, "nobody was called", hint))
}

fn asked(postbox: &str) -> Result<bool, Failure> {
    const OTHERWISE: &str = "agree to its postbox with --postbox URL or --yes, or use --stdout";
    if !std::io::stderr().is_terminal() {
        let what = format!("the invite wants the reply to be posted to {postbox}");
        return Err(Failure::new(Code::Usage, what, OTHERWISE));
    }
    prompt::yes(&format!("post the reply to {postbox}?"), OTHERWISE)
}

fn hand_over(reply: &[u8], client: Option<&Client>, emitter: &mut Emitter) -> Result<(), Failure> {
    let Some(client) = client else { return emitter.reply(reply) };
    client.post(&[reply]).map_err(|failure| Failure {
        hint: "the session is there: post the reply with 'otr respond --again'".into(),
        ..failure
    })
}

/// The first invite on stdin; what stands around it is passed over.
fn read_invite() -> Result<Vec<u8>, Failure> {
    let mut source = Source::stdin()?;
    let mut damaged: Option<Damaged> = None;
    let mut others = false;
    while let Some(items) = source.next_items()? {
        for item in items {
            match item {
                Item::Invite(invite) => return Ok(invite),
                Item::Damaged(damage) => damaged = Some(damage),
                Item::Reply(_) | Item::Packet(_) | Item::Key(_) => others = true,
            }
        }
    }
    Err(match damaged {
        Some(damage) => Failure::new(
            Code::Refused,
            damage.to_string(),
            "it was damaged on its way: ask for it again ('otr init --again')",
        ),
        None if others => Failure::new(
            Code::Refused,
            "this is no invite, but a reply or packets",
            "feed it to 'otr recv'",
        ),
        None if source.foreign_lines() > 0 => {
            Failure::new(Code::Refused, "no invite in this", "it is a line that begins with otr1i:")
        }
        None => Failure::new(Code::NothingYet, "stdin is empty", "give it an invite"),
    })
}

/// Whether the session of this name made that invite.
fn is_own(context: &Context, invite: &[u8]) -> bool {
    let Ok(mut store) = context.open() else { return false };
    let held = Held::take(&mut store, context.lock_wait);
    matches!(held.map(|held| held.stage), Ok(Stage::Inviting(own)) if own.invite() == invite)
}

/// The reply, and the postbox of its session.
fn kept_reply(context: &Context) -> Result<(Vec<u8>, String), Failure> {
    let mut store = context.open()?;
    let mut held = Held::take(&mut store, context.lock_wait)?;
    let session = held.session()?;
    let reply = session.reply().map(|reply| (reply.to_vec(), session.postbox().to_owned()));
    reply.ok_or_else(|| {
        let hint = "the other side has it: its first packet has come";
        Failure::new(Code::Refused, "there is no reply to show again", hint)
    })
}

fn explain(error: RespondError) -> Failure {
    let refused = |what: &'static str, hint: &'static str| Failure::new(Code::Refused, what, hint);
    match error {
        RespondError::Invite(InviteError::Version(version)) => Failure::new(
            Code::Refused,
            format!("the invite is of version {version}, which this otr does not know"),
            "one of the two is too old: update it",
        ),
        RespondError::Invite(InviteError::Flags) => {
            refused("the invite asks for something that this otr does not know", "update it")
        }
        RespondError::Invite(InviteError::Malformed) | RespondError::BadPublicKey => {
            refused("this is no good invite", "ask for another one")
        }
        RespondError::Expired => {
            Failure::new(Code::Expired, "the invite is too old", "ask for another one")
        }
        RespondError::SecretAsked => refused(
            "the invite asks for a secret, which this otr cannot answer",
            "ask for an invite without one",
        ),
        RespondError::SecretTakenOff => Failure::new(
            Code::NotAuthentic,
            "the invite does not ask for the secret: somebody took that off on its way",
            "ask for another one, over another channel",
        ),
        RespondError::NoRandomness => Failure::no_randomness(),
    }
}
