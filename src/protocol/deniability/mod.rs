//! What lets both sides deny what they wrote: the MAC keys of packets that were read are published
//! ([`reveal`]), and anyone who has one can make its packet say something else ([`forge`]).

pub mod forge;
pub mod reveal;
