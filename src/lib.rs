//! Off-the-record conversations: the protocol, without I/O, clock or randomness of its own.

pub mod armor;
