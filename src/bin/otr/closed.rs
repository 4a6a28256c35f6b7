//! Which of stdin and stdout the program was started without (`otr recv >&-`).
//!
//! Rust's runtime puts /dev/null in the place of a closed one before `main`, and nothing that can
//! be seen later tells that from a /dev/null that was meant: Python's `DEVNULL` and others open it
//! for both directions, too. A text that is written there is lost, and its key with it. So the look
//! is taken before the runtime's: by a constructor, of which `ctor` makes what would be `unsafe`
//! here. Nothing of the standard library is used in it but an atomic.

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
