//! What a request has cost is told by the upstream's response, and charged afterwards.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_tests::http1::Response;
use portcullis_tests::template::api_key;
use serde_json::{Value, json};

use super::support::{at_once, connect, envoy, get, stats};

/// Most of what a request costs.
const MAX: usize = 20;

fn policy(rate: &str, burst: usize, forward: bool) -> Value {
    json!({
        "version": 1, "gateway": "charges",
        "client_address": {"source": "forwarded_for", "trusted_proxies": ["10.0.0.0/8"]},
        "consumers": [{"name": "alpha", "scopes": ["a"], "limits": ["paid"], "api_keys": [{"id": "alpha-1", "sha256": "{{sha256:alpha}}"}]}],
        "limits": {"paid": {"key": ["consumer"], "rate": rate, "burst": burst, "charge": {"header": "x-cost", "max": MAX, "forward": forward}}},
        "routes": [{"name": "r", "paths": ["/x"], "methods": ["GET"], "credentials": ["api_key"]}],
    })
}

/// A request whose answer has these lines, over one connection.
fn ask(address: SocketAddr, answers: &[&str]) -> Response {
    let key = format!("x-api-key: {}", api_key("alpha"));
    let answers: Vec<_> = answers.iter().map(|line| format!("x-answer: {line}")).collect();
    let mut lines = vec![key.as_bytes()];
    lines.extend(answers.iter().map(String::as_bytes));
    get(&mut connect(address), "/x", &lines)
}

fn lines<'r>(response: &'r Response, name: &str) -> Vec<&'r [u8]> {
    let lines = response.headers.iter().filter(|(line, _)| line == name.as_bytes());
    lines.map(|(_, value)| value.as_slice()).collect()
}

#[test]
fn the_upstream_tells_what_a_request_has_cost() {
    let envoy = envoy(&policy("1/h", 40, false), 2);
    let address = envoy.listeners["only"];
    let left = |left: usize| {
        let response = ask(address, &[]);
        let told = String::from_utf8_lossy(lines(&response, "ratelimit")[0]).into_owned();
        assert!(told.starts_with(&format!(r#""paid";r={left};"#)), "{told}, not {left}");
    };
    let response = ask(address, &["x-cost: 5", "x-other: kept"]);
    assert_eq!(response.status, 200);
    assert_eq!((lines(&response, "x-cost").len(), lines(&response, "x-other").len()), (0, 1));
    left(34);
    ask(address, &["x-cost: 0"]);
    ask(address, &["X-Cost: 1"]);
    left(31);
    // More than the most, and what cannot be read, are the most: 2 are owed.
    ask(address, &["x-cost: 1", "x-cost: 1"]);
    left(10);
    assert_eq!(ask(address, &["x-cost: 12"]).status, 200);
    for _ in 0..3 {
        let refused = ask(address, &["x-cost: 20"]);
        assert_eq!(refused.status, 429);
        let wait = String::from_utf8_lossy(lines(&refused, "retry-after")[0]).into_owned();
        // A token comes back in an hour, and two more are owed.
        assert!((3 * 3_600 - 60..=3 * 3_600).contains(&wait.parse().unwrap()), "{wait}");
    }
    let unreadable =
        "portcullis.limit_store.gateway=.=charges;.;event=.=unreadable;.;limit=.=paid;.;: 1";
    assert!(stats(&envoy).contains(unreadable));
}

#[test]
fn callers_are_told_where_the_policy_says_so() {
    let envoy = envoy(&policy("1/h", 40, true), 1);
    let response = ask(envoy.listeners["only"], &["x-cost: 5"]);
    assert_eq!(lines(&response, "x-cost"), [b"5"]);
}

/// Four workers, eight callers at once: what they cost together is within the bound.
#[test]
fn callers_at_once_cost_no_more_than_the_bound() {
    let envoy = envoy(&policy("1/h", 40, false), 4);
    let address = envoy.listeners["only"];
    let cost = format!("x-cost: {MAX}");
    let admitted = at_once(8, |_| (0..30).filter(|_| ask(address, &[&cost]).status == 200).count());
    let admitted: usize = admitted.into_iter().sum();
    // 8 are on their way at most: 40 + 8 * 20, and each costs 20.
    assert!((2..=10).contains(&admitted), "{admitted}");
}

/// A bucket that owes is usable again when that has refilled, and not before.
#[test]
fn what_is_owed_refills() {
    let envoy = envoy(&policy("10/s", 1, false), 2);
    let address = envoy.listeners["only"];
    assert_eq!(ask(address, &["x-cost: 20"]).status, 200);
    assert_eq!(ask(address, &[]).status, 429);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ask(address, &[]).status, 429);
    std::thread::sleep(Duration::from_millis(1_200));
    assert_eq!(ask(address, &[]).status, 200);
}
