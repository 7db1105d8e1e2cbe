//! One token from its text to a verified caller. The cheap checks come first, the signature last but
//! for revocation: a flood of bad tokens costs no more than reading them.

use super::claim_value::{ClaimPath, ClaimValue};
use super::claims::{Registered, check_type};
use super::fault::Fault;
use super::grants;
use super::issuer::{Issuer, IssuerId};
use super::jwks::{KeySet, Version};
use super::jws::Jws;
use super::secrets::SecretSet;
use super::signature::SignatureVerifier;
use crate::authz::{ScopeSet, ScopeTable};
use crate::config::Node;
use crate::reason::Denial;
use crate::time::Timestamp;

/// Longest claim that names a caller, in bytes.
const MAX_SUBJECT: usize = 256;

/// What a policy needs to judge tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenRules {
    pub(crate) issuers: Box<[Issuer]>,
    /// Longest token, in bytes.
    pub(crate) max_size: usize,
    /// Claims that routes, consumers and headers name; a token's are kept in this order.
    pub(crate) claims: Box<[ClaimPath]>,
}

/// The keys of every issuer, as far as they are there. They change while a policy stays.
#[derive(Default)]
pub struct Keyring(Vec<Option<Keys>>);

/// The keys of one issuer.
pub(crate) enum Keys {
    Public(KeySet),
    Secret(SecretSet),
}

/// A token that was verified, and all of it that decides. It is only used before its end.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) issuer: IssuerId,
    /// The value of the claim that names the caller.
    pub(crate) subject: Box<str>,
    pub(crate) key_id: Option<Box<str>>,
    /// Its `jti`.
    pub(crate) id: Option<Box<str>>,
    /// The first instant at which it is refused, leeway included.
    pub(crate) end: Timestamp,
    pub(crate) scopes: ScopeSet,
    /// The claims that the policy names, in its order.
    pub(crate) claims: Box<[Option<ClaimValue>]>,
}

/// What becomes of a token.
#[derive(Debug)]
pub(crate) enum Verdict {
    Verified(Token),
    /// It cannot be judged before the issuer's keys are fetched: there are none, or none of its `kid`.
    NeedsKeys(IssuerId, Fault),
    Refused(Fault),
}

impl Keyring {
    /// The keys of an issuer.
    pub(crate) fn of(&self, issuer: IssuerId) -> Option<&Keys> {
        self.0.get(usize::from(issuer.0)).and_then(Option::as_ref)
    }

    /// Puts an issuer's keys in force, in place of those before.
    pub(crate) fn put(&mut self, issuer: IssuerId, keys: Option<Keys>) {
        let position = usize::from(issuer.0);
        if self.0.len() <= position {
            self.0.resize_with(position.saturating_add(1), || None);
        }
        if let Some(place) = self.0.get_mut(position) {
            *place = keys;
        }
    }

    /// Which keys of an issuer are in force.
    pub(crate) fn version(&self, issuer: IssuerId) -> Option<Version> {
        self.of(issuer).map(|keys| match keys {
            Keys::Public(set) => set.version(),
            Keys::Secret(secrets) => secrets.version(),
        })
    }
}

impl Keys {
    /// The id of the key that signed.
    fn verify(
        &self,
        jws: &Jws<'_>,
        verifier: &mut impl SignatureVerifier,
    ) -> Result<Option<&str>, Fault> {
        match self {
            Self::Public(set) => set.verify(jws, verifier).map(|key| key.id()),
            Self::Secret(secrets) => secrets.verify(jws).map(|()| None),
        }
    }

    /// Whether other keys than these could make a difference for a token.
    fn may_be_outdated(&self, jws: &Jws<'_>) -> bool {
        match self {
            Self::Public(set) => jws.key_id.as_deref().is_some_and(|id| !set.knows(id)),
            Self::Secret(_) => false,
        }
    }
}

impl TokenRules {
    pub(crate) fn issuer(&self, id: IssuerId) -> Option<&Issuer> {
        self.issuers.get(usize::from(id.0))
    }

    /// Judges one token.
    pub(crate) fn verify(
        &self,
        text: &[u8],
        scopes: &ScopeTable,
        keyring: &Keyring,
        now: Timestamp,
        verifier: &mut impl SignatureVerifier,
    ) -> Verdict {
        match self.try_verify(text, scopes, keyring, now, verifier) {
            Ok(verdict) => verdict,
            Err(fault) => Verdict::Refused(fault),
        }
    }

    fn try_verify(
        &self,
        text: &[u8],
        scopes: &ScopeTable,
        keyring: &Keyring,
        now: Timestamp,
        verifier: &mut impl SignatureVerifier,
    ) -> Result<Verdict, Fault> {
        let jws = Jws::parse(text, self.max_size)?;
        let claims = Node::from_json(&jws.payload)
            .map_err(|_| Fault::malformed("the payload is not JSON"))?;
        let registered = Registered::read(&claims)?;
        // Keys are looked up under the issuer that the token names, never across.
        let (id, rules) = self
            .find(registered.issuer)
            .ok_or(Fault::new(Denial::TokenIssuer, "no configured issuer has this `iss`"))?;
        if !rules.algorithms.contains(&jws.algorithm) {
            return Err(Fault::new(Denial::TokenAlgorithm, "the issuer may not use this `alg`"));
        }
        check_type(jws.kind.as_deref(), rules)?;
        registered.check(rules, now)?;
        let subject = rules.subject.find(&claims).and_then(Node::as_text);
        let subject = subject
            .filter(|subject| (1..=MAX_SUBJECT).contains(&subject.len()))
            .ok_or(Fault::malformed("the claim that names the caller is not a short text"))?;
        let Some(keys) = keyring.of(id) else {
            let fault = Fault::new(Denial::KeysUnavailable, "the issuer's keys are not there yet");
            return Ok(Verdict::NeedsKeys(id, fault));
        };
        let key_id = match keys.verify(&jws, verifier) {
            Ok(key_id) => key_id,
            Err(fault) if fault.denial == Denial::TokenKeyUnknown && keys.may_be_outdated(&jws) => {
                return Ok(Verdict::NeedsKeys(id, fault));
            }
            Err(fault) => return Err(fault),
        };
        if registered.is_revoked(rules, key_id) {
            return Err(Fault::new(Denial::TokenRevoked, "the policy revokes it"));
        }
        let kept = |path: &ClaimPath| path.find(&claims).and_then(ClaimValue::read);
        Ok(Verdict::Verified(Token {
            issuer: id,
            subject: subject.into(),
            key_id: key_id.map(Box::from),
            id: registered.token_id.map(Box::from),
            end: registered.end(rules),
            scopes: grants::scopes(&claims, rules, scopes),
            claims: self.claims.iter().map(kept).collect(),
        }))
    }

    fn find(&self, issuer: &str) -> Option<(IssuerId, &Issuer)> {
        let mut issuers = (0..).map(IssuerId).zip(&self.issuers);
        issuers.find(|(_, rules)| *rules.url == *issuer)
    }
}

#[cfg(test)]
mod tests;
