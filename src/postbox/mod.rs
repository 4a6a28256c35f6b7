//! The blind postbox: what both of its sides agree on, and the side that serves.

pub(crate) mod api;
pub(crate) mod server;
pub(crate) mod store;
