mod hostile;
mod revision;

use super::super::protobuf::tests::to_struct;
use crate::node::Node;
use crate::policy::Policy;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A policy that uses every section and has nothing to find.
const GOOD: &str = r#"{
    "version": 1, "gateway": "external", "country_header": "x-geo-country",
    "client_address": {"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]},
    "api_key": {"sources": [{"header": "X-Api-Key"}, {"query": "api_key"}, {"cookie": "key"}], "retiring_header": "x-retiring"},
    "strip_headers": ["x-forwarded-user"],
    "networks": {
        "internal": {"cidrs": ["10.0.0.0/8", "fd00::/8"]},
        "abusive": {"cidrs": [{"cidr": "203.0.113.0/24", "until": "2026-12-31T00:00:00Z", "note": "INC-42"}]},
        "embargo": {"countries": ["KP", "unknown"]}
    },
    "deny": ["abusive", "embargo"],
    "roles": {"reader": ["orders:read"], "editor": ["orders:read", "orders:write"]},
    "consumers": [
        {"name": "mobile", "roles": ["reader"], "scopes": ["orders:export"], "networks": ["internal"], "plan": "gold", "limits": ["per-consumer"],
         "api_keys": [{"id": "mobile-1", "sha256": "AAAA", "state": "retiring", "expires": "2027-01-01T00:00:00Z", "scopes": ["orders:read"]}]},
        {"name": "batch", "roles": ["editor"], "deny": ["abusive"], "api_keys": [{"id": "batch-1", "sha256": "BBBB", "format": "opaque"}]}
    ],
    "limits": {
        "per-consumer": {"key": ["consumer", "route"], "rate": "100/s", "burst": 200},
        "per-address": {"key": ["address"], "rate": "20/m"},
        "monthly": {"key": ["consumer"], "windows": [{"rate": "10/s", "burst": 20}, {"quota": "100000/month", "resets": 15}]},
        "weekly": {"key": ["consumer"], "quota": "5000/week", "mode": "observe"}
    },
    "global_limits": ["per-address"],
    "plans": {"gold": {"limits": ["monthly", "weekly"]}},
    "limit_headers": ["standard", "legacy"],
    "routes": [
        {"name": "health", "paths": ["/healthz"], "methods": ["GET"], "access": "public"},
        {"name": "orders", "hosts": ["api.example.com", "*.example.org"], "paths": ["/orders", "/orders/**", "/orders/{id}/items"],
         "methods": ["GET", "HEAD"], "credentials": ["api_key"], "scopes": {"all_of": ["orders:read"]}, "limits": ["per-address", "per-consumer"], "cost": 2,
         "networks": ["internal"], "deny": ["abusive"], "mode": "observe"},
        {"name": "by-name", "envoy_routes": ["canary"], "methods": ["*"], "credentials": ["api_key"], "scopes": {"any_of": ["orders:write", "orders:export"]}},
        {"name": "secret", "paths": ["/orders/secret/**"], "methods": ["*"], "access": "deny"}
    ]
}"#;

fn good() -> String {
    GOOD.replace("AAAA", A).replace("BBBB", B)
}

fn lines(document: &str) -> Vec<String> {
    let compiled = Policy::compile(document.as_bytes());
    let lines: Vec<_> = compiled.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        compiled.policy.is_none(),
        lines.iter().any(|line| line.starts_with("error")),
        "{lines:?}"
    );
    lines
}

/// Checks that one change of the good policy leads to these findings alone.
fn changed(from: &str, to: &str, expected: &[&str]) {
    let document = good();
    assert!(document.contains(from), "{from}");
    let found = lines(&document.replacen(from, to, 1));
    let heads: Vec<_> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(heads, expected, "{found:#?}");
}

/// A short policy with one public route and these members.
fn with(members: &str) -> Vec<String> {
    let route = r#"{"name": "r", "paths": ["/r"], "methods": ["GET"], "access": "public"}"#;
    lines(&format!(
        "{{\"version\": 1, \"gateway\": \"g\", \"routes\": [{route}], {}}}",
        members.replace('\'', "\"")
    ))
}

