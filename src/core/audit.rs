//! The audit record: one JSON object for one decision. Ids only, never a secret.

use crate::authn::{key_text, unescaped};
use crate::authz::Requirement;
use crate::decision::{Credential, Decision, Principal};
use crate::json::{MAX_TEXT, Object};
use crate::limit::State;

impl Decision<'_, '_> {
    /// Writes the record, in ASCII and on one line. Every field that a caller can fill is escaped and
    /// cut at 512 bytes. Who a refused credential claims to be stands apart from who was verified.
    pub fn write_audit(&self, out: &mut Vec<u8>) {
        let policy = self.policy;
        let mut record = Object::open(out);
        record
            .text("time", Some(&self.now.rfc3339()))
            .callers("request_id", self.headers.request_id.one())
            .text("gateway", Some(policy.gateway.as_bytes()))
            .text("policy", Some(policy.revision.as_bytes()))
            .text("outcome", Some(self.outcome().name().as_bytes()))
            .text("reason", self.verdict.err().map(|denial| denial.code().as_bytes()))
            .text("rule", self.rule.map(str::as_bytes))
            .text("route", self.route.map(|route| route.name().as_bytes()))
            .callers("method", self.headers.method.one())
            .callers("host", self.shown_host())
            .callers("path", self.shown_path());
        if let Some(address) = self.caller.address {
            record.text("address", Some(address.to_string().as_bytes()));
        }
        record.text(
            "country",
            self.caller.country.as_ref().map(|country| country.as_str().as_bytes()),
        );
        if let Some(principal) = &self.principal {
            identity(&mut record, principal, &VERIFIED);
            record.flag("retiring", principal.key().is_some_and(|key| key.is_retiring()));
        }
        if let Some(claimed) = &self.claimed {
            identity(&mut record, claimed, &CLAIMED);
        }
        if let Some(beside) = &self.beside {
            identity(&mut record, beside, &BESIDE);
        }
        record
            .text(
                "claimed_issuer",
                // Of one whose signature is good it stands there already.
                self.claimed_issuer
                    .filter(|_| self.claimed.is_none())
                    .map(|issuer| issuer.name().as_bytes()),
            )
            .text("token_fault", self.token_fault.map(str::as_bytes));
        if let Some(route) = self.route {
            let quantifier = match route.requirement {
                Requirement::AnyOf(_) => "scopes_any_of",
                Requirement::None | Requirement::AllOf(_) => "scopes_all_of",
            };
            let asked = route.requirement.scopes().iter().copied();
            record.texts(quantifier, policy.scopes.names_of(asked));
        }
        record.texts("scopes_missing", policy.scopes.names_of(self.missing.iter().copied()));
        record.objects("limits", &self.limits, |object, report| {
            object.text("name", Some(report.limit.name().as_bytes()));
            match report.state {
                State::Open { remaining, .. } => object.number("remaining", remaining),
                State::Empty { retry_in, .. } => object
                    .number("remaining", 0)
                    .number("retry_in_ms", retry_in.div_ceil(1_000_000)),
            };
        });
        record.close();
    }

    /// The host as it was sent, without user information: that may hold a password.
    fn shown_host(&self) -> Option<&[u8]> {
        self.headers.authority.one().or(self.headers.host.one()).map(without_user)
    }

    /// The canonical path; of a target that could not be read, the part before anything that could
    /// begin a query or a parameter.
    fn shown_path(&self) -> Option<&[u8]> {
        if let Some(path) = &self.path {
            return Some(path.as_str().as_bytes());
        }
        let target = self.headers.path.one()?;
        let target = target.get(..=MAX_TEXT).unwrap_or(target);
        let end = (0..target.len()).find(|start| {
            let rest = target.get(*start..).unwrap_or_default();
            let escape = rest.get(..3).unwrap_or_default().to_ascii_lowercase();
            matches!(rest.first(), Some(b'?' | b'#' | b';'))
                || matches!(&escape[..], b"%3f" | b"%23" | b"%3b")
        });
        let shown = target.get(..end.unwrap_or(target.len()))?;
        let shown = before_escaped_key(shown);
        // A target without a slash at the start may be a whole URL.
        Some(if shown.starts_with(b"/") { shown } else { without_user(shown) })
    }
}

/// The text up to its first escape, if a key shows once its escapes are undone.
fn before_escaped_key(text: &[u8]) -> &[u8] {
    let escape = text.iter().position(|byte| *byte == b'%');
    let prefix = key_text::PREFIX.as_bytes();
    let has_key = || {
        let plain: Vec<u8> = unescaped(text).collect();
        plain.windows(prefix.len()).any(|part| part == prefix)
    };
    let end = escape.filter(|_| has_key()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// What follows the last `@`.
fn without_user(text: &[u8]) -> &[u8] {
    text.rsplit(|byte| *byte == b'@').next().unwrap_or(text)
}

/// The names of the members that say who somebody is.
struct Names {
    consumer: &'static str,
    kind: &'static str,
    credential: &'static str,
    issuer: &'static str,
    subject: &'static str,
    token_id: &'static str,
    key_id: &'static str,
}

/// Who was verified.
const VERIFIED: Names = Names {
    consumer: "consumer",
    kind: "credential_kind",
    credential: "credential",
    issuer: "issuer",
    subject: "subject",
    token_id: "token_id",
    key_id: "key_id",
};

/// Whom a credential names that is genuine and was refused.
const CLAIMED: Names = Names {
    consumer: "claimed_consumer",
    kind: "claimed_credential_kind",
    credential: "claimed_credential",
    issuer: "claimed_issuer",
    subject: "claimed_subject",
    token_id: "claimed_token_id",
    key_id: "claimed_key_id",
};

/// Whom a good credential names that was shown beside the one that counts.
const BESIDE: Names = Names {
    consumer: "beside_consumer",
    kind: "beside_credential_kind",
    credential: "beside_credential",
    issuer: "beside_issuer",
    subject: "beside_subject",
    token_id: "beside_token_id",
    key_id: "beside_key_id",
};

/// Who it is, and what proved it: the id of a key; of a token what its issuer says of it.
fn identity(record: &mut Object<'_>, principal: &Principal<'_>, names: &Names) {
    record.callers(names.consumer, Some(principal.name().as_bytes()));
    match &principal.credential {
        Credential::ApiKey { key, .. } => {
            record.text(names.credential, Some(key.id().as_bytes()));
        }
        Credential::Token { issuer, token } => {
            record
                .text(names.issuer, Some(issuer.name().as_bytes()))
                .callers(names.subject, Some(token.subject().as_bytes()))
                .callers(names.token_id, token.id.as_deref().map(str::as_bytes))
                .callers(names.key_id, token.key_id.as_deref().map(str::as_bytes));
        }
    }
    record.text(names.kind, Some(principal.kind().name().as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_escaped_key_is_not_shown() {
        // K12
        let shown = |text: &'static str| str::from_utf8(before_escaped_key(text.as_bytes())).ok();
        assert_eq!(shown("//pcl%5Fsecret"), Some("//pcl"));
        assert_eq!(shown("//a/%70cl_secret"), Some("//a/"));
        assert_eq!(shown("//pcl_se%63ret"), Some("//pcl_se"));
        assert_eq!(shown("/orders/%2e%2e/admin"), Some("/orders/%2e%2e/admin"));
        assert_eq!(shown("//pcl_secret"), Some("//pcl_secret"));
    }
}
