//! The breaker: a service that does not answer is left alone, so that it does not cost every request its timeout.

use crate::time::{SECOND, Timestamp};

/// Failures in a row after which nobody asks.
const FAILURES: u8 = 5;
/// For how long nobody asks then: at first, and at most, in nanoseconds.
const FIRST: u64 = SECOND;
const LONGEST: u64 = 30 * SECOND;

/// What one worker makes of the service's answers. While it is open nobody asks, and once its time is over a
/// single request tries; each try that fails doubles the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u8,
    /// How long nobody asks.
    pause: u64,
    /// Until when that is.
    until: Timestamp,
    /// Until when a try is under way; one that nobody hears of again ends by itself.
    trial: Timestamp,
}

impl Breaker {
    /// Whether the service is left alone.
    pub const fn is_open(&self) -> bool {
        self.failures >= FAILURES
    }

    /// Whether a request may ask whose answer comes within `patience` nanoseconds or never.
    pub fn lets_ask(&mut self, now: Timestamp, patience: u64) -> bool {
        if !self.is_open() {
            return true;
        }
        // More is left than there ever was where the clock was set back.
        let lasts = |end: Timestamp, longest: u64| (1..=longest).contains(&end.since(now));
        if lasts(self.until, self.pause) || lasts(self.trial, patience) {
            return false;
        }
        self.trial = now.saturating_add(patience);
        true
    }

    /// The service has answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It has not.
    pub fn failed(&mut self, now: Timestamp) {
        let is_trial = self.trial != Timestamp::default();
        // What was asked before it opened may still fail after that: it says nothing new.
        if self.is_open() && !is_trial {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.is_open() {
            self.pause = self.pause.saturating_mul(2).clamp(FIRST, LONGEST);
            self.until = now.saturating_add(self.pause);
            self.trial = Timestamp::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const PATIENCE: u64 = 20_000_000;

    fn at(nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(1_800_000_000 * SECOND + nanos)
    }

    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.lets_ask(at(0), PATIENCE));
            breaker.failed(at(0));
        }
        assert!(breaker.is_open());
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row() {
        let mut breaker = Breaker::default();
        for _ in 0..3 * FAILURES {
            breaker.failed(at(0));
            breaker.failed(at(0));
            breaker.succeeded();
        }
        assert!(!breaker.is_open());
        assert!(!open().lets_ask(at(0), PATIENCE));
    }

    #[test]
    fn one_tries_and_each_failure_doubles_the_time() {
        let mut breaker = open();
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!breaker.lets_ask(at(now + seconds * SECOND - 1), PATIENCE), "{seconds}");
            now += seconds * SECOND;
            assert!(breaker.lets_ask(at(now), PATIENCE));
            assert!(!breaker.lets_ask(at(now + PATIENCE - 1), PATIENCE));
            breaker.failed(at(now));
            // A late failure of one that asked before changes nothing.
            let before = breaker;
            breaker.failed(at(now + 1));
            assert_eq!(breaker, before);
        }
        assert!(breaker.lets_ask(at(now + 30 * SECOND), PATIENCE));
        breaker.succeeded();
        assert!(breaker.lets_ask(at(now), PATIENCE) && !breaker.is_open());
    }

    #[test]
    fn a_try_without_an_end_and_a_clock_set_back_hold_nobody_up() {
        let mut breaker = open();
        assert!(breaker.lets_ask(at(SECOND), PATIENCE));
        assert!(breaker.lets_ask(at(SECOND + PATIENCE), PATIENCE));
        let mut breaker = open();
        let past = Timestamp::from_unix_nanos(1_000 * SECOND);
        assert!(breaker.lets_ask(past, PATIENCE));
        assert!(!breaker.lets_ask(past, PATIENCE));
    }
}
