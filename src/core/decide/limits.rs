//! Limits: by address alone before any credential is read, the others last.

use super::Walk;
use crate::authn::signature::SignatureVerifier;
use crate::decision::{Decision, Principal};
use crate::explain::{Stage, Trace};
use crate::headers::Headers;
use crate::limit::{
    Ask, BucketKey, BucketStore, Charge, Fleet, LimitId, LimitReport, Spent, State, StoreFault,
    Subject, fail, look_again, spend,
};
use crate::network::Caller;
use crate::policy::Policy;
use crate::reason::Denial;
use crate::route::Route;

impl<'p, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, '_, S, V, T> {
    /// The policy's limits by address, those of the route, which include them, and those that count
    /// failures. A walk that goes on has spent them before.
    pub(super) fn spend_address_limits(&mut self) -> Result<(), Denial> {
        if self.answer.is_some() {
            return self.look_for_failures();
        }
        let ask = self.early();
        let Decision { route, limits, rule, .. } = &mut self.decision;
        let of_address = route.map_or(&*self.policy.address_limits, |route| &*route.address_limits);
        let mut till = Till { policy: self.policy, limits, rule };
        let ids = (of_address, &[][..], &[][..]);
        till.spend(ids, &ask, self.buckets, self.trace, Stage::AddressLimits)
    }

    /// Who and what is known before a credential is read.
    fn early(&self) -> Ask<'p> {
        let Decision { route, caller, .. } = &self.decision;
        let name = route.map(|route| route.name());
        let subject = Subject { address: caller.address, route: name, ..Subject::default() };
        let cost = route.map_or(1, |route| route.cost.into());
        Ask { subject, cost, now: self.now }
    }

    /// Others may have failed while this request waited for keys. One that waits for the rate limit service
    /// has a good credential.
    fn look_for_failures(&mut self) -> Result<(), Denial> {
        if let Some((Some(_), _)) = self.counted {
            return Ok(());
        }
        let ask = self.early();
        let Decision { limits, rule, .. } = &mut self.decision;
        let seen = look_again(limits, &ask, self.buckets);
        Till { policy: self.policy, limits, rule }.refusal(seen)
    }

    /// Counts a request that is refused because of the credential that it shows.
    pub(super) fn count_failure(&mut self) {
        let ask = self.early();
        fail(&mut self.decision.limits, &ask, self.buckets);
        for report in self.decision.limits.iter().filter(|report| report.taken) {
            if report.limit.failures {
                self.trace.limit(Stage::Authenticate, || report.look(&ask));
            }
        }
    }

    /// The route's other limits and the consumer's, without those that were spent before.
    pub(super) fn spend_limits(&mut self, route: &'p Route) -> Result<(), Denial> {
        // A walk that has asked the rate limit service has spent them before.
        if let Some((Some(_), _)) = self.counted {
            return Ok(());
        }
        let Decision { caller, principal, limits, rule, method, headers, .. } = &mut self.decision;
        let principal = principal.as_ref();
        let subject = subject(*caller, Some(route), *method, headers, principal);
        let consumer = principal.and_then(|principal| principal.consumer);
        let of_consumer = consumer.map_or(&[][..], |consumer| &consumer.limits);
        let ids = (&*route.limits, of_consumer, &*route.address_limits);
        let cost = route.cost.into();
        let ask = Ask { subject, cost, now: self.now };
        let mut till = Till { policy: self.policy, limits, rule };
        till.spend(ids, &ask, self.buckets, self.trace, Stage::Limits)
    }
}

impl Decision<'_, '_> {
    /// The buckets that took tokens and are charged when the response comes. Only those of a request
    /// that may pass: what only observe mode forwards has taken nothing, or would have no response.
    #[inline]
    pub(crate) fn charges(&self) -> Vec<Charge> {
        let is_charged = |report: &&LimitReport<'_>| report.limit.charge.is_some() && report.taken;
        if self.verdict.is_err() || !self.limits.iter().any(|report| is_charged(&report)) {
            return Vec::new();
        }
        let (subject, taken) = (self.subject(), self.route.map_or(1, |route| route.cost.into()));
        let charges = self.limits.iter().filter(is_charged).map(|report| {
            let key = BucketKey::new(report.limit, &subject);
            Charge::new(report.id, &key, taken)
        });
        charges.collect()
    }