/// A short policy with these routes.
fn routes(routes: &[&str]) -> Vec<String> {
    let routes = routes.join(", ").replace('\'', "\"");
    lines(&format!("{{\"version\": 1, \"gateway\": \"g\", \"routes\": [{routes}]}}"))
}

#[test]
fn a_good_policy_has_no_findings() {
    assert_eq!(lines(&good()), [""; 0]);
    assert_eq!(with("'mode': 'observe'"), [""; 0]);
}

#[test]
fn text_and_struct_are_one_policy() {
    let document = good();
    let node = Node::from_json(document.as_bytes()).unwrap_or(Node::Null);
    let from_text = Policy::compile(document.as_bytes()).policy;
    let from_struct = Policy::compile(&to_struct(&node)).policy;
    let revision = from_text.as_ref().map(Policy::revision);
    assert_eq!(revision, from_struct.as_ref().map(Policy::revision));
    assert_eq!(revision.map(str::len), Some(16));
    assert!(
        from_text.is_some_and(|policy| policy.needs().source_address && policy.needs().route_name)
    );
}

#[test]
fn nothing_and_no_rules_are_no_policy() {
    // row: C01
    for (source, start) in [
        (&b""[..], "error[policy_empty]"),
        (b"{}", "error[missing_field]"),
        (b"{", "error[json_invalid]"),
        (b"[]", "error[struct_invalid]"),
        (b" {}", "error[struct_invalid]"),
        (b"null", "error[struct_invalid]"),
        (b"\xff\xff", "error[struct_invalid]"),
    ] {
        let compiled = Policy::compile(source);
        let first = compiled.diagnostics.first().map(ToString::to_string).unwrap_or_default();
        assert!(compiled.policy.is_none() && first.starts_with(start), "{first}");
    }
}

#[test]
fn keys_and_consumers_are_distinct() {
    // row: K11
    changed(B, A, &["error[duplicate_digest] at /consumers/1/api_keys/0/sha256"]);
    changed(
        "\"batch-1\"",
        "\"mobile-1\"",
        &["error[duplicate_name] at /consumers/1/api_keys/0/id"],
    );
    changed("\"batch\"", "\"mobile\"", &["error[duplicate_name] at /consumers/1/name"]);
    changed(B, "s3cret-in-plain-text", &["error[key_plaintext] at /consumers/1/api_keys/0/sha256"]);
    changed(
        B,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        &["error[key_empty] at /consumers/1/api_keys/0/sha256"],
    );
    changed(
        "\"expires\": \"2027-01-01T00:00:00Z\"",
        "\"expires\": \"2027-01-01T00:00:00Z\", \"not_before\": \"2027-01-01T00:00:00Z\"",
        &["error[key_never_valid] at /consumers/0/api_keys/0"],
    );
    changed(
        "\"scopes\": [\"orders:read\"]}]",
        "\"scopes\": [\"orders:write\"]}]",
        &["warning[scope_unheld] at /consumers/0/api_keys/0/scopes/0"],
    );
    assert_eq!(
        with("'consumers': [{'name': 'idle'}]"),
        [
            "warning[consumer_without_credential] at /consumers/0: `idle` has no credential, so no request can come from it (help: give it `api_keys` or `tokens`)"
        ]
    );
}

#[test]
fn trusted_proxies_are_some_addresses() {
    // row: I18
    let place = "error[proxy_any] at /client_address/trusted_proxies/0";
    changed(
        "\"trusted_proxies\": [\"10.0.0.0/8\"]",
        "\"trusted_proxies\": [\"0.0.0.0/0\"]",
        &[place],
    );
    changed("\"trusted_proxies\": [\"10.0.0.0/8\"]", "\"trusted_proxies\": [\"::/0\"]", &[place]);
    changed(
        "\"trusted_proxies\": [\"10.0.0.0/8\"]",
        "\"trusted_proxies\": [\"0.0.0.0/0\"], \"trust_any_proxy\": true",
        &[],
    );
    changed(
        ", \"trusted_proxies\": [\"10.0.0.0/8\"]",
        "",
        &["error[missing_field] at /client_address"],
    );
    changed(
        "\"forwarded_for\"",
        "\"peer\"",
        &["error[field_without_effect] at /client_address/trusted_proxies"],
    );
}

