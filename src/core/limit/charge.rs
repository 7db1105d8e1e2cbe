//! Charges: what a request costs is told by the response of the upstream, and taken from the bucket then.
//!
//! A request takes its tokens as in every limit; what it cost beyond them is taken when the response's
//! headers come, from a bucket that may then go below empty. A cost below them gives nothing back: a
//! limit with a charge is never looser than the same limit without.
//!
//! **The bound.** Say that at most `f` requests of one bucket are on their way between their tokens and
//! their responses, and that none costs more than `max`. While the bucket is below empty nobody is let in,
//! so all that is charged then is theirs: it is at most `f * max` tokens below empty, and over any stretch
//! of time the admitted requests cost together at most `burst + rate * time + f * max`. What a bucket owes
//! is kept up to `max * burst`, as much as a full bucket can owe when all of it is spent at once; only
//! where more than `burst` requests of one bucket are on their way is what goes beyond forgiven. A quota of
//! a calendar window owes nothing beyond the window: it admits a cost of `quota + f * max` in each.

use super::bucket::{Quota, State};
use super::key::BucketKey;
use super::look::Refill;
use super::spend::ATTEMPTS;
use super::store::{BucketStore, StoreFault};
use super::{Limit, LimitId};
use crate::explain::{Stage, Trace};
use crate::policy::Policy;
use crate::request::{Field, HeaderLine};
use crate::time::Timestamp;

/// Where the response tells what the request cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChargeRule {
    pub(crate) header: Box<str>,
    /// The most that a request can cost.
    pub(crate) max: u32,
    /// Whether the caller is told, too.
    pub(crate) forward: bool,
}

/// A bucket that waits for the response to a request that took tokens from it.
#[derive(Debug)]
pub struct Charge {
    limit: LimitId,
    /// The bucket's name, as its key wrote it: the request is gone when the response comes.
    name: Box<[u8]>,
    is_unbounded: bool,
    /// The tokens that were taken.
    taken: u64,
}

impl Charge {
    pub(crate) fn new(limit: LimitId, key: &BucketKey<'_>, taken: u64) -> Self {
        let mut name = Vec::with_capacity(64);
        key.encode(&mut name);
        Self { limit, name: name.into(), is_unbounded: key.is_unbounded(), taken }
    }
}

impl ChargeRule {
    /// What the request cost. `None`: the response says nothing. `Err`: it says it in no way that can be
    /// read, which counts as the most: an upstream that errs makes limits tighter, and a caller who gets
    /// an upstream to repeat a line of its own gains nothing.
    fn cost(&self, lines: &[HeaderLine<'_>]) -> Result<Option<u64>, ()> {
        let mut field = Field::Absent;
        for (name, value) in lines {
            if name.eq_ignore_ascii_case(self.header.as_bytes()) {
                field.add(value);
            }
        }
        match field {
            Field::Absent => Ok(None),
            Field::One(text) => number(text).map(Some).ok_or(()),
            Field::Many => Err(()),
        }
    }
}

/// A whole number in decimal digits; one beyond 64 bits is the largest of them.
fn number(text: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte.wrapping_sub(b'0')));
    let mut digits = text.iter().map(digit);
    let first = digits.next()??;
    digits.try_fold(first, |number, digit| Some(number.saturating_mul(10).saturating_add(digit?)))
}

impl Policy {
    /// Takes what a request cost beyond its tokens, by the lines of its response. The policy is the one
    /// that decided the request. Gives the names of headers that callers are not told.
    ///
    /// A bucket that the host fails to change stays as it is: the request has been served.
    pub fn charge<'p>(
        &'p self,
        charges: &[Charge],
        response: &[HeaderLine<'_>],
        now: Timestamp,
        buckets: &mut impl BucketStore,
        trace: &mut impl Trace,
    ) -> Vec<&'p str> {
        let mut removed = Vec::new();
        for charge in charges {
            let Some(limit) = self.limits.get(usize::from(charge.limit.0)) else { continue };
            let Some(rule) = &limit.charge else { continue };
            let (name, header, max) = (&limit.told, &rule.header, u64::from(rule.max));
            let cost = match rule.cost(response) {
                Ok(None) => {
                    trace
                        .note(Stage::Charge, || format!("`{name}`: no `{header}` in the response"));
                    continue;
                }
                Ok(Some(cost)) => cost.min(max),
                Err(()) => {
                    buckets.unreadable(limit.name());
                    trace.note(Stage::Charge, || {
                        format!("`{name}`: `{header}` is no number, so it is the most")
                    });
                    max
                }
            };
            if !rule.forward {
                removed.push(&*rule.header);
            }
            let more = cost.saturating_sub(charge.taken);
            if more > 0 {
                let key = BucketKey::written(limit, &charge.name, charge.is_unbounded);
                // Nothing is left to do where it fails; the store keeps why.
                let state = take(&key, &limit.quota, more, now, buckets);
                trace.note(Stage::Charge, || told(limit, cost, charge.taken, state, now));
            } else {
                trace.note(Stage::Charge, || {
                    format!("`{name}`: costs {cost}, and {} were taken", charge.taken)
                });
            }
        }
        removed
    }
}

/// Takes tokens whether they are there or not, and says what is left. `None`: others were always faster.
fn take<S: BucketStore>(
    key: &BucketKey<'_>,
    quota: &Quota,
    tokens: u64,
    now: Timestamp,
    store: &mut S,
) -> Result<Option<State>, StoreFault> {
    for _ in 0..ATTEMPTS {
        let (arrival, ticket) = store.read(key, quota, tokens, now)?;
        let next = quota.charged(arrival, tokens, now);
        if store.replace(ticket, next, 0)? {
            return Ok(Some(quota.judge(next, 0, now)));
        }
    }
    store.contended(key.limit());
    Ok(None)
}

/// A charge in words.
fn told(
    limit: &Limit,
    cost: u64,
    taken: u64,
    state: Result<Option<State>, StoreFault>,
    now: Timestamp,
) -> String {
    let (name, more) = (&limit.told, cost.saturating_sub(taken));
    let Ok(Some(state)) = state else {
        return format!("`{name}`: costs {cost}, and the bucket could not be changed");
    };
    let (State::Open { full_in, .. } | State::Empty { full_in, .. }) = state;
    let (left, full_at) = (state.remaining(), now.saturating_add(full_in));
    let full = Refill::of(&limit.quota).when_full();
    format!(
        "`{name}`: costs {cost}, {taken} were taken, so {more} more; {left} left; {full} at {full_at}"
    )
}

#[cfg(test)]
mod tests;
