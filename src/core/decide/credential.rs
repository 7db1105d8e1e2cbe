//! Credential: the one that is shown, and who that is.

use super::Walk;
use crate::authn::{Presented, extract};
use crate::decision::Principal;
use crate::explain::{Stage, Trace};
use crate::limit::BucketStore;
use crate::reason::Denial;
use crate::route::{Access, Route};

impl<'r, S: BucketStore, T: Trace> Walk<'_, '_, 'r, S, T> {
    /// Every place that the policy takes credentials from is read on every route.
    pub(super) fn extract_credential(&mut self) -> Result<Option<Presented<'r>>, Denial> {
        let query = self.decision.path.as_ref().and_then(|path| path.query());
        let shown = extract(&self.policy.key_sources, &self.decision.headers, query);
        self.trace.note(Stage::Credential, || {
            match &shown {
                Ok(Some(_)) => "one API key is shown",
                Ok(None) => "none is shown",
                Err(_) => "two credentials, or two lines of a header that can carry one",
            }
            .to_owned()
        });
        shown
    }

    /// Present and invalid is never absent: a credential that is shown must be good on every route.
    pub(super) fn authenticate(
        &mut self,
        shown: Option<Presented<'r>>,
        route: &Route,
    ) -> Result<(), Denial> {
        let Some(shown) = shown else {
            return if route.access == Access::Public {
                Ok(())
            } else {
                Err(Denial::CredentialMissing)
            };
        };
        let key = shown.text.and_then(|text| self.policy.keys.find(&text));
        let found = key.and_then(|key| Some((key, self.policy.consumer(key.consumer)?)));
        let Some((key, consumer)) = found else {
            self.trace.note(Stage::Authenticate, || "no such key".to_owned());
            return Err(Denial::KeyUnknown);
        };
        let principal = Principal { consumer, key, scopes: self.policy.scopes.set(key.scopes) };
        let good = key.check(self.now).and(if consumer.disabled {
            Err(Denial::ConsumerDisabled)
        } else {
            Ok(())
        });
        self.trace.note(Stage::Authenticate, || {
            let verdict = match good {
                Ok(()) if key.is_retiring() => "good, retiring",
                Ok(()) => "good",
                Err(denial) => denial.meaning(),
            };
            format!("key `{}` of consumer `{}`: {verdict}", key.id, consumer.name)
        });
        match good {
            Ok(()) => self.decision.principal = Some(principal),
            Err(_) => self.decision.claimed = Some(principal),
        }
        good
    }
}
