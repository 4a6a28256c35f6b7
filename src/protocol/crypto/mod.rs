//! The cryptographic building blocks: the label of every derivation, the primitives, and secrets
//! that wipe themselves. Only this folder names the crates of the primitives.

pub mod labels;
pub mod primitives;
pub mod secret;
