//! Leases: tokens that one worker takes ahead of its requests, so that most of them ask nobody.
//!
//! A worker that takes a token from a bucket with many left takes some more at once, and lets its next
//! requests spend those. It keeps the arrival as if each had asked the bucket, so one worker alone tells the
//! same numbers as without leases. After [`LIFE`], or when nothing is left of it, the bucket is looked at
//! again; what is left goes back then.
//!
//! **The bound.** Call what a bucket holds and what lies in leases of it its tokens. A request takes some of
//! them; taking ahead and giving back add none, and refilling adds `rate * time`, up to `burst` in the
//! bucket. So over any stretch of time all workers together admit at most `burst + rate * time` and
//! what lay in leases when it began: in each worker's at most [`MOST`] tokens, and at most one of [`SHARE`] that
//! the bucket held. Over a long time that is the rate. What is under way adds nothing: a worker has one request
//! between its look and its swap, a swap that comes too late takes nothing, and the request is judged
//! again by what is there then, 16 times at most.
//!
//! **The price.** A caller may be refused while as many tokens lie with each of the other workers. A bucket
//! with fewer than `SHARE` left is spent one by one, to the last token, and one that never holds more is never
//! leased: it is exact in both directions. So is every quota of a calendar window: what lies in the lease of
//! a worker that is not asked again would be lost until the window ends.

use super::bucket::Quota;
use crate::time::{SECOND, Timestamp};

/// Of so many tokens that are left, one is taken ahead.
const SHARE: u64 = 32;

/// Tokens taken ahead at most.
const MOST: u64 = 63;

/// How long a lease answers in the bucket's place, and how soon a caller has to come again to be given one, in
/// nanoseconds. Nobody is admitted for it who would not be, but what others took is told so much later.
const LIFE: u64 = 5 * SECOND;

/// What one worker has of a bucket. With nothing left, it remembers when the bucket was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The arrival, if only what is spent here were taken.
    arrival: u64,
    /// Tokens that are left.
    left: u64,
    /// The arrival that was written for all of them.
    written: u64,
    /// When that was.
    since: u64,
}

impl Quota {
    /// Whether tokens of such a bucket are ever taken ahead. Not of one that is charged afterwards: the
    /// charge would not find them.
    pub const fn is_leased(&self) -> bool {
        self.burst() > SHARE && self.calendar().is_none() && self.debt() == 0
    }

    /// The tokens to take ahead of requests at this cost where so many remain: enough for one, or none.
    pub(crate) fn ahead(remaining: u64, cost: u64) -> u64 {
        let ahead = remaining.checked_div(SHARE).unwrap_or(0).min(MOST);
        if ahead < cost { 0 } else { ahead }
    }

    /// An arrival moved on by some tokens.
    pub(crate) fn moved(&self, arrival: u64, tokens: u64) -> u64 {
        arrival.saturating_add(self.price(tokens))
    }
}

impl Lease {
    /// A lease of some tokens, taken together with the one that moved the arrival to `arrival`.
    pub fn new(quota: &Quota, arrival: u64, left: u64, now: Timestamp) -> Self {
        Self { arrival, left, written: quota.moved(arrival, left), since: now.unix_nanos() }
    }

    /// The arrival to write to the bucket.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// When the bucket was looked at, in unix nanoseconds.
    pub const fn since(&self) -> u64 {
        self.since
    }

    /// Whether the bucket was looked at just now. Not where the clock was set back since.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.unix_nanos().checked_sub(self.since).is_some_and(|age| age <= LIFE)
    }

    /// Whether nothing is lost with it: nothing is left, the bucket has refilled all of it since, or the clock was
    /// set back.
    pub const fn is_worthless(&self, now: Timestamp) -> bool {
        self.left == 0 || self.written <= now.unix_nanos() || now.unix_nanos() < self.since
    }

    /// The arrival by which a request is judged that asks nobody. `None`: there is not enough for it here,
    /// and the bucket must be looked at.
    pub fn arrival(&self, cost: u64, now: Timestamp) -> Option<u64> {
        let is_enough = self.left >= cost.max(1);
        (is_enough && self.is_recent(now)).then_some(self.arrival)
    }

    /// Spends what a request costs; `next` follows from [`Self::arrival`].
    pub fn spend(&mut self, cost: u64, next: u64) {
        self.arrival = next;
        self.left = self.left.saturating_sub(cost);
    }

    /// The arrival of a bucket that is looked at, once what is left here is given back. Where nobody else
    /// took any, it is what the requests here made of it: a bucket that was full when they were taken
    /// may be full no longer. (One that was never used, 0, has given its place away meanwhile.) A lease from
    /// before the clock was set back says nothing.
    pub fn give_back(&self, quota: &Quota, arrival: u64, now: Timestamp) -> u64 {
        if now.unix_nanos() < self.since {
            return arrival;
        }
        if arrival == self.written || arrival == 0 {
            return self.arrival;
        }
        arrival.saturating_sub(quota.price(self.left))
    }
}

#[cfg(test)]
mod tests;
