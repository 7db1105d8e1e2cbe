//! Limits: by address alone before any credential is read, the others last.

use super::Walk;
use crate::authn::signature::SignatureVerifier;
use crate::decision::{Decision, Principal};
use crate::explain::{Stage, Trace};
use crate::limit::{Ask, BucketStore, LimitId, LimitReport, Spent, Subject, spend};
use crate::network::Caller;
use crate::policy::Policy;
use crate::reason::Denial;
use crate::route::Route;

impl<'p, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, '_, S, V, T> {
    /// The policy's limits by address and those of the route, which include them. A walk that goes on
    /// has spent them before.
    pub(super) fn spend_address_limits(&mut self) -> Result<(), Denial> {
        if self.answer.is_some() {
            return Ok(());
        }
        let Decision { route, caller, limits, rule, .. } = &mut self.decision;
        let of_address = route.map_or(&*self.policy.address_limits, |route| &*route.address_limits);
        let subject = Subject { address: caller.address, ..Subject::default() };
        let cost = route.map_or(1, |route| route.cost.into());
        let ask = Ask { gateway: &self.policy.gateway, subject, cost, now: self.now };
        let mut till = Till { policy: self.policy, limits, rule };
        let ids = (of_address, &[][..], &[][..]);
        till.spend(ids, &ask, self.buckets, self.trace, Stage::AddressLimits)
    }

    /// The route's other limits and the consumer's, without those that were spent before.
    pub(super) fn spend_limits(&mut self, route: &'p Route) -> Result<(), Denial> {
        // A walk that has asked the rate limit service has spent them before.
        if let Some((Some(_), _)) = self.counted {
            return Ok(());
        }
        let Decision { caller, principal, limits, rule, .. } = &mut self.decision;
        let principal = principal.as_ref();
        let subject = subject(principal, caller, route);
        let consumer = principal.and_then(|principal| principal.consumer);
        let of_consumer = consumer.map_or(&[][..], |consumer| &consumer.limits);
        let ids = (&*route.limits, of_consumer, &*route.address_limits);
        let cost = route.cost.into();
        let ask = Ask { gateway: &self.policy.gateway, subject, cost, now: self.now };
        let mut till = Till { policy: self.policy, limits, rule };
        till.spend(ids, &ask, self.buckets, self.trace, Stage::Limits)
    }
}

/// Whose request it is, for limits that look at more than the address.
#[inline]
pub(super) fn subject<'k>(
    principal: Option<&'k Principal<'_>>,
    caller: &Caller,
    route: &'k Route,
) -> Subject<'k> {
    Subject {
        consumer: principal.map(Principal::name),
        credential: principal.map(Principal::credential_name),
        address: caller.address,
        route: Some(route.name()),
        is_stranger: principal.is_some_and(|principal| principal.consumer.is_none()),
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
            limits.filter(|(_, limit)| !(unknown && limit.observe && limit.key.address))
        };
        if unknown && limits().any(|(_, limit)| limit.key.address) {
            trace.note(stage, || "a limit needs the address, which is unknown".to_owned());
            return Err(Denial::AddressUnknown);
        }
        let reported = self.limits.len();
        let spent = spend(limits(), ask, buckets, self.limits);
        for report in self.limits.iter().skip(reported) {
            trace.limit(stage, || report.look(ask));
        }
        match spent {
            Ok(Spent::Yes) => Ok(()),
            Ok(Spent::No(id)) => {
                *self.rule = policy.limit(id).map(|limit| limit.name());
                Err(Denial::RateLimited)
            }
            Err(_) => Err(Denial::HostFailure),
        }
    }
}
