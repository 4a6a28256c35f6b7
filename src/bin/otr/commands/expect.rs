//! `otr expect`: the tokens with which the next packets can be collected from a postbox, and what
//! may be discarded there, for users with their own curl.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use otr::conversation::block_on;
use otr::protocol::session::stored::Stage;
use zeroize::Zeroizing;

use super::guide::Handed;
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
    let mut files = context.open()?;
    let mut held = stored::take(&mut files)?;
    if matches!(held.stage, Stage::Session(_)) {
        held.session()?;
    }
    let mut out = Zeroizing::new(Vec::new());
    match &mut held.stage {
        Stage::Inviting(_) if args.spent => {}
        Stage::Inviting(inviting) => put(&mut out, inviting.reply_token(), args.raw),
        Stage::Session(session) => {
            session.collect_from_postbox();
            if args.spent {
                session.take_collected().iter().for_each(|record| put(&mut out, record, args.raw));
            } else {
                let tokens = Zeroizing::new(session.expected_tokens(args.count));
                tokens.iter().for_each(|token| put(&mut out, token, args.raw));
            }
        }
    }
    // Store first: records are written only once, and from now on keys leave only this way.
    block_on(held.commit())?;
    if out.is_empty() {
        return Ok(());
    }
    let item = if args.spent { Handed::Spent } else { Handed::Tokens };
    item.begins(context.voice);
    to.write_all(&out).map_err(|error| Failure::output(&error))?;
    item.ends(context.voice);
    Ok(())
}

fn put(out: &mut Vec<u8>, record: &[u8], raw: bool) {
    if raw {
        out.extend_from_slice(record);
    } else {
        out.extend_from_slice(URL_SAFE_NO_PAD.encode(record).as_bytes());
        out.push(b'\n');
    }
}
