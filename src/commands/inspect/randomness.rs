//! Whether bytes look random: Pearson's chi-square over the 256 byte values (NIST handbook,
//! section 1.3.5.15). The p-value is a library's: own numerics go wrong in the tails.

use std::fmt;

use statrs::function::gamma::checked_gamma_ur;

/// Values that a byte can have.
const VALUES: usize = 256;

/// Fewer expected occurrences of a value than this make the p-value wrong (Cochran's rule).
const EXPECTED_MIN: u64 = 5;

/// How often each byte value occurred.
pub(super) struct Histogram([u64; VALUES]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; VALUES])
    }
}

impl Histogram {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut histogram = Self::default();
        for &byte in bytes {
            histogram.0[usize::from(byte)] += 1;
        }
        histogram
    }

    /// Takes in what another one counted.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// What can be said of so many bytes.
    #[expect(clippy::cast_precision_loss, reason = "a count above 2^53 bytes is out of reach")]
    pub(super) fn measure(&self) -> Measure {
        let total: u64 = self.0.iter().sum();
        if total < EXPECTED_MIN * VALUES as u64 {
            return Measure(None);
        }
        let expected = total as f64 / VALUES as f64;
        let chi_square = self.0.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
        Measure(Some(ChiSquare { chi_square, p: p_value(chi_square) }))
    }
}

/// How often random bytes deviate at least as much.
fn p_value(chi_square: f64) -> f64 {
    // One less than there are values.
    const DEGREES: f64 = 255.0;
    // It refuses what is not positive: no deviation at all is exceeded always.
    checked_gamma_ur(DEGREES / 2.0, chi_square / 2.0).unwrap_or(1.0).clamp(0.0, 1.0)
}

/// The result; none where there are too few bytes.
pub(super) struct Measure(Option<ChiSquare>);

struct ChiSquare {
    chi_square: f64,
    p: f64,
}

impl Measure {
    pub(super) fn chi_square(&self) -> Option<f64> {
        self.0.as_ref().map(|measured| measured.chi_square)
    }

    pub(super) fn p(&self) -> Option<f64> {
        self.0.as_ref().map(|measured| measured.p)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("too short to test for randomness"),
            Some(ChiSquare { chi_square, p }) if *p < 0.0001 => {
                write!(f, "chi-square {chi_square:.1}, p < 0.0001: not random")
            }
            Some(ChiSquare { chi_square, p }) => write!(f, "chi-square {chi_square:.1}, p {p:.4}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the distribution with 255 degrees of freedom, from published tables.
    #[test]
    fn p_values_are_those_of_the_tables() {
        for (chi_square, p) in [(284.336, 0.10), (293.248, 0.05), (310.457, 0.01), (254.334, 0.5)] {
            assert!(
                (p_value(chi_square) - p).abs() < 0.0005,
                "{chi_square}: {}",
                p_value(chi_square)
            );
        }
        assert!((p_value(0.0) - 1.0).abs() < f64::EPSILON);
        assert!(p_value(1e12) < f64::EPSILON);
    }

    #[test]
    fn bytes_are_judged_by_their_counts() {
        let even: Vec<u8> = (0..=u8::MAX).cycle().take(4096).collect();
        let measure = Histogram::of(&even).measure();
        assert_eq!(measure.chi_square(), Some(0.0));
        let zeros = Histogram::of(&vec![0; 1 << 20]).measure();
        assert!(zeros.to_string().ends_with("not random"), "{zeros}");
        assert!(Histogram::of(&even[..1279]).measure().p().is_none());
        assert!(Histogram::of(&even[..1280]).measure().p().is_some());
    }

    #[test]
    fn parts_add_up() {
        let mut sum = Histogram::of(b"aab");
        sum.add(&Histogram::of(b"abc"));
        assert!(sum.0 == Histogram::of(b"aabcab").0);
    }
}
