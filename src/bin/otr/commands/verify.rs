//! `otr verify`: compares a secret inside the session. Both sides learn whether they hold the same
//! one, and nothing else.

use otr::conversation::{self, Compared, Error, Question, block_on};
use otr::protocol::authentication::pake::Prs;
use otr::protocol::authentication::password::Password;
use otr::protocol::session::verify::VerifyError;

use super::emit::Emitter;
use super::guide::Step;
use super::outlets::Way;
use super::secret::Given;
use super::stored;
use crate::commands::whom;
use crate::context::Context;
use crate::failure::Failure;
use crate::options::Form;
use crate::route::RouteArgs;
use crate::ui::notices;
use crate::ui::printable::line;

/// `otr verify`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Show the other side this question, such as 'what did we eat in Rome'; it is not secret
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,

    #[command(flatten)]
    secret: Given,

    /// Write the packet to stdout even if the session has a postbox, without calling it
    #[arg(long)]
    stdout: bool,

    #[command(flatten)]
    route: RouteArgs,

    #[command(flatten)]
    form: Form,
}

const HELP: &str = "\
  alice$ otr verify --question 'what did we eat in Rome' > packet   bob$ otr recv < packet
                                                                    bob$ otr verify > packet
  alice$ otr recv < packet            says whether the two are equal
  alice$ otr send < letter > packets  bob's recv says it, too, with the next packet that he gets

If the other side has asked, this answers; otherwise it asks. Without an option the secret is asked
for on the terminal. It is compared exactly: case and blanks count. Neither side learns more
than whether the two are equal; each try is one guess, and the third that fails, on either side,
ends the session (code 5).
If a step remains after that, it goes out with the next 'send' or 'verify'; in a session with a
postbox 'recv' posts it.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&args.form)?.guided(context, Step::Check);
    let mut files = context.open()?;
    let mut client = {
        let stage = stored::take(&mut files)?.stage;
        if args.stdout { None } else { whom::client(&stage, &args.route)? }
    };
    client = client.map(|client| client.telling(notices::of_postbox(context.voice)));
    let way = &mut Way::of(client.as_mut(), &mut emitter);
    if block_on(conversation::prepare(&mut files, way))? {
        emitter.end();
        context.voice.say("this is the step that an interrupted command did not write");
        return Ok(());
    }
    let asked = block_on(conversation::question(&mut files))?;
    if asked.is_some() && args.question.is_some() {
        return Err(Error::Verify(VerifyError::PeerAsked).into());
    }
    // A person takes long to type, and stretching a secret takes long: nothing is locked meanwhile.
    let secret = args.secret.or_asked(&prompt(asked.as_ref()), asked.is_none())?;
    let compared = match &asked {
        Some(asked) => {
            let prs = stretch(&secret, &asked.run)?;
            drop(secret);
            Compared::Answer(prs)
        }
        None => Compared::Question(secret, args.question.as_deref().unwrap_or_default()),
    };
    emitter.is(if asked.is_some() { Step::Answer } else { Step::Question });
    let way = &mut Way::of(client.as_mut(), &mut emitter);
    block_on(conversation::step(&mut files, way, compared))?;
    emitter.end();
    context.voice.say(if asked.is_some() {
        "answered; the other side's next packet says whether the two are equal"
    } else {
        "asked; the other side answers with 'otr verify'"
    });
    Ok(())
}

fn prompt(asked: Option<&Question>) -> String {
    match asked {
        Some(Question { text, .. }) if !text.is_empty() => {
            format!("the other side asks \"{}\"; your answer", line(text))
        }
        Some(_) => "the other side asks for the secret that you both know".to_owned(),
        None => "the secret to compare".to_owned(),
    }
}

fn stretch(secret: &Password, run: &[u8; 32]) -> Result<Prs, Failure> {
    secret.stretch(run).map_err(|_| Failure::out_of_memory())
}
