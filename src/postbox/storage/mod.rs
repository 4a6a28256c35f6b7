//! Where packets lie: in memory, and nowhere else.

pub(crate) mod blocks;
pub(crate) mod budget;
mod clock;
pub(crate) mod found;
mod leaving;
pub(crate) mod memory;
pub(crate) mod packet;
mod spent;
mod tide;
pub(crate) mod unfinished;
pub(crate) mod watch;
