//! Everything that the program says to a person or asks a person: on stderr and the terminal, never
//! on stdout, which carries only data (and, through [`printable`], text for a person to read).

pub(crate) mod complete;
pub(crate) mod keys;
pub(crate) mod logout;
pub(crate) mod names;
pub(crate) mod notices;
pub(crate) mod printable;
pub(crate) mod progress;
pub(crate) mod prompt;
pub(crate) mod rows;
mod screen;
pub(crate) mod shell;
pub(crate) mod speak;
pub(crate) mod stdio;
pub(crate) mod terminal;
pub(crate) mod typed;
pub(crate) mod units;
