//! When a caller whose calls are kept apart does what it has to do: each errand at a moment of its own,
//! drawn as soon as the errand is known, so that no call follows anything that happened. This only computes:
//! times come in, and randomness.

use std::collections::BTreeMap;
use std::time::Duration;

/// How far an errand's moment may lie ahead: it is uniform within this time.
pub(super) const SPREAD: Duration = Duration::from_secs(10);
/// A moment that was missed by more than this gets another one: else all that became due while the caller was
/// busy would begin together.
const MISSED: Duration = Duration::from_millis(500);

/// Errands, and their moments. Times count from any beginning.
pub(super) struct Schedule<E> {
    due: BTreeMap<E, Duration>,
    /// Since when each runs.
    running: BTreeMap<E, Duration>,
}

impl<E: Ord + Copy> Schedule<E> {
    /// Without errands.
    pub(super) fn new() -> Self {
        Self { due: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// From now on these errands are there, each with the time within which it is to run; others are
    /// dropped, unless they run. An errand that was there keeps its moment, unless that was missed; it gets an
    /// earlier one if its time has become shorter. `draw` gives 64 random bits.
    pub(super) fn want<X>(
        &mut self,
        errands: impl IntoIterator<Item = (E, Duration)>,
        now: Duration,
        mut draw: impl FnMut() -> Result<u64, X>,
    ) -> Result<(), X> {
        let mut before = std::mem::take(&mut self.due);
        for (errand, spread) in errands {
            if self.running.contains_key(&errand) || self.due.contains_key(&errand) {
                continue;
            }
            let moment = match before.remove(&errand) {
                Some(moment) if moment <= now + spread && moment + MISSED >= now => moment,
                _ => now + part(spread, draw()?),
            };
            self.due.insert(errand, moment);
        }
        Ok(())
    }

    /// The errands whose moment has come, so many that no more than `most` run; they run until
    /// [`ended`](Self::ended).
    pub(super) fn begin(&mut self, now: Duration, most: usize) -> Vec<E> {
        let due = self.due.iter().filter(|(_, moment)| **moment <= now).map(|(errand, _)| *errand);
        let begun: Vec<E> = due.take(most.saturating_sub(self.running.len())).collect();
        for errand in &begun {
            self.due.remove(errand);
            self.running.insert(*errand, now);
        }
        begun
    }

    /// An errand has run: if it is still wanted, it gets another moment.
    pub(super) fn ended(&mut self, errand: &E) {
        self.running.remove(errand);
    }

    /// Since when an errand runs, if it does.
    pub(super) fn runs_since(&self, errand: &E) -> Option<Duration> {
        self.running.get(errand).copied()
    }

    /// The next moment.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.values().min().copied()
    }
}

/// A uniform part of a time.
pub(super) fn part(time: Duration, random: u64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn want(schedule: &mut Schedule<u8>, errands: &[u8], now: Duration, random: u64) {
        let errands = errands.iter().map(|errand| (*errand, SPREAD));
        schedule.want(errands, now, || Ok::<_, Infallible>(random)).unwrap();
    }

    #[test]
    fn an_errand_runs_once_at_the_moment_that_was_drawn_for_it() {
        let mut schedule = Schedule::new();
        want(&mut schedule, &[1], Duration::ZERO, u64::MAX / 2);
        assert!(schedule.begin(4 * SECOND, 9).is_empty());
        // What is asked for again keeps its moment, whatever happens meanwhile.
        want(&mut schedule, &[1, 2], 4 * SECOND, u64::MAX / 4);
        assert_eq!(schedule.begin(5 * SECOND, 9), [1]);
        want(&mut schedule, &[1, 2], 5 * SECOND, 0);
        assert!(schedule.begin(6 * SECOND, 9).is_empty(), "the first one runs");
        assert_eq!(schedule.begin(7 * SECOND, 9), [2]);
        schedule.ended(&1);
        want(&mut schedule, &[1], 20 * SECOND, 0);
        assert_eq!(schedule.begin(20 * SECOND, 9), [1]);
        assert_eq!(schedule.runs_since(&1), Some(20 * SECOND));
        schedule.ended(&1);
        schedule.ended(&2);
        assert!(schedule.next().is_none() && schedule.runs_since(&2).is_none());
    }

    #[test]
    fn what_is_no_longer_wanted_does_not_run_and_what_hurries_runs_sooner() {
        let mut schedule = Schedule::new();
        want(&mut schedule, &[1, 2], Duration::ZERO, u64::MAX);
        let at_once = [(2, Duration::ZERO)];
        schedule.want(at_once, SECOND, || Ok::<_, Infallible>(u64::MAX)).unwrap();
        assert_eq!(schedule.begin(SECOND, 9), [2]);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn what_became_due_while_the_caller_was_busy_does_not_begin_together() {
        let mut schedule = Schedule::new();
        want(&mut schedule, &[1, 2, 3], Duration::ZERO, u64::MAX / 2);
        want(&mut schedule, &[1, 2, 3], 30 * SECOND, u64::MAX / 2);
        assert!(schedule.begin(30 * SECOND, 9).is_empty());
        assert_eq!(schedule.begin(35 * SECOND, 2), [1, 2], "no more run at a time");
        assert!(schedule.begin(35 * SECOND, 2).is_empty());
    }

    proptest! {
        /// The moment depends on nothing but chance and when the errand became known.
        #[test]
        fn moments_are_uniform_and_within_their_time(random: u64, now in 0..1_000_000_u64, nth in 0..8_u32) {
            let mut schedule = Schedule::new();
            let now = Duration::from_millis(now);
            want(&mut schedule, &[1], now, random);
            let moment = schedule.next().unwrap();
            prop_assert!(moment >= now && moment < now + SPREAD);
            let eighth = SPREAD / 8;
            let random = u64::from(nth) << 61 | random >> 3;
            let moment = part(SPREAD, random);
            prop_assert!(moment >= eighth * nth && moment < eighth * (nth + 1));
        }
    }
}
