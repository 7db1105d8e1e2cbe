//! What a policy makes of a token. The core judges it as it judges those of requests; here its answer is
//! laid out check by check.

use portcullis_core::{
    Caller, Denial, Fault, Issuer, Jws, Policy, PureVerifier, Timestamp, Tokens,
};

use crate::keys::wanted;
use crate::output::plain;

use super::Part;
use super::checks::{self, Check, Outcome, SIGNATURE, date, relative};

/// The checks after those of the token's own form, in the order in which the core makes them.
const ORDER: [&str; 9] = [
    "issuer",
    "algorithm",
    "type",
    "audience",
    "dates",
    "caller",
    SIGNATURE,
    "revocation",
    "consumer",
];

pub(super) fn all(
    text: &str,
    jws: &Result<Jws<'_>, Fault>,
    claims: &Part,
    (policy, tokens): (&Policy, &mut Tokens<PureVerifier>),
    now: Timestamp,
) -> Vec<Check> {
    let judged = policy.judge_token(text.as_bytes(), now, tokens);
    let mut checks = vec![form(text, jws, policy), checks::registered(jws)];
    let failed_before = checks.iter().any(|check| check.outcome != Outcome::Passed);
    let failing = match &judged.verdict {
        Ok(_) => ORDER.len(),
        Err(_) if failed_before => 0,
        Err(fault) => ORDER
            .iter()
            .position(|name| *name == failing(*fault, jws, judged.issuer))
            .unwrap_or_default(),
    };
    for (position, name) in ORDER.into_iter().enumerate() {
        checks.push(match &judged.verdict {
            Ok(caller) => {
                Check::passed(name, good(name, jws, claims, judged.issuer, Some(caller), now))
            }
            _ if position < failing => {
                Check::passed(name, good(name, jws, claims, judged.issuer, None, now))
            }
            Err(fault) if position == failing && !failed_before => bad(name, *fault, judged.issuer),
            Err(_) => Check::skipped(name, "the gateway stops at the first check that fails"),
        });
    }
    checks
}

/// The form, within the size that the policy allows.
fn form(text: &str, jws: &Result<Jws<'_>, Fault>, policy: &Policy) -> Check {
    if text.len() > policy.max_token_size() {
        let why =
            format!("longer than the {} bytes that the policy allows", policy.max_token_size());
        return Check::failed("form", Denial::TokenMalformed, why);
    }
    checks::form(jws)
}

/// Which check a fault of the core's is of.
fn failing(fault: Fault, jws: &Result<Jws<'_>, Fault>, issuer: Option<&Issuer>) -> &'static str {
    let may_use = |issuer: &Issuer| {
        jws.as_ref().is_ok_and(|jws| issuer.algorithms().contains(&jws.algorithm))
    };
    match fault.denial {
        Denial::TokenIssuer => "issuer",
        Denial::TokenAlgorithm if !issuer.is_some_and(may_use) => "algorithm",
        Denial::TokenType => "type",
        Denial::TokenAudience => "audience",
        Denial::TokenExpired | Denial::TokenNotYetValid | Denial::TokenLifetime => "dates",
        Denial::TokenMalformed => "caller",
        Denial::TokenRevoked => "revocation",
        Denial::ConsumerAmbiguous | Denial::ConsumerDisabled => "consumer",
        _ => SIGNATURE,
    }
}

/// Keys that are not there say nothing about the token.
fn bad(name: &'static str, fault: Fault, issuer: Option<&Issuer>) -> Check {
    match issuer {
        Some(issuer) if fault.denial == Denial::KeysUnavailable => {
            let keys = wanted(issuer.keys());
            Check::skipped(name, format!("the issuer `{}` has no keys here: {keys}", issuer.name()))
        }
        _ => Check::failed(name, fault.denial, fault.why),
    }
}

/// What is said of a check that passed.
fn good(
    name: &str,
    jws: &Result<Jws<'_>, Fault>,
    claims: &Part,
    issuer: Option<&Issuer>,
    caller: Option<&Caller<'_>>,
    now: Timestamp,
) -> String {
    let issuer = issuer.map_or("", Issuer::name);
    let algorithm = jws.as_ref().map_or("", |jws| jws.algorithm.name());
    match (name, caller) {
        ("issuer", _) => format!("`iss` is that of `{issuer}`"),
        ("algorithm", _) => format!("`{issuer}` may use {algorithm}"),
        ("type", _) => "`typ` is one that the issuer's tokens may have".to_owned(),
        ("audience", _) => "the token is meant for one of the policy's audiences".to_owned(),
        ("dates", _) => claims.member("exp").and_then(date).map_or(String::new(), |expires| {
            format!("`exp` {}, with the policy's leeway", relative(expires, now))
        }),
        ("caller", None) => "the claim that names the caller is there".to_owned(),
        ("caller", Some(caller)) => format!("`{}`", plain(&caller.name)),
        (SIGNATURE, Some(Caller { key_id: Some(id), .. })) => {
            format!("by {algorithm} of `{issuer}`'s key `{}`", plain(id))
        }
        (SIGNATURE, _) => format!("by {algorithm} of a key of `{issuer}`"),
        ("revocation", _) => "the policy does not revoke it".to_owned(),
        (_, Some(caller)) => {
            let whose = caller
                .consumer
                .map_or("of no consumer, with the token's own scopes".to_owned(), |consumer| {
                    format!("of `{}`, with what both may do:", consumer.name())
                });
            format!("{whose} [{}]", plain(&caller.scopes))
        }
        (_, None) => String::new(),
    }
}
