//! The line of progress on the screen, which whatever is said next has to replace.

use std::sync::atomic::{AtomicBool, Ordering};

/// Back to the line's beginning, and away with what is there.
pub(super) const ERASE: &str = "\r\x1b[K";

/// Whether a progress line is on the screen, and the next thing said has to replace it.
pub(super) static ON_SCREEN: AtomicBool = AtomicBool::new(false);

/// What has to be written before anything else goes to stderr.
pub(super) fn take_line_away() -> &'static str {
    if ON_SCREEN.swap(false, Ordering::Relaxed) { ERASE } else { "" }
}
