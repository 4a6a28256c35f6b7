//! What happens in the store in one step: two scripts, told by their hashes.

use super::cipher::{Mark, Name};
use super::entry::size_letter;
use crate::postbox::api::{Key, MAX_UNDER_ADDRESS};
use crate::postbox::storage::clock::Seconds;
use crate::postbox::storage::spent::REMEMBERED;
use redis::{Cmd, Pipeline, cmd};

const PUT: &str = include_str!("put.lua");
const DISCARD: &str = include_str!("discard.lua");

/// The names that servers give our scripts.
pub(super) struct Scripts {
    put: String,
    discard: String,
}

impl Scripts {
    /// Reads the names from the answers to [`load`].
    pub(super) fn of(answers: Vec<redis::Value>) -> Option<Self> {
        let mut names = answers.into_iter().map(super::dial::text).filter(|name| !name.is_empty());
        Some(Self { put: names.next()?, discard: names.next()? })
    }

    /// Stores a packet of `size` bytes, masked.
    pub(super) fn put(
        &self,
        (name, mark): (&Name, &Mark),
        (size, masked): (usize, &[u8]),
        (life, ttl): (Seconds, Seconds),
    ) -> Cmd {
        // It is made at once as large as it gets: growing, it would be copied with the packet in it.
        let mut command = Cmd::with_capacity(11, masked.len() + 256);
        command.arg("EVALSHA").arg(&self.put).arg(2).arg(&name.key()[..]).arg(&name.gone_key()[..]);
        command.arg(&mark[..]).arg(&[size_letter(size)][..]).arg(masked).arg(life).arg(ttl);
        command.arg(MAX_UNDER_ADDRESS);
        command
    }

    /// Discards a packet and remembers it for `life`, with a masked key.
    pub(super) fn discard(
        &self,
        (name, mark): (&Name, &Mark),
        key: Option<&Key>,
        life: Seconds,
    ) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(&self.discard).arg(2).arg(&name.key()[..]).arg(&name.gone_key()[..]);
        command.arg(&mark[..]).arg(u8::from(key.is_some())).arg(key.map_or(&[][..], |key| key));
        command.arg(life).arg(REMEMBERED);
        command
    }
}

/// Hands the scripts to a server.
pub(super) fn load() -> Pipeline {
    let mut pipeline = Pipeline::new();
    for text in [PUT, DISCARD] {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(text);
        pipeline.add_command(load);
    }
    pipeline
}
