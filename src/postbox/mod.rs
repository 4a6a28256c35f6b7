//! The blind postbox: what both of its sides agree on, the side that serves, and the side that calls.

pub(crate) mod api;
pub(crate) mod client;
pub(crate) mod names;
pub(crate) mod pem;
pub(crate) mod secret;
pub(crate) mod server;
pub(crate) mod store;
pub(crate) mod work;
