//! What is counted of a decision.

use portcullis_core::{Decision, Denial};

use crate::generation::Generation;
use crate::metrics::Metrics;

/// Counts a decision, the limit that refused it and the credential that was used.
pub(super) fn count(decision: &Decision<'_, '_>, generation: &Generation, metrics: &mut Metrics) {
    let policy = &generation.policy;
    let gateway = policy.gateway();
    if let Ok(mut known) = generation.known.try_borrow_mut() {
        metrics.decision(&mut known, gateway, decision);
        // Where there are keys alone, everybody uses keys.
        if !policy.issuers().is_empty() {
            for principal in decision.proven() {
                metrics.credential_use(&mut known, gateway, principal);
            }
        }
        let limited = Err(Denial::RateLimited) == decision.verdict()
            || Err(Denial::ConcurrencyLimited) == decision.verdict();
        if let (true, Some(limit)) = (limited, decision.rule()) {
            metrics.limit_refusal(&mut known, gateway, limit, false);
        }
        for limit in decision.observed_limits() {
            metrics.limit_refusal(&mut known, gateway, limit.name(), true);
        }
        generation.tick_for_counts();
    }
    for limit in decision.limits_without_service() {
        metrics.fleet_fallback(gateway, limit);
    }
    for principal in decision.proven() {
        if principal.key().is_some_and(|key| key.is_retiring()) {
            metrics.retiring_key(gateway, principal.name());
        }
    }
}
