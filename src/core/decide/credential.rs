//! Credential: the one that counts, and who that is.

use std::rc::Rc;

use super::{Halt, Question, Walk};
use crate::authn::extract::CredentialKind;
use crate::authn::fault::Fault;
use crate::authn::issuer::{Issuer, KeyOrigin};
use crate::authn::signature::SignatureVerifier;
use crate::authn::token::{Against, Token, Verdict};
use crate::authn::{Presented, Shown, extract};
use crate::decision::{Credential, Principal};
use crate::explain::{Stage, Trace};
use crate::limit::BucketStore;
use crate::reason::Denial;
use crate::route::{Access, Route};

impl<'p, 'r, S: BucketStore, V: SignatureVerifier, T: Trace> Walk<'_, 'p, 'r, S, V, T> {
    /// Every place that the policy takes credentials from is read on every route.
    pub(super) fn extract_credentials(&mut self) -> Result<Shown<'r>, Denial> {
        let query = self.decision.path.as_ref().and_then(|path| path.query());
        let shown = extract(&self.policy.sources, &self.decision.headers, query);
        let shown = shown.and_then(|shown| match (&shown, self.policy.precedence) {
            (Shown { key: Some(_), token: Some(_) }, None) => Err(Denial::CredentialAmbiguous),
            _ => Ok(shown),
        });
        self.trace.note(Stage::Credential, || {
            match &shown {
                Ok(Shown { key: Some(_), token: Some(_) }) => "an API key and a token are shown",
                Ok(Shown { key: Some(_), .. }) => "one API key is shown",
                Ok(Shown { token: Some(_), .. }) => "one token is shown",
                Ok(_) => "none is shown",
                Err(_) => "two credentials, or two lines of a header that can carry one",
            }
            .to_owned()
        });
        shown
    }

    /// Present and invalid is never absent: a credential that is shown must be good on every route, be
    /// it the one that counts or not.
    pub(super) fn authenticate(&mut self, shown: Shown<'r>, route: &'p Route) -> Result<(), Halt> {
        let key = shown.key.map(|key| self.check_key(&key, route)).transpose()?;
        let token = shown.token.map(|token| self.check_token(&token)).transpose()?;
        let principal = match (key, token) {
            (Some(key), Some(token)) => {
                let (counts, other) =
                    if self.token_counts(route) { (token, key) } else { (key, token) };
                self.decision.beside = Some(other);
                Some(counts)
            }
            (key, token) => key.or(token),
        };
        let is_public = route.access == Access::Public;
        let Some(principal) = principal else {
            return if is_public { Ok(()) } else { Err(Denial::CredentialMissing.into()) };
        };
        let accepts = &route.accepts;
        let accepted = is_public
            || match &principal.credential {
                Credential::ApiKey { .. } => accepts.api_key,
                Credential::Token { issuer, .. } => accepts.issuer(issuer.id),
            };
        self.decision.principal = Some(principal);
        if accepted { Ok(()) } else { Err(Denial::CredentialNotAccepted.into()) }
    }

    /// Which of two good credentials counts: of a kind that the route takes, else by the policy's word.
    fn token_counts(&self, route: &Route) -> bool {
        match (route.accepts.api_key, route.accepts.jwt) {
            (true, false) => false,
            (false, true) => true,
            _ => self.policy.precedence == Some(CredentialKind::Jwt),
        }
    }

    fn check_key(&mut self, shown: &Presented<'r>, route: &Route) -> Result<Principal<'p>, Denial> {
        let key = shown.text.as_ref().and_then(|text| self.policy.keys.find(text));
        let found = key.and_then(|key| Some((key, self.policy.consumer(key.consumer)?)));
        let Some((key, consumer)) = found else {
            self.trace.note(Stage::Authenticate, || "no such key".to_owned());
            return Err(Denial::KeyUnknown);
        };
        let schedules = [&consumer.schedule, &route.schedule];
        let sunset = schedules.into_iter().flatten().filter_map(|schedule| schedule.sunset).min();
        let good = key.check(self.now).and(if consumer.disabled {
            Err(Denial::ConsumerDisabled)
        } else if sunset.is_some_and(|sunset| sunset <= self.now) {
            Err(Denial::KeySunset)
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
        let scopes = self.policy.scopes.set(key.scopes);
        let credential = Credential::ApiKey { key, scopes };
        let principal = Principal { consumer: Some(consumer), credential };
        match good {
            Ok(()) => Ok(principal),
            Err(denial) => {
                self.decision.claimed = Some(principal);
                Err(denial)
            }
        }
    }

    fn check_token(&mut self, shown: &Presented<'r>) -> Result<Principal<'p>, Halt> {
        let Some(text) = &shown.text else {
            let fault =
                Fault::malformed("its place is named in another spelling, or its scheme alone");
            return Err(self.refuse_token(None, fault).into());
        };
        let (issuer, token) = self.find_token(text)?;
        let consumer = token.consumer.and_then(|id| self.policy.consumer(id));
        self.trace.note(Stage::Authenticate, || {
            let whose = match consumer {
                Some(consumer) if consumer.disabled => "of a disabled consumer",
                Some(_) => "of a consumer",
                None => "of no consumer",
            };
            let scopes = token.scopes.text();
            format!("token of issuer `{}`, {whose}: good, with [{scopes}]", issuer.name)
        });
        let disabled = consumer.is_some_and(|consumer| consumer.disabled);
        let principal = Principal { consumer, credential: Credential::Token { issuer, token } };
        if disabled {
            self.decision.claimed = Some(principal);
            return Err(Denial::ConsumerDisabled.into());
        }
        Ok(principal)
    }

    /// The token, from those that were verified before or verified now.
    fn find_token(&mut self, text: &[u8]) -> Result<(&'p Issuer, Rc<Token>), Halt> {
        let policy = self.policy;
        let rules = &policy.token_rules;
        if text.len() > rules.max_size {
            let fault = Fault::malformed("longer than the policy allows");
            return Err(self.refuse_token(None, fault).into());
        }
        let tokens = &mut *self.tokens;
        let spot = tokens.cache.spot(text);
        let known = tokens.cache.find(spot, text, &tokens.keyring, self.now);
        if let Some((token, issuer)) = known.and_then(|token| {
            let issuer = rules.issuer(token.issuer)?;
            Some((token, issuer))
        }) {
            return Ok((issuer, token));
        }
        let against = Against {
            scopes: &policy.scopes,
            consumers: &policy.consumers,
            keyring: &tokens.keyring,
            now: self.now,
        };
        match rules.verify(text, against, &mut tokens.verifier, &mut tokens.last_header) {
            Verdict::Verified(token) => {
                tokens.cache.insert(spot, text, &tokens.keyring, &token, self.now);
                let issuer = rules.issuer(token.issuer).ok_or(Denial::TokenIssuer)?;
                Ok((issuer, token))
            }
            Verdict::Barred(token, fault) => {
                let issuer = rules.issuer(token.issuer).ok_or(Denial::TokenIssuer)?;
                let consumer = token.consumer.and_then(|id| policy.consumer(id));
                let credential = Credential::Token { issuer, token };
                self.decision.claimed = Some(Principal { consumer, credential });
                Err(self.refuse_token(Some(issuer), fault).into())
            }
            Verdict::Refused(issuer, fault) => {
                let issuer = issuer.and_then(|id| rules.issuer(id));
                Err(self.refuse_token(issuer, fault).into())
            }
            Verdict::NeedsKeys(id, key_id, fault) => {
                let issuer = rules.issuer(id).ok_or(Denial::TokenIssuer)?;
                let is_remote = matches!(issuer.keys, KeyOrigin::Remote(_));
                match self.answer {
                    None if is_remote => Err(Halt::Ask(Question::Keys { issuer: id, key_id })),
                    Some(super::Answer::Unavailable) => {
                        let fault =
                            Fault::new(Denial::KeysUnavailable, "its keys could not be had");
                        Err(self.refuse_token(Some(issuer), fault).into())
                    }
                    _ => Err(self.refuse_token(Some(issuer), fault).into()),
                }
            }
        }
    }

    /// Keeps what was wrong with a token for the record.
    fn refuse_token(&mut self, issuer: Option<&'p Issuer>, fault: Fault) -> Denial {
        self.trace.note(Stage::Authenticate, || {
            let of = issuer.map_or(String::new(), |issuer| format!(" of issuer `{}`", issuer.name));
            format!("token{of}: {}", fault.why)
        });
        self.decision.claimed_issuer = issuer;
        self.decision.token_fault = Some(fault.why);
        fault.denial
    }
}
