//! Questions to the rate limit service: when it is asked, and what its answers are worth.

use portcullis_core::{Answer, Inquiry, MAX_ANSWER, Timestamp, Verdict};

use crate::abi::{HostFault, callout};
use crate::generation::Generation;
use crate::metrics::Metrics;
use crate::waiting::{Ask, Need};

const SERVICE: &str = "envoy.service.ratelimit.v3.RateLimitService";
const METHOD: &str = "ShouldRateLimit";

const MILLI: u64 = 1_000_000;
/// How long after its time a call is given up that the host says nothing of, in nanoseconds.
const MARGIN: u64 = 1_000_000_000;

/// One byte more than an answer may have.
pub(crate) const LONGEST: usize = MAX_ANSWER.saturating_add(1);

/// gRPC's `INVALID_ARGUMENT` and `OUT_OF_RANGE`: something is wrong with the question, not with the service.
const OF_THE_QUESTION: [u32; 2] = [3, 11];

/// What came of a call.
#[derive(Clone, Copy)]
pub(crate) enum Heard<'m> {
    Message(Result<&'m [u8], HostFault>),
    /// No message, but a status of gRPC.
    Status(u32),
    /// Nothing at all.
    Nothing,
}

impl Generation {
    /// Asks the service about one limit, unless too many wait or the breaker is open.
    pub(crate) fn inquire(
        &self,
        inquiry: &Inquiry,
        now: Timestamp,
        metrics: &mut Metrics,
        may_wait: bool,
    ) -> Ask {
        let Some(fleet) = self.policy.fleet() else { return Ask::Decide(Answer::Unavailable) };
        let left = fleet.timeout.saturating_sub(now.since(inquiry.since)).max(MILLI);
        let patience = left.saturating_add(MARGIN);
        let mut breaker = self.breaker.get();
        let result = if !may_wait {
            "busy"
        } else if !breaker.lets_ask(now, patience) {
            "breaker"
        } else {
            self.breaker.set(breaker);
            let millis = u32::try_from(left.div_ceil(MILLI)).unwrap_or(u32::MAX);
            match callout::grpc_call(&fleet.service(), SERVICE, METHOD, &inquiry.message, millis) {
                Ok(token) => {
                    let deadline = now.saturating_add(patience);
                    return Ask::Wait(Need::Service { token, deadline });
                }
                Err(_) => return Ask::Decide(self.heard(Heard::Nothing, now, metrics)),
            }
        };
        metrics.fleet_call(self.policy.gateway(), result);
        Ask::Decide(Answer::Unavailable)
    }

    /// What an answer is worth, and what the breaker makes of it.
    pub(crate) fn heard(&self, heard: Heard<'_>, now: Timestamp, metrics: &mut Metrics) -> Answer {
        let verdict = match heard {
            Heard::Message(Ok(bytes)) if bytes.len() <= MAX_ANSWER => Verdict::read(bytes),
            _ => None,
        };
        let result = match (verdict, heard) {
            (Some(verdict), _) if verdict.is_over() => "over_limit",
            (Some(_), _) => "ok",
            (None, Heard::Message(_)) => "malformed",
            (None, _) => "failed",
        };
        metrics.fleet_call(self.policy.gateway(), result);
        let mut breaker = self.breaker.get();
        match (verdict, heard) {
            (Some(_), _) => breaker.succeeded(),
            // Nobody waited, and one caller's key must not close the way for all others.
            (None, Heard::Status(status)) if OF_THE_QUESTION.contains(&status) => {}
            (None, _) => breaker.failed(now),
        }
        // For the breaker's gauge.
        self.tick_for_counts();
        self.breaker.set(breaker);
        verdict.map_or(Answer::Unavailable, Answer::Counted)
    }
}
