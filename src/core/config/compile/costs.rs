//! Costs: whether what a request takes can ever be there.

use super::super::diagnostic::{Report, Shown, code};
use super::super::place::Place;
use crate::limit::{Limit, LimitId, OnError};
use crate::policy::{Consumer, Policy};
use crate::route::{Access, Route};

/// Reports routes whose requests some limit could never admit: one of the route's own, or one of a consumer
/// who holds what the route asks for.
pub(super) fn check(policy: &Policy, report: &mut Report) {
    // Nothing costs less than one token, and no limit holds less.
    for (index, route) in policy.routes.iter().enumerate().filter(|(_, route)| route.cost > 1) {
        let holds_less = |id: &LimitId| {
            // Requests in flight and failures count one each, whatever they cost.
            let limit = policy.limit(*id).filter(|limit| limit.concurrent.is_none())?;
            (!limit.failures && most(policy, limit) < route.cost.into()).then_some(limit)
        };
        let mut own = route.limits.iter().chain(&route.address_limits);
        let of_consumer = |consumer: &Consumer| {
            consumer.limits.iter().find_map(holds_less).filter(|_| may_use(policy, consumer, route))
        };
        let small = own.find_map(holds_less);
        let Some(limit) = small.or_else(|| policy.consumers.iter().find_map(of_consumer)) else {
            continue;
        };
        let (name, most) = (Shown(&limit.told), most(policy, limit));
        let (message, help) = if most == limit.quota.burst() {
            let message = format!("the limit {name} holds {most} and could never admit it");
            (message, "lower the cost, or raise `burst` or `quota`")
        } else {
            let message = format!(
                "without the service a process's share of the limit {name} holds {most} and could never admit it"
            );
            (message, "lower the cost or `processes`, or raise `burst` or `quota`")
        };
        let section = Place::TOP.field("routes");
        report.error(code::OUT_OF_BOUNDS, &section.item(index).field("cost"), message, help);
    }
}

/// The most that a limit ever gives at once, with the service of a fleet and without it.
fn most(policy: &Policy, limit: &Limit) -> u64 {
    let is_shared = policy.fleet.as_ref().is_some_and(|fleet| fleet.on_error == OnError::Local);
    let share = limit.fleet.as_ref().filter(|_| is_shared).map(|part| part.share.quota.burst());
    share.unwrap_or(limit.quota.burst())
}

fn may_use(policy: &Policy, consumer: &Consumer, route: &Route) -> bool {
    let held = policy.scopes.set(consumer.scopes);
    let is_open = route.access != Access::Deny && !consumer.disabled;
    is_open && route.requirement.missing(held).is_empty()
}
