//! Several limits on one request: look at all, refuse without spending, else spend.

use super::bucket::{Quota, State};
use super::fleet::Origin;
use super::key::BucketKey;
use super::parts::Subject;
use super::store::{BucketStore, StoreFault};
use super::{Limit, LimitId};
use crate::time::Timestamp;

/// How often a bucket is read and judged again after somebody else was faster. Each loss means that
/// another request made progress; when all are lost the request is refused.
pub(super) const ATTEMPTS: usize = 16;

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

impl LimitReport<'_> {
    /// How many requests are in flight, with this one if it is, where the limit counts those; at most as
    /// many as may be.
    pub(crate) fn in_flight(&self) -> Option<u64> {
        let most = self.limit.concurrent?;
        Some(u64::from(most).saturating_sub(self.state.remaining()))
    }

    /// Whether it counted: one that counts failures does where the request failed, or is refused by it.
    pub(crate) const fn counted(&self) -> bool {
        !self.limit.failures || self.taken || self.state.is_empty()
    }
}

/// Who asks for how many tokens of each limit, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'k> {
    pub(crate) subject: Subject<'k>,
    pub(crate) cost: u64,
    pub(crate) now: Timestamp,
}

impl Ask<'_> {
    /// The tokens that a limit is asked for. A failure is one, whatever the request costs.
    pub(super) const fn cost_of(&self, limit: &Limit) -> u64 {
        if limit.failures { 1 } else { self.cost }
    }
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
/// nobody up, be they empty or out of reach. From those that count failures nothing is taken yet.
///
/// Requests in flight are counted between the look and the spending. A request that is refused after that, here
/// or later, has to [`leave`].
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
    let (mut refused, mut flights) = (None, Vec::new());
    for (id, limit) in limits {
        if let Some(most) = limit.concurrent {
            flights.push((id, limit, most));
            continue;
        }
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
    let looked_at = reports.len();
    if refused.is_none() && !flights.is_empty() {
        refused = enter(&flights, ask, store, reports)?;
    }
    let buckets = reports.iter_mut().take(looked_at).skip(before);
    if let Some(id) = refused {
        buckets.for_each(|report| report.state = untaken(report, ask));
        return Ok(Spent::No(id));
    }
    let mut refused = Spent::Yes;
    for (report, ticket) in buckets.zip(first.into_iter().chain(others)) {
        if report.limit.failures || refused != Spent::Yes {
            report.state = untaken(report, ask);
            continue;
        }
        match take(report.limit, report.state, ticket, ask, store) {
            Err(_) if report.limit.observe => {
                report.state = untaken(report, ask);
                continue;
            }
            state => report.state = state?,
        }
        report.taken = !report.state.is_empty();
        if !report.taken && !report.limit.observe {
            refused = Spent::No(report.id);
        }
    }
    Ok(refused)
}

/// Looks at the limits that count failures once more, for a request that waited: others have failed
/// meanwhile.
pub(crate) fn look_again<S: BucketStore>(
    reports: &mut [LimitReport<'_>],
    ask: &Ask<'_>,
    store: &mut S,
) -> Result<Spent, StoreFault> {
    let mut refused = Spent::Yes;
    for report in reports.iter_mut().filter(|report| report.limit.failures) {
        match pay(report.limit, ask, store, false) {
            Err(_) if report.limit.observe => continue,
            seen => report.state = seen?,
        }
        if report.state.is_empty() && !report.limit.observe && refused == Spent::Yes {
            refused = Spent::No(report.id);
        }
    }
    Ok(refused)
}

/// Takes a token of each limit that counts failures. Where none is left any more, or the host fails,
/// nothing is: the request is refused in any case.
pub(crate) fn fail<S: BucketStore>(reports: &mut [LimitReport<'_>], ask: &Ask<'_>, store: &mut S) {
    for report in reports.iter_mut().filter(|report| report.limit.failures) {
        if let Ok(state) = pay(report.limit, ask, store, true) {
            report.state = state;
            report.taken = !state.is_empty();
        }
    }
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

/// Counts the request as in flight, limit by limit, until one has no place for it.
#[inline(never)]
fn enter<'p, S: BucketStore>(
    limits: &[(LimitId, &'p Limit, u16)],
    ask: &Ask<'_>,
    store: &mut S,
    reports: &mut Vec<LimitReport<'p>>,
) -> Result<Option<LimitId>, StoreFault> {
    for &(id, limit, most) in limits {
        let key = BucketKey::new(limit, &ask.subject);
        let entered = match store.enter(&key, most) {
            Err(_) if limit.observe => continue,
            entered => entered?,
        };
        let remaining = entered.map(|count| most.saturating_sub(count).into());
        let state = remaining.map_or(State::NO_PLACE, State::places);
        let taken = entered.is_some();
        reports.push(LimitReport { id, limit, state, taken, origin: Origin::Process });
        if !taken && !limit.observe {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// A request that is refused is not in flight.
pub(crate) fn leave<S: BucketStore>(reports: &mut [LimitReport<'_>], store: &mut S) {
    let flights = reports.iter_mut().filter(|report| report.limit.concurrent.is_some());
    for report in flights.filter(|report| report.taken) {
        store.leave();
        report.taken = false;
        report.state = State::places(report.state.remaining().saturating_add(1));
    }
}

/// Reads a bucket and judges the request.
#[inline]
fn look<S: BucketStore>(
    limit: &Limit,
    ask: &Ask<'_>,
    store: &mut S,
) -> Result<(State, S::Ticket), StoreFault> {
    let (quota, cost, now) = (&limit.quota, ask.cost_of(limit), ask.now);
    let key = BucketKey::new(limit, &ask.subject);
    let (mut arrival, mut ticket) = store.read(&key, quota, cost, now)?;
    if let Some(corrected) = quota.corrected(arrival, now) {
        // A refusal writes nothing, so it would stay there. Where somebody else is faster, so be it.
        store.replace(ticket, corrected, 0)?;
        (arrival, ticket) = store.read(&key, quota, cost, now)?;
    }
    Ok((quota.judge(arrival, cost, now), ticket))
}

/// What a bucket has while nothing is taken.
fn untaken(report: &LimitReport<'_>, ask: &Ask<'_>) -> State {
    let quota = &report.limit.quota;
    match report.state {
        State::Open { next, .. } => {
            let price = quota.price(ask.cost_of(report.limit));
            quota.judge(next.saturating_sub(price), 0, ask.now)
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
    let (quota, cost) = (&limit.quota, ask.cost_of(limit));
    for _ in 0..ATTEMPTS {
        let State::Open { next, remaining, .. } = state else { return Ok(state) };
        if store.replace(ticket, next, Quota::ahead(remaining, cost))? {
            return Ok(state);
        }
        let key = BucketKey::new(limit, &ask.subject);
        let (arrival, again) = store.read(&key, quota, cost, ask.now)?;
        state = quota.judge(arrival, cost, ask.now);
        ticket = again;
    }
    store.contended(limit.name());
    Ok(State::Empty { remaining: 0, retry_in: quota.interval(), full_in: quota.fill() })
}

#[cfg(test)]
mod tests;
