//! A postbox as the place where a conversation's packets go, and come from: `plan` and `collector`
//! decide what to ask for, `receiving` has the order of effects, `window` and `poster` keep a long
//! message from filling the postbox.
//!
//! In this module I/O happens only here: the client of a postbox blocks the thread that polls these
//! futures, starts threads of its own, and draws from the system's randomness when it tries again
//! or asks at random.

mod apart;
mod collector;
mod cover;
mod discarding;
mod errands;
mod face;
mod plan;
mod poster;
mod receiving;
mod schedule;
mod searching;
mod window;

use std::thread::{Builder, JoinHandle};

use super::cause::Cause;
use super::driver::{Outlet, OutletKind};
use super::error::Error as Stopped;
use crate::kind::ErrorKind;
use crate::postbox::client::{Client, Error};
use crate::protocol::deniability::reveal::PUBLISHED_KEY;
use crate::protocol::packet::Packet;

pub use apart::{discard_last, pause_apart, pause_within, random_part};
pub use cover::Cover;
pub use poster::{Framed, Poster};
pub use receiving::{Collecting, Until};
pub use window::Window;

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

impl Outlet for Client {
    fn kind(&self) -> OutletKind {
        OutletKind::Postbox
    }

    fn largest(&self) -> usize {
        self.largest_known()
    }

    /// Keys to be published leave with a discard, so none comes here.
    async fn hand_out(
        &mut self,
        _: &[[u8; PUBLISHED_KEY]],
        packets: &[Packet],
    ) -> Result<Vec<usize>, Cause> {
        Ok(self.post_fitting(packets)?)
    }

    fn too_large(&self, bytes: usize) -> Cause {
        Self::too_large(self, bytes).into()
    }
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Effect(error.into())
    }
}

/// A thread of its own for `work`.
fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Stopped> {
    Builder::new().spawn(work).map_err(|error| {
        let what = format!("cannot start a thread: {error}");
        Stopped::Effect(Cause::new(ErrorKind::Failed, what))
    })
}
