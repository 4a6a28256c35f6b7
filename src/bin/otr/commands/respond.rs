//! `otr respond`: begins a session as the answering side.

use std::io::IsTerminal;

use otr::armor::{Damaged, Item};
use otr::protocol::session::stored::Stage;

use super::code;
use super::emit::Emitter;
use super::guide::{Guide, Step};
use super::meeting::{self, answer, post, same, take_away};
use super::secret::Secret;
use super::source::{Source, is_by_hand};
use super::stored;
use super::whom::{connect, postbox_of};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::Form;
use crate::route::RouteArgs;
use crate::ui::{notices, prompt};
use otr::postbox::client::{Client, without_secret};

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

    /// Post the reply to this postbox, which must be the one that the invite names (repeated: those)
    #[arg(long, value_name = "URL", value_delimiter = ' ', value_hint = clap::ValueHint::Url)]
    postbox: Vec<String>,

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
OTR_POSTBOX. If its invite names several postboxes, all of them have to be agreed to, with --postbox or --yes.
A code works only once, whether it is right or wrong; a word that no
code can have is reported, and costs nothing.
With a secret or a code, text can be sent only when the other side has shown that it knows it too:
take its first packet with 'otr recv'.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&args.form)?.guided(context, Step::Reply);
    if args.again {
        let Kept { reply, postbox, has_secret } = kept_reply(context)?;
        if has_secret {
            emitter.is(Step::ReplyWithSecret);
        }
        let client = consented(context, args, postbox.as_deref())?;
        hand_over(context, &reply, client.as_ref(), &mut emitter)?;
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
        emitter.is(Step::ReplyWithSecret);
    }
    hand_over(context, &reply, client.as_ref(), &mut emitter)
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
    let agreed = agreed(meeting::named(&args.postbox).as_deref(), args.yes, postbox)?;
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

/// Answers the invite that lies under the code's number, which is consent to call that postbox.
fn by_code(context: &Context, args: &Args, text: &str) -> Result<(), Failure> {
    let mut files = context.prepare_anew(args.anew)?;
    let spoken = code::given(text)?;
    let mut found =
        meeting::find((meeting::named(&args.postbox).as_deref(), args.yes), &spoken, |url| {
            connect(url, &args.route)
        })?;
    found.client = found.client.telling(notices::of_postbox(context.voice));
    found.answer(&mut files, &spoken, args.anew)?;
    Guide::new(context).ends(Step::ReplyPosted);
    Ok(())
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
    context: &Context,
    reply: &[u8],
    client: Option<&Client>,
    emitter: &mut Emitter,
) -> Result<(), Failure> {
    match client {
        Some(client) => {
            post(reply, client)?;
            Guide::new(context).ends(Step::ReplyPosted);
            Ok(())
        }
        None => emitter.reply(reply),
    }
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
