//! Cover: packets that say nothing, so that those that say something cannot be told from them by when they are
//! posted.

use std::time::Duration;

use crate::conversation::error::Error;
use crate::protocol::session::SealError;

/// When to post packets that say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// At random moments, so far apart in the mean (exponentially distributed).
    Mean(Duration),
    /// Each time after this time.
    Constant(Duration),
}

impl Cover {
    /// The time to the next one.
    ///
    /// # Errors
    /// The system gave no randomness.
    pub fn next(self) -> Result<Duration, Error> {
        Ok(self.time(getrandom::u32().map_err(|_| SealError::NoRandomness)?))
    }

    fn time(self, random: u32) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Mean(mean) => {
                // From (0, 1].
                let uniform = (f64::from(random) + 1.0) / (f64::from(u32::MAX) + 1.0);
                mean.mul_f64(-uniform.ln())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_the_mean_that_is_asked_for_and_say_nothing_of_the_last() {
        let minute = Duration::from_mins(1);
        let times = (0..4_096_u32).map(|nth| Cover::Mean(minute).time(nth << 20 | 1 << 19));
        let times: Vec<f64> = times.map(|time| time.as_secs_f64()).collect();
        let mean = times.iter().sum::<f64>() / 4_096.0;
        assert!((59.0..61.0).contains(&mean), "{mean}");
        // Memoryless: of those that are longer than a minute, as many are longer than two.
        let longer = |time: f64| {
            f64::from(u32::try_from(times.iter().filter(|each| **each > time).count()).unwrap())
        };
        let parts = [longer(60.0) / 4_096.0, longer(120.0) / longer(60.0)];
        assert!(parts.iter().all(|part| (0.36..0.38).contains(part)), "{parts:?}");
        assert_eq!(Cover::Constant(minute).time(1), minute);
        // The longest there can be, and no time at all.
        assert!(Cover::Mean(minute).time(0) < 23 * minute);
        assert!(Cover::Mean(minute).time(u32::MAX).is_zero());
    }
}
