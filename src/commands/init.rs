//! `otr init`: a new session as the inviting side.

use std::time::Duration;

use otr::protocol::handshake::{Inviting, InvitingError};
use otr::protocol::stored::Stage;

use super::emit::Emitter;
use super::held::{Held, create};
use super::{Context, now};
use crate::cli::Form;
use crate::failure::{Code, Failure};
use crate::postbox::client::{Url, check_open};
use crate::randomness::System;
use crate::state::{Store, advice};
use crate::ui::speak::warn;
use crate::ui::units;

/// `otr init`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Refuse replies to an invite that the other side read later than this
    #[arg(long, value_name = "TIME", value_parser = units::duration, conflicts_with = "again")]
    expires: Option<Duration>,

    /// Hold the conversation through the postbox at this https:// address
    #[arg(long, value_name = "URL", env = "OTR_POSTBOX", value_hint = clap::ValueHint::Url)]
    postbox: Option<String>,

    /// Let the postbox be called by http://, where all on the way see what it sees
    #[arg(long)]
    plain_http: bool,

    /// Write the same invite once more; until it is answered
    #[arg(long)]
    again: bool,

    /// Begin anew under a name that is in use: that session is wiped, and nobody is told
    #[arg(long, conflicts_with = "again")]
    anew: bool,

    /// Break lines after so many columns, at least 32 (for mail: 76)
    #[arg(long, value_name = "COLUMNS", value_parser = crate::cli::wrap)]
    wrap: Option<otr::armor::Wrap>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let mut emitter = Emitter::new(&Form { raw: false, wrap: args.wrap })?;
    if args.again {
        return emitter.invite(&waiting_invite(context)?);
    }
    let postbox = postbox(args)?;
    let mut store = context.prepare_anew(args.anew)?;
    let expires = args.expires.map_or(0, |time| now().saturating_add(time.as_secs()));
    let inviting =
        Inviting::new(postbox, expires, None, now(), &mut System).map_err(|error| match error {
            InvitingError::PostboxTooLong => {
                Failure::new(Code::Usage, "the postbox's address is too long", "")
            }
            InvitingError::NoRandomness => Failure::no_randomness(),
        })?;
    let invite = inviting.invite().to_vec();
    create(&mut store, context.lock_wait, &Stage::Inviting(Box::new(inviting)), args.anew)?;
    warn_of_logout(&store);
    emitter.invite(&invite)
}

/// The postbox's address, as it will be in the invite; empty = none.
fn postbox(args: &Args) -> Result<&str, Failure> {
    let Some(text) = args.postbox.as_deref().filter(|text| !text.is_empty()) else {
        return Ok("");
    };
    let url = Url::parse(text).map_err(|why| Failure::new(Code::Usage, why, ""))?;
    check_open(&url, args.plain_http)?;
    Ok(text)
}

fn waiting_invite(context: &Context) -> Result<Vec<u8>, Failure> {
    let mut store = context.open()?;
    match Held::take(&mut store, context.lock_wait)?.stage {
        Stage::Inviting(inviting) => Ok(inviting.invite().to_vec()),
        Stage::Session(_) => Err(Failure::new(
            Code::Refused,
            "the invite was answered, and serves once",
            "begin another session with 'otr -s NAME init'",
        )),
    }
}

/// Says so where the session will not outlive the login.
pub(super) fn warn_of_logout(store: &Store) {
    if store.directory().is_some_and(advice::logout_erases) {
        warn(advice::LOGOUT.trim_start_matches("otr: "));
    }
}
