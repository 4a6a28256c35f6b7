//! Off-the-record conversations between two people: forward secrecy for every packet, deniability,
//! no long-term key.
//!
//! This library is the protocol alone: it does no I/O, reads no clock and draws randomness only
//! from what it is handed. The `otr` command around it reads, stores and sends.
//!
//! [`protocol`] holds the conversation itself: start at [`protocol::session::Session`].
//! `docs/protocol.md` tells what is computed, complete enough for a second implementation.

#![forbid(unsafe_code)]

pub mod armor;
pub mod protocol;
