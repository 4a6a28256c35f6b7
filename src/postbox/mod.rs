//! The blind postbox: what both of its sides agree on, the side that serves, and the side that calls.

pub(crate) mod api;
#[cfg_attr(not(test), expect(dead_code, reason = "the commands that call follow"))]
pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod store;
