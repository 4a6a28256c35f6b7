//! Durations and sizes that people type: value parsers for clap.

use std::time::Duration;

/// `30s`, `5m`, `1h`, `7d`; a bare number is seconds, as with curl.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60), ("", 1)];
    scaled(text, &units).map(Duration::from_secs).ok_or_else(|| "use 30s, 5m, 1h or 7d".into())
}

/// `512`, `64K`, `1M`, `2G`: bytes, in powers of 1,024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let units = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("", 1)];
    scaled(text, &units).ok_or_else(|| "use 512, 64K, 1M or 2G".into())
}

/// Like [`size`], for sizes in this machine's memory.
pub(crate) fn length(text: &str) -> Result<usize, String> {
    usize::try_from(size(text)?).map_err(|_| "that is more than this machine can hold".into())
}

/// A time span in a single unit: `45s`, `3m`, `5h`, `12d`.
pub(crate) fn age(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        ..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h", seconds / HOUR),
        DAY.. => format!("{}d", seconds / DAY),
    }
}

/// Parses digits and one of the units, in either case; nothing else, and nothing that overflows.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in
            [("30s", 30), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("0", 0), ("90", 90)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn ages() {
        let ages = [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86_400, "1d")];
        for (seconds, text) in ages {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("64K", 65_536), ("64k", 65_536), ("1M", 1 << 20)] {
            assert_eq!(size(text), Ok(bytes));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "s", "-1s", "+1", "1.5h", "1 h", "1hh", "1w", "18446744073709551616", "ü"]
        {
            assert!(duration(text).is_err(), "{text}");
            assert!(size(text).is_err(), "{text}");
        }
        assert!(size("17179869184G").is_err());
        assert!(duration("213503982334602d").is_err());
    }
}
