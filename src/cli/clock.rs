//! Times and lengths of time on the command line.

use std::time::{SystemTime, UNIX_EPOCH};

use portcullis_core::Timestamp;

/// A time of the policy language.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "a time is written as 2027-01-31T00:00:00Z (RFC 3339)".to_owned())
}

/// The system's time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// A length of time such as `90s`, `5m`, `1h` or `30d`, in seconds; at most a thousand years.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a length of time is written as 90s, 5m, 1h or 30d".to_owned();
    let (count, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let digits = (1..=11).contains(&count.len()) && count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse::<u64>().ok().filter(|_| digits).ok_or_else(wrong)?;
    count.checked_mul(unit).filter(|seconds| *seconds <= 1_000 * 365 * 86_400).ok_or_else(wrong)
}

/// A length of time in words of one or two units, rounded down: `4m 59s`, `2h`, `400d`.
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |big, big_unit, small, small_unit| match small {
        0 => format!("{big}{big_unit}"),
        _ => format!("{big}{big_unit} {small}{small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => two(minutes, 'm', seconds % 60, 's'),
        3_600..86_400 => two(hours, 'h', minutes % 60, 'm'),
        _ => two(days, 'd', hours % 24, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("0s"), Ok(0));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        for text in ["", "s", "5", "5 m", "-5m", "+5m", "5M", "5é", "99999999999d", "1w", "1.5h"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        for (count, text) in
            [(0, "0s"), (59, "59s"), (299, "4m 59s"), (7_201, "2h"), (90_000, "1d 1h")]
        {
            assert_eq!(span(count), text);
        }
    }
}
