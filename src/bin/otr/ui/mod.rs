//! Everything that is said to a person or asked of one: on stderr and the terminal, never on
//! stdout, which carries data only (and text for a person's eyes through [`printable`]).

pub(crate) mod complete;
pub(crate) mod logout;
pub(crate) mod names;
pub(crate) mod notices;
pub(crate) mod printable;
pub(crate) mod progress;
pub(crate) mod prompt;
mod screen;
pub(crate) mod shell;
pub(crate) mod speak;
pub(crate) mod stdio;
pub(crate) mod terminal;
pub(crate) mod typed;
pub(crate) mod units;
