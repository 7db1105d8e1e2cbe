//! Limits: by address alone before any credential is read, the others last.

use super::Walk;
use crate::authn::signature::SignatureVerifier;
use crate::explain::{Stage, Trace};
use crate::limit::{BucketStore, LimitId, Spent, State, Subject, spend};
use crate::reason::Denial;
use crate::route::Route;

impl<'p, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, '_, S, V, T> {
    /// The policy's limits by address and those of the route, which include them. A walk that goes on
    /// has spent them before.
    pub(super) fn spend_address_limits(&mut self) -> Result<(), Denial> {
        if self.answer.is_some() {
            return Ok(());
        }
        let policy = self.policy;
        let limits =
            self.decision.route.map_or(&policy.address_limits, |route| &route.address_limits);
        let subject = Subject { address: self.decision.caller.address, ..Subject::default() };
        self.spend(limits, &[], &subject, Stage::AddressLimits)
    }

    /// The route's other limits and the consumer's.
    pub(super) fn spend_limits(&mut self, route: &'p Route) -> Result<(), Denial> {
        let principal = self.decision.principal.clone();
        let principal = principal.as_ref();
        let subject = Subject {
            consumer: principal.map(|principal| principal.name()),
            credential: principal.map(|principal| principal.credential_name()),
            address: self.decision.caller.address,
            route: Some(route.name()),
            is_stranger: principal.is_some_and(|principal| principal.consumer.is_none()),
        };
        let consumer = principal.and_then(|principal| principal.consumer);
        let of_consumer: &[LimitId] = consumer.map_or(&[], |consumer| &consumer.limits);
        self.spend(&route.limits, of_consumer, &subject, Stage::Limits)
    }

    /// Spends some limits, and others that are not among them or were spent before.
    fn spend(
        &mut self,
        first: &'p [LimitId],
        then: &'p [LimitId],
        subject: &Subject<'_>,
        stage: Stage,
    ) -> Result<(), Denial> {
        let policy = self.policy;
        let already = self.decision.route.map_or(&[][..], |route| &route.address_limits);
        let more = then.iter().filter(|id| !first.contains(id) && !already.contains(id));
        let limits = || policy.limits_at(first.iter().chain(more.clone()).copied());
        if subject.address.is_none() && limits().any(|(_, limit)| limit.key.address) {
            self.trace.note(stage, || "a limit needs the address, which is unknown".to_owned());
            return Err(Denial::AddressUnknown);
        }
        let before = self.decision.limits.len();
        let reports = &mut self.decision.limits;
        let spent = spend(limits(), &policy.gateway, subject, self.now, self.buckets, reports);
        for report in reports.iter().skip(before) {
            self.trace.note(stage, || {
                let quota = report.limit.quota;
                let name = report.limit.name();
                let rate = format!(
                    "`{name}`: {} at once, one each {} ns",
                    quota.burst(),
                    quota.interval()
                );
                match report.state {
                    State::Open { remaining, .. } => format!("{rate}: {remaining} left"),
                    State::Empty { retry_in, .. } => format!("{rate}: none left for {retry_in} ns"),
                }
            });
        }
        match spent {
            Ok(Spent::Yes) => Ok(()),
            Ok(Spent::No(id)) => {
                self.decision.rule = policy.limits.get(usize::from(id.0)).map(|limit| limit.name());
                Err(Denial::RateLimited)
            }
            Err(_) => Err(Denial::HostFailure),
        }
    }
}
