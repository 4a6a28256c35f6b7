//! What the protocol is made of: the labels of every derivation, the primitives, and secrets that
//! wipe themselves. Only here are the crates of the primitives named.

pub mod labels;
pub mod primitives;
pub mod secret;
