//! Limits of a fleet: what the rate limit service is asked, and what follows from its answer.

use super::limits::subject;
use super::{Answer, Halt, Question, Walk};
use crate::authn::signature::SignatureVerifier;
use crate::decision::{Decision, Principal};
use crate::explain::{Stage, Trace};
use crate::limit::{
    Ask, BucketKey, BucketStore, Figures, Fleet, FleetPart, Inquiry, Known, LimitId, LimitReport,
    Names, OnError, Origin, Quota, Standing, State, Verdict, pay,
};
use crate::reason::Denial;
use crate::route::Route;
use crate::time::Timestamp;

impl<'p, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, '_, S, V, T> {
    /// Refuses what the service has refused before, as long as that counts: then nothing is spent.
    #[inline]
    pub(super) fn recall_refusals(&mut self, route: &'p Route) -> Result<(), Denial> {
        match &self.policy.fleet {
            Some(fleet) if self.counted.is_none() => self.recall(fleet, route),
            _ => Ok(()),
        }
    }

    fn recall(&mut self, fleet: &'p Fleet, route: &'p Route) -> Result<(), Denial> {
        let (policy, now) = (self.policy, self.now);
        let Decision { caller, principal, limits, rule, method, headers, .. } = &mut self.decision;
        let principal = principal.as_ref();
        let subject = subject(*caller, Some(route), *method, headers, principal);
        let consumer = principal.and_then(|principal| principal.consumer);
        let of_consumer = consumer.map_or(&[][..], |consumer| &consumer.limits);
        let ids = route.address_limits.iter().chain(&route.limits).chain(of_consumer).copied();
        let fleets = policy.limits_at(ids).filter(|(_, limit)| limit.fleet.is_some());
        for (id, limit) in fleets.filter(|(_, limit)| !limit.observe) {
            let key = BucketKey::new(limit, &subject);
            let standing = self.buckets.standing(&key, fleet, now);
            let refused = standing.and_then(|standing| standing.refuses(route.cost, now));
            let Some(wait) = refused else { continue };
            let state = State::Empty { remaining: 0, retry_in: wait, full_in: wait };
            let origin = Origin::Remembered;
            match limits.iter_mut().find(|report| report.id == id) {
                Some(report) => (report.state, report.origin) = (state, origin),
                None => limits.push(LimitReport { id, limit, state, taken: false, origin }),
            }
            *rule = Some(limit.name());
            return Err(Denial::RateLimited);
        }
        Ok(())
    }

    /// Asks about the fleet limits that gave their tokens here, one after the other, as far as nothing is
    /// known of them.
    #[inline]
    pub(super) fn ask_fleet(&mut self, route: &'p Route) -> Result<(), Halt> {
        let is_any = || self.decision.limits.iter().any(|report| report.limit.fleet.is_some());
        match &self.policy.fleet {
            Some(fleet) if is_any() => self.settle(fleet, route),
            _ => Ok(()),
        }
    }

    fn settle(&mut self, fleet: &'p Fleet, route: &'p Route) -> Result<(), Halt> {
        let Decision { caller, principal, limits, rule, method, headers, .. } = &mut self.decision;
        let asked = self.now;
        let principal = principal.as_ref();
        let subject = subject(*caller, Some(route), *method, headers, principal);
        let names =
            (principal.map(Principal::header_name), principal.map(Principal::told_credential));
        let ask = Ask { subject, cost: route.cost.into(), now: asked };
        let means = match self.counted {
            None => Means::Nothing,
            Some((Some(inquiry), Answer::Counted(verdict))) => Means::Answer(inquiry, verdict),
            Some((_, Answer::Unavailable)) => Means::Without,
            Some(_) => {
                for report in limits.iter() {
                    let Some(part) = &report.limit.fleet else { continue };
                    let key = BucketKey::new(report.limit, &ask.subject);
                    self.trace
                        .note(Stage::Limits, || fleet.in_words(&key, names, route.cost, part));
                }
                return Ok(());
            }
        };
        let mut desk = Desk { fleet, ask, names, means, limits, rule, buckets: self.buckets };
        match desk.judge()? {
            None => Ok(()),
            Some((limit, hits, message)) => {
                let before = self.counted.and_then(|(inquiry, _)| inquiry);
                let since = before.map_or(asked, |inquiry| inquiry.since);
                Err(Halt::Ask(Question::Fleet(Inquiry { message, limit, hits, asked, since })))
            }
        }
    }
}

/// What the limits of a request are judged by, beside what is remembered.
#[derive(Clone, Copy)]
enum Means<'t> {
    Nothing,
    /// What the service says of one of them.
    Answer(&'t Inquiry, Verdict),
    /// There is no service.
    Without,
}

/// What is found of one limit.
enum Found {
    /// Whether it refuses, who says so, and what is left.
    Is(bool, Origin, State),
    /// The service must be asked for so many hits.
    Ask(u32),
}

