//! The serving side of the postbox: a [`Relay`] in the caller's runtime, or an [`Embedded`] one
//! with a thread of its own.
//!
//! It runs on one thread, since it only moves bytes between sockets and memory; a second one made it
//! slower on two cores (benches/README.md). One heap keeps the
//! resident memory at what is counted, and every kernel can confine one thread ([`confine`]). It
//! prints nothing and handles no signal: its caller does both.

mod accept;
mod admin;
mod alarm;
mod body;
mod caller;
mod callers;
mod calls;
pub mod confine;
mod connection;
mod embedded;
mod form;
mod gate;
mod guests;
mod http;
mod intake;
mod keys;
mod lane;
mod limits;
mod listen;
mod outgoing;
mod pace;
mod page;
mod relay;
mod reply;
mod state;
mod tls;
mod waiting;

#[cfg(feature = "redis")]
pub use super::storage::shared::{
    Alarm as StoreAlarm, BadStore, Connected, SECRET, SharedChoices, StoreUrl,
};
pub use super::work::{FULL_BITS, MAX_BITS};
pub use connection::Side;
pub use embedded::Embedded;
pub use listen::Listener;
pub use relay::Relay;
pub use state::{BadChoice, Choices};
pub use tls::{Files, Pems, Tls, TlsError, Unfit};