    /// All that is known of the request once its caller is.
    fn subject(&self) -> Subject<'_> {
        subject(self.caller, self.route, self.method, &self.headers, self.principal.as_ref())
    }
}

/// Whose request it is, for limits that look at more than the address.
#[inline]
pub(super) fn subject<'k>(
    caller: Caller,
    route: Option<&'k Route>,
    method: Option<&'k str>,
    headers: &'k Headers<'_>,
    principal: Option<&'k Principal<'_>>,
) -> Subject<'k> {
    Subject {
        address: caller.address,
        country: caller.country,
        route: route.map(|route| route.name()),
        method,
        trusted: &headers.trusted,
        ..principal.map_or_else(Subject::default, Subject::of)
    }
}

impl<'k> Subject<'k> {
    /// Who a verified credential says it is.
    fn of(principal: &'k Principal<'_>) -> Self {
        Self {
            consumer: Some(principal.name()),
            credential: Some(principal.credential_name()),
            is_stranger: principal.consumer.is_none(),
            claims: principal.token().map(|token| &*token.claims).unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// Where limits are spent, and what a decision learns of it.
struct Till<'t, 'p> {
    policy: &'p Policy,
    limits: &'t mut Vec<LimitReport<'p>>,
    rule: &'t mut Option<&'p str>,
}

impl Till<'_, '_> {
    /// Spends some limits, and then others that are not among them or were spent before.
    fn spend(
        &mut self,
        (first, then, before): (&[LimitId], &[LimitId], &[LimitId]),
        ask: &Ask<'_>,
        buckets: &mut impl BucketStore,
        trace: &mut impl Trace,
        stage: Stage,
    ) -> Result<(), Denial> {
        let policy = self.policy;
        if first.is_empty() && then.is_empty() {
            return Ok(());
        }
        let more = then.iter().filter(|id| !first.contains(id) && !before.contains(id));
        let unknown = ask.subject.address.is_none();
        let limits = || {
            let limits = policy.limits_at(first.iter().chain(more.clone()).copied());
            limits.filter(|(_, limit)| !(unknown && limit.observe && limit.key.address.is_some()))
        };
        if unknown && limits().any(|(_, limit)| limit.key.address.is_some()) {
            trace.note(stage, || "a limit needs the address, which is unknown".to_owned());
            return Err(Denial::AddressUnknown);
        }
        let reported = self.limits.len();
        let spent = spend(limits(), ask, buckets, self.limits);
        for report in self.limits.iter().skip(reported) {
            trace.limit(stage, || report.look(ask));
        }
        let ended = self.refusal(spent);
        if let (Err(Denial::RateLimited), Some(fleet)) = (ended, &policy.fleet) {
            self.heed(fleet, ask, buckets);
        }
        ended
    }

    /// What this process refuses may be used up in the fleet, and for longer. As with what the service refuses,
    /// nobody waits longer than an empty bucket takes to fill.
    #[cold]
    fn heed(&mut self, fleet: &Fleet, ask: &Ask<'_>, buckets: &mut impl BucketStore) {
        for report in self.limits.iter_mut().filter(|report| report.limit.fleet.is_some()) {
            let State::Empty { retry_in, full_in, .. } = report.state else { continue };
            let key = BucketKey::new(report.limit, &ask.subject);
            let standing = buckets.standing(&key, fleet, ask.now);
            if let Some(wait) = standing.and_then(|standing| standing.empty_for(ask.now)) {
                let wait = wait.min(report.limit.quota.longest(ask.now));
                let (retry_in, full_in) = (retry_in.max(wait), full_in.max(wait));
                report.state = State::Empty { remaining: 0, retry_in, full_in };
            }
        }
    }

    fn refusal(&mut self, spent: Result<Spent, StoreFault>) -> Result<(), Denial> {
        match spent {
            Ok(Spent::Yes) => Ok(()),
            Ok(Spent::No(id)) => {
                let limit = self.policy.limit(id);
                *self.rule = limit.map(|limit| limit.name());
                match limit.and_then(|limit| limit.concurrent) {
                    Some(_) => Err(Denial::ConcurrencyLimited),
                    None => Err(Denial::RateLimited),
                }
            }
            Err(_) => Err(Denial::HostFailure),
        }
    }
}
