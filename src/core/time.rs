//! Points in time as unix nanoseconds, with arithmetic that saturates instead of trapping.

use std::fmt;

/// Nanoseconds in one second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Nanoseconds in one day of UTC, which has no leap seconds here.
pub(crate) const DAY: u64 = 86_400 * SECOND;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, up to the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `nanos` nanoseconds after the unix epoch.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The last instant that can be written.
    pub const LAST: Self = Self(u64::MAX);

    /// Nanoseconds since the unix epoch.
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// This instant moved later by `nanos`, at most to the last one that can be written.
    #[must_use]
    pub const fn saturating_add(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Nanoseconds from `earlier` to this instant, 0 if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The date as HTTP has it (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub(crate) fn http_date(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.0 / SECOND;
        let days = seconds / 86_400;
        let (year, month, day) = civil_from_days(days);
        let nth = |index: u64| usize::try_from(index).unwrap_or(usize::MAX);
        let weekday = DAYS.get(nth(days % 7)).copied().unwrap_or_default();
        let month = MONTHS.get(nth(month.saturating_sub(1))).copied().unwrap_or_default();
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// RFC 3339 in UTC with milliseconds: `2026-12-01T00:00:00.000Z`. Every record has one, so its
    /// digits are put in place without the machinery of formatting.
    #[inline]
    pub(crate) fn rfc3339(self) -> [u8; 24] {
        let seconds = self.0 / SECOND;
        let millis = self.0 % SECOND / 1_000_000;
        let (year, month, day) = civil_from_days(seconds / 86_400);
        let of_day = seconds % 86_400;
        let [y1, y2] = two_digits(year / 100);
        let [y3, y4] = two_digits(year % 100);
        let [m1, m2] = two_digits(month);
        let [d1, d2] = two_digits(day);
        let [h1, h2] = two_digits(of_day / 3_600);
        let [i1, i2] = two_digits(of_day / 60 % 60);
        let [s1, s2] = two_digits(of_day % 60);
        let [f1, f2] = two_digits(millis / 10);
        let [_, f3] = two_digits(millis % 10);
        [
            y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2,
            b'.', f1, f2, f3, b'Z',
        ]
    }

    /// Whole seconds since the unix epoch.
    pub(crate) const fn unix_seconds(self) -> u64 {
        self.0 / SECOND
    }

    /// Whole seconds since the unix epoch, rounded up.
    pub(crate) const fn unix_seconds_up(self) -> u64 {
        self.0.div_ceil(SECOND)
    }

    /// Reads an RFC 3339 date-time in upper-case form: `2026-12-01T00:00:00Z`, with an optional
    /// fraction of up to nine digits and `Z` or a numeric offset (RFC 3339, section 5.6).
    ///
    /// Leap seconds, dates before 1970 and dates after 2554 are not understood: `None`.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let mut cursor = Cursor(text.as_bytes());
        let year = cursor.digits(4)?;
        cursor.byte(b'-')?;
        let month = cursor.digits(2)?;
        cursor.byte(b'-')?;
        let day = cursor.digits(2)?;
        cursor.byte(b'T')?;
        let hour = cursor.digits(2)?;
        cursor.byte(b':')?;
        let minute = cursor.digits(2)?;
        cursor.byte(b':')?;
        let second = cursor.digits(2)?;
        let nanos = cursor.fraction()?;
        let offset = cursor.offset()?;
        let in_range = (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !in_range || !cursor.0.is_empty() {
            return None;
        }
        let days = days_from_civil(year, month, day);
        let seconds = days
            .checked_mul(86_400)?
            .checked_add(hour.checked_mul(3_600)?)?
            .checked_add(minute.checked_mul(60)?)?
            .checked_add(second)?
            .checked_sub(offset)?;
        let seconds = u64::try_from(seconds).ok()?;
        Some(Self(seconds.checked_mul(SECOND)?.checked_add(nanos)?))
    }
}

/// A number below 100 as two digits.
#[inline]
pub(crate) fn two_digits(number: u64) -> [u8; 2] {
    usize::try_from(number).ok().and_then(|number| DIGITS.get(number)).copied().unwrap_or(*b"00")
}

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
static DIGITS: [[u8; 2]; 100] = {
    let mut table = [*b"00"; 100];
    let (mut number, mut tens, mut ones) = (0, b'0', b'0');
    while number < table.len() {
        table[number] = [tens, ones];
        (tens, ones) = if ones == b'9' { (tens + 1, b'0') } else { (tens, ones + 1) };
        number += 1;
    }
    table
};

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-12-01T00:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.rfc3339()).unwrap_or_default())
    }
}

