//! Sessions that move to another machine, or come from one.

use otr::conversation::{self, block_on};
use otr::protocol::authentication::password::Password;
use serde_json::json;
use zeroize::Zeroizing;

use crate::commands::rpc::call::{Call, Done};
use crate::commands::{export as out, hidden, import as into};
use crate::failure::Failure;

fn passphrase(call: &Call) -> Result<Option<Password>, Failure> {
    let given = call.params.text("passphrase");
    given.map(|text| hidden::password("passphrase", text.as_bytes())).transpose()
}

pub(super) fn export(call: &Call) -> Done {
    let passphrase = passphrase(call)?;
    let line = out::line_of(&mut call.context.open()?, passphrase.as_ref())?;
    Ok(json!({ "line": String::from_utf8_lossy(line.trim_ascii_end()) }))
}

pub(super) fn forget(call: &Call) -> Done {
    block_on(conversation::forget(&mut call.context.open()?))?;
    Ok(json!({}))
}

pub(super) fn undo(call: &Call) -> Done {
    block_on(conversation::thaw(&mut call.context.open()?))?;
    Ok(json!({}))
}

pub(super) fn import(call: &Call) -> Done {
    let line = call.params.text("line").unwrap_or_default();
    let line = Zeroizing::new(line.trim().as_bytes().to_vec());
    into::continue_here(&call.context, &line, passphrase(call)?)?;
    Ok(json!({}))
}
