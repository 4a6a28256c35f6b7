//! Whether bytes look random: Pearson's chi-square over the 256 byte values (NIST handbook, section
//! 1.3.5.15). A library computes the p-value, because home-made numerics go wrong in the tails.

use statrs::function::gamma::checked_gamma_ur;

/// How many values a byte can have.
const VALUES: usize = 256;

/// With fewer expected occurrences of a value, the p-value is wrong (Cochran's rule).
const EXPECTED_MIN: u64 = 5;

/// A smaller p is called not random, wrongly once in ten thousand captures.
const NOT_RANDOM: f64 = 0.0001;

/// With fewer bytes, a value must occur one and a half times as often as it should to be noticed.
const FEW: u64 = 96 << 10;

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

    /// Adds the counts of another histogram.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// What can be said about these bytes.
    #[expect(clippy::cast_precision_loss, reason = "a count above 2^53 bytes is out of reach")]
    pub(super) fn measure(&self) -> Measure {
        let total: u64 = self.0.iter().sum();
        if total < EXPECTED_MIN * VALUES as u64 {
            return Measure(None);
        }
        let expected = total as f64 / VALUES as f64;
        let chi_square = self.0.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
        Measure(Some(ChiSquare { bytes: total, statistic: chi_square, p: p_value(chi_square) }))
    }
}

/// How often random bytes deviate at least this much.
fn p_value(chi_square: f64) -> f64 {
    // One less than the number of values.
    const DEGREES: f64 = 255.0;
    // The library refuses arguments that are not positive; a deviation of zero is always exceeded.
    checked_gamma_ur(DEGREES / 2.0, chi_square / 2.0).unwrap_or(1.0).clamp(0.0, 1.0)
}

/// The result; `None` if there are too few bytes.
pub(super) struct Measure(Option<ChiSquare>);

struct ChiSquare {
    bytes: u64,
    statistic: f64,
    p: f64,
}

impl Measure {
    pub(super) fn chi_square(&self) -> Option<f64> {
        self.0.as_ref().map(|measured| measured.statistic)
    }

    pub(super) fn p(&self) -> Option<f64> {
        self.0.as_ref().map(|measured| measured.p)
    }

    /// How many times too often a value must occur for p to fall below [`NOT_RANDOM`] more often
    /// than not. To shift chi-square by d, a value must occur 1 + sqrt(d · 256 / bytes) times as
    /// often (the non-centrality is bytes · excess² / 256).
    #[expect(clippy::cast_precision_loss, reason = "a count above 2^53 bytes is out of reach")]
    pub(super) fn notices(&self) -> Option<f64> {
        // The quantile of 0.0001 with 255 degrees of freedom, 347.7, minus the mean.
        const SHIFT: f64 = 92.7;
        let measured = self.0.as_ref()?;
        Some(1.0 + (SHIFT * VALUES as f64 / measured.bytes as f64).sqrt())
    }

    /// Two cells of the table.
    pub(super) fn cells(&self) -> String {
        match &self.0 {
            None => "  too short".to_owned(),
            Some(measured) => {
                let note = if measured.p < NOT_RANDOM { "  not random" } else { "" };
                format!("{:>11.1}  {:>7}{note}", measured.statistic, p_text(measured.p))
            }
        }
    }

    /// What this says about a whole capture, and what it cannot say.
    pub(super) fn report(&self) -> String {
        let (Some(measured), Some(notices)) = (&self.0, self.notices()) else {
            return "Too few bytes to test whether they look random.\n".to_owned();
        };
        let (bytes, chi_square, p) = (measured.bytes, measured.statistic, p_text(measured.p));
        let verdict = if measured.p < NOT_RANDOM {
            "These are NOT random bytes."
        } else {
            "No sign that these are not random bytes."
        };
        let mut report = format!(
            "chi-square over their {bytes} bytes: {chi_square:.1}, p {p}.\n{verdict}\n\
             This counts byte values. One that comes {notices:.2} times as often as it should\n\
             would be noticed here; a smaller flaw, or a pattern of even bytes, would not.\n"
        );
        if bytes < FEW {
            report.push_str("That is a small capture: only gross flaws would show in it.\n");
        }
        report
    }
}

fn p_text(p: f64) -> String {
    if p < NOT_RANDOM { "<0.0001".to_owned() } else { format!("{p:.4}") }
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
        assert!(zeros.cells().ends_with("<0.0001  not random"), "{}", zeros.cells());
        assert!(zeros.report().contains("These are NOT random bytes"), "{}", zeros.report());
        assert!(Histogram::of(b"few").measure().report().starts_with("Too few"));
        assert!(Histogram::of(&even[..1279]).measure().p().is_none());
        assert!(Histogram::of(&even[..1280]).measure().p().is_some());
    }

    /// A value that is too frequent by the stated factor is noticed about half of the time.
    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "small")]
    #[expect(clippy::cast_sign_loss, reason = "a length")]
    fn what_is_said_to_be_noticed_is_noticed() {
        let mut chance = 1_u64;
        let mut random = move || {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (chance >> 56) as u8
        };
        let (bytes, runs) = (1_u32 << 16, 60);
        let mut noticed = [0; 3];
        for _ in 0..runs {
            let even: Vec<u8> = (0..bytes).map(|_| random()).collect();
            let factor = Histogram::of(&even).measure().notices().unwrap();
            for (count, share) in noticed.iter_mut().zip([0.0, 1.0, 1.6]) {
                let more = (f64::from(bytes) / 256.0 * (factor - 1.0) * share) as usize;
                let flawed = [&even[more..], &vec![7; more]].concat();
                let p = Histogram::of(&flawed).measure().p().unwrap();
                *count += u32::from(p < NOT_RANDOM);
            }
        }
        assert!(noticed[0] == 0 && (15..=45).contains(&noticed[1]), "{noticed:?}");
        assert!(noticed[2] > 54, "{noticed:?}");
        let few = Histogram::of(&vec![1; 4096]).measure();
        assert!(few.report().contains("small capture"), "{}", few.report());
    }

    #[test]
    fn parts_add_up() {
        let mut sum = Histogram::of(b"aab");
        sum.add(&Histogram::of(b"abc"));
        assert!(sum.0 == Histogram::of(b"aabcab").0);
    }
}
