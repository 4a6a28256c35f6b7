//! `otr init`: begins a session as the inviting side.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use otr::conversation::{self, ErrorKind, Files, block_on};
use otr::protocol::session::stored::Stage;
use zeroize::Zeroizing;

use super::emit::Emitter;
use super::guide::{Guide, Step};
use super::meeting::{self, inviting};
use super::secret::Secret;
use super::stored::{self, create};
use super::whom::{connect, postbox_of_stage};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::options::Form;
use crate::route::RouteArgs;
use crate::ui::speak::warn;
use crate::ui::{notices, stdio, units};
use crate::worker;
use otr::postbox::client::{Urls, first_url};

/// `otr init`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Refuse replies to an invite that the other side read later than this
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "again")]
    expires: Option<Duration>,

    /// Hold the conversation through the postbox at this https:// address, or unix: and the path of
    /// a socket; --anew keeps the postbox of the replaced session, and '' means none; given up to
    /// eight times, through all of them: each packet lies in one, the next one's if that is away
    #[arg(
        long,
        value_name = "URL",
        env = "OTR_POSTBOX",
        hide_env_values = true,
        value_delimiter = ' ',
        value_hint = clap::ValueHint::Url
    )]
    postbox: Vec<String>,

    /// The postbox takes packets only with the secret in FILE: put it into the invite, so that the
    /// other side can post, too
    #[arg(
        long,
        value_name = "FILE",
        value_hint = clap::ValueHint::FilePath,
        conflicts_with = "again"
    )]
    post_secret: Option<PathBuf>,

    /// Put the invite into the postbox, and write a short code for it, which works once
    #[arg(long, conflicts_with_all = ["ask_secret", "secret_file", "secret_fd", "again", "wrap"])]
    code: bool,

    /// Write the same invite once more, until it is answered
    #[arg(long)]
    again: bool,

    #[command(flatten)]
    secret: Secret,

    #[command(flatten)]
    route: RouteArgs,

    /// Replace a session of this name: it is wiped, and nobody is told
    #[arg(long, conflicts_with = "again")]
    anew: bool,

    /// Break lines after this many columns, at least 32 (for mail: 76)
    #[arg(long, value_name = "COLUMNS", value_parser = crate::options::wrap)]
    wrap: Option<otr::armor::Wrap>,
}

const HELP: &str = "\
  otr init --postbox https://box.example --code       prints 417-guitar-vanish@box.example

Without --code the postbox is called once, to warn you if it does not answer; but not with
--tor or --proxy, nor at an .onion address.
With several postboxes each sees a part of the packets, and nothing stops while one is away; what lies
in one that loses everything is lost.
A code is a number under which the invite waits in the postbox, and two secret words:
anybody who guesses them has one try, and you are told if it was wrong.
With --secret-file, --secret-fd or --ask-secret the other side must give the same text: case and
blanks count, a newline at its end does not.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let form = Form { raw: false, wrap: args.wrap };
    let mut emitter = Emitter::new(&form)?.guided(context, Step::Invite);
    if args.again {
        return emitter.invite(&waiting_invite(context)?);
    }
    let mut files = context.prepare_anew(args.anew)?;
    let postbox = postbox(context, args, &mut files)?;
    if args.code {
        return by_code(context, args, postbox.as_deref(), &mut files);
    }
    let secret = args.secret.get(true)?;
    let inviting = inviting(postbox.as_deref(), args.expires, secret.as_ref())?;
    let invite = inviting.invite().to_vec();
    create(&mut files, &Stage::Inviting(Box::new(inviting)), args.anew)?;
    emitter.invite(&invite)?;
    if let Some(postbox) = &postbox {
        warn_of_silence(&args.route, postbox);
        say_what_it_sees(context, &args.route, postbox);
    }
    Ok(())
}

