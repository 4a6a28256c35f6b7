//! The numbers that a long message has taken out of the state. However it ends, those that it has
//! not used go back: the other side would have to look for what follows beyond them.
//!
//! A signal does its work only when that is done; not in a session that lies in descriptors, whose
//! state the command alone can write. SIGKILL leaves a few, which `recv` looks beyond.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otr::conversation::{self, Files, block_on};
use otr::protocol::session::{Identity, Reservation};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::failure::{Code, Failure};
use crate::process;
use crate::worker;

/// A signal waits no longer for the state than this.
const SIGNAL_WAIT: Duration = Duration::from_secs(2);

/// The numbers in use; none where they were given back, after which nothing is sealed.
pub(super) struct Numbers {
    left: Arc<Mutex<Option<Reservation>>>,
    of: Identity,
}

impl Numbers {
    /// Watches over `reservation`, which was taken out of the session `of`.
    pub(super) fn watch(
        files: &Files,
        of: Identity,
        reservation: Reservation,
    ) -> Result<Self, Failure> {
        let left = Arc::new(Mutex::new(Some(reservation)));
        if let Some(mut files) = files.beside(SIGNAL_WAIT) {
            let theirs = Arc::clone(&left);
            let heard = process::not_ignored(&[SIGINT, SIGTERM, SIGHUP]);
            let mut signals = Signals::new(heard).map_err(|error| {
                Failure::new(Code::Failed, format!("cannot watch for signals: {error}"), "")
            })?;
            worker::start(move || {
                for signal in signals.forever() {
                    // Held until the signal has done its work: nothing is sealed in between.
                    let mut left = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(left) = left.take() {
                        // The signal counts, whether the state can be written or not.
                        drop(block_on(conversation::give_back(&mut files, of, left)));
                    }
                    let _ = emulate_default_handler(signal);
                }
            })?;
        }
        Ok(Self { left, of })
    }

    /// Works with them, unless a signal has given them back.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Reservation) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *left {
            Some(numbers) => work(numbers),
            None => Err(Failure::new(Code::Failed, "the message was interrupted", "")),
        }
    }

    /// The end: what is left is the caller's to give back.
    pub(super) fn take(&self) -> Option<Reservation> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives back what is left, where the message did not come to its end.
    pub(super) fn give_back(&self, files: &mut Files) {
        if let Some(left) = self.take() {
            // Why the message ended is told; a state that cannot be written has its own reasons.
            drop(block_on(conversation::give_back(files, self.of, left)));
        }
    }
}
