//! The progress line on the screen, which the next message must replace.

use std::sync::atomic::{AtomicBool, Ordering};

/// Returns to the beginning of the line and erases it.
pub(super) const ERASE: &str = "\r\x1b[K";

/// Whether a progress line is on the screen, so that the next message must replace it.
pub(super) static ON_SCREEN: AtomicBool = AtomicBool::new(false);

/// What to write before anything else on stderr.
pub(super) fn take_line_away() -> &'static str {
    if ON_SCREEN.swap(false, Ordering::Relaxed) { ERASE } else { "" }
}
