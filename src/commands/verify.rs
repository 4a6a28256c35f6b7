//! `otr verify`: compares a secret inside the session. Both sides learn whether they hold the same
//! one, and nothing else.

use otr::protocol::authentication::pake::Prs;
use otr::protocol::authentication::password::Password;
use otr::protocol::session::Session;
use otr::protocol::session::stored::Stage;
use otr::protocol::session::verify::{Ending, VerifyError};
use otr::store::Store;
use zeroize::Zeroizing;

use super::emit::Emitter;
use super::guide::Handed;
use super::held::{Held, no_reply_yet, peer_has_closed};
use super::owed::{self, Way, explain};
use super::secret::Given;
use crate::commands::outbox;
use crate::commands::whom;
use crate::context::Context;
use crate::failure::Failure;
use crate::options::Form;
use crate::postbox::client::{Client, Reach};
use crate::randomness::System;
use crate::ui::printable::line;

/// `otr verify`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Show the other side this question, such as 'what did we eat in Rome'; it is no secret
    #[arg(long, value_name = "TEXT")]
    question: Option<String>,

    #[command(flatten)]
    secret: Given,

    /// Write the packet to stdout even if the session has a postbox; nobody is called
    #[arg(long)]
    stdout: bool,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    form: Form,
}

const HELP: &str = "\
  alice$ otr verify --question 'what did we eat in Rome' > packet   bob$ otr recv < packet
                                                                    bob$ otr verify > packet
  alice$ otr recv < packet            says whether the two are equal
  alice$ otr send < letter > packets  bob's recv says it, too, with the next packet that he gets

Where the other side has asked, this answers; else it asks. Without an option the secret is asked
for on the terminal. It is compared as it is typed: case and blanks count. Neither side learns more
than whether the two are equal; each try is one guess, and the third that fails, on either side,
ends the session (code 5).
What is owed to the other side after that waits for the next 'send' or 'verify'; in a session with a
postbox 'recv' posts it by itself.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&args.form)?.guided(context.voice, Handed::Step);
    let mut store = context.open()?;
    let client = {
        let stage = Held::take(&mut store, context.lock_wait)?.stage;
        if args.stdout { None } else { whom::client(&stage, &args.reach)? }
    };
    let client = client.map(|client| client.speaking(context.voice));
    if prepare(context, &mut store, client.as_ref(), &mut emitter)? {
        emitter.end();
        context.voice.say("this is the step that an interrupted command did not write out");
        return Ok(());
    }
    let asked = question_of(context, &mut store)?;
    if asked.is_some() && args.question.is_some() {
        return Err(explain(VerifyError::PeerAsked));
    }
    // A person takes long to type, and a secret long to stretch: nothing is locked meanwhile.
    let secret = args.secret.or_asked(&prompt(asked.as_ref()), asked.is_none())?;
    let compared = match &asked {
        Some(asked) => {
            let prs = stretch(&secret, &asked.run)?;
            drop(secret);
            Compared::Answer(prs)
        }
        None => Compared::Question(secret, args.question.as_deref().unwrap_or_default()),
    };
    let _sender = store.lock_sender(context.lock_wait)?;
    let mut held = Held::take(&mut store, context.lock_wait)?;
    let packet = compared.seal(held.session()?).map_err(explain)?;
    emitter.is(if asked.is_some() { Handed::Answer } else { Handed::Question });
    owed::hand_over(context, held, packet, Way::of(client.as_ref(), &mut emitter))?;
    emitter.end();
    context.voice.say(if asked.is_some() {
        "answered; the other side's next packet tells whether the two are equal"
    } else {
        "asked; the other side answers with 'otr verify'"
    });
    Ok(())
}

/// Hands out what an earlier command has left; a session that failed checks have ended is ended
/// here. Whether that was a step of a check which now waits for the other side.
fn prepare(
    context: &Context,
    store: &mut Store,
    client: Option<&Client>,
    emitter: &mut Emitter,
) -> Result<bool, Failure> {
    let _sender = store.lock_sender(context.lock_wait)?;
    let mut held = Held::take(store, context.lock_wait)?;
    let Stage::Session(session) = &mut held.stage else { return Err(no_reply_yet()) };
    let (ending, of) = (session.ending(), session.identity());
    let waits = session.awaits_answer() || session.awaits_last_step();
    drop(held);
    let written = match client {
        Some(client) => {
            outbox::post_waiting(context, store, client, Some(of))?;
            false
        }
        None => outbox::print_waiting(context, store, &[], emitter)?,
    };
    // Otherwise it goes with the next step, in one packet.
    if ending != Ending::GoesOn {
        owed::settle(context, store, Way::of(client, emitter))?;
    }
    Ok(written && waits)
}

/// What the other side has asked.
struct Asked {
    question: Zeroizing<String>,
    /// The run that the answer belongs to.
    run: [u8; 32],
}

/// The other side's question, if it has asked.
fn question_of(context: &Context, store: &mut Store) -> Result<Option<Asked>, Failure> {
    let mut held = Held::take(store, context.lock_wait)?;
    let session = held.session()?;
    if session.peer_closed() {
        return Err(peer_has_closed());
    }
    if session.awaits_last_step() {
        return Err(explain(VerifyError::Waiting));
    }
    Ok(session
        .question()
        .zip(session.question_run())
        .map(|(question, run)| Asked { question: Zeroizing::new(question.to_owned()), run: *run }))
}

fn prompt(asked: Option<&Asked>) -> String {
    match asked {
        Some(Asked { question, .. }) if !question.is_empty() => {
            format!("the other side asks \"{}\"; your answer", line(question))
        }
        Some(_) => "the other side asks for the secret that you both know".to_owned(),
        None => "the secret to compare".to_owned(),
    }
}

/// What goes into the step that this command makes.
enum Compared<'a> {
    Answer(Prs),
    /// The secret is stretched under the lock: the run is named by the chain that carries it, which
    /// may begin with this very packet.
    Question(Password, &'a str),
}

impl Compared<'_> {
    /// The packet; what was compared is wiped before anybody is called.
    fn seal(self, session: &mut Session) -> Result<Vec<u8>, VerifyError> {
        match self {
            Self::Answer(prs) => session.answer_verify(&prs, &mut System),
            Self::Question(secret, question) => {
                session.start_verify(&secret, question, &mut System)
            }
        }
    }
}

fn stretch(secret: &Password, run: &[u8; 32]) -> Result<Prs, Failure> {
    secret.stretch(run).map_err(|_| Failure::out_of_memory())
}
