//! Work on a separate thread, concurrent with the command.

use std::thread::{Builder, JoinHandle};

use crate::failure::{Code, Failure};

/// Starts `work`.
///
/// # Errors
/// Code 1 where the system gives no thread.
pub(crate) fn start<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    Builder::new()
        .spawn(work)
        .map_err(|error| Failure::new(Code::Failed, format!("cannot start a thread: {error}"), ""))
}