/// What is left of the text being read.
struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == expected).then_some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        // At most nine digits are asked for, so nothing wraps; a checked product of 64 bits costs Wasm
        // one of 128.
        digits.iter().try_fold(0_i64, |value, digit| {
            let digit = digit.is_ascii_digit().then(|| i64::from(digit & 0x0f))?;
            Some(value.wrapping_mul(10).wrapping_add(digit))
        })
    }

    /// The optional `.123456789`, in nanoseconds.
    fn fraction(&mut self) -> Option<u64> {
        if self.0.first() != Some(&b'.') {
            return Some(0);
        }
        self.byte(b'.')?;
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let missing = 9_usize.checked_sub(count).filter(|missing| *missing < 9)?;
        let value = u64::try_from(self.digits(count)?).ok()?;
        value.checked_mul(10_u64.checked_pow(u32::try_from(missing).ok()?)?)
    }

    /// `Z` or `+02:00`, in seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        let sign = match sign {
            b'Z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.digits(2).filter(|hours| *hours < 24)?;
        self.byte(b':')?;
        let minutes = self.digits(2).filter(|minutes| *minutes < 60)?;
        hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?.checked_mul(sign)
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar, counted in 400-year eras that
/// begin in March, so that the leap day is the last of its year.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "the year has four digits, nothing can overflow"
)]
pub(crate) const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`] for days on or after the epoch.
#[expect(clippy::arithmetic_side_effects, reason = "u64 seconds give at most 2^48 days")]
#[inline]
pub(crate) const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = days / 146_097 * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check(text: &str, expected: Option<&str>) {
        let shown = Timestamp::parse_rfc3339(text).map(|time| time.to_string());
        assert_eq!(shown.as_deref(), expected, "{text}");
    }

    #[test]
    fn reads_and_writes_rfc3339() {
        check("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00.000Z"));
        check("2026-12-01T00:00:00Z", Some("2026-12-01T00:00:00.000Z"));
        check("2024-02-29T23:59:59.5Z", Some("2024-02-29T23:59:59.500Z"));
        check("2000-03-01T01:30:00+02:00", Some("2000-02-29T23:30:00.000Z"));
        check("2099-12-31T23:59:59.123456789-00:30", Some("2100-01-01T00:29:59.123Z"));
        check("2554-07-21T23:34:33Z", Some("2554-07-21T23:34:33.000Z"));
    }

    #[test]
    fn writes_dates_as_http_has_them() {
        let date = |text| Timestamp::parse_rfc3339(text).map(Timestamp::http_date);
        let dates = [
            ("1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2024-02-29T23:59:59.999Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
        ];
        for (text, expected) in dates {
            assert_eq!(date(text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn refuses_what_it_cannot_read_exactly() {
        for text in [
            "",
            "2026-12-01",
            "2026-12-01T00:00:00",
            "2026-12-01t00:00:00z",
            "2026-12-01 00:00:00Z",
            "2026-12-01T00:00:00Z ",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:00:60Z",
            "2026-12-01T00:00:00.Z",
            "2026-12-01T00:00:00.1234567890Z",
            "2026-12-01T00:00:00+24:00",
            "1969-12-31T23:59:59Z",
            "2555-01-01T00:00:00Z",
            "+026-12-01T00:00:00Z",
        ] {
            check(text, None);
        }
    }
}
