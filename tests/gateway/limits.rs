//! Buckets are shared by all workers, exact under contention but for leases, and of a fixed number.

use std::net::SocketAddr;

use portcullis_tests::template::api_key;
use serde_json::{Value, json};

use super::support::{at_once, connect, envoy, get};

fn policy(key: &str, burst: u64) -> Value {
    limited(&json!({"key": [key], "rate": "1/h", "burst": burst}))
}

pub(crate) fn limited(limit: &Value) -> Value {
    json!({
        "version": 1, "gateway": "limits",
        "client_address": {"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]},
        "consumers": [{"name": "alpha", "scopes": ["a"], "api_keys": [{"id": "alpha-1", "sha256": "{{sha256:alpha}}"}]}],
        "limits": {"one": limit},
        "routes": [{"name": "r", "paths": ["/x"], "methods": ["GET"], "credentials": ["api_key"], "limits": ["one"]}],
    })
}

fn key() -> String {
    format!("x-api-key: {}", api_key("alpha"))
}

/// L01, W08: four workers and eight callers at once get the burst of one bucket, and no more.
#[test]
fn workers_share_a_limit_exactly() {
    let envoy = envoy(&policy("consumer", 32), 4);
    let ask = || allowed(envoy.listeners["only"], 30);
    let at_once: usize = at_once(8, |_| ask()).into_iter().sum();
    assert!(at_once <= 32, "{at_once} of 32");
    // What a lost race refused is still in the bucket.
    let later = ask() + ask();
    assert_eq!(at_once + later, 32, "{at_once} at once, {later} later");
}

/// The same of a bucket that workers lease from: never more, and less by their leases at most.
#[test]
fn workers_share_a_leased_limit() {
    let envoy = envoy(&policy("consumer", 2_000), 4);
    let ask = || allowed(envoy.listeners["only"], 300);
    let total: usize = at_once(8, |_| ask()).into_iter().sum::<usize>() + ask() + ask();
    assert!((2_000 - 3 * 63..=2_000).contains(&total), "{total}");
}

/// A quota is never leased: among all workers it is exact, to the last token. (A year may end meanwhile.)
#[test]
fn workers_share_a_quota_exactly() {
    let quota = json!({"key": ["consumer"], "windows": [{"rate": "1000/s", "burst": 100_000}, {"quota": "2000/year"}]});
    let envoy = envoy(&limited(&quota), 4);
    let ask = || allowed(envoy.listeners["only"], 300);
    let total: usize = at_once(8, |_| ask()).into_iter().sum::<usize>() + ask() + ask();
    assert_eq!(total, 2_000);
}

/// How many of so many requests over one connection are answered 200.
pub(crate) fn allowed(address: SocketAddr, times: usize) -> usize {
    let mut client = connect(address);
    let statuses = (0..times).map(|_| get(&mut client, "/x", &[key().as_bytes()]).status);
    statuses.filter(|status| *status == 200).count()
}

/// L04: no address gets more than its burst while its bucket is being made by several workers.
#[test]
fn new_buckets_are_exact_from_their_first_request() {
    let envoy = envoy(&policy("address", 2), 8);
    let address = envoy.listeners["only"];
    let admitted = at_once(8, |_| {
        let mut client = connect(address);
        let one = |number: usize| {
            let from = format!("x-forwarded-for: 198.18.{}.{}", number / 250, number % 250);
            usize::from(get(&mut client, "/x", &[key().as_bytes(), from.as_bytes()]).status == 200)
        };
        (0..1_000).map(one).collect::<Vec<_>>()
    });
    for number in 0..1_000 {
        let total: usize = admitted.iter().map(|of_thread| of_thread[number]).sum();
        assert!(total <= 2, "address {number}: {total}");
    }
}
