//! The audit record: one JSON object for one decision. Ids only, never a secret.

use crate::authn::{key_text, unescaped};
use crate::authz::Requirement;
use crate::decision::{Credential, Decision, Principal};
use crate::json::{MAX_TEXT, Member, Object, member};
use crate::limit::State;

impl Decision<'_, '_> {
    /// Writes the record, in ASCII and on one line. Every field that a caller can fill is escaped and
    /// cut at 512 bytes. Who a refused credential claims to be stands apart from who was verified.
    #[inline]
    pub fn write_audit(&self, out: &mut Vec<u8>) {
        let policy = self.policy;
        let mut record = Object::open(out);
        record
            .plain(member!("time"), |out| out.extend_from_slice(&self.now.rfc3339()))
            .callers(member!("request_id"), self.headers.request_id.one())
            .word(member!("gateway"), &policy.gateway)
            .word(member!("policy"), &policy.revision)
            .word(member!("outcome"), self.outcome().name())
            .text(member!("reason"), self.verdict.err().map(|denial| denial.code().as_bytes()))
            .text(member!("rule"), self.rule.map(str::as_bytes));
        if let Some(route) = self.route {
            record.word(member!("route"), route.name());
            if route.cost != 1 {
                record.number(member!("cost"), route.cost.into());
            }
        }
        record
            .callers(member!("method"), self.headers.method.one())
            .callers(member!("host"), self.shown_host())
            .callers(member!("path"), self.shown_path());
        if let Some(address) = self.caller.address {
            record.plain(member!("address"), |out| address.write(out));
        }
        record.text(
            member!("country"),
            self.caller.country.as_ref().map(|country| country.as_str().as_bytes()),
        );
        if let Some(principal) = &self.principal {
            verified(&mut record, principal);
            if let Some(plan) = principal.consumer.and_then(|consumer| policy.plan(consumer)) {
                record.word(member!("plan"), plan);
            }
            record.flag(member!("retiring"), principal.key().is_some_and(|key| key.is_retiring()));
        }
        if let Some(claimed) = &self.claimed {
            identity(&mut record, claimed, &CLAIMED);
        }
        if let Some(beside) = &self.beside {
            identity(&mut record, beside, &BESIDE);
        }
        record
            .text(
                member!("claimed_issuer"),
                // Of one whose signature is good it stands there already.
                self.claimed_issuer
                    .filter(|_| self.claimed.is_none())
                    .map(|issuer| issuer.name().as_bytes()),
            )
            .text(member!("token_fault"), self.token_fault.map(str::as_bytes));
        if let Some(route) = self.route {
            let quantifier = match route.requirement {
                Requirement::AnyOf(_) => member!("scopes_any_of"),
                Requirement::None | Requirement::AllOf(_) => member!("scopes_all_of"),
            };
            let asked = route.requirement.scopes().iter().copied();
            record.words(quantifier, policy.scopes.names_of(asked));
        }
        record
            .words(member!("scopes_missing"), policy.scopes.names_of(self.missing.iter().copied()));
        record.objects(member!("limits"), &self.limits, |object, report| {
            object.word(member!("name"), report.limit.name());
            if let Some(window) = report.limit.window() {
                object.word(member!("window"), window);
            }
            object.number(member!("remaining"), report.state.remaining());
            if let State::Empty { retry_in, .. } = report.state {
                object.number(member!("retry_in_ms"), retry_in.div_ceil(1_000_000));
            }
            if let Some(from) = report.origin.name() {
                object.word(member!("from"), from);
            }
            if report.limit.observe {
                object.word(member!("mode"), "observe");
            }
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
    consumer: Member,
    kind: Member,
    credential: Member,
    issuer: Member,
    subject: Member,
    token_id: Member,
    key_id: Member,
}

/// Who was verified.
const VERIFIED: Names = Names {
    consumer: member!("consumer"),
    kind: member!("credential_kind"),
    credential: member!("credential"),
    issuer: member!("issuer"),
    subject: member!("subject"),
    token_id: member!("token_id"),
    key_id: member!("key_id"),
};

/// Whom a credential names that is genuine and was refused.
const CLAIMED: Names = Names {
    consumer: member!("claimed_consumer"),
    kind: member!("claimed_credential_kind"),
    credential: member!("claimed_credential"),
    issuer: member!("claimed_issuer"),
    subject: member!("claimed_subject"),
    token_id: member!("claimed_token_id"),
    key_id: member!("claimed_key_id"),
};

/// Whom a good credential names that was shown beside the one that counts.
const BESIDE: Names = Names {
    consumer: member!("beside_consumer"),
    kind: member!("beside_credential_kind"),
    credential: member!("beside_credential"),
    issuer: member!("beside_issuer"),
    subject: member!("beside_subject"),
    token_id: member!("beside_token_id"),
    key_id: member!("beside_key_id"),
};

/// Most bytes of a record that are remembered with a token. Ordinary ones have 200.
const MAX_KEPT: usize = 1_024;

/// Who was verified. Of a token it is remembered with the token, which is one policy's.
#[inline]
fn verified(record: &mut Object<'_>, principal: &Principal<'_>) {
    let write = |record: &mut Object<'_>| identity(record, principal, &VERIFIED);
    match &principal.credential {
        Credential::ApiKey { .. } => write(record),
        Credential::Token { token, .. } => {
            if let Some(members) = token.record.get() {
                return record.written(members);
            }
            let members = Object::members(write);
            record.written(&members);
            if members.len() <= MAX_KEPT {
                // It is empty: there is one thread.
                let _ = token.record.set(members);
            }
        }
    }
}

/// Who it is, and what proved it: the id of a key; of a token what its issuer says of it.
#[inline]
fn identity(record: &mut Object<'_>, principal: &Principal<'_>, names: &Names) {
    record.callers(names.consumer, Some(principal.name().as_bytes()));
    match &principal.credential {
        Credential::ApiKey { key, .. } => {
            record.word(names.credential, key.id());
        }
        Credential::Token { issuer, token } => {
            record
                .word(names.issuer, issuer.name())
                .callers(names.subject, Some(token.subject().as_bytes()))
                .callers(names.token_id, token.id.as_deref().map(str::as_bytes))
                .callers(names.key_id, token.key_id.as_deref().map(str::as_bytes));
        }
    }
    record.word(names.kind, principal.kind().name());
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
