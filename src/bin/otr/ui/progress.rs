//! The progress of a long transfer: one line on stderr that is rewritten, and disappears at the
//! end.
//!
//! It appears only on a capable terminal, only after a second, and without colours.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::screen::{ERASE, ON_SCREEN, take_line_away};
use super::speak::{self, Voice};
use super::stdio;

/// A transfer that takes less needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause between two drawings: often enough to look alive.
const PAUSE: Duration = Duration::from_millis(200);

/// The progress of one transfer. Dropping it removes the line.
pub(crate) struct Progress {
    total: Option<u64>,
    begun: Instant,
    /// When to draw next; `None`: never.
    due: Option<Instant>,
}

impl Progress {
    /// A transfer that begins now, of `total` bytes if that is known.
    pub(crate) fn new(voice: Voice, total: Option<u64>) -> Self {
        let begun = Instant::now();
        let shown =
            !voice.is_quiet() && !speak::is_json() && io::stderr().is_terminal() && can_rewrite();
        Self { total, begun, due: shown.then(|| begun + PATIENCE) }
    }

    /// Reports that `done` bytes in all are done.
    pub(crate) fn at(&mut self, done: u64) {
        let Some(due) = self.due else { return };
        let now = Instant::now();
        if now < due {
            return;
        }
        self.due = Some(now + PAUSE);
        ON_SCREEN.store(true, Ordering::Relaxed);
        let line = format!("{ERASE}otr: {}", describe(done, self.total, now - self.begun));
        stdio::say(line.as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        stdio::say(take_line_away().as_bytes());
    }
}

/// Whether the terminal can erase a line.
fn can_rewrite() -> bool {
    std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

fn describe(done: u64, total: Option<u64>, spent: Duration) -> String {
    let rate = u128::from(done) * 1000 / spent.as_millis().max(1);
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    let mut words = human(done);
    if let Some(total) = total {
        let _ = write!(words, " of {}", human(total));
    }
    let _ = write!(words, ", {}/s", human(rate));
    if let Some(left) = total.and_then(|total| total.checked_sub(done)?.checked_div(rate)) {
        let _ = write!(words, ", {}:{:02} left", left / 60, left % 60);
    }
    words
}

/// Formats bytes for people: `999 B`, `1.5 MiB`.
pub(crate) fn human(bytes: u64) -> String {
    let mut scale = 1;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if bytes / scale < 1024 {
            return amount(bytes, scale, unit);
        }
        scale *= 1024;
    }
    amount(bytes, scale, "TiB")
}

fn amount(bytes: u64, scale: u64, unit: &str) -> String {
    let (whole, rest) = (bytes / scale, bytes % scale);
    if scale == 1 || whole >= 100 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{} {unit}", rest * 10 / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (150 << 20, "150 MiB"),
            (1 << 40, "1.0 TiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn the_line_tells_what_is_known() {
        let spent = Duration::from_secs(2);
        assert_eq!(describe(2 << 20, None, spent), "2.0 MiB, 1.0 MiB/s");
        assert_eq!(
            describe(2 << 20, Some(92 << 20), spent),
            "2.0 MiB of 92.0 MiB, 1.0 MiB/s, 1:30 left"
        );
        assert_eq!(describe(0, Some(1), Duration::ZERO), "0 B of 1 B, 0 B/s");
    }
}
