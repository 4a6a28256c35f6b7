//! Who the other side is.

use otr::conversation::{Conversation, Error, block_on};
use otr::protocol::session::verify::VerifyError;
use serde_json::json;

use super::begin::secret;
use crate::commands::rpc::call::{Call, Done, wrong};
use crate::commands::rpc::outlet::Way;
use crate::commands::words;
use crate::failure::Failure;

pub(super) fn words(call: &Call) -> Done {
    Ok(json!({ "words": words::shown(&call.context)? }))
}

pub(super) fn same(call: &Call) -> Done {
    words::record_same(&call.context)?;
    Ok(json!({}))
}

pub(super) fn ask(call: &Call) -> Done {
    let mut conversation = Conversation::open(call.context.open()?);
    let mut way = Way::of(call, &mut conversation, false)?;
    if block_on(conversation.question())?.is_some() {
        return Err(Failure::from(Error::Verify(VerifyError::PeerAsked)).of_sending());
    }
    let Some(secret) = secret(call)? else { return Err(wrong("the secret is missing", "")) };
    let question = call.params.text("question").unwrap_or_default();
    let asked = block_on(conversation.ask(&mut way, secret, question));
    asked.map_err(|error| Failure::from(error).of_sending())?;
    Ok(way.told())
}

pub(super) fn answer(call: &Call) -> Done {
    let mut conversation = Conversation::open(call.context.open()?);
    let mut way = Way::of(call, &mut conversation, false)?;
    let Some(asked) = block_on(conversation.question())? else {
        return Err(Failure::from(Error::Verify(VerifyError::NothingAsked)).of_sending());
    };
    let Some(secret) = secret(call)? else { return Err(wrong("the secret is missing", "")) };
    let answered = block_on(conversation.answer(&mut way, &asked, &secret));
    answered.map_err(|error| Failure::from(error).of_sending())?;
    Ok(way.told())
}
