//! Several limits on one request: look at all, refuse without spending, else spend.

use super::bucket::{Quota, State};
use super::fleet::Origin;
use super::key::{BucketKey, Subject};
use super::store::{BucketStore, StoreFault};
use super::{Limit, LimitId};
use crate::time::Timestamp;

/// How often a bucket is read and judged again after somebody else was faster. Each loss means that
/// another request made progress; when all are lost the request is refused.
const ATTEMPTS: usize = 16;

/// One limit that a request was held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LimitReport<'p> {
    pub(crate) id: LimitId,
    pub(crate) limit: &'p Limit,
    pub(crate) state: State,
    /// Whether its tokens were taken. If not, what it has left is what was there before.
    pub(crate) taken: bool,
    pub(crate) origin: Origin,
}

/// Who asks for how many tokens of each limit, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'k> {
    pub(crate) gateway: &'k str,
    pub(crate) subject: Subject<'k>,
    pub(crate) cost: u64,
    pub(crate) now: Timestamp,
}

/// The end of a look at some limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// Every limit gave its tokens, but for those that only look on.
    Yes,
    /// This limit has too few; nothing was taken from the others, but for a race lost half-way.
    No(LimitId),
}

/// Takes what the request costs from each limit, or nothing from any. Limits that only look on hold
/// nobody up, be they empty or out of reach.
///
/// The host has no swap of several keys at once. When another request empties a later bucket between
/// the look and the spending, the tokens already taken stay taken: at most those of one request a limit.
pub(crate) fn spend<'p, S: BucketStore>(
    limits: impl Iterator<Item = (LimitId, &'p Limit)>,
    ask: &Ask<'_>,
    store: &mut S,
    reports: &mut Vec<LimitReport<'p>>,
) -> Result<Spent, StoreFault> {
    // Most requests have one limit: it needs no list.
    let (mut first, mut others) = (None, Vec::new());
    let before = reports.len();
    let mut refused = None;
    for (id, limit) in limits {
        let (state, ticket) = match look(limit, ask, store) {
            Err(_) if limit.observe => continue,
            seen => seen?,
        };
        if refused.is_none() && state.is_empty() && !limit.observe {
            refused = Some(id);
        }
        reports.push(LimitReport { id, limit, state, taken: false, origin: Origin::Process });
        match first {
            None => first = Some(ticket),
            Some(_) => others.push(ticket),
        }
    }
    let reports = reports.iter_mut().skip(before);
    if let Some(id) = refused {
        reports.for_each(|report| report.state = untaken(report, ask));
        return Ok(Spent::No(id));
    }
    for (report, ticket) in reports.zip(first.into_iter().chain(others)) {
        match take(report.limit, report.state, ticket, ask, store) {
            Err(_) if report.limit.observe => continue,
            state => report.state = state?,
        }
        report.taken = !report.state.is_empty();
        if !report.taken && !report.limit.observe {
            return Ok(Spent::No(report.id));
        }
    }
    Ok(Spent::Yes)
}

/// Takes what the request costs from one limit, or only looks whether it is there.
pub(crate) fn pay<S: BucketStore>(
    limit: &Limit,
    ask: &Ask<'_>,
    store: &mut S,
    takes: bool,
) -> Result<State, StoreFault> {
    match look(limit, ask, store)? {
        (state @ State::Open { .. }, ticket) if takes => take(limit, state, ticket, ask, store),
        (state, _) => Ok(state),
    }
}

/// Reads a bucket and judges the request.
#[inline]
fn look<S: BucketStore>(
    limit: &Limit,
    ask: &Ask<'_>,
    store: &mut S,
) -> Result<(State, S::Ticket), StoreFault> {
    let (quota, now) = (&limit.quota, ask.now);
    let key = BucketKey::new(ask.gateway, limit, &ask.subject);
    let (mut arrival, mut ticket) = store.read(&key, quota, ask.cost, now)?;
    if let Some(corrected) = quota.corrected(arrival, now) {
        // A refusal writes nothing, so it would stay there. Where somebody else is faster, so be it.
        store.replace(ticket, corrected, 0)?;
        (arrival, ticket) = store.read(&key, quota, ask.cost, now)?;
    }
    Ok((quota.judge(arrival, ask.cost, now), ticket))
}

/// What a bucket has while nothing is taken.
fn untaken(report: &LimitReport<'_>, ask: &Ask<'_>) -> State {
    let quota = &report.limit.quota;
    match report.state {
        State::Open { next, .. } => {
            quota.judge(next.saturating_sub(quota.price(ask.cost)), 0, ask.now)
        }
        empty @ State::Empty { .. } => empty,
    }
}

/// Takes the tokens that were seen, or looks again as long as others are faster.
fn take<S: BucketStore>(
    limit: &Limit,
    mut state: State,
    mut ticket: S::Ticket,
    ask: &Ask<'_>,
    store: &mut S,
) -> Result<State, StoreFault> {
    let quota = &limit.quota;
    for _ in 0..ATTEMPTS {
        let State::Open { next, remaining, .. } = state else { return Ok(state) };
        if store.replace(ticket, next, Quota::ahead(remaining, ask.cost))? {
            return Ok(state);
        }
        let key = BucketKey::new(ask.gateway, limit, &ask.subject);
        let (arrival, again) = store.read(&key, quota, ask.cost, ask.now)?;
        state = quota.judge(arrival, ask.cost, ask.now);
        ticket = again;
    }
    store.contended(limit.name());
    Ok(State::Empty { remaining: 0, retry_in: quota.interval(), full_in: quota.fill() })
}

#[cfg(test)]
mod tests;
