//! Whether the program was started without stdin or stdout (`otr recv >&-`).
//!
//! Before `main`, Rust's runtime replaces a closed descriptor with /dev/null, and later nothing
//! distinguishes that from an intended /dev/null: Python's `DEVNULL` and others also open it for
//! both directions. Text that is written there is lost, together with its key. So a constructor
//! looks before the runtime does; the `ctor` crate contains the `unsafe` code for it. The
//! constructor uses nothing from the standard library except an atomic.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio;

static STDIN: AtomicBool = AtomicBool::new(false);
static STDOUT: AtomicBool = AtomicBool::new(false);

ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn look() {
        STDIN.store(fcntl_getfd(stdio::stdin()) == Err(Errno::BADF), Ordering::Relaxed);
        STDOUT.store(fcntl_getfd(stdio::stdout()) == Err(Errno::BADF), Ordering::Relaxed);
    }
}

/// Whether there was no stdin.
pub(crate) fn stdin() -> bool {
    STDIN.load(Ordering::Relaxed)
}

/// Whether there was no stdout.
pub(crate) fn stdout() -> bool {
    STDOUT.load(Ordering::Relaxed)
}
