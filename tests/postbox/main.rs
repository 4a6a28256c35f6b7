//! Runs the real `otr postbox` and calls it over its sockets.

mod calls;
mod confinement;
mod doors;
mod limits;
mod support;
