use serde_json::{Value, json};

use crate::support::{DIGEST, run};
use crate::validate::faults;

fn schema() -> Value {
    serde_json::from_str(&run(&["schema"], "").out).expect("json")
}

/// A policy with every field of the language.
fn full() -> Value {
    json!({
        "version": 1, "gateway": "external", "realm": "orders", "mode": "enforce",
        "client_address": {"source": "forwarded_for", "trusted_proxies": ["0.0.0.0/0"], "trust_any_proxy": true},
        "country_header": "x-geo-country",
        "api_key": {"sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "api_key"}],
            "retiring_header": "x-api-key-retiring"},
        "identity_headers": {"consumer": "x-consumer", "scopes": "x-scopes"},
        "hand_over": ["consumer", "plan", "route", "cost"],
        "strip_headers": ["x-forwarded-user"],
        "networks": {
            "internal": {"cidrs": ["10.0.0.0/8", "fd00::/8"]},
            "abusive": {"cidrs": [{"cidr": "203.0.113.0/24", "until": "2026-12-31T00:00:00Z", "note": "INC-42"}]},
            "embargo": {"countries": ["KP", "unknown"]},
        },
        "deny": ["abusive", "embargo"],
        "roles": {"reader": ["orders:read"]},
        "consumers": [{
            "name": "mobile", "disabled": false, "roles": ["reader"], "scopes": ["orders:export"],
            "networks": ["internal"], "deny": ["abusive"], "plan": "gold", "limits": ["per-consumer"],
            "api_keys": [{"id": "mobile-1", "sha256": DIGEST, "state": "retiring", "format": "portcullis",
                "not_before": "2026-01-01T00:00:00Z", "expires": "2026-12-01T00:00:00+01:00", "scopes": ["orders:read"]}],
        }],
        "limits": {
            "per-consumer": {"key": ["consumer"], "rate": "100/s", "burst": 200},
            "per-address": {"key": ["address"], "rate": "20/s"},
            "monthly": {"key": ["consumer"], "quota": "100000/month", "resets": 15},
            "several": {"key": ["consumer"], "mode": "observe", "windows": [
                {"rate": "10/s", "burst": 20}, {"quota": "5000/week", "resets": "sunday"},
            ]},
        },
        "global_limits": ["per-address"],
        "plans": {"gold": {"limits": ["monthly", "several"]}},
        "limit_headers": ["standard", "legacy"],
        "routes": [
            {"name": "health", "paths": ["/healthz"], "methods": ["GET"], "access": "public"},
            {"name": "orders-read", "hosts": ["api.example.com", "*.example.org"],
                "paths": ["/v1/orders", "/v1/orders/**", "/v1/orders/{id}/items"], "methods": ["GET", "HEAD"],
                "credentials": ["api_key"], "scopes": {"any_of": ["orders:read", "orders:export"]},
                "limits": ["per-address"], "cost": 5, "networks": ["internal"], "deny": ["abusive"], "mode": "observe"},
            {"name": "by-name", "envoy_routes": ["orders-canary"], "methods": ["*"], "credentials": ["api_key"]},
            {"name": "no-secret", "paths": ["/orders/secret/**"], "methods": ["*"], "access": "deny"},
        ],
    })
}

#[test]
fn the_schema_accepts_what_the_core_accepts() {
    let schema = schema();
    let none: [String; 0] = [];
    assert_eq!(faults(&schema, &schema, &full(), ""), none);
    let checked = run(&["check", "-"], &full().to_string());
    assert_eq!(checked.code, 0, "{}", checked.out);
}

