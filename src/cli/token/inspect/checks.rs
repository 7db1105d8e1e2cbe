//! What is checked of a token, one line each; what is not checked has its line too.

use std::time::Duration;

use portcullis_core::{
    Denial, Fault, Jws, KeyKind, PureVerifier, SecretSet, Timestamp, VerificationKey, check_claims,
};
use serde_json::Value;

use crate::clock::span;
use crate::jwks::kind;
use crate::output::plain;

use super::{Against, Part};

/// One check and how it ended.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    /// The reason that the gateway would give.
    pub(super) code: Option<&'static str>,
    pub(super) said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    NotChecked,
}

impl Outcome {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotChecked => "not checked",
        }
    }
}

impl Check {
    pub(super) fn passed(name: &'static str, said: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Passed, code: None, said: said.into() }
    }

    pub(super) fn failed(name: &'static str, denial: Denial, said: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::Failed, code: Some(denial.code()), said: said.into() }
    }

    pub(super) fn skipped(name: &'static str, said: impl Into<String>) -> Self {
        Self { name, outcome: Outcome::NotChecked, code: None, said: said.into() }
    }
}

/// The one check that makes all else in a token worth reading.
pub(super) const SIGNATURE: &str = "signature";

/// Every check that needs no policy, and those that need one.
pub(super) fn all(
    jws: &Result<Jws<'_>, Fault>,
    claims: &Part,
    keys: &Against,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![form(jws), registered(jws), dates(claims, now), signature(jws, keys)];
    let policies = [
        ("issuer", "whether `iss` is one that is trusted, and these keys are its keys"),
        ("algorithm", "whether the issuer may use this `alg`"),
        ("type", "whether its tokens may have this `typ`"),
        ("audience", "whether the token is meant for this gateway"),
        ("revocation", "whether the token, its subject or its key is revoked"),
    ];
    let left = |(name, what)| Check::skipped(name, format!("{what}: no policy is given"));
    checks.extend(policies.into_iter().map(left));
    checks
}

pub(super) fn form(jws: &Result<Jws<'_>, Fault>) -> Check {
    let good = "one signed token in its one spelling, and nothing in its header is refused";
    match jws {
        Ok(_) => Check::passed("form", good),
        Err(fault) => Check::failed("form", fault.denial, fault.why),
    }
}

pub(super) fn registered(jws: &Result<Jws<'_>, Fault>) -> Check {
    let good = "one strict object; registered claims are of their types, `iss` and `exp` are there";
    match jws.as_ref().map(|jws| check_claims(&jws.payload)) {
        Ok(Ok(())) => Check::passed("claims", good),
        Ok(Err(fault)) => Check::failed("claims", fault.denial, fault.why),
        Err(_) => Check::skipped("claims", "the token has no form"),
    }
}

/// Dates without leeway: how much there is, a policy says.
fn dates(claims: &Part, now: Timestamp) -> Check {
    const NAME: &str = "dates";
    let at = |name| claims.member(name).and_then(date);
    let Some(expires) = at("exp") else {
        return Check::skipped(NAME, "no `exp` that can be read");
    };
    let ahead = |name| at(name).filter(|time| *time > now).map(|time| (name, time));
    if expires <= now {
        let said = format!("`exp` has passed, {}", relative(expires, now));
        Check::failed(NAME, Denial::TokenExpired, said)
    } else if let Some((name, time)) = ahead("nbf").or_else(|| ahead("iat")) {
        let said = format!("`{name}` is still to come, {}", relative(time, now));
        Check::failed(NAME, Denial::TokenNotYetValid, said)
    } else {
        let said = format!("`exp` is {}; no leeway is counted", relative(expires, now));
        Check::passed(NAME, said)
    }
}

fn signature(jws: &Result<Jws<'_>, Fault>, keys: &Against) -> Check {
    let Ok(jws) = jws else { return Check::skipped(SIGNATURE, "the token has no form") };
    match keys {
        Against::Nothing | Against::Policy(..) => {
            let why = "no keys are given (`--jwks`, `--secret-env`, `--policy`)";
            Check::skipped(SIGNATURE, why)
        }
        Against::Keys(set) => match set.verify(jws, &mut PureVerifier) {
            Ok(key) => Check::passed(SIGNATURE, verified_by(key)),
            Err(fault) => Check::failed(SIGNATURE, fault.denial, fault.why),
        },
        Against::Secrets(_) if jws.algorithm.key_kind() != KeyKind::Secret => {
            let said = "`alg` is none of a secret";
            Check::failed(SIGNATURE, Denial::TokenAlgorithm, said)
        }
        Against::Secrets(texts) => {
            match SecretSet::read(jws.algorithm, texts.iter().map(|text| Some(text.as_bytes()))) {
                Err(fault) => Check::failed(SIGNATURE, Denial::KeysUnavailable, fault.meaning()),
                Ok(secrets) => match secrets.verify(jws) {
                    Ok(()) => Check::passed(
                        SIGNATURE,
                        format!("a secret's, by {}, which the token names", jws.algorithm.name()),
                    ),
                    Err(fault) => Check::failed(SIGNATURE, fault.denial, fault.why),
                },
            }
        }
    }
}

fn verified_by(key: &VerificationKey) -> String {
    let name = key.id().map_or("without a `kid`".to_owned(), |id| format!("`{}`", plain(id)));
    format!("by {} of the key {name} ({})", key.algorithm().name(), kind(key.public()))
}

/// A `NumericDate` (RFC 7519 section 2) that can be written as a time.
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    u64::try_from(since.as_nanos()).ok().map(Timestamp::from_unix_nanos)
}

/// `in 5m`, `2h 3m ago`.
pub(super) fn relative(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", span(time.since(now) / 1_000_000_000))
    } else {
        format!("{} ago", span(now.since(time) / 1_000_000_000))
    }
}
