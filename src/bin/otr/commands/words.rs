//! `otr words`: the four words that two people compare by voice, and the result of that.

use std::io::Write as _;

use otr::conversation::{Files, Transaction, block_on};
use otr::protocol::authentication::words::WORDS;
use otr::protocol::session::stored::Stage;
use serde_json::json;

use super::close::{self, Ways};
use super::guide::{Guide, Step};
use super::stored::{self, no_reply_yet};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::ui::speak::warn;
use crate::ui::stdio;

/// `otr words`
#[derive(clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Record that the other person has the same words
    #[arg(long)]
    same: bool,

    /// The other person has other words: end the session, tell the other side, wipe everything
    #[arg(long, conflicts_with = "same")]
    differ: bool,

    #[command(flatten)]
    ways: Ways,
}

const HELP: &str = "\
Read them to each other where you know the voice. The same on both ends: nobody is in between
('otr words --same'). If they differ, somebody is ('otr words --differ'), who had one try, of one in
17,592,186,044,416, to make them agree.

The answering side has words only when the other side's first packet has arrived; before that it ends
with 14. --json: {\"session\": NAME, \"words\": [four of them]}. --differ ends with 5 when
the session is wiped, and takes the options of 'close' for its last packets.";

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.differ {
        return differ(context, &args.ways);
    }
    if args.same {
        record_same(context)?;
        context.voice.say("recorded: nobody is in between");
        return Ok(());
    }
    let words = shown(context)?;
    let told = if context.json {
        format!("{}\n", json!({ "session": context.name.as_str(), "words": words }))
    } else {
        format!("{}\n", words.join(" "))
    };
    stdio::output()?.write_all(told.as_bytes()).map_err(|error| Failure::output(&error))?;
    Guide::new(context).ends(Step::Words);
    Ok(())
}

/// The words, and the session that has them.
fn take(files: &mut Files) -> Result<([&'static str; WORDS], Transaction<'_, Files>), Failure> {
    let mut held = stored::take(files)?;
    if let Stage::Inviting(inviting) = &held.stage {
        let collects = inviting.postbox().is_some();
        return Err(if collects {
            Failure { hint: LOOK.into(), ..no_reply_yet() }
        } else {
            no_reply_yet()
        });
    }
    let session = held.session()?;
    let words = session.words().map_err(|_| {
        let what = "no words yet: they come with the other side's first packet";
        let by_hand = "take one with 'otr recv'; the other side may send any";
        let hint = if session.postbox().is_none() { by_hand } else { LOOK };
        Failure::new(Code::NotReady, what, hint)
    })?;
    Ok((words, held))
}

/// The words.
pub(super) fn shown(context: &Context) -> Result<[&'static str; WORDS], Failure> {
    Ok(take(&mut context.open()?)?.0)
}

/// Records that the other person has the same words.
pub(super) fn record_same(context: &Context) -> Result<(), Failure> {
    let mut files = context.open()?;
    let (_, mut held) = take(&mut files)?;
    held.session()?.record_same_words().map_err(|_| no_reply_yet())?;
    block_on(held.commit())?;
    Ok(())
}

/// With a postbox, the other side's command has put the packet there, or will.
const LOOK: &str = "look for it in the postbox with 'otr recv --all'";

/// Ends the session as `close` does, whatever happens.
fn differ(context: &Context, ways: &Ways) -> Result<(), Failure> {
    let told = close::end(context, ways, false).map_err(not_ended)?;
    if let Some(failure) = told {
        warn(failure.what);
    }
    let hint = "begin a new one over another channel";
    let what = "the words differ: somebody is in between; the session has been ended";
    Err(Failure::new(Code::NotAuthentic, what, hint))
}

/// The error if nothing was wiped, with the code of the reason.
fn not_ended(failure: Failure) -> Failure {
    if failure.code == Code::NoSession {
        return failure;
    }
    let what = format!("the words differ, and the session is NOT ended: {}", failure.what);
    Failure { what: what.into(), ..failure }
}
