//! `WWW-Authenticate`: what a refused caller could show instead (RFC 9110 section 11.6.1).

use crate::authn::extract::CredentialKind;
use crate::authz::Requirement;
use crate::decision::Decision;
use crate::reason::{Denial, Public};

const CHALLENGE: &str = "www-authenticate";

/// What a `Bearer` challenge says went wrong (RFC 6750 section 3.1).
enum Error<'d> {
    /// Nothing was shown.
    None,
    /// A token was shown and refused; all refused tokens read the same.
    InvalidToken,
    /// These scopes are missing.
    InsufficientScope(&'d str),
}

impl Decision<'_, '_> {
    /// The challenges of a refusal: one for each kind of credential that would have been taken.
    pub(super) fn challenges(&self, denial: Denial) -> Vec<(&'static str, String)> {
        let accepts = self.route.map(|route| &route.accepts);
        match denial.public() {
            Public::Unauthenticated => {
                let is_token =
                    |principal: &crate::Principal<'_>| principal.kind() == CredentialKind::Jwt;
                let takes_tokens = accepts.is_some_and(|accepts| accepts.jwt);
                let refused = self.token_fault.is_some()
                    || self.claimed.as_ref().is_some_and(is_token)
                    // Good, and of an issuer that the route does not take.
                    || (takes_tokens && self.principal.as_ref().is_some_and(is_token));
                let takes_keys = accepts.is_some_and(|accepts| accepts.api_key);
                let mut challenges = Vec::new();
                if takes_tokens || refused {
                    let error = if refused { Error::InvalidToken } else { Error::None };
                    challenges.push((CHALLENGE, self.bearer(&error)));
                }
                if takes_keys || challenges.is_empty() {
                    challenges.push((CHALLENGE, self.api_key("")));
                }
                challenges
            }
            Public::InsufficientScope => {
                // Of several that would each do, one: a client asks for all that it is told.
                let any = matches!(
                    self.route.map(|route| &route.requirement),
                    Some(Requirement::AnyOf(_))
                );
                let told = if any { 1 } else { self.missing.len() };
                let told = self.missing.iter().copied().take(told);
                let missing = self.policy.scopes.names_of(told).collect::<Vec<_>>().join(" ");
                let kind = self.principal.as_ref().map(|principal| principal.kind());
                let challenge = if kind == Some(CredentialKind::Jwt) {
                    self.bearer(&Error::InsufficientScope(&missing))
                } else {
                    // RFC 6750 section 3.1 has these for bearer tokens; they say as much here.
                    self.api_key(&format!(", error=\"insufficient_scope\", scope=\"{missing}\""))
                };
                vec![(CHALLENGE, challenge)]
            }
            _ => Vec::new(),
        }
    }

    fn bearer(&self, error: &Error<'_>) -> String {
        let error = match error {
            Error::None => String::new(),
            Error::InvalidToken => ", error=\"invalid_token\"".to_owned(),
            Error::InsufficientScope(missing) => {
                format!(", error=\"insufficient_scope\", scope=\"{missing}\"")
            }
        };
        // RFC 9728 section 5.1.
        let metadata = self.policy.resource_metadata.as_ref();
        let metadata =
            metadata.map_or(String::new(), |url| format!(", resource_metadata=\"{url}\""));
        format!("Bearer realm=\"{}\"{error}{metadata}", self.policy.realm)
    }

    fn api_key(&self, error: &str) -> String {
        format!("ApiKey realm=\"{}\"{error}", self.policy.realm)
    }
}
