//! `otr respond`: begins a session as the answering side.

use std::io::IsTerminal;

use otr::armor::{Damaged, Item};
use otr::conversation::{Error, Files, Host as _, block_on};
use otr::protocol::authentication::password::Password;
use otr::protocol::handshake::respond;
use otr::protocol::session::stored::Stage;

use super::code;
use super::emit::Emitter;
use super::guide::Handed;
use super::secret::Secret;
use super::source::{Source, is_by_hand};
use super::stored::{self, create};
use super::whom::{connect, postbox_of};
use crate::context::{Context, now};
use crate::failure::{Code, Failure};
use crate::options::Form;
use crate::randomness::System;
use crate::route::RouteArgs;
use crate::ui::speak::{Voice, warn};
use crate::ui::{notices, prompt};
use otr::postbox::api::Discard;
use otr::postbox::client::{Client, Url, without_secret};

/// `otr respond`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Args {
    /// Write the same reply once more, until the other side's first packet has arrived
    #[arg(long)]
    again: bool,

    /// Replace a session of this name: it is wiped, and nobody is told
    #[arg(long, conflicts_with = "again")]
    anew: bool,

    /// Post the reply to this postbox, which must be the one that the invite names
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url)]
    postbox: Option<String>,

    /// Post the reply to any postbox that the invite names, without asking
    #[arg(long)]
    yes: bool,

    /// Write the reply to stdout even if the invite names a postbox, without calling it yet
    #[arg(long, conflicts_with_all = ["postbox", "yes"])]
    stdout: bool,

    /// Fetch the invite by its code, and post the reply there; without CODE ask for it, with '-'
    /// read it from stdin
    #[arg(
        long,
        value_name = "CODE",
        num_args = 0..=1,
        default_missing_value = "",
        conflicts_with_all = ["ask_secret", "secret_file", "secret_fd", "again", "stdout"]
    )]
    code: Option<String>,

    #[command(flatten)]
    secret: Secret,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    form: Form,
}

const HELP: &str = "\
A code, 417-guitar-vanish@box.example, names its postbox after the @: a host at https://, or a whole
URL (417-guitar-vanish@http://127.0.0.1:7363). Otherwise the postbox is that of --postbox or
OTR_POSTBOX. A code works only once, whether it is right or wrong; a word that no
code can have is reported, and costs nothing.
With a secret or a code, text can be sent only when the other side has shown that it knows it too:
take its first packet with 'otr recv'.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&args.form)?.guided(context.voice, Handed::Reply);
    if args.again {
        let Kept { reply, postbox, has_secret } = kept_reply(context)?;
        if has_secret {
            emitter.is(Handed::ReplyWithSecret);
        }
        let client = consented(context, args, postbox.as_deref())?;
        hand_over(context.voice, &reply, client.as_ref(), &mut emitter)?;
        return match client {
            Some(client) => take_away(&mut context.open()?, &client),
            None => Ok(()),
        };
    }
    if let Some(text) = &args.code {
        return by_code(context, args, text);
    }
    // Tells a person that the name is taken before they paste anything.
    let prepared = if is_by_hand() { Some(context.prepare_anew(args.anew)?) } else { None };
    let invite = read_invite()?;
    refuse_own(context, &invite)?;
    let mut files = prepared.map_or_else(|| context.prepare_anew(args.anew), Ok)?;
    let client = consented(context, args, postbox_of(&invite).as_deref())?;
    let secret = args.secret.get(false)?;
    let has_secret = secret.is_some();
    let reply = answer(args.anew, &mut files, (&invite, None), secret)?;
    if has_secret {
        emitter.is(Handed::ReplyWithSecret);
    }
    hand_over(context.voice, &reply, client.as_ref(), &mut emitter)
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

