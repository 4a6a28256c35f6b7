//! The protocol, version 1, in the order in which a conversation meets its parts.
//!
//! ```text
//! invite → reply → handshake        how a session begins
//! root → chain → ratchet            keys: root key → chain keys → packet keys; skipped keys
//! packet ⊃ frame ⊃ message          bytes: sealed packet ⊃ frames ⊃ parts of a message
//! password → pake → words, verify, nameplate   who the other side is: a secret, four words, a code
//! authentication                    what of that was found out
//! reveal → forge                    MAC keys on their way to the public, and what it does with them
//! session, stored                   the state machine that the rest serves, and how it sleeps
//! ```

pub mod authentication;
pub mod chain;
mod facts;
pub mod forge;
pub mod frame;
pub mod handshake;
mod identity;
pub mod invite;
pub mod labels;
pub mod lookahead;
pub mod message;
pub mod nameplate;
pub mod packet;
pub mod pake;
pub mod password;
pub mod primitives;
pub mod randomness;
pub mod ratchet;
pub mod reply;
pub mod reveal;
pub mod root;
pub mod secret;
pub mod sending;
pub mod session;
pub mod skipped;
pub mod stored;
mod stored_verify;
pub mod verify;
pub mod wire;
pub mod words;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod edges;
#[cfg(test)]
mod forgetting;
#[cfg(test)]
mod made_vectors;
#[cfg(test)]
mod primitives_vectors;
#[cfg(test)]
mod publication;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod vectors;