#[test]
fn names_must_be_defined_and_are_used() {
    assert_eq!(
        with("'deny': ['internl'], 'networks': {'internal': {'cidrs': ['10.0.0.0/8']}}"),
        [
            "error[unknown_name] at /deny/0: there is no network `internl` (help: did you mean `internal`?)",
            "warning[unused] at /networks/internal: the network `internal` is never used",
        ]
    );
    changed(
        "\"roles\": [\"reader\"]",
        "\"roles\": [\"raeder\"]",
        &[
            "error[unknown_name] at /consumers/0/roles/0",
            "warning[scope_unheld] at /consumers/0/api_keys/0/scopes/0",
            "warning[unused] at /roles/reader",
        ],
    );
    changed(
        "\"global_limits\": [\"per-address\"]",
        "\"global_limits\": [\"x\"]",
        &["error[unknown_name] at /global_limits/0"],
    );
    assert_eq!(
        with("'global_limits': ['x']"),
        [
            "error[unknown_name] at /global_limits/0: there is no limit `x` (help: no limits are defined)"
        ]
    );
}

#[test]
fn networks_and_countries_are_judged() {
    // row: I17
    changed(
        "\"203.0.113.0/24\"",
        "\"203.0.113.9/24\"",
        &["error[host_bits] at /networks/abusive/cidrs/0/cidr"],
    );
    changed(
        "\"fd00::/8\"",
        "\"::ffff:10.0.0.0/104\"",
        &["error[duplicate_entry] at /networks/internal/cidrs/1"],
    );
    changed(
        "\"networks\": [\"internal\"], \"deny\"",
        "\"networks\": [\"embargo\"], \"deny\"",
        &["error[country_allowed] at /routes/1/networks/0"],
    );
    changed(
        "\"networks\": [\"internal\"], \"deny\"",
        "\"networks\": [\"abusive\"], \"deny\"",
        &["error[fields_conflict] at /routes/1"],
    );
    changed(
        "\"country_header\": \"x-geo-country\",",
        "",
        &["error[country_header_missing] at /networks/embargo/countries"],
    );
}

#[test]
fn limits_can_be_kept() {
    // row: L07
    changed("\"20/m\"", "\"1000001/m\"", &["error[missing_field] at /limits/per-address"]);
    changed(
        "\"20/m\"",
        "\"1/d\", \"burst\": 367",
        &["error[out_of_bounds] at /limits/per-address"],
    );
    changed("\"20/m\"", "\"1/d\", \"burst\": 366", &[]);
    changed("\"20/m\"", "\"1000001/s\"", &["error[bad_text] at /limits/per-address/rate"]);
    changed("\"20/m\"", "\"1000000/s\", \"burst\": 1000000", &[]);
}

