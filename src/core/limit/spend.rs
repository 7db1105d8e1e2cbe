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
            let price = ask.cost.saturating_mul(quota.interval());
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
    let quota = &limit.quota;
    for _ in 0..ATTEMPTS {
        let State::Open { next, remaining, .. } = state else { return Ok(state) };
        if store.replace(ticket, next, Quota::ahead(remaining))? {
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
mod tests {
    use super::*;
    use crate::limit::{KeyParts, MemoryStore};
    use crate::time::SECOND;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Loses a given number of swaps, then behaves.
    #[derive(Default)]
    struct Contended {
        inner: MemoryStore,
        losses: usize,
        reads: usize,
        gave_up: usize,
    }

    impl BucketStore for Contended {
        type Ticket = Vec<u8>;

        fn read(
            &mut self,
            key: &BucketKey<'_>,
            quota: &Quota,
            cost: u64,
            now: Timestamp,
        ) -> Result<(u64, Vec<u8>), StoreFault> {
            self.reads += 1;
            self.inner.read(key, quota, cost, now)
        }

        fn replace(&mut self, ticket: Vec<u8>, next: u64, ahead: u64) -> Result<bool, StoreFault> {
            if self.losses > 0 {
                self.losses -= 1;
                return Ok(false);
            }
            self.inner.replace(ticket, next, ahead)
        }

        fn contended(&mut self, _limit: &str) {
            self.gave_up += 1;
        }
    }

    fn limit(name: &str, burst: u64) -> Limit {
        let quota = Quota::new(1, SECOND, burst).unwrap_or_else(|| panic!("burst {burst}"));
        Limit::new(name, None, quota, KeyParts::default())
    }

    fn go(limits: &[Limit], store: &mut Contended) -> Spent {
        at(limits, store, 1_800_000_000 * SECOND)
    }

    fn at(limits: &[Limit], store: &mut Contended, nanos: u64) -> Spent {
        let numbered = limits.iter().zip(0..).map(|(limit, at)| (LimitId(at), limit));
        let now = Timestamp::from_unix_nanos(nanos);
        let ask = Ask { gateway: "gw", subject: Subject::default(), cost: 1, now };
        spend(numbered, &ask, store, &mut Vec::new()).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    #[test]
    fn a_refusal_spends_nothing() {
        // L17
        let limits = [limit("wide", 3), limit("narrow", 1)];
        let mut store = Contended::default();
        assert_eq!(go(&limits, &mut store), Spent::Yes);
        for _ in 0..5 {
            assert_eq!(go(&limits, &mut store), Spent::No(LimitId(1)));
        }
        let wide = [limit("wide", 3)];
        assert_eq!(go(&wide, &mut store), Spent::Yes);
        assert_eq!(go(&wide, &mut store), Spent::Yes);
        assert_eq!(go(&wide, &mut store), Spent::No(LimitId(0)));
    }

    #[test]
    fn a_smaller_quota_locks_nobody_out_for_longer_than_its_filling() {
        let day = 86_400 * SECOND;
        let quota = |count, period| {
            Quota::new(count, period, count).unwrap_or_else(|| panic!("{count}/{period}"))
        };
        let with = |quota| [Limit::new("l", None, quota, KeyParts::default())];
        let (slow, fast) = (with(quota(1_000, day)), with(quota(100, 60 * SECOND)));
        let mut store = Contended::default();
        let start = 1_800_000_000 * SECOND;
        for _ in 0..1_000 {
            assert_eq!(at(&slow, &mut store, start), Spent::Yes);
        }
        assert_eq!(at(&slow, &mut store, start), Spent::No(LimitId(0)));
        assert_eq!(at(&fast, &mut store, start), Spent::No(LimitId(0)));
        for minute in [60, 120] {
            let admitted =
                (0..200).filter(|_| at(&fast, &mut store, start + minute * SECOND) == Spent::Yes);
            assert_eq!(admitted.count(), 100, "{minute}");
        }
        // The clock is set back by an hour: a minute later the bucket is full again.
        assert_eq!(at(&fast, &mut store, start - 3_600 * SECOND), Spent::No(LimitId(0)));
        let admitted =
            (0..200).filter(|_| at(&fast, &mut store, start - 3_540 * SECOND) == Spent::Yes);
        assert_eq!(admitted.count(), 100);
    }

    #[test]
    fn lost_races_are_run_again_a_bounded_number_of_times() {
        // L05
        let mut store = Contended { losses: ATTEMPTS - 1, ..Contended::default() };
        assert_eq!(go(&[limit("l", 3)], &mut store), Spent::Yes);
        let mut store = Contended { losses: usize::MAX, ..Contended::default() };
        assert_eq!(go(&[limit("l", 3)], &mut store), Spent::No(LimitId(0)));
        assert_eq!((store.reads, store.gave_up), (ATTEMPTS + 1, 1));
    }
}
