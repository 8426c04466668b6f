//! Durations and sizes as people write them: `500ms`, `5s`, `64KiB`.

use std::time::Duration;

/// How a duration is written, for messages.
pub const DURATION_FORM: &str =
    "a duration: a whole number and its unit, as in `500ms`, `5s`, `2m` or `1h`";
/// How a size is written, for messages.
pub const SIZE_FORM: &str =
    "a size: a whole number of bytes, or one with a unit, as in `64KiB`, `5MiB` or `1GiB`";

/// Reads `500ms`, `5s`, `2m` or `1h`; `None` for anything else, a number without its unit and
/// one too large for milliseconds in 64 bits among them.
pub fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = number_and_unit(text)?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    count.checked_mul(millis_each).map(Duration::from_millis)
}

/// Reads bytes: `65536`, `64KiB`, `5MiB` or `1GiB`; `None` for anything else.
pub fn size(text: &str) -> Option<u64> {
    let (count, unit) = number_and_unit(text)?;
    let bytes_each = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    count.checked_mul(bytes_each)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let (count, unit) = text.split_at(end);
    Some((count.parse().ok()?, unit))
}

/// Writes a duration the way [`duration`] reads it, in the largest unit that leaves it whole.
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    whole(millis, units).unwrap_or_else(|| format!("{millis}ms"))
}

/// Writes a size the way [`size`] reads it, in the largest unit that leaves it whole.
pub fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    whole(bytes.into(), units).unwrap_or_else(|| bytes.to_string())
}

/// In the first of `units` that leaves it whole.
fn whole(count: u128, units: [(u128, &str); 3]) -> Option<String> {
    let mut units = units.into_iter();
    let (each, unit) = units.find(|(each, _)| count > 0 && count.is_multiple_of(*each))?;
    Some(format!("{}{unit}", count / each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        for (text, millis) in [
            ("0ms", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("2m", 120_000),
            (" 1h ", 3_600_000),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for bad in [
            "", "5", "s", "-1s", "+1s", "1.5s", "5 s", "5S", "5sec", "1d", "1s1s", "٣s", "0x5s",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_size_is_bytes_or_a_number_and_its_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("64KiB", 65_536),
            ("5MiB", 5 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "KiB", "5MB", "5M", "5kib", "-5", "1.5MiB", "5 MiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_does_not_fit_64_bits_is_refused() {
        assert!(duration("18446744073709551615ms").is_some());
        assert_eq!(duration("18446744073709551616ms"), None);
        assert_eq!(duration("18446744073709551615s"), None);
        assert_eq!(size("18446744073709551615"), Some(u64::MAX));
        assert_eq!(size("17179869184GiB"), None);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for millis in [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000] {
            let given = Duration::from_millis(millis);
            assert_eq!(duration(&duration_text(given)), Some(given));
        }
        for bytes in [0, 1, 1_023, 1_024, 5 << 20, (1 << 30) + 1, 1 << 30] {
            assert_eq!(size(&size_text(bytes)), Some(bytes));
        }
        assert_eq!(duration_text(Duration::from_secs(7_200)), "2h");
        assert_eq!(size_text(256 << 20), "256MiB");
    }
}
