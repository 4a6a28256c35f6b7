//! What lets both say that it was never written: the MAC keys of packets that were read go to the
//! public ([`reveal`]), and whoever has one can make its packet say something else ([`forge`]).

pub mod forge;
pub mod reveal;
