//! The protocol, version 1: it turns bytes into what they mean, and what is to be said into bytes.
//! It does no I/O, has no clock, and uses only the randomness that the caller hands in.
//!
//! ```text
//! session           the state machine that the rest serves, and its stored form
//! handshake         invite → reply → the first keys
//! authentication    who the other side is: a secret (password → pake), four words, a code
//! deniability       MAC keys to be published, and what anyone can do with one
//! ratchet           keys: root key → chain keys → packet keys; skipped numbers; address index
//! stream            the byte streams of a pipe, over packets that may get lost
//! packet            bytes: address, packet ⊃ frames ⊃ parts of messages
//! crypto            labels, primitives, secrets that wipe themselves
//! randomness, wire  random values by name; reading and writing fields
//! ```

pub mod authentication;
pub mod crypto;
pub mod deniability;
pub mod handshake;
pub mod packet;
pub mod randomness;
pub mod ratchet;
pub mod session;
pub mod stream;
pub mod wire;

#[cfg(test)]
pub(crate) mod tests;