#[test]
fn the_schema_refuses_what_a_schema_can_see() {
    let schema = schema();
    for (pointer, value, expected) in [
        ("/version", json!(2), "maximum"),
        ("/version", json!("1"), "type"),
        ("/gateway", json!(""), "pattern"),
        ("/mode", json!("off"), "oneOf"),
        ("/deny", json!([]), "minItems"),
        ("/deny", json!(["abusive", "abusive"]), "uniqueItems"),
        ("/networks", json!({}), "minProperties"),
        ("/networks/internal", json!({}), "anyOf"),
        ("/networks/embargo/countries/0", json!(false), "type"),
        (
            "/client_address",
            json!({"source": "envoy", "trust_any_proxy": true}),
            "dependentRequired",
        ),
        ("/api_key/sources/0", json!({"header": "a", "query": "b"}), "oneOf"),
        ("/identity_headers", json!("all"), "anyOf"),
        ("/consumers/0/name", json!(8), "type"),
        ("/consumers/0/api_keys/0/sha256", json!("plain"), "pattern"),
        ("/consumers/0/api_keys/0/key", json!("plain"), "unknown"),
        ("/limits/per-address/rate", json!("fast"), "pattern"),
        ("/limits/per-consumer/burst", json!(0), "minimum"),
        ("/limits/per-address/windows", json!([{"rate": "1/s"}]), "oneOf"),
        ("/limits/monthly/quota", json!("5/s"), "pattern"),
        ("/limits/monthly/resets", json!(29), "anyOf"),
        ("/limits/several/windows/1/resets", json!("sonntag"), "anyOf"),
        ("/limits/several/windows/0/resets", json!("sunday"), "dependentRequired"),
        ("/limits/several/windows/0/quota", json!("5/day"), "oneOf"),
        ("/consumers/0/plan", json!(["gold"]), "type"),
        ("/plans/gold", json!({}), "required"),
        ("/limit_headers/0", json!("all"), "oneOf"),
        ("/routes/1/cost", json!(0), "minimum"),
        ("/routes/0/credentials", json!(["api_key"]), "oneOf"),
        ("/routes/0/path", json!("/"), "unknown"),
        ("/routes/0/methods/0", json!("get"), "pattern"),
    ] {
        let mut policy = full();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        match policy.pointer_mut(parent).expect("a parent") {
            Value::Object(members) => drop(members.insert(name.to_owned(), value)),
            Value::Array(items) => items[name.parse::<usize>().expect("an index")] = value,
            _ => panic!("{pointer}"),
        }
        let found = faults(&schema, &schema, &policy, "");
        // What fails within an alternative fails the alternative.
        let seen = found.iter().any(|fault| fault.contains(expected) || fault.contains("Of"));
        assert!(seen, "{pointer}: {found:?}");
        assert_eq!(run(&["check", "-"], &policy.to_string()).code, 1, "{pointer}");
    }
}

/// The checked-in copy is what the tables say today.
#[test]
fn the_checked_in_copy_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../envoy/policy.schema.json");
    let copy = std::fs::read_to_string(path).expect("envoy/policy.schema.json");
    assert!(
        copy == run(&["schema"], "").out,
        "run: cargo run -p portcullis-cli -- schema > envoy/policy.schema.json"
    );
}

/// The reference page holds the tables as they are today, with what people wrote around them.
#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../envoy/POLICY.md");
    let Ok(page) = std::fs::read_to_string(path) else {
        println!("skipped: there is no envoy/POLICY.md");
        return;
    };
    assert!(
        page.contains(&run(&["schema", "--reference"], "").out),
        "envoy/POLICY.md must hold what `cargo run -p portcullis-cli -- schema --reference` prints"
    );
}

#[test]
fn the_reference_names_every_field_and_every_finding() {
    let reference = run(&["schema", "--reference"], "").out;
    let schema = schema();
    let objects = schema["$defs"].as_object().expect("an object").values().chain([&schema]);
    for name in objects.filter_map(|object| object["properties"].as_object()).flat_map(|p| p.keys())
    {
        assert!(reference.contains(&format!("| `{name}` |")), "{name}");
    }
    for code in ["unknown_field", "route_tie", "fails_open", "vm_id_shared"] {
        assert!(reference.contains(&format!("| `{code}` |")), "{code}");
    }
}
