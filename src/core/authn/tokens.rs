//! What one thread knows of tokens: the keys in force, the tokens that it verified, and who computes.

use std::rc::Rc;

use super::issuer::{Issuer, IssuerId, KeyOrigin};
use super::jwks::{KeySet, Version};
use super::jws::LastHeader;
use super::secrets::SecretSet;
use super::signature::SignatureVerifier;
use super::token_cache::TokenCache;
use crate::config::diagnostic::{Diagnostic, Severity, code};
use crate::policy::Policy;
use crate::time::Timestamp;

/// The keys of every issuer, as far as they are there. They change while a policy stays.
#[derive(Default)]
pub(crate) struct Keyring(Vec<Option<Held>>);

/// Keys, and until when they are used.
struct Held {
    keys: Keys,
    until: Timestamp,
}

/// The keys of one issuer.
pub(crate) enum Keys {
    Public(Rc<KeySet>),
    Secret(SecretSet),
}

impl Keyring {
    /// The keys of an issuer; none where they are too old.
    pub(crate) fn of(&self, issuer: IssuerId, now: Timestamp) -> Option<&Keys> {
        let held = self.0.get(issuer.position()).and_then(Option::as_ref);
        held.filter(|held| now < held.until).map(|held| &held.keys)
    }

    /// Puts an issuer's keys in force, in place of those before.
    pub(crate) fn put(&mut self, issuer: IssuerId, keys: Keys, until: Timestamp) {
        let position = issuer.position();
        if self.0.len() <= position {
            self.0.resize_with(position.saturating_add(1), || None);
        }
        if let Some(place) = self.0.get_mut(position) {
            *place = Some(Held { keys, until });
        }
    }

    /// Which keys of an issuer are in force.
    pub(crate) fn version(&self, issuer: IssuerId, now: Timestamp) -> Option<Version> {
        self.of(issuer, now).map(|keys| match keys {
            Keys::Public(set) => set.version(),
            Keys::Secret(secrets) => secrets.version(),
        })
    }
}

/// What one thread knows of the tokens of one policy. It goes with that policy: under another one the
/// same token may mean something else.
pub struct Tokens<V> {
    pub(crate) keyring: Keyring,
    pub(crate) cache: TokenCache,
    pub(crate) verifier: V,
    pub(crate) last_header: LastHeader,
}

impl<V: SignatureVerifier> Tokens<V> {
    /// Knows the keys that stand in the policy. `secret` keeps callers from aiming at places of the
    /// cache; the same for all is fine where nobody attacks.
    pub fn new(policy: &Policy, verifier: V, secret: [u8; 16]) -> Self {
        let mut keyring = Keyring::default();
        for issuer in policy.issuers() {
            if let KeyOrigin::Inline(set) = issuer.keys() {
                keyring.put(issuer.id(), Keys::Public(Rc::clone(set)), Timestamp::LAST);
            }
        }
        let places = if policy.issuers().is_empty() { 0 } else { policy.token_rules.cache };
        let cache = TokenCache::new(places, secret);
        Self { keyring, cache, verifier, last_header: LastHeader::default() }
    }

    /// Puts a fetched set in force until it is too old.
    pub fn put_keys(&mut self, issuer: &Issuer, keys: Rc<KeySet>, until: Timestamp) {
        self.keyring.put(issuer.id(), Keys::Public(keys), until);
    }

    /// Reads the secrets of all issuers that have some. `variable` gives the text of an environment
    /// variable.
    ///
    /// # Errors
    /// For every issuer without a good secret, what is wrong. No text of a variable is repeated.
    pub fn read_secrets(
        &mut self,
        policy: &Policy,
        mut variable: impl FnMut(&str) -> Option<Vec<u8>>,
    ) -> Result<(), Vec<Diagnostic>> {
        let mut findings = Vec::new();
        for issuer in policy.issuers() {
            let KeyOrigin::Secrets(names) = issuer.keys() else { continue };
            let Some(algorithm) = issuer.algorithms().first() else { continue };
            let texts: Vec<_> = names.iter().map(|name| variable(name)).collect();
            match SecretSet::read(*algorithm, texts.iter().map(Option::as_deref)) {
                Ok(secrets) => {
                    self.keyring.put(issuer.id(), Keys::Secret(secrets), Timestamp::LAST);
                }
                Err(fault) => findings.push(Diagnostic {
                    severity: Severity::Error,
                    code: code::SECRET_UNUSABLE,
                    place: format!("/issuers/{}/keys/secrets", issuer.id().position()),
                    message: fault.meaning().to_owned(),
                    // A secret may stand in the place of a name: names are not repeated.
                    help: "set one of the variables for Envoy, and list it in \
                           `vm_config.environment_variables.host_env_keys`"
                        .to_owned(),
                }),
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// The verified tokens that are remembered.
    pub fn cache(&self) -> &TokenCache {
        &self.cache
    }

    /// Whether keys of an issuer are there and not too old.
    pub fn has_keys(&self, issuer: &Issuer, now: Timestamp) -> bool {
        self.keyring.of(issuer.id(), now).is_some()
    }
}
