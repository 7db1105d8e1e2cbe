//! The token bucket, as arithmetic on one `u64`.
//!
//! A bucket of `burst` tokens that refills at one token every `interval` is fully described by the
//! instant at which it will be full again, its *arrival* (the theoretical arrival time of the generic
//! cell rate algorithm, ITU-T I.371). An arrival in the past is a full bucket and holds no
//! information. Nothing ticks, nothing is rounded but the interval, and that upwards: a bucket never
//! admits more than `burst + rate * time` over any stretch of time.

use crate::time::Timestamp;

/// How many requests a bucket admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    interval: u64,
    burst: u64,
}

/// Longest time, in nanoseconds, that an empty bucket may take to fill: 366 days. It keeps every sum
/// of an instant and a quota within a `u64`.
pub(crate) const MAX_FILL: u64 = 366 * 86_400 * 1_000_000_000;

/// A bucket as one request sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A token is there; taking it moves the arrival.
    Open {
        /// The arrival once the token is taken.
        next: u64,
        /// Whole tokens left once the token is taken.
        remaining: u64,
        /// Nanoseconds until the bucket is full again, the token taken.
        full_in: u64,
    },
    /// No token is there.
    Empty {
        /// Nanoseconds until there is one.
        retry_in: u64,
        /// Nanoseconds until the bucket is full again.
        full_in: u64,
    },
}

impl Quota {
    /// `count` requests every `period` nanoseconds, and `burst` at once.
    ///
    /// The interval between tokens is rounded up to a whole nanosecond: exact where `count` divides
    /// the period, otherwise slower than written by less than one nanosecond a token.
    ///
    /// `None` if one of them is zero or the bucket would take more than 366 days to fill.
    pub fn new(count: u64, period: u64, burst: u64) -> Option<Self> {
        let interval = period.checked_add(count.checked_sub(1)?)?.checked_div(count)?;
        let fill = interval.checked_mul(burst)?;
        (fill > 0 && fill <= MAX_FILL).then_some(Self { interval, burst })
    }

    /// Nanoseconds between two tokens.
    pub const fn interval(&self) -> u64 {
        self.interval
    }

    /// Tokens in a full bucket.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// Nanoseconds in which an empty bucket fills.
    pub(crate) const fn fill(&self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }

    /// The arrival of a bucket that is empty. One further ahead (the clock was stepped back, the quota was
    /// made smaller) is to be replaced by it: nobody is locked out for longer than the filling.
    pub(crate) const fn latest(&self, now: Timestamp) -> u64 {
        now.unix_nanos().saturating_add(self.fill())
    }

    /// Judges one request against a bucket's arrival. One later than [`Self::latest`] counts as that.
    pub(crate) fn judge(&self, arrival: u64, now: Timestamp) -> State {
        let empty = self.latest(now);
        let now = now.unix_nanos();
        let arrival = arrival.clamp(now, empty);
        let next = arrival.saturating_add(self.interval);
        if next <= empty {
            State::Open {
                next,
                remaining: empty.saturating_sub(next).checked_div(self.interval).unwrap_or(0),
                full_in: next.saturating_sub(now),
            }
        } else {
            State::Empty {
                retry_in: next.saturating_sub(empty),
                full_in: arrival.saturating_sub(now),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOW: u64 = 1_800_000_000 * SECOND;

    fn take(quota: Quota, arrival: &mut u64, at: u64) -> Result<u64, u64> {
        match quota.judge(*arrival, Timestamp::from_unix_nanos(at)) {
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
}
