//! `WWW-Authenticate`: what a refused caller could show instead (RFC 9110 section 11.6.1).

use super::Lines;
use crate::authn::extract::CredentialKind;
use crate::authz::Requirement;
use crate::decision::{Decision, Principal};
use crate::reason::Public;

/// A `Bearer` challenge says so where a token was shown and refused (RFC 6750 section 3.1); all refused
/// tokens read the same.
const INVALID_TOKEN: &str = ", error=\"invalid_token\"";

impl Decision<'_, '_> {
    /// Adds the challenges of a refusal: one for each kind of credential that would have been taken.
    pub(super) fn add_challenges(&self, public: Public, lines: &mut Lines) {
        match public {
            Public::Unauthenticated => {
                let accepts = self.route.map(|route| &route.accepts);
                let is_token = |principal: &Principal<'_>| principal.kind() == CredentialKind::Jwt;
                let takes_tokens = accepts.is_some_and(|accepts| accepts.jwt);
                let refused = self.token_fault.is_some()
                    || self.claimed.as_ref().is_some_and(is_token)
                    // Good, and of an issuer that the route does not take.
                    || (takes_tokens && self.principal.as_ref().is_some_and(is_token));
                let takes_keys = accepts.is_some_and(|accepts| accepts.api_key);
                let asks_for_token = takes_tokens || refused;
                if asks_for_token {
                    let error = if refused { &[INVALID_TOKEN][..] } else { &[] };
                    self.add_challenge(CredentialKind::Jwt, error, lines);
                }
                if takes_keys || !asks_for_token {
                    self.add_challenge(CredentialKind::ApiKey, &[], lines);
                }
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
                // RFC 6750 section 3.1 has these for bearer tokens; they say as much of a key.
                let kind = self.principal.as_ref().map_or(CredentialKind::ApiKey, Principal::kind);
                let error = [", error=\"insufficient_scope\", scope=\"", &missing, "\""];
                self.add_challenge(kind, &error, lines);
            }
            _ => {}
        }
    }

    /// Adds a challenge, with the pieces of what went wrong.
    fn add_challenge(&self, kind: CredentialKind, error: &[&str], lines: &mut Lines) {
        lines.write("www-authenticate", |out| {
            let mut write = |text: &str| out.extend_from_slice(text.as_bytes());
            write(match kind {
                CredentialKind::Jwt => "Bearer realm=\"",
                CredentialKind::ApiKey => "ApiKey realm=\"",
            });
            write(&self.policy.realm);
            write("\"");
            for piece in error {
                write(piece);
            }
            // RFC 9728 section 5.1.
            if let (CredentialKind::Jwt, Some(url)) = (kind, &self.policy.resource_metadata) {
                write(", resource_metadata=\"");
                write(url);
                write("\"");
            }
        });
    }
}
