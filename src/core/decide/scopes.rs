//! Authorise: the scopes and claims a route asks for, then the networks of route and consumer.

use super::Walk;
use crate::authn::claim_value::ClaimValue;
use crate::authn::signature::SignatureVerifier;
use crate::authn::unescaped;
use crate::authz::Requirement;
use crate::explain::{Stage, Trace};
use crate::limit::BucketStore;
use crate::reason::Denial;
use crate::route::{ClaimRule, Must, Route};

impl<'p, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, '_, S, V, T> {
    pub(super) fn authorise(&mut self, route: &'p Route) -> Result<(), Denial> {
        self.require_scopes(&route.requirement)?;
        for rule in &route.claims {
            self.require_claim(rule)?;
        }
        self.refuse_in(&route.deny, Stage::Authorise, "the route")?;
        self.require_in(&route.networks, Denial::AddressNotAllowed, "the route")?;
        let consumer = self.decision.principal.as_ref().and_then(|principal| principal.consumer);
        if let Some(consumer) = consumer {
            self.refuse_in(&consumer.deny, Stage::Authorise, "the consumer")?;
            self.require_in(&consumer.networks, Denial::NetworkNotAllowed, "the consumer")?;
        }
        Ok(())
    }

    fn require_scopes(&mut self, requirement: &Requirement) -> Result<(), Denial> {
        // A public route asks for no scopes, so only a principal is held against them.
        let Some(principal) = &self.decision.principal else { return Ok(()) };
        let missing = requirement.missing(principal.scopes());
        let scopes = &self.policy.scopes;
        self.trace.note(Stage::Authorise, || {
            let quantifier = match requirement {
                Requirement::None => return "no scope is asked for".to_owned(),
                Requirement::AllOf(_) => "all",
                Requirement::AnyOf(_) => "any",
            };
            let names =
                |ids: &[_]| scopes.names_of(ids.iter().copied()).collect::<Vec<_>>().join(" ");
            let verdict = match missing.as_slice() {
                [] => "held".to_owned(),
                missing => format!("missing [{}]", names(missing)),
            };
            let asked = names(requirement.scopes());
            let held = principal.scopes().text();
            format!("{quantifier} of [{asked}], caller has [{held}]: {verdict}")
        });
        if missing.is_empty() {
            return Ok(());
        }
        self.decision.missing = missing;
        Err(Denial::ScopeMissing)
    }

    /// A caller without claims satisfies no rule about them.
    fn require_claim(&mut self, rule: &'p ClaimRule) -> Result<(), Denial> {
        let token = self.decision.principal.as_ref().and_then(|principal| principal.token());
        let claim = token.and_then(|token| token.claim(rule.claim));
        let holds = match &rule.must {
            Must::Hold(condition) => condition.holds(claim),
            Must::EqualParameter(places) => {
                let path = self.decision.path.as_ref().map_or("", |path| path.as_str());
                let segment = places.iter().find_map(|(pattern, at)| pattern.segment(path, *at));
                let text = claim.and_then(ClaimValue::as_text);
                match (segment, text) {
                    (Some(segment), Some(text)) => unescaped(segment.as_bytes()).eq(text.bytes()),
                    _ => false,
                }
            }
        };
        self.trace.note(Stage::Authorise, || {
            let verdict = match (holds, claim.is_some()) {
                (true, _) => "as the route asks",
                (false, true) => "not what the route asks for",
                (false, false) => "not there, and the route asks for it",
            };
            format!("claim `{}`: {verdict}", rule.name)
        });
        if holds {
            return Ok(());
        }
        self.decision.rule = Some(&rule.name);
        Err(Denial::ClaimNotAllowed)
    }
}
