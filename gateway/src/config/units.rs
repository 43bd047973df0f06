//! Durations and sizes as people write them. It reads and writes text only.

use std::time::Duration;

/// Reads `250ms`, `10s`, `5m`, `2h`, `7d`.
pub fn read_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "us" => number * 1e-6,
        "ms" => number * 1e-3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// Writes a duration with the largest unit that divides it.
pub fn write_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units = [(86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1000, "ms")];
    for (size, unit) in units {
        if micros >= size && micros.is_multiple_of(size) {
            return format!("{}{unit}", micros / size);
        }
    }
    format!("{micros}us")
}

/// Reads `4096`, `64KiB`, `16MiB`, `4GiB`, `1MB`.
pub(super) fn read_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor: f64 = match unit {
        "" | "B" => 1.0,
        "KiB" | "K" => 1024.0,
        "MiB" | "M" => 1_048_576.0,
        "GiB" | "G" => 1_073_741_824.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        _ => return None,
    };
    let bytes = number * factor;
    if bytes.is_finite() && bytes < 9e15 {
        // In range: checked above, and never negative.
        format!("{bytes:.0}").parse().ok()
    } else {
        None
    }
}

/// Writes a size with the largest binary unit that divides it.
pub(super) fn write_size(bytes: u64) -> String {
    for (size, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_as_written() {
        let durations = ["1ms", "250ms", "10s", "5m", "2h", "7d"];
        for text in durations {
            assert_eq!(read_duration(text).map(write_duration).as_deref(), Some(text));
        }
        for text in ["512", "64KiB", "16MiB", "4GiB"] {
            assert_eq!(read_size(text).map(write_size).as_deref(), Some(text));
        }
        for text in ["", "s", "10 parsecs", "-1s", "1e99GiB", "99999999999999999999GiB", "1.2.3s"] {
            assert_eq!(read_duration(text), None, "{text}");
            assert_eq!(read_size(text), None, "{text}");
        }
    }
}
