//! `otr put` and `otr get`: a file from one person to another, by a code, in a session of its own, of which
//! nothing is left afterwards.
//!
//! ```text
//! put: source, pack → offer ─────────→ get: asks → place, unpack
//!      content           ←──── take ──
//!                        ─ content ──→
//!                        ←──── done ──  close
//! ```

mod entries;
mod fault;
mod flushing;
mod get;
mod message;
mod name;
mod pack;
mod place;
mod put;
mod qr;
mod scan;
mod serve;
mod source;
mod stdout;
mod taking;
mod talk;
mod unpack;

pub(crate) use get::{Args as GetArgs, run as get};
pub(crate) use put::{Args as PutArgs, run as put};
