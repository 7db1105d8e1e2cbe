//! Windows of the calendar: hours, days, weeks, months and years of UTC, one behind the other.

use crate::time::{DAY, SECOND, civil_from_days, days_from_civil};

const HOUR: u64 = 3_600 * SECOND;

/// How time is cut into windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calendar {
    Hour,
    Day,
    /// From this weekday on; 0 is Thursday, as 1970-01-01 was.
    Week(u8),
    /// From this day of the month on, 1 to 28: every month has it.
    Month(u8),
    Year,
}

impl Calendar {
    /// Weeks that begin on Monday (ISO 8601).
    pub(crate) const MONDAYS: Self = Self::Week(4);

    /// What such a window is called.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week(_) => "week",
            Self::Month(_) => "month",
            Self::Year => "year",
        }
    }

    /// The day of the week or of the month on which its windows begin, if that can be chosen.
    pub(crate) const fn first_day(self) -> u8 {
        match self {
            Self::Week(day) | Self::Month(day) => day,
            Self::Hour | Self::Day | Self::Year => 0,
        }
    }

    /// Where the window that holds an instant begins and where it ends, which is where the next one
    /// begins; all in unix nanoseconds. The first of all begins with 1970.
    #[inline(never)]
    pub(crate) fn window(self, instant: u64) -> (u64, u64) {
        let days = instant / DAY;
        let (first, next) = match self {
            Self::Hour => {
                let begin = instant.saturating_sub(instant % HOUR);
                return (begin, begin.saturating_add(HOUR));
            }
            Self::Day => (days, days.saturating_add(1)),
            Self::Week(weekday) => {
                let next = days.saturating_add(7);
                let next = next.saturating_sub(next.saturating_sub(weekday.into()) % 7);
                (next.saturating_sub(7), next)
            }
            Self::Month(day) => months(days, 1, day),
            Self::Year => months(days, 12, 1),
        };
        (first.saturating_mul(DAY), next.saturating_mul(DAY))
    }
}

/// The first day of the window of so many months that holds a day, and of the next one.
fn months(days: u64, length: u64, day: u8) -> (u64, u64) {
    let (year, month, today) = civil_from_days(days);
    // Months since the year 0, of which the first day that counts has passed.
    let missing = if today < u64::from(day) { 2 } else { 1 };
    let passed = year.saturating_mul(12).saturating_add(month).saturating_sub(missing);
    let first = passed.saturating_sub(passed.checked_rem(length).unwrap_or(0));
    let begin = |months: u64| {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (year, month) = (signed(months / 12), signed((months % 12).saturating_add(1)));
        u64::try_from(days_from_civil(year, month, day.into())).unwrap_or(0)
    };
    (begin(first), begin(first.saturating_add(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn instant(text: &str) -> u64 {
        let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let time = Timestamp::parse_rfc3339(&text).unwrap_or_else(|| panic!("{text}"));
        time.unix_nanos()
    }

    #[test]
    fn windows_lie_where_the_calendar_has_them() {
        const SUNDAYS: Calendar = Calendar::Week(3);
        const THURSDAYS: Calendar = Calendar::Week(0);
        const WEDNESDAYS: Calendar = Calendar::Week(6);
        for (calendar, at, begin, end) in [
            (Calendar::Hour, "2026-12-31T23:30:00Z", "2026-12-31T23:00:00Z", "2027-01-01"),
            (Calendar::Day, "2024-02-28T12:00:00Z", "2024-02-28", "2024-02-29"),
            (Calendar::Day, "2024-02-29", "2024-02-29", "2024-03-01"),
            (Calendar::MONDAYS, "2026-11-25", "2026-11-23", "2026-11-30"),
            (Calendar::MONDAYS, "2026-11-30", "2026-11-30", "2026-12-07"),
            (SUNDAYS, "2026-11-28T23:59:59.999999999Z", "2026-11-22", "2026-11-29"),
            (SUNDAYS, "2026-11-29", "2026-11-29", "2026-12-06"),
            (THURSDAYS, "1970-01-01", "1970-01-01", "1970-01-08"),
            (WEDNESDAYS, "2027-01-01", "2026-12-30", "2027-01-06"),
            (Calendar::MONDAYS, "1970-01-02", "1970-01-01", "1970-01-05"),
            (Calendar::Month(1), "2026-02-14", "2026-02-01", "2026-03-01"),
            (Calendar::Month(1), "2024-02-29T23:59:59Z", "2024-02-01", "2024-03-01"),
            (Calendar::Month(1), "2026-12-31", "2026-12-01", "2027-01-01"),
            (Calendar::Month(15), "2026-12-31", "2026-12-15", "2027-01-15"),
            (Calendar::Month(15), "2027-01-14T23:59:59Z", "2026-12-15", "2027-01-15"),
            (Calendar::Month(28), "2026-02-28", "2026-02-28", "2026-03-28"),
            (Calendar::Month(28), "2024-02-27", "2024-01-28", "2024-02-28"),
            (Calendar::Month(15), "1970-01-02", "1970-01-01", "1970-01-15"),
            (Calendar::Year, "2026-12-31T23:59:59Z", "2026-01-01", "2027-01-01"),
            (Calendar::Year, "2000-02-29", "2000-01-01", "2001-01-01"),
            (Calendar::Year, "2100-03-01", "2100-01-01", "2101-01-01"),
        ] {
            let window = calendar.window(instant(at));
            assert_eq!(window, (instant(begin), instant(end)), "{calendar:?} {at}");
        }
    }

    #[test]
    fn windows_lie_one_behind_the_other() {
        let all = (0..7).map(Calendar::Week).chain((1..=28).map(Calendar::Month));
        for calendar in all.chain([Calendar::Hour, Calendar::Day, Calendar::Year]) {
            let longest = if calendar == Calendar::Year { 366 } else { 31 } * DAY;
            let (mut begin, mut end) = calendar.window(0);
            assert_eq!(begin, 0);
            // To the year 2108: over each kind of leap year.
            while end < instant("2108-01-01") && (calendar != Calendar::Hour || end < 900 * DAY) {
                assert!(end > begin && end - begin <= longest, "{calendar:?} {begin} {end}");
                for inside in [begin, begin + (end - begin) / 2, end - 1] {
                    assert_eq!(calendar.window(inside), (begin, end), "{calendar:?} {inside}");
                }
                let next = calendar.window(end);
                assert_eq!(next.0, end, "{calendar:?}");
                (begin, end) = next;
            }
            // Far beyond all clocks it is at least no panic.
            assert!(calendar.window(u64::MAX).1 >= end);
        }
    }
}