/// The postbox to call, if there is one and the person agrees: calling it tells its host who
/// answers this invite.
fn consented(
    context: &Context,
    args: &Args,
    postbox: Option<&str>,
) -> Result<Option<Client>, Failure> {
    if args.stdout {
        return Ok(None);
    }
    let agreed = agreed(args.postbox.as_deref(), args.yes, postbox)?;
    let Some(postbox) = postbox else { return Ok(None) };
    let client = connect(postbox, &args.route)?;
    if agreed.map_or_else(|| asked(postbox), Ok)? {
        return Ok(Some(client.telling(notices::of_postbox(context.voice))));
    }
    let hint = "--stdout writes the reply, so that you can hand it over in another way";
    Err(Failure::new(Code::Failed, "nobody was called", hint))
}

/// Whether the postbox that an invite names may be called: it is the `wanted` one, or any may be; `None`
/// if nobody has said so.
pub(super) fn agreed(
    wanted: Option<&str>,
    any: bool,
    postbox: Option<&str>,
) -> Result<Option<bool>, Failure> {
    match (wanted, postbox) {
        (Some(_), None) => Err(Failure::new(
            Code::Refused,
            "the invite names no postbox",
            "leave out --postbox, and hand over the reply yourself",
        )),
        (Some(wanted), Some(postbox)) if !same(wanted, postbox) => {
            let postbox = without_secret(postbox);
            let what = format!("the invite names another postbox, {postbox}");
            Err(Failure::new(Code::Refused, what, "nobody was called"))
        }
        (Some(_), Some(_)) => Ok(Some(true)),
        (None, _) => Ok(any.then_some(true)),
    }
}

/// Whether two URLs name one postbox.
fn same(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Answers the invite that lies under the code's number, which is consent to call that postbox.
fn by_code(context: &Context, args: &Args, text: &str) -> Result<(), Failure> {
    let mut files = context.prepare_anew(args.anew)?;
    let spoken = code::given(text)?;
    let found = find(args.postbox.as_deref(), &spoken, |url| connect(url, &args.route))?;
    let client = found.client.telling(notices::of_postbox(context.voice));
    let secret = code::secret(&spoken.code)?;
    let invite = (&found.fetched.invite[..], Some(&found.fetched.record));
    let reply = answer(args.anew, &mut files, invite, Some(secret))?;
    post(&reply, &client)?;
    context.voice.guide(POSTED);
    take_away(&mut files, &client)
}

/// What lies under a code.
pub(super) struct Found {
    pub(super) fetched: code::Fetched,
    /// The postbox, as the invite names it.
    pub(super) client: Client,
}

/// Finds the invite that lies under the code's number: in the code's own postbox, the `wanted` one, or the
/// usual one.
pub(super) fn find(
    wanted: Option<&str>,
    spoken: &code::Spoken,
    connect: impl Fn(&str) -> Result<Client, Failure>,
) -> Result<Found, Failure> {
    let Some(postbox) = postbox_of_code(wanted, spoken.postbox.clone())? else {
        let hint = "name it with --postbox URL, OTR_POSTBOX, or after an @ in the code";
        return Err(Failure::new(Code::Usage, "the code names no postbox", hint));
    };
    let fetched = code::fetch(&connect(&postbox)?, &spoken.code)?;
    let named = postbox_of(&fetched.invite).filter(|named| same(named, &postbox));
    let Some(named) = named else {
        let what = "the invite under this number names another postbox";
        return Err(Failure::new(
            Code::Refused,
            what,
            "nobody there was called: ask for another code",
        ));
    };
    // The invite's own address may contain the post secret.
    Ok(Found { fetched, client: connect(&named)? })
}

/// Discards the answered invite if it lies under a number in the postbox. If that fails, a later
/// command does it, or it expires.
pub(super) fn take_away(files: &mut Files, client: &Client) -> Result<(), Failure> {
    let mut held = stored::take(files)?;
    let records = held.session()?.collected();
    drop(held);
    if let Err(failure) = client.discard(&records) {
        warn(format_args!("the answered invite still lies in the postbox: {failure}"));
        return Ok(());
    }
    let mut held = stored::take(files)?;
    held.session()?.forget_collected(&records);
    block_on(held.commit())?;
    Ok(())
}

/// The code's own postbox, which --postbox may only confirm; otherwise that of --postbox, or the
/// usual one.
fn postbox_of_code(wanted: Option<&str>, own: Option<String>) -> Result<Option<String>, Failure> {
    match (own, wanted) {
        (Some(own), Some(wanted)) if !same(&own, wanted) => {
            let own = without_secret(&own);
            let what = format!("the code names another postbox, {own}");
            Err(Failure::new(Code::Refused, what, "nobody was called"))
        }
        (Some(own), _) => Ok(Some(own)),
        (None, Some(wanted)) => Ok(Some(wanted.to_owned()).filter(|url| !url.is_empty())),
        (None, None) => Ok(std::env::var("OTR_POSTBOX").ok().filter(|url| !url.is_empty())),
    }
}

fn asked(postbox: &str) -> Result<bool, Failure> {
    const OTHERWISE: &str = "agree to its postbox with --postbox URL or --yes, or use --stdout";
    let postbox = without_secret(postbox);
    if !std::io::stderr().is_terminal() {
        let what = format!("the invite wants the reply to be posted to {postbox}");
        return Err(Failure::new(Code::Usage, what, OTHERWISE));
    }
    prompt::yes(&format!("post the reply to {postbox}?"), OTHERWISE)
}

fn hand_over(
    voice: Voice,
    reply: &[u8],
    client: Option<&Client>,
    emitter: &mut Emitter,
) -> Result<(), Failure> {
    match client {
        Some(client) => {
            post(reply, client)?;
            voice.guide(POSTED);
            Ok(())
        }
        None => emitter.reply(reply),
    }
}

const POSTED: &str = "the reply is in the postbox; 'otr recv' waits for what the other side says";

/// Posts the reply.
pub(super) fn post(reply: &[u8], client: &Client) -> Result<(), Failure> {
    client.post(&[reply]).map_err(|error| Failure {
        hint: "the session exists: post the reply with 'otr respond --again'".into(),
        ..error.into()
    })
}

/// The first invite on stdin; text around it is skipped.
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
            "this is not an invite, but a reply or packets",
            "feed it to 'otr recv'",
        ),
        None if source.unrelated_lines() > 0 => Failure::new(
            Code::Refused,
            "there is no invite in the input",
            "an invite is a line that begins with otr1i:",
        ),
        None => Failure::new(Code::NothingYet, "stdin is empty", "give it an invite"),
    })
}

