//! The serving side of the postbox: a [`Relay`] in a runtime of the caller's, or an [`Embedded`] one
//! with a thread of its own.
//!
//! One thread. It does nothing but move bytes between sockets and memory; one heap keeps the
//! resident memory at what is counted, and one thread is what can be shut in on every kernel
//! ([`confine`]). It prints nothing and hears no signal: that is its caller's.

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

pub use super::work::{FULL_BITS, MAX_BITS};
pub use connection::Side;
pub use embedded::Embedded;
pub use listen::Listener;
pub use relay::Relay;
pub use state::Choices;
pub use tls::{Files, Pems, Tls, TlsError, Unfit};