/// The limits of one request, some of them a fleet's.
struct Desk<'t, 'p, S> {
    fleet: &'p Fleet,
    ask: Ask<'t>,
    names: Names<'t>,
    means: Means<'t>,
    limits: &'t mut Vec<LimitReport<'p>>,
    rule: &'t mut Option<&'p str>,
    buckets: &'t mut S,
}

impl<S: BucketStore> Desk<'_, '_, S> {
    /// Judges the limits that are not settled. All are looked at before anything is spent: a refusal costs
    /// no other limit a hit. The first that the service must be asked about is given back.
    fn judge(&mut self) -> Result<Option<(LimitId, u32, Vec<u8>)>, Denial> {
        let ask = self.ask;
        for spends in [false, true] {
            let mut refused = None;
            for at in 0..self.limits.len() {
                let Some(LimitReport { id, limit, state, origin: Origin::Process, .. }) =
                    self.limits.get(at).copied()
                else {
                    continue;
                };
                let Some(part) = &limit.fleet else { continue };
                let key = BucketKey::new(limit, &ask.subject);
                let found = match self.find(id, &key, part, state, spends) {
                    Err(_) if limit.observe => continue,
                    found => found?,
                };
                match found {
                    Found::Is(refuses, origin, state) => {
                        if refuses && !limit.observe {
                            refused = refused.or(Some(limit.name()));
                        }
                        let is_settled = refuses || spends || origin == Origin::Service;
                        if let Some(report) = self.limits.get_mut(at).filter(|_| is_settled) {
                            (report.origin, report.state) = (origin, state);
                        }
                    }
                    Found::Ask(hits) if spends => {
                        return Ok(Some((id, hits, self.fleet.question(&key, self.names, hits))));
                    }
                    Found::Ask(_) => {}
                }
            }
            if refused.is_some() {
                *self.rule = refused;
                return Err(match (self.means, self.fleet.on_error) {
                    (Means::Without, OnError::Deny) => Denial::LimitUnavailable,
                    _ => Denial::RateLimited,
                });
            }
        }
        Ok(None)
    }

    /// What follows for one limit, by the service or without it.
    fn find(
        &mut self,
        id: LimitId,
        key: &BucketKey<'_>,
        part: &FleetPart,
        state: State,
        spends: bool,
    ) -> Result<Found, Denial> {
        let answer = match self.means {
            Means::Without if self.fleet.on_error == OnError::Local => {
                let state = pay(&part.share, &self.ask, self.buckets, spends);
                let state = state.map_err(|_| Denial::HostFailure)?;
                return Ok(Found::Is(state.is_empty(), Origin::Local, state));
            }
            Means::Without => {
                return Ok(Found::Is(self.fleet.on_error == OnError::Deny, Origin::Nobody, state));
            }
            Means::Answer(inquiry, verdict) if inquiry.limit == id => Some((inquiry, verdict)),
            _ => None,
        };
        let mut unheld = Standing::default();
        let standing = self.buckets.standing(key, self.fleet, self.ask.now);
        // What nobody remembers nobody spends.
        let lease = if standing.is_some() { part.lease } else { 1 };
        let standing = standing.unwrap_or(&mut unheld);
        Ok(by_service(answer, standing, &self.ask, key.quota(), lease, state, spends))
    }
}

/// What follows for one limit from an answer and from what is remembered.
fn by_service(
    answer: Option<(&Inquiry, Verdict)>,
    standing: &mut Standing,
    &Ask { cost, now, .. }: &Ask<'_>,
    quota: &Quota,
    lease: u32,
    state: State,
    spends: bool,
) -> Found {
    let cost = u32::try_from(cost).unwrap_or(u32::MAX);
    if let Some((inquiry, verdict)) = answer.filter(|_| !spends) {
        let paid = (inquiry.hits, cost);
        let figures = standing.learn(&verdict, paid, inquiry.asked, now, quota.longest(now));
        if !verdict.is_over {
            return Found::Is(false, Origin::Service, told(figures, state, now));
        }
    }
    // Whether the answer can be remembered or not, no lease is asked for twice.
    let lease = if answer.is_some() { 1 } else { lease };
    let mut next = *standing;
    let known = next.judge(cost, lease, now);
    if spends {
        *standing = next;
    }
    match known {
        Known::Refused(wait) => {
            let origin = if answer.is_some() { Origin::Service } else { Origin::Remembered };
            let state = State::Empty { remaining: 0, retry_in: wait, full_in: wait };
            Found::Is(true, origin, state)
        }
        Known::Leased(figures) => Found::Is(false, Origin::Lease, told(figures, state, now)),
        Known::Ask(hits) => Found::Ask(hits),
    }
}

/// What is left: by the service's word, where it tells.
fn told(figures: Option<Figures>, state: State, now: Timestamp) -> State {
    match figures {
        Some(Figures { remaining, reset }) => {
            State::Open { next: 0, remaining, full_in: reset.saturating_sub(now.unix_nanos()) }
        }
        None => state,
    }
}