#[test]
fn headers_have_one_purpose() {
    changed("\"x-geo-country\"", "\"x_api_key\"", &["error[header_conflict] at /country_header"]);
    changed(
        "\"x-forwarded-user\"",
        "\"X-Geo-Country\"",
        &["error[header_conflict] at /strip_headers/0"],
    );
    changed("\"x-forwarded-user\"", "\"x_api_key\"", &[]);
    changed(
        "\"X-Api-Key\"",
        "\"x-portcullis-consumer\"",
        &["error[header_conflict] at /identity_headers/consumer"],
    );
    changed(
        "{\"query\": \"api_key\"}",
        "{\"header\": \"x_api_key\"}",
        &["error[header_conflict] at /api_key/sources/1/header"],
    );
    changed(
        "{\"query\": \"api_key\"}",
        "{\"cookie\": \"key\"}",
        &["error[duplicate_entry] at /api_key/sources/2"],
    );
    changed(
        "{\"cookie\": \"key\"}",
        "{\"query\": \"API_KEY\"}",
        &["error[duplicate_entry] at /api_key/sources/2"],
    );
    assert_eq!(
        with("'identity_headers': {'consumer': 'x-who', 'scopes': 'x_who'}"),
        [
            "error[header_conflict] at /identity_headers/scopes: `x_who` is set twice (help: choose another header)"
        ]
    );
    let many = |name: &str, count: usize| {
        (0..count).map(|number| format!("\"{name}{number}\"")).collect::<Vec<_>>().join(", ")
    };
    changed("\"x-forwarded-user\"", &many("x-", 65), &["error[out_of_bounds] at /strip_headers"]);
    changed(
        "\"10.0.0.0/8\"]}",
        &format!("{}]}}", many("10.0.0.", 256).replace("\", ", "/32\", ")),
        &[],
    );
    let policy = Policy::compile(good().as_bytes()).policy;
    let stripped = |name: &[u8]| policy.as_ref().is_some_and(|policy| policy.is_stripped(name));
    for name in [
        "x-portcullis-scopes",
        "X_PORTCULLIS_CONSUMER",
        "x-forwarded_user",
        "x-api-key",
        "x_api_key",
    ] {
        assert!(stripped(name.as_bytes()), "{name}");
    }
    assert!(!stripped(b"x-geo-country") && stripped(b"x_geo_country") && !stripped(b"cookie"));
}

#[test]
fn routes_do_not_tie_and_can_be_reached() {
    assert_eq!(
        routes(&[
            "{'name': 'a', 'paths': ['/x/{id}'], 'methods': ['GET', 'PUT'], 'access': 'public'}",
            "{'name': 'b', 'paths': ['/x/{name}'], 'methods': ['GET'], 'access': 'public'}",
            "{'name': 'c', 'paths': ['/x/{name}'], 'methods': ['*'], 'access': 'public'}",
        ]),
        [
            "error[route_tie] at /routes/1/paths/0: route `a` has the same pattern with the method `GET` (help: one request cannot belong to two routes)"
        ]
    );
    assert_eq!(
        routes(&[
            "{'name': 'a', 'paths': ['/x/y', '/z'], 'methods': ['GET'], 'access': 'public'}",
            "{'name': 'no', 'paths': ['/x/**'], 'methods': ['*'], 'access': 'deny'}",
        ]),
        [
            "error[route_unreachable] at /routes/0/paths/0: lies inside the deny route `no` (help: deny wins: no request can reach this path)"
        ]
    );
    changed(
        "\"name\": \"by-name\"",
        "\"name\": \"orders\"",
        &["error[duplicate_name] at /routes/2/name"],
    );
    changed(
        "\"all_of\": [\"orders:read\"]",
        "\"all_of\": [\"orders:raed\"]",
        &["warning[scope_unheld] at /routes/1/scopes/all_of/0"],
    );
    assert_eq!(
        routes(&["{'name': 'no', 'paths': ['/x'], 'methods': ['*'], 'access': 'deny', 'mode': 'observe', 'deny': ['n']}"])
            .iter()
            .filter_map(|line| line.split(": ").next())
            .collect::<Vec<_>>(),
        ["error[field_without_effect] at /routes/0/deny", "error[fields_conflict] at /routes/0/mode", "error[unknown_name] at /routes/0/deny/0"]
    );
}

#[test]
fn no_finding_holds_what_stands_in_a_keys_place() {
    // row: C07
    let key = crate::key_text::write(&[9; 32]);
    let places = [
        A,
        "mobile-1",
        "retiring",
        "2027-01-01T00:00:00Z",
        "opaque",
        "KP",
        "10.0.0.0/8",
        "per-consumer",
        "\"sha256\"",
        "GET",
        "orders:write",
        "/healthz",
        "INC-42",
        "\"X-Api-Key\"",
    ];
    for place in places {
        let to = if place.starts_with('"') { format!("\"{key}\"") } else { key.clone() };
        for line in lines(&good().replace(place, &to)) {
            assert!(!line.contains(&key[..12]), "{line}");
        }
    }
}
