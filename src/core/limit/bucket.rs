//! The bucket of a limit, as arithmetic on one `u64`.
//!
//! A bucket of `burst` tokens that refills at one token every `interval` is fully described by the
//! instant at which it will be full again, its *arrival* (the theoretical arrival time of the generic
//! cell rate algorithm, ITU-T I.371). An arrival in the past is a full bucket and holds no
//! information. Nothing ticks, nothing is rounded but the interval, and that upwards: a bucket never
//! admits more than `burst + rate * time` over any stretch of time.
//!
//! A quota of a calendar window is kept in the same way. Its arrival is the end of the window and one
//! nanosecond for each token that was taken: once the window is over (and as many nanoseconds later),
//! it lies in the past, too.

use super::calendar::Calendar;
use crate::time::{SECOND, Timestamp};

/// How many requests a limit admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    interval: u64,
    burst: u64,
    /// Both multiplied: every request asks for it.
    fill: u64,
    /// How far below empty the bucket can be, in nanoseconds of its refilling.
    debt: u64,
    /// All tokens come back at once when a window ends; `None`: one every interval.
    calendar: Option<Calendar>,
}

/// Longest time, in nanoseconds, that an empty bucket may take to fill: 366 days. It keeps every sum
/// of an instant and a quota within a `u64`.
pub(crate) const MAX_FILL: u64 = 366 * 86_400 * 1_000_000_000;

/// Most tokens of a calendar window. So many nanoseconds are less than the shortest window.
pub(crate) const MAX_COUNT: u64 = 1_000_000_000_000;

/// A bucket as one request sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The tokens are there; taking them moves the arrival.
    Open {
        /// The arrival once the tokens are taken.
        next: u64,
        /// Whole tokens left once they are taken.
        remaining: u64,
        /// Nanoseconds until the bucket is full again, the tokens taken.
        full_in: u64,
    },
    /// Fewer tokens are there than the request costs.
    Empty {
        /// Whole tokens that are there.
        remaining: u64,
        /// Nanoseconds until there are enough.
        retry_in: u64,
        /// Nanoseconds until the bucket is full again.
        full_in: u64,
    },
}

impl State {
    /// Whole tokens that are left.
    #[inline]
    pub(crate) const fn remaining(self) -> u64 {
        match self {
            Self::Open { remaining, .. } | Self::Empty { remaining, .. } => remaining,
        }
    }

    /// Whether there are fewer tokens than the request costs.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        matches!(self, Self::Empty { .. })
    }
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
        let quota = Self { interval, burst, fill, debt: 0, calendar: None };
        (fill > 0 && fill <= MAX_FILL).then_some(quota)
    }

    /// `count` requests in each window of the calendar. `None` if they are none or more than
    /// [`MAX_COUNT`].
    pub(crate) fn of_window(count: u64, calendar: Calendar) -> Option<Self> {
        let quota =
            Self { interval: 1, burst: count, fill: count, debt: 0, calendar: Some(calendar) };
        (count > 0 && count <= MAX_COUNT).then_some(quota)
    }

    /// Nanoseconds by which a token moves the arrival: of a bucket the time in which it comes back.
    pub const fn interval(&self) -> u64 {
        self.interval
    }

    /// Tokens in a full bucket.
    pub const fn burst(&self) -> u64 {
        self.burst
    }

    /// One of so many shares: each at the whole rate divided by them, of at least one token at once.
    pub(crate) fn share(&self, shares: u64) -> Self {
        let burst = self.burst.checked_div(shares).unwrap_or(0).max(1);
        let interval = match self.calendar {
            Some(_) => self.interval,
            None => self.interval.saturating_mul(shares).min(MAX_FILL),
        };
        Self { interval, burst, fill: interval.saturating_mul(burst), ..*self }
    }

    /// For how long a refusal can be right, at the most: until a bucket has filled, and a second at least, or
    /// until the window is over. In nanoseconds.
    pub(crate) fn longest(&self, now: Timestamp) -> u64 {
        match self.calendar {
            Some(_) => self.full(now).saturating_sub(now.unix_nanos()),
            None => self.fill().max(SECOND),
        }
    }

    /// The windows in which it counts, if it counts in windows of the calendar.
    pub(crate) const fn calendar(&self) -> Option<Calendar> {
        self.calendar
    }

    /// Nanoseconds of the calendar window that holds an instant, if it counts in such windows.
    pub(crate) fn window_length(&self, now: Timestamp) -> Option<u64> {
        let (begin, end) = self.calendar?.window(now.unix_nanos());
        Some(end.saturating_sub(begin))
    }

    /// From the arrival of a full bucket to that of an empty one: nanoseconds in which an empty bucket
    /// fills, but for a calendar window.
    pub(crate) const fn fill(&self) -> u64 {
        self.fill
    }

    /// Nanoseconds by which some tokens move the arrival.
    pub(crate) const fn price(&self, tokens: u64) -> u64 {
        // A product that saturates is a long one in Wasm, and nearly all take one token.
        if tokens == 1 { self.interval } else { self.interval.saturating_mul(tokens) }
    }

    /// The arrival of a bucket that is full.
    fn full(&self, now: Timestamp) -> u64 {
        match self.calendar {
            None => now.unix_nanos(),
            Some(calendar) => calendar.window(now.unix_nanos()).1,
        }
    }

    /// The furthest arrival that a bucket can have.
    const fn furthest(&self, full: u64) -> u64 {
        full.saturating_add(self.fill).saturating_add(self.debt)
    }

    /// What an arrival counts as that lies further ahead than any can (the clock was stepped back, the
    /// quota was made smaller), `None` for all others. It is to be replaced by that: nobody is locked out
    /// for longer than the filling, or the rest of the window.
    #[inline]
    pub(crate) fn corrected(&self, arrival: u64, now: Timestamp) -> Option<u64> {
        // No bucket is full before now.
        let is_far = arrival > self.furthest(now.unix_nanos());
        is_far.then(|| self.held(arrival, self.full(now))).filter(|held| *held < arrival)
    }

    /// An arrival within what it can be. What was taken in a later window counts in this one.
    fn held(&self, arrival: u64, full: u64) -> u64 {
        let furthest = self.furthest(full);
        let arrival = match self.calendar {
            Some(calendar) if arrival > furthest => {
                full.saturating_add(arrival.saturating_sub(calendar.window(arrival).0))
            }
            _ => arrival,
        };
        arrival.clamp(full, furthest)
    }

    /// Judges a request that costs some tokens against a bucket's arrival. One further ahead than any can
    /// be counts as what [`Self::corrected`] says.
    pub(crate) fn judge(&self, arrival: u64, cost: u64, now: Timestamp) -> State {
        let full = self.full(now);
        let empty = full.saturating_add(self.fill);
        let arrival = self.held(arrival, full);
        let next = arrival.saturating_add(self.price(cost));
        let left = |arrival| empty.saturating_sub(arrival).checked_div(self.interval).unwrap_or(0);
        // Until the arrival of a full bucket is there: now, or at the end of the window.
        let rest = full.saturating_sub(now.unix_nanos());
        let wait = |time: u64| if self.calendar.is_some() { rest } else { time };
        if next <= empty {
            let full_in = wait(next.saturating_sub(full));
            State::Open { next, remaining: left(next), full_in }
        } else {
            State::Empty {
                remaining: left(arrival),
                retry_in: wait(next.saturating_sub(empty)),
                full_in: wait(arrival.saturating_sub(full)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
