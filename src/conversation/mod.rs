//! The order of effects, in one place: when to store, hand out, deliver and discard, so that no
//! message is lost and no key is used twice, whatever ends a process in between.
//!
//! ```text
//! send      lock · load · seal · STORE · unlock │ HAND OUT │ lock · load · forget · STORE · unlock
//! receive   load · open on a copy │ DELIVER │ lock · load what came since · STORE · unlock │ DISCARD
//! verify    like send; a pending step stays stored until it has been handed out
//! close     lock · load · seal · WIPE · unlock │ HAND OUT │ DISCARD
//! ```
//!
//! Nothing here does I/O, except for `postbox`. Each effect is one `await` of a method of the caller's [`Host`] (storage,
//! clock, randomness), [`Outlet`] (where packets go) or [`Sink`] (where text goes). The engine asks
//! for the next effect only when the last one is done, and a caller cannot change the order. If the
//! methods never wait, [`block_on`] drives everything on the caller's thread; an executor or a
//! browser awaits it; a test stops it at any step, or lets another process take a step in between
//! ([`Transaction`] says what happens then).

mod cause;
mod close;
mod driver;
mod error;
mod face;
#[cfg(feature = "store")]
mod files;
mod flow;
mod handshake;
mod long;
mod moving;
mod outbox;
mod pending;
#[cfg(feature = "client")]
mod pipe;
#[cfg(feature = "client")]
mod postbox;
mod receive;
mod run;
mod short;
#[cfg(test)]
mod tests;
mod transaction;
mod verify;

pub use crate::kind::ErrorKind;
pub use crate::protocol::handshake::Invitation;
pub use cause::Cause;
pub use close::{Last, end, farewell};
pub use driver::{Host, Notice, Outlet, OutletKind, Packets, Piece, Sink};
pub use error::{Doing, Error};
pub use face::{Conversation, Event, Receiving, Status};
#[cfg(feature = "store")]
pub use files::{Files, System, now};
pub use handshake::create;
pub use long::{Course, Numbers, give_back};
pub use moving::{forget, freeze, thaw};
pub use outbox::{flush, hand_out_waiting, resend};
pub use pending::settle;
#[cfg(feature = "client")]
pub use pipe::{Broken, Carried, Carrier, Chunk, Manner, Pipe, ReceivingStreams, StreamId};
#[cfg(feature = "client")]
pub use postbox::{
    Collecting, Cover, Framed, Poster, Until, Window, discard_last, pause_apart, pause_within,
    random_part,
};
pub use receive::{Counts, Receiver, Rejected};
pub use run::block_on;
pub use short::{K_SHORT, Posted, Sealed, Sent, Short, look_first, seal_short, short};
pub use transaction::{Snapshot, Transaction, look};
pub use verify::{Compared, Question, prepare, question, step};
