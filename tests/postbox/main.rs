//! Runs the real `otr postbox` and calls it over its sockets.

mod calls;
mod doors;
mod support;
