//! Measures: points in time, short times and rates.

use super::{Checked, exactly, fault};
use crate::limit::{Calendar, MAX_COUNT};
use crate::time::{SECOND, Timestamp};

/// Largest burst of a limit, in requests.
pub(crate) const MAX_BURST: u32 = 1_000_000;
/// Largest rate of a limit, in requests a second.
const MAX_PER_SECOND: u64 = 1_000_000;

pub(super) fn time(text: &str, out: &mut Vec<u8>) -> Checked {
    match Timestamp::parse_rfc3339(text) {
        Some(time) => {
            out.extend(time.unix_nanos().to_le_bytes());
            Ok(())
        }
        None => fault("", "write it like `2026-12-31T00:00:00Z` (RFC 3339)"),
    }
}

/// Longest time-out, in milliseconds.
const MAX_MILLIS: u64 = 10_000;

/// The nanoseconds of a time-out.
pub(crate) fn parse_timeout(text: &str) -> Option<u64> {
    let millis = text.strip_suffix("ms").and_then(whole).filter(|millis| *millis <= MAX_MILLIS)?;
    Some(millis.saturating_mul(1_000_000))
}

pub(super) fn timeout(text: &str, out: &mut Vec<u8>) -> Checked {
    exactly(parse_timeout(text).is_some(), text, "write it like `20ms`; at most 10000ms", out)
}

/// A whole number without zeros in front.
fn whole(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

/// A whole number, and the unit behind the slash.
fn count_per(text: &str) -> Option<(u64, &str)> {
    let (count, unit) = text.split_once('/')?;
    Some((whole(count)?, unit))
}

/// How many requests in how many nanoseconds.
pub(crate) fn parse_rate(text: &str) -> Option<(u64, u64)> {
    let (count, unit) = count_per(text)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let most = MAX_PER_SECOND.saturating_mul(seconds);
    (count <= most).then_some((count, SECOND.saturating_mul(seconds)))
}

pub(super) fn rate(text: &str, out: &mut Vec<u8>) -> Checked {
    let help = "write it like `100/s`, `30/m`, `10/h` or `1000/d`; at most 1000000 a second";
    exactly(parse_rate(text).is_some(), text, help, out)
}

/// How many requests in which windows of the calendar; weeks begin on Monday, months on the first.
pub(crate) fn parse_quota(text: &str) -> Option<(u64, Calendar)> {
    let (count, unit) = count_per(text)?;
    let windows =
        [Calendar::Hour, Calendar::Day, Calendar::MONDAYS, Calendar::Month(1), Calendar::Year];
    let calendar = windows.into_iter().find(|calendar| calendar.unit() == unit)?;
    (count <= MAX_COUNT).then_some((count, calendar))
}

pub(super) fn quota(text: &str, out: &mut Vec<u8>) -> Checked {
    let help =
        "write it like `1000/hour`, `5000/day`, `20000/week`, `100000/month` or `1000000/year`";
    exactly(parse_quota(text).is_some(), text, help, out)
}