/// Refuses an invite that the session of this name has made itself.
pub(super) fn refuse_own(context: &Context, invite: &[u8]) -> Result<(), Failure> {
    // A state from a descriptor can be read only once.
    if context.state_fd.is_some() || !is_own(context, invite) {
        return Ok(());
    }
    Err(Failure::new(
        Code::Exists,
        format!("this is the invite of your own session '{}'", context.name),
        "give it to the other person, or play the other end with -s NAME",
    ))
}

/// Whether the session of this name made that invite.
fn is_own(context: &Context, invite: &[u8]) -> bool {
    let Ok(mut files) = context.open() else { return false };
    let held = stored::take(&mut files);
    matches!(held.map(|held| held.stage), Ok(Stage::Inviting(own)) if own.invite() == invite)
}

/// The reply, and what belongs to it.
pub(super) struct Kept {
    pub(super) reply: Vec<u8>,
    pub(super) postbox: Option<String>,
    has_secret: bool,
}

/// The reply of this session, which was handed over before.
pub(super) fn kept_reply(context: &Context) -> Result<Kept, Failure> {
    let mut files = context.open()?;
    let mut held = stored::take(&mut files)?;
    let session = held.session()?;
    let Some(reply) = session.reply() else {
        let hint = "the other side has it: its first packet has arrived";
        return Err(Failure::new(Code::Refused, "there is no reply to show again", hint));
    };
    let (reply, postbox) = (reply.to_vec(), session.postbox().map(str::to_owned));
    Ok(Kept { reply, postbox, has_secret: session.used_secret() })
}
