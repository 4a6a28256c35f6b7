//! The clock for the lifetime of packets: it counts the time in which the machine sleeps, and
//! nobody can set it.

use rustix::time::{ClockId, clock_gettime};

/// Seconds since the store began.
pub(crate) type Seconds = u32;

/// Linux's usual clock for durations stands still while the machine is suspended.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A clock that counts from a moment on.
pub(crate) struct Clock {
    began: i64,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn new() -> Self {
        Self { began: seconds() }
    }

    pub(crate) fn now(&self) -> Seconds {
        Seconds::try_from(seconds() - self.began).unwrap_or(Seconds::MAX / 2)
    }

    /// Pretends that this much time has passed.
    #[cfg(test)]
    pub(crate) fn turn(&mut self, on: Seconds) {
        self.began -= i64::from(on);
    }
}

fn seconds() -> i64 {
    clock_gettime(CLOCK).tv_sec
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// In a namespace whose machine has slept for a day, as far as its clocks tell.
    #[cfg(target_os = "linux")]
    #[test]
    fn time_that_the_machine_slept_has_passed() {
        const INNER: &str = "OTR_TEST_SLEPT";
        const TEST: &str = "postbox::storage::clock::tests::time_that_the_machine_slept_has_passed";
        let up = || {
            let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
            uptime.split('.').next().unwrap().parse::<i64>().unwrap()
        };
        if let Ok(before) = std::env::var(INNER) {
            let slept = up() - before.parse::<i64>().unwrap();
            assert!((86_400..90_000).contains(&slept), "{slept}");
            assert!((up() - seconds()).abs() < 100, "{} {}", up(), seconds());
            return;
        }
        let mut inner = Command::new("unshare");
        inner.args(["--time", "--fork", "--boottime", "86400"]);
        inner.arg(std::env::current_exe().unwrap()).args(["--exact", TEST]);
        let output = inner.env(INNER, up().to_string()).output().expect("util-linux");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{output:?}");
    }
}
