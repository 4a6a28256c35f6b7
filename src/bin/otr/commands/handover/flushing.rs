//! Brings what has come to the disk while more comes, so that little is left to wait for at the end.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::worker;

/// After so many bytes the disk is to have what came so far.
const OFTEN: u64 = 32 << 20;

/// A thread that does it; it ends by itself once this is dropped.
pub(super) struct Flushing {
    wake: SyncSender<()>,
    /// Bytes since it was last woken.
    since: u64,
}

impl Flushing {
    /// For the file at `path`, which others write. It is opened anew here: an error is reported once to each
    /// that has opened a file, and must still reach who syncs it at its end.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let (wake, woken) = sync_channel::<()>(1);
        let work = move || woken.iter().for_each(|()| drop(file.sync_data()));
        worker::start(work).map_err(|failure| io::Error::other(failure.what))?;
        Ok(Self { wake, since: 0 })
    }

    /// So many bytes more have been written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.since += bytes as u64;
        if self.since >= OFTEN {
            self.since = 0;
            // If it is still at the last ones, it will find these, too.
            let _ = self.wake.try_send(());
        }
    }
}
