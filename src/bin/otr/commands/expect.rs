//! `otr expect`: the tokens with which the next packets can be collected from a postbox, and what
//! may be discarded there, for users with their own curl.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otr::conversation::block_on;
use otr::protocol::session::Session;
use otr::protocol::session::stored::Stage;
use zeroize::{Zeroize, Zeroizing};

use super::guide::{Guide, Step};
use super::stored;
use crate::context::Context;
use crate::failure::Failure;
use crate::ui::{stdio, terminal};

/// `otr expect`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write what may be discarded by now, with the MAC keys to be published: token, packet hash
    /// and key, 96 bytes each
    #[arg(long)]
    spent: bool,

    /// Write tokens for this many packets ahead
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    count: u32,

    /// Write bytes instead of lines of base64url
    #[arg(long)]
    raw: bool,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if args.raw {
        terminal::refuse_binary()?;
    }
    // Open the output before anything counts as written.
    let mut to = stdio::output()?;
    let mut out = Zeroizing::new(Vec::new());
    if args.spent {
        let records = spent(context, Session::take_collected)?;
        records.iter().for_each(|record| put(&mut out, record, args.raw));
    } else {
        tokens(context, args.count)?.iter().for_each(|token| put(&mut out, token, args.raw));
    }
    if out.is_empty() {
        return Ok(());
    }
    let step = if args.spent { Step::Spent } else { Step::Tokens };
    let guide = Guide::new(context);
    guide.begins(step);
    to.write_all(&out).map_err(|error| Failure::output(&error))?;
    guide.ends(step);
    Ok(())
}

/// The tokens of so many packets ahead; before the reply has come, its token.
pub(crate) fn tokens(context: &Context, count: u32) -> Result<Zeroizing<Vec<[u8; 32]>>, Failure> {
    of_session(context, |stage| match stage {
        Stage::Inviting(inviting) => vec![*inviting.reply_token()],
        Stage::Session(session) => session.expected_tokens(count),
    })
}

/// The records of what may be discarded by now, which `take` takes out of the session, or does not.
pub(crate) fn spent(
    context: &Context,
    take: impl FnOnce(&mut Session) -> Vec<[u8; 96]>,
) -> Result<Zeroizing<Vec<[u8; 96]>>, Failure> {
    of_session(context, |stage| match stage {
        Stage::Inviting(_) => Vec::new(),
        Stage::Session(session) => take(session),
    })
}

fn of_session<T: Zeroize>(
    context: &Context,
    of: impl FnOnce(&mut Stage) -> Vec<T>,
) -> Result<Zeroizing<Vec<T>>, Failure> {
    let mut files = context.open()?;
    let mut held = stored::take(&mut files)?;
    if matches!(held.stage, Stage::Session(_)) {
        held.session()?.collect_from_postbox();
    }
    let found = Zeroizing::new(of(&mut held.stage));
    // Stored before they are told: records are written only once, and from now on keys leave only this way.
    block_on(held.commit())?;
    Ok(found)
}

/// As a line of a call to the postbox has it.
pub(crate) fn line(record: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(record)
}

fn put(out: &mut Vec<u8>, record: &[u8], raw: bool) {
    if raw {
        out.extend_from_slice(record);
    } else {
        out.extend_from_slice(line(record).as_bytes());
        out.push(b'\n');
    }
}
