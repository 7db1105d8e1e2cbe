//! One bucket: what it admits, and that no clock makes it admit more or lock anybody out.

use super::*;
use crate::time::SECOND;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: u64 = 1_800_000_000 * SECOND;

fn take(quota: Quota, arrival: &mut u64, at: u64) -> Result<u64, u64> {
    match quota.judge(*arrival, 1, Timestamp::from_unix_nanos(at)) {
        State::Open { next, remaining, .. } => {
            *arrival = next;
            Ok(remaining)
        }
        State::Empty { retry_in, .. } => Err(retry_in),
    }
}

fn quota(count: u64, period: u64, burst: u64) -> Quota {
    Quota::new(count, period, burst).unwrap_or_else(|| panic!("{count}/{period}, {burst}"))
}

#[test]
fn burst_and_rate_are_exact() {
    // L01, L02
    let five = quota(5, SECOND, 5);
    let mut arrival = 0;
    for left in (0..5).rev() {
        assert_eq!(take(five, &mut arrival, NOW), Ok(left));
    }
    let step = SECOND / 5;
    assert_eq!(take(five, &mut arrival, NOW), Err(step));
    assert_eq!(take(five, &mut arrival, NOW + step - 1), Err(1));
    assert_eq!(take(five, &mut arrival, NOW + step), Ok(0));
    assert_eq!(take(five, &mut arrival, NOW + step), Err(step));
    assert_eq!(take(five, &mut arrival, NOW + 100 * SECOND), Ok(4));
}

#[test]
fn an_impossible_arrival_is_an_empty_bucket() {
    let quota = quota(1, SECOND, 3);
    let mut arrival = u64::MAX;
    assert_eq!(take(quota, &mut arrival, NOW), Err(SECOND));
    arrival = NOW + 1_000 * SECOND;
    assert_eq!(take(quota, &mut arrival, NOW), Err(SECOND));
}

#[test]
fn odd_rates_round_to_the_slower_side() {
    // L07
    assert_eq!(quota(3, SECOND, 1).interval(), 333_333_334);
    for (count, period, burst) in [
        (0, SECOND, 1),
        (1, 0, 1),
        (1, SECOND, 0),
        (u64::MAX, u64::MAX, 1),
        (1, u64::MAX, 1),
        (1, SECOND, u64::MAX),
        (1, 86_400 * SECOND, 367),
    ] {
        assert_eq!(Quota::new(count, period, burst), None, "{count} {period} {burst}");
    }
}

#[test]
fn a_request_may_cost_several_tokens() {
    let ten = quota(10, SECOND, 10);
    let judge = |arrival, cost, at| ten.judge(arrival, cost, Timestamp::from_unix_nanos(at));
    let State::Open { next, remaining: 3, full_in } = judge(0, 7, NOW) else {
        panic!("{:?}", judge(0, 7, NOW))
    };
    assert_eq!((next, full_in), (NOW + 7 * SECOND / 10, 7 * SECOND / 10));
    // Too few: those that are there are told, and when there are enough.
    let state = State::Empty { remaining: 3, retry_in: SECOND / 5, full_in };
    assert_eq!(judge(next, 5, NOW), state);
    assert!(judge(next, 5, NOW + SECOND / 5 - 1).is_empty());
    assert_eq!(judge(next, 5, NOW + SECOND / 5).remaining(), 0);
    // More than it ever holds, and more than any number can say.
    for cost in [11, u64::MAX] {
        assert!(judge(0, cost, NOW).is_empty(), "{cost}");
    }
}

fn window(count: u64, calendar: Calendar) -> Quota {
    Quota::of_window(count, calendar).unwrap_or_else(|| panic!("{count}"))
}

fn at(text: &str) -> u64 {
    Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{text}")).unix_nanos()
}

