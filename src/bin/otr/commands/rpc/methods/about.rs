//! What the interface is.

use serde_json::json;

use crate::commands::rpc::call::{Call, Done};

/// The version of the interface: more after a break.
const VERSION: u64 = 1;

#[expect(clippy::unnecessary_wraps, reason = "as every method")]
pub(super) fn version(_: &Call) -> Done {
    Ok(json!({ "otr": env!("CARGO_PKG_VERSION"), "rpc": VERSION }))
}
