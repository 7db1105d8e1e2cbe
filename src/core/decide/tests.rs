//! Requests that look for a way around the policy.

mod fleet;
mod tokens;

use crate::authn::signature::PureVerifier;
use crate::authn::tokens::Tokens;
use crate::effects::Effects;
use crate::limit::MemoryStore;
use crate::policy::Policy;
use crate::reason::Denial;
use crate::request::Request;
use crate::time::{SECOND, Timestamp};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn policy(rest: &str) -> Policy {
    let text = format!("{{\"version\": 1, \"gateway\": \"g\", {}}}", rest.replace('\'', "\""));
    let compiled = Policy::compile(text.as_bytes());
    compiled.policy.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

fn tokens(policy: &Policy) -> Tokens<PureVerifier> {
    Tokens::new(policy, PureVerifier, [0; 16])
}

/// What became of a request: the reason, the headers removed, and the audit record.
fn sent(
    policy: &Policy,
    route_name: &str,
    method: &str,
    lines: &[(&str, &str)],
) -> (Option<Denial>, Vec<String>, String) {
    let mut headers: Vec<_> = lines.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    headers.push((b":method", method.as_bytes()));
    let request = Request {
        headers: &headers,
        source_address: None,
        route_name: Some(route_name.as_bytes()),
    };
    let now = Timestamp::from_unix_nanos(1_800_000_000 * SECOND);
    let decision =
        policy.decide_now(&request, now, &mut MemoryStore::default(), &mut tokens(policy), &mut ());
    let removed = match decision.effects() {
        Effects::Reply(_) => Vec::new(),
        Effects::Forward(forward) => {
            let names = forward.remove.iter().map(|name| String::from_utf8_lossy(name).into());
            names.collect()
        }
    };
    let mut audit = Vec::new();
    decision.write_audit(&mut audit);
    (decision.verdict().err(), removed, String::from_utf8_lossy(&audit).into_owned())
}

const LINES: [(&str, &str); 2] = [(":authority", "h"), (":path", "/x")];

#[test]
fn a_denied_route_name_is_denied_whatever_another_route_allows() {
    // R41
    let policy = policy(
        "'routes': [
            {'name': 'open', 'envoy_routes': ['a', 'b'], 'methods': ['GET', 'PUT'], 'access': 'public'},
            {'name': 'paths', 'paths': ['/**'], 'methods': ['GET'], 'access': 'public'},
            {'name': 'shut', 'envoy_routes': ['a'], 'methods': ['GET'], 'access': 'deny'},
            {'name': 'shut-whole', 'envoy_routes': ['c'], 'methods': ['*'], 'access': 'deny'}
        ]",
    );
    for (route_name, method, expected) in [
        ("a", "GET", Some(Denial::RouteDenied)),
        ("a", "PUT", None),
        ("b", "GET", None),
        ("c", "GET", Some(Denial::RouteDenied)),
        ("c", "TRACE", Some(Denial::RouteDenied)),
        ("d", "GET", None),
    ] {
        assert_eq!(sent(&policy, route_name, method, &LINES).0, expected, "{route_name} {method}");
    }
}

#[test]
fn a_key_in_one_of_two_cookie_lines_reaches_no_upstream_in_observe_mode() {
    // W06, K12
    let policy = policy(
        "'mode': 'observe', 'api_key': {'sources': [{'cookie': 'key'}]},
         'routes': [{'name': 'r', 'paths': ['/x'], 'methods': ['GET'], 'access': 'public'}]",
    );
    let lines = [LINES.as_slice(), &[("cookie", "a=1"), ("cookie", "key=secret")]].concat();
    let (denial, removed, _) = sent(&policy, "", "GET", &lines);
    assert_eq!(denial, Some(Denial::CredentialAmbiguous));
    assert_eq!(removed, ["cookie"]);
}

#[test]
fn user_information_is_not_recorded() {
    // R35, K12
    let policy = policy(
        "'routes': [{'name': 'r', 'paths': ['/x'], 'methods': ['GET'], 'access': 'public'}]",
    );
    for lines in [
        [(":authority", "me:hunter2@h"), (":path", "/x")],
        [(":authority", "h"), (":path", "http://me:hunter2@h/x?mail=a@b")],
    ] {
        let (denial, _, audit) = sent(&policy, "", "GET", &lines);
        assert_eq!(denial, Some(Denial::RequestMalformed));
        assert!(!audit.contains("hunter2") && audit.contains("\"host\":\"h\""), "{audit}");
    }
}