#[test]
fn a_quota_holds_until_its_window_ends_and_not_longer() {
    let three = window(3, Calendar::Month(1));
    let (noon, end) = (at("2024-02-29T12:00:00Z"), at("2024-03-01T00:00:00Z"));
    let mut arrival = 0;
    for left in (0..3).rev() {
        assert_eq!(take(three, &mut arrival, noon), Ok(left));
    }
    assert_eq!(arrival, end + 3);
    assert_eq!(take(three, &mut arrival, noon), Err(end - noon));
    assert_eq!(take(three, &mut arrival, end - 1), Err(1));
    // The next one is whole, also while the last arrival still lies ahead.
    assert_eq!(take(three, &mut arrival, end), Ok(2));
    assert_eq!(arrival, at("2024-04-01T00:00:00Z") + 1);
    // A full bucket is one whose arrival has passed, in a quota as in a bucket.
    assert!(take(three, &mut arrival, at("2025-01-01T00:00:00Z")).is_ok());
}

#[test]
fn a_clock_set_back_keeps_what_was_used() {
    let five = window(5, Calendar::Day);
    let (monday, tuesday) = (at("2026-11-23T23:59:59Z"), at("2026-11-24T00:00:01Z"));
    let mut arrival = 0;
    for _ in 0..4 {
        assert!(take(five, &mut arrival, tuesday).is_ok());
    }
    // Four are used, and no more than these.
    assert_eq!(take(five, &mut arrival.clone(), monday), Ok(0));
    let year = at("2025-11-23T23:59:59Z");
    assert_eq!(take(five, &mut arrival, year), Ok(0));
    assert_eq!(take(five, &mut arrival, year), Err(SECOND));
    assert_eq!(take(five, &mut arrival, year + SECOND), Ok(4), "and only for that day");
}

#[test]
fn a_quota_that_was_changed_keeps_what_was_used() {
    let noon = at("2026-11-25T12:00:00Z");
    let mut arrival = 0;
    for _ in 0..10 {
        assert!(take(window(10, Calendar::Month(1)), &mut arrival, noon).is_ok());
    }
    assert_eq!(take(window(30, Calendar::Month(1)), &mut arrival.clone(), noon), Ok(19));
    let rest = at("2026-12-01T00:00:00Z") - noon;
    assert_eq!(take(window(5, Calendar::Month(1)), &mut arrival.clone(), noon), Err(rest));
}

#[test]
fn windows_have_bounds() {
    assert_eq!(Quota::of_window(0, Calendar::Hour), None);
    assert_eq!(Quota::of_window(MAX_COUNT + 1, Calendar::Year), None);
    // All of the largest, used in the shortest window: it is over when it is over.
    let most = window(MAX_COUNT, Calendar::Hour);
    let (now, end) = (at("2026-11-25T12:00:00Z"), at("2026-11-25T13:00:00Z"));
    assert_eq!(take(most, &mut (end + MAX_COUNT), now), Err(end - now));
    assert_eq!(take(most, &mut (end + MAX_COUNT), end), Ok(MAX_COUNT - 1));
    for arrival in [0, now, end, u64::MAX] {
        for now in [0, now, u64::MAX] {
            // The last instants that can be written have no next window: no panic is all that is asked.
            let _ = most.judge(arrival, 1, Timestamp::from_unix_nanos(now));
        }
    }
}

/// A clock that runs, stands still, jumps and is set back, and requests of some cost at each reading.
struct Walk {
    dice: u64,
    clock: u64,
    /// Jumps are as long as a few of these.
    length: u64,
}

impl Walk {
    fn roll(&mut self, below: u64) -> u64 {
        // Marsaglia's xorshift64.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % below
    }

    /// The next reading, and what a request costs then.
    fn step(&mut self) -> (u64, u64) {
        let length = self.length;
        let by = self.roll(length);
        match self.roll(20) {
            0..8 => {}
            8..14 => self.clock += by / 20,
            14 | 15 => self.clock += by,
            16 => self.clock += self.roll(5) * length + by,
            17 => self.clock -= by / 20,
            18 => self.clock -= by,
            _ => self.clock -= self.roll(5) * length + by,
        }
        // Within 20 windows, years among them, of where it began.
        self.clock = self.clock.clamp(NOW - 20 * length, NOW + 20 * length);
        (self.clock, 1 + self.roll(3))
    }
}

