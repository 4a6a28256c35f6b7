//! The blind postbox: what both sides agree on, the client, and the server.
//!
//! A postbox holds sealed packets in memory until they are collected. It has no accounts, and sees
//! nothing but random bytes under addresses that are used once. `docs/postbox.md` is its API.

pub mod api;
#[cfg(feature = "client")]
pub mod client;
pub mod names;
mod pem;
pub mod secret;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
mod storage;
pub mod work;
