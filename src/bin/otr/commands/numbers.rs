//! The numbers that a long message has taken out of the state. However the message ends, the unused
//! ones go back: otherwise the other side would have to look beyond them for what follows.
//!
//! A signal takes effect only after that, except in a session in descriptors, whose state only the
//! command can write. SIGKILL leaves a few numbers unused, and `recv` looks beyond them.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otr::conversation::{self, Files, block_on};
use otr::protocol::session::{Identity, Reservation};

use crate::ending::{self, Guard};
use crate::failure::{Code, Failure};

/// The longest that a signal waits for the state.
const SIGNAL_WAIT: Duration = Duration::from_secs(2);

/// The numbers in use; `None` once they were given back, after which nothing is sealed.
pub(super) struct Numbers {
    left: Arc<Mutex<Option<Reservation>>>,
    of: Identity,
    #[expect(dead_code, reason = "held for its drop")]
    watch: Option<Guard>,
}

impl Numbers {
    /// A `reservation` whose user ends by itself when a signal comes.
    pub(super) fn unwatched(of: Identity, reservation: Reservation) -> Self {
        Self { left: Arc::new(Mutex::new(Some(reservation))), of, watch: None }
    }

    /// Watches over `reservation`, which was taken out of the session `of`.
    pub(super) fn watch(
        files: &Files,
        of: Identity,
        reservation: Reservation,
    ) -> Result<Self, Failure> {
        let left = Arc::new(Mutex::new(Some(reservation)));
        let watch = match files.another(SIGNAL_WAIT) {
            Some(mut files) => {
                let theirs = Arc::clone(&left);
                Some(ending::first(move || {
                    let mut left = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(left) = left.take() {
                        // The signal counts, whether the state can be written or not.
                        drop(block_on(conversation::give_back(&mut files, of, left)));
                    }
                    // Stays locked until the signal has done its work: nothing is sealed in between.
                    mem::forget(left);
                })?)
            }
            None => None,
        };
        Ok(Self { left, of, watch })
    }

    /// Uses the numbers, unless a signal has given them back.
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

    /// Ends the watch; the caller gives back what is left.
    pub(super) fn take(&self) -> Option<Reservation> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives back what is left, if the message did not reach its end.
    pub(super) fn give_back(&self, files: &mut Files) {
        if let Some(left) = self.take() {
            // The user learns why the message ended; an error of the state would only distract.
            drop(block_on(conversation::give_back(files, self.of, left)));
        }
    }
}