/// The tokens that a request at this cost gets of a bucket, kept as the store keeps it.
fn spend(quota: Quota, arrival: &mut u64, cost: u64, now: u64) -> State {
    let now = Timestamp::from_unix_nanos(now);
    if let Some(corrected) = quota.corrected(*arrival, now) {
        *arrival = corrected;
    }
    let state = quota.judge(*arrival, cost, now);
    if let State::Open { next, .. } = state {
        *arrival = next;
    }
    state
}

#[test]
fn no_clock_gets_more_out_of_a_quota_or_locks_anybody_out() {
    let day = 86_400 * SECOND;
    for (calendar, length) in [
        (Calendar::Hour, 3_600 * SECOND),
        (Calendar::Day, day),
        (Calendar::Week(2), 7 * day),
        (Calendar::Month(1), 30 * day),
        (Calendar::Month(28), 30 * day),
        (Calendar::Year, 365 * day),
    ] {
        let mut walk = Walk { dice: 1, clock: NOW, length };
        let quota = window(20, calendar);
        let mut arrival = 0;
        // What is used, and of which window; what was admitted, and how often a window began.
        let (mut used, mut of, mut admitted, mut begun, mut refused) = (0, 0, 0, 1, 0);
        let mut before = walk.clock;
        for _ in 0..20_000 {
            let (now, cost) = walk.step();
            let end = calendar.window(now).1;
            begun += u64::from(end > calendar.window(before).1);
            before = now;
            // A later window is a new one. Back in an earlier one everything used counts on.
            if end > of {
                used = 0;
            }
            let state = spend(quota, &mut arrival, cost, now);
            match state {
                State::Open { remaining, full_in, .. } => {
                    (used, of) = (used + cost, end);
                    admitted += cost;
                    assert_eq!((remaining, full_in), (20 - used, end - now), "{calendar:?}");
                }
                State::Empty { remaining, retry_in, .. } => {
                    assert!(used + cost > 20, "{calendar:?}: {used} used, {cost} refused");
                    assert_eq!((remaining, retry_in), (20 - used, end - now));
                    let later = spend(quota, &mut arrival.clone(), 20, now + retry_in);
                    assert_eq!(later.remaining(), 0, "all is there when it was said to be");
                    of = end;
                    refused += 1;
                }
            }
            assert!(admitted <= 20 * begun, "{calendar:?}");
        }
        assert!(refused > 1_000 && admitted > 10 * begun, "{refused} {admitted} {begun}");
    }
}

#[test]
fn no_clock_gets_more_out_of_a_bucket_or_locks_anybody_out() {
    for (count, burst) in [(10, 10), (3, 20), (1, 4)] {
        let quota = quota(count, SECOND, burst);
        let mut walk = Walk { dice: 1, clock: NOW, length: quota.fill() };
        let (mut arrival, mut before, mut refused) = (0, walk.clock, 0);
        // In nanoseconds of refilling: what was admitted, and what time can have given.
        let (mut admitted, mut given) = (0, quota.fill());
        for _ in 0..20_000 {
            let (now, cost) = walk.step();
            // Once it is full, a jump gives nothing more.
            given += now.saturating_sub(before).min(quota.fill());
            before = now;
            match spend(quota, &mut arrival, cost, now) {
                State::Open { .. } => admitted += quota.price(cost),
                State::Empty { retry_in, full_in, .. } => {
                    assert!(retry_in <= quota.price(cost) && full_in <= quota.fill());
                    assert!(!spend(quota, &mut arrival.clone(), cost, now + retry_in).is_empty());
                    assert!(
                        spend(quota, &mut arrival.clone(), cost, now + retry_in - 1).is_empty()
                    );
                    refused += 1;
                }
            }
            assert!(admitted <= given, "{count} {burst}");
        }
        assert!(refused > 1_000 && admitted > given / 4, "{refused} {admitted} {given}");
    }
}
