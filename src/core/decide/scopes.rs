//! Authorise: the scopes a route asks for, then the networks of route and consumer.

use super::Walk;
use crate::authz::Requirement;
use crate::explain::{Stage, Trace};
use crate::limit::BucketStore;
use crate::reason::Denial;
use crate::route::Route;

impl<'p, S: BucketStore, T: Trace> Walk<'_, 'p, '_, S, T> {
    pub(super) fn authorise(&mut self, route: &'p Route) -> Result<(), Denial> {
        self.require_scopes(&route.requirement)?;
        self.refuse_in(&route.deny, Stage::Authorise, "the route")?;
        self.require_in(&route.networks, Denial::AddressNotAllowed, "the route")?;
        if let Some(principal) = self.decision.principal {
            let consumer = principal.consumer;
            self.refuse_in(&consumer.deny, Stage::Authorise, "the consumer")?;
            self.require_in(&consumer.networks, Denial::NetworkNotAllowed, "the consumer")?;
        }
        Ok(())
    }

    fn require_scopes(&mut self, requirement: &Requirement) -> Result<(), Denial> {
        // A public route asks for no scopes, so only a principal is held against them.
        let Some(principal) = self.decision.principal else { return Ok(()) };
        let missing = requirement.missing(principal.scopes);
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
            format!(
                "{quantifier} of [{asked}], caller has [{}]: {verdict}",
                principal.scopes.text()
            )
        });
        if missing.is_empty() {
            return Ok(());
        }
        self.decision.missing = missing;
        Err(Denial::ScopeMissing)
    }
}
