//! How a session ends.

use crate::commands::close as ending;
use crate::commands::rpc::call::{Call, Done};
use crate::commands::rpc::outlet::{gathered_object, posted_object};

pub(super) fn close(call: &Call) -> Done {
    let params = &call.params;
    let last = ending::wipe(&call.context, params.is_set("silent"))?;
    // What is told of it from now on is of the past.
    call.client.stop(&call.context.name);
    match last.postbox.as_deref().filter(|_| !params.is_set("by_hand")) {
        Some(url) => {
            ending::post(call.postbox(url), &last, false)?;
            Ok(posted_object())
        }
        None => Ok(gathered_object(&last.keys, &last.packets)),
    }
}