/// Says, once a session, what a direct connection tells.
fn say_what_it_sees(context: &Context, route: &RouteArgs, postbox: &str) {
    let Ok(urls) = Urls::parse(postbox) else { return };
    if let Some(url) = route.direct(&urls).find(|url| url.sees_callers()) {
        context.voice.say(format_args!(
            "who runs {} sees from which addresses it is called, and so who talks with whom; \
             with --tor on both sides, or an .onion, not",
            url.host()
        ));
    }
}

/// How long the postbox may take to answer.
const LOOK: Duration = Duration::from_secs(4);

/// Warns if the postbox that the invite names does not answer. With Tor, it does not call the
/// postbox, which would give away when the invite was made.
fn warn_of_silence(route: &RouteArgs, postbox: &str) {
    let Ok(urls) = Urls::parse(postbox) else { return };
    let Some(url) = route.direct(&urls).next() else { return };
    let Ok(client) = connect(postbox, route) else { return };
    let (tell, told) = channel();
    // Name lookups, connections and answers have their own, longer time limits.
    if worker::start(move || drop(tell.send(client.answers()))).is_err() {
        return;
    }
    let what = match told.recv_timeout(LOOK) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the postbox {} did not answer in time", url.host()),
    };
    warn(format_args!("{what}; the invite is valid, and works as soon as the postbox answers"));
}

/// Posts the invite, and gives the person a code.
fn by_code(
    context: &Context,
    args: &Args,
    postbox: Option<&str>,
    files: &mut Files,
) -> Result<(), Failure> {
    let Some(postbox) = postbox else {
        let hint = "name one with --postbox URL or OTR_POSTBOX";
        return Err(Failure::new(Code::Usage, "a code needs a postbox", hint));
    };
    let client = connect(first_url(postbox), &args.route)?;
    let client = client.telling(notices::of_postbox(context.voice));
    let begun = meeting::begin(&client, postbox, args.expires)?;
    let line = Zeroizing::new(format!("{}\n", *begun.shown()));
    begun.keep(files, args.anew)?;
    stdio::output()?.write_all(line.as_bytes()).map_err(|error| Failure::output(&error))?;
    say_what_it_sees(context, &args.route, postbox);
    Guide::new(context).ends(Step::Code);
    Ok(())
}

/// The postbox's address for the invite. What was typed takes precedence over the postbox of the
/// replaced session, and that over `OTR_POSTBOX`, which is for every session.
fn postbox(context: &Context, args: &Args, files: &mut Files) -> Result<Option<String>, Failure> {
    let typed = context.origins.was_typed("postbox");
    let replaced = if args.anew && !typed { replaced_postbox(files)? } else { None };
    let given = replaced.or_else(|| meeting::named(&args.postbox));
    meeting::postbox(&context.origins, given, args.post_secret.as_deref(), &args.route)
}

/// The postbox of the replaced session; `None` if there is no session, or it has no postbox.
pub(super) fn replaced_postbox(files: &mut Files) -> Result<Option<String>, Failure> {
    match block_on(conversation::look(files)) {
        Err(error) if error.kind() == ErrorKind::NoSession => Ok(None),
        Ok(stored) => Ok(postbox_of_stage(&stored.stage)),
        Err(error) if error.kind() != ErrorKind::Unsafe => Err(error.into()),
        Err(error) => {
            warn(format_args!("the postbox of the replaced session is unknown: {error}"));
            Ok(None)
        }
    }
}

pub(super) fn waiting_invite(context: &Context) -> Result<Vec<u8>, Failure> {
    let mut files = context.open()?;
    match stored::take(&mut files)?.stage {
        Stage::Inviting(inviting) if inviting.is_by_code() => Err(Failure::new(
            Code::Refused,
            "the invite lies in the postbox, and its code was not kept",
            "begin again with 'otr close' and 'otr init --code'",
        )),
        Stage::Inviting(inviting) => Ok(inviting.invite().to_vec()),
        Stage::Session(_) => Err(Failure::new(
            Code::Refused,
            "the invite has been answered, and works only once",
            "begin another session with 'otr -s NAME init'",
        )),
    }
}
