//! What sessions there are, and how far they have come.

use otr::store::Search;
use serde_json::json;

use crate::commands::rpc::call::{Call, Done};
use crate::commands::status as shown;

pub(super) fn status(call: &Call) -> Done {
    let one = call.params.text("session").is_some();
    let ask = call.params.is_set("ask").then_some(&call.rpc.route);
    shown::object(&call.context, one, ask)
}

pub(super) fn sessions(call: &Call) -> Done {
    let mut names = Vec::new();
    for directory in Search::new(&call.context.options).all()? {
        names.extend(directory.sessions()?.iter().map(ToString::to_string));
    }
    Ok(json!({ "sessions": names }))
}
