//! A thousand values where a caller has them for nothing: rows L12, L14, L16.

use portcullis_tests::fake_host::{Outcome, Process, Request, Vm};
use serde_json::{Value, json};

use crate::{NOW, details, get};

const MANY: u32 = 1_000;
const BURST: usize = 5;

fn worker(client_address: &Value) -> Vm {
    let policy = json!({
        "version": 1, "gateway": "floods", "client_address": client_address,
        "issuers": [{"name": "corp", "issuer": "https://id.example.com", "audiences": ["orders"], "algorithms": ["RS256"],
                     "keys": {"cluster": "idp", "path": "/keys"}}],
        "limits": {"per-address": {"key": ["address"], "rate": "1/h", "burst": BURST}},
        "global_limits": ["per-address"],
        "routes": [
            {"name": "public", "paths": ["/public"], "methods": ["GET"], "access": "public"},
            {"name": "tokens", "paths": ["/tokens"], "methods": ["GET"], "credentials": ["jwt"]},
        ],
    });
    let mut vm = Vm::new(&Process::at(NOW));
    let configured = vm.configure(policy.to_string());
    assert!(configured.accepted, "{configured:?}");
    vm
}

/// How many of a thousand requests are not limited, and whether that is the first ones.
fn admitted(vm: &mut Vm, request: impl Fn(u32) -> Request) -> usize {
    let outcomes: Vec<Outcome> = (0..MANY).map(|number| vm.request(&request(number))).collect();
    let limited = |outcome: &Outcome| details(outcome) == "rate_limited";
    assert!(outcomes.is_sorted_by_key(limited));
    // What is limited has had no host call for its signature.
    let calls =
        outcomes.iter().filter(|outcome| limited(outcome)).flat_map(|outcome| &outcome.calls);
    assert_eq!(calls.filter(|call| **call == "proxy_call_foreign_function").count(), 0);
    outcomes.iter().filter(|outcome| !limited(outcome)).count()
}

#[test]
fn addresses_of_one_subscriber_share_a_bucket() {
    // row L12
    let mut vm = worker(&json!({"source": "peer"}));
    let from =
        |number: u32| get("/public").from(format!("[2001:db8:1:1:{number:x}::{number:x}]:4711"));
    assert_eq!(admitted(&mut vm, from), BURST);
    assert_eq!(vm.request(&get("/public").from("[2001:db8:1:2::1]:4711")).status(), 200);
}

#[test]
fn what_a_caller_writes_left_of_its_address_makes_no_bucket() {
    // row L14
    let mut vm = worker(&json!({"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]}));
    let behind = |spoofed: String| {
        let line = format!("{spoofed}198.51.100.7, 10.0.0.1");
        get("/public").from("10.0.0.1:4711").with("x-forwarded-for", line)
    };
    let spoofed =
        |number: u32| behind(format!("192.0.2.{}, 10.9.{}.1, ", number % 250, number / 4));
    assert_eq!(admitted(&mut vm, spoofed), BURST);
    assert_eq!(details(&vm.request(&behind(String::new()))), "rate_limited");
}

#[test]
fn bad_tokens_are_limited_before_they_are_read() {
    // row L16
    let mut vm = worker(&json!({"source": "peer"}));
    let forged = |number: u32| {
        // {"alg":"RS256","kid":"k"}, and a signature of its own each.
        let token = format!("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.{number:0>8}");
        get("/tokens").with("authorization", format!("Bearer {token}"))
    };
    assert_eq!(admitted(&mut vm, forged), BURST);
}
