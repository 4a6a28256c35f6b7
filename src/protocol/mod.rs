//! The protocol, version 1: bytes in, what they mean; what is to be said, bytes out. No I/O, no clock,
//! and no randomness but what it is handed.
//!
//! ```text
//! session           the state machine that the rest serves, and how it sleeps
//! handshake         invite → reply → the first keys
//! authentication    who the other side is: a secret (password → pake), four words, a code
//! deniability       MAC keys on their way to the public, and what anybody does with one
//! ratchet           keys: root key → chain keys → packet keys; skipped numbers; addresses ahead
//! packet            bytes: address, packet ⊃ frames ⊃ parts of messages
//! crypto            labels, primitives, secrets that wipe themselves
//! randomness, wire  what is drawn, by name; how fields are read and written
//! ```

pub mod authentication;
pub mod crypto;
pub mod deniability;
pub mod handshake;
pub mod packet;
pub mod randomness;
pub mod ratchet;
pub mod session;
pub mod wire;

#[cfg(test)]
pub(crate) mod tests;
