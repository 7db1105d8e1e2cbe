//! What must hold for every policy, request and interleaving, not only for the cases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use portcullis_core::{
    BucketKey, BucketStore, Effects, Grant, MemoryStore, Path, Policy, Quota, Request, Stage,
    StoreFault, Timestamp, Trace,
};
use portcullis_tests::policy::tokens;
use portcullis_tests::template::{FIXED_NOW, api_key, digest, fill_value};
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "properties/charges.rs"]
mod charges;
#[path = "properties/tokens.rs"]
mod of_tokens;

const SECOND: u64 = 1_000_000_000;

fn compile(policy: &Value) -> Policy {
    let compiled = Policy::compile(fill_value(policy.clone(), FIXED_NOW).to_string().as_bytes());
    compiled.policy.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

fn reference() -> Value {
    portcullis_tests::case::policy_named(&Value::String("reference".to_owned()))
}

/// Buckets that several workers share, and what each of them did.
#[derive(Default)]
struct Shared {
    buckets: HashMap<Vec<u8>, (u64, u32)>,
    /// Whether another worker slips in before the next replacement.
    rivals: Vec<bool>,
    admitted: Vec<u64>,
    clock: u64,
    depth: u32,
}

/// One worker's view: between its read and its replacement others may run a whole request.
#[derive(Clone)]
struct Worker<'p> {
    policy: &'p Policy,
    shared: Rc<RefCell<Shared>>,
}

impl BucketStore for Worker<'_> {
    type Ticket = (Vec<u8>, u32);

    fn read(
        &mut self,
        key: &BucketKey<'_>,
        _quota: &Quota,
        _cost: u64,
        _now: Timestamp,
    ) -> Result<(u64, Self::Ticket), StoreFault> {
        let mut name = Vec::new();
        key.encode(&mut name);
        let (arrival, version) = self.shared.borrow().buckets.get(&name).copied().unwrap_or((0, 0));
        Ok((arrival, (name, version)))
    }

    fn replace(
        &mut self,
        (name, version): Self::Ticket,
        next: u64,
        _ahead: u64,
    ) -> Result<bool, StoreFault> {
        let rival = {
            let mut shared = self.shared.borrow_mut();
            shared.depth < 3 && shared.rivals.pop().unwrap_or(false)
        };
        if rival {
            self.shared.borrow_mut().depth += 1;
            self.clone().request();
            self.shared.borrow_mut().depth -= 1;
        }
        let mut shared = self.shared.borrow_mut();
        let held = shared.buckets.entry(name).or_insert((0, 0));
        if held.1 != version {
            return Ok(false);
        }
        *held = (next, version + 1);
        Ok(true)
    }

    fn enter(&mut self, _key: &BucketKey<'_>, _most: u16) -> Result<Option<u16>, StoreFault> {
        Ok(None)
    }

    fn leave(&mut self) {}
}

impl Worker<'_> {
    fn request(&mut self) {
        let now = self.shared.borrow().clock;
        let lines = [(&b":method"[..], &b"GET"[..]), (b":path", b"/x"), (b":authority", b"a")];
        let request = Request { headers: &lines, source_address: None, route_name: None };
        let policy = self.policy;
        let decision = policy.decide_now(
            &request,
            Timestamp::from_unix_nanos(now),
            self,
            &mut tokens(policy),
            &mut (),
        );
        if decision.verdict().is_ok() {
            self.shared.borrow_mut().admitted.push(now);
        }
    }
}

fn limited(windows: &Value, cost: u64) -> Policy {
    compile(&json!({
        "version": 1, "gateway": "g",
        "limits": {"l": {"key": ["route"], "windows": windows}},
        "routes": [{"name": "r", "paths": ["/x"], "methods": ["GET"], "access": "public", "limits": ["l"], "cost": cost}],
    }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// L01, L04: no stretch of time holds more than the burst and what the rate gives in it, no hour more
    /// than its quota, whatever a request costs.
    #[test]
    fn a_bucket_never_admits_more_than_burst_and_rate(
        rate in 1_u64..2000,
        unit in prop::sample::select(vec![("s", SECOND), ("m", 60 * SECOND), ("h", 3600 * SECOND)]),
        (burst, quota, cost) in (4_u64..20, 4_u64..40, 1_u64..5),
        steps in prop::collection::vec(0_u64..3_000_000_000, 1..60),
        stretch in prop::sample::select(vec![1_u64, 600]),
        rivals in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let windows = json!([{"rate": format!("{rate}/{}", unit.0), "burst": burst}, {"quota": format!("{quota}/hour")}]);
        let policy = limited(&windows, cost);
        let shared = Rc::new(RefCell::new(Shared { rivals, clock: FIXED_NOW.unix_nanos(), ..Shared::default() }));
        let mut worker = Worker { policy: &policy, shared: shared.clone() };
        for step in steps {
            shared.borrow_mut().clock += if step % 3 == 0 { 0 } else { step * stretch };
            worker.request();
        }
        let mut times = shared.borrow().admitted.clone();
        times.sort_unstable();
        prop_assert!(!times.is_empty());
        for (first, from) in times.iter().enumerate() {
            for (last, to) in times.iter().enumerate().skip(first) {
                let admitted = (last - first + 1) as u128 * u128::from(cost);
                let refilled = u128::from(to - from) * u128::from(rate) / u128::from(unit.1);
                prop_assert!(admitted <= u128::from(burst) + refilled, "{admitted} in {} ns", to - from);
                if from / (3600 * SECOND) == to / (3600 * SECOND) {
                    prop_assert!(admitted <= u128::from(quota), "{admitted} in the hour of {from}");
                }
            }
        }
    }

    /// L19: a caller that waits as long as it is told is served, and a second earlier is not.
    #[test]
    fn retry_after_is_exact(
        rate in 1_u64..500,
        unit in prop::sample::select(vec!["s", "m", "h", "d"]),
        (burst, quota, cost) in (4_u64..20, 4_u64..40, 1_u64..5),
        per in prop::sample::select(vec!["hour", "day", "week", "month", "year"]),
        early in 0_u64..40_000_000_000_000_000,
    ) {
        let windows = json!([{"rate": format!("{rate}/{unit}"), "burst": burst}, {"quota": format!("{quota}/{per}")}]);
        let policy = limited(&windows, cost);
        let mut buckets = MemoryStore::default();
        let lines = [(&b":method"[..], &b"GET"[..]), (b":path", b"/x"), (b":authority", b"a")];
        let request = Request { headers: &lines, source_address: None, route_name: None };
        let start = FIXED_NOW.unix_nanos() + early;
        let ask = |buckets: &mut MemoryStore, now: u64| {
            let decision = policy.decide_now(&request, Timestamp::from_unix_nanos(now), buckets, &mut tokens(&policy), &mut ());
            match decision.effects() {
                Effects::Forward(_) => None,
                Effects::Reply(reply) => {
                    let wait = reply.headers.iter().find(|(name, _)| *name == b"retry-after");
                    wait.and_then(|(_, wait)| str::from_utf8(wait).ok()?.parse::<u64>().ok())
                }
            }
        };
        for _ in 0..burst.min(quota) / cost {
            prop_assert_eq!(ask(&mut buckets, start), None);
        }
        let wait = ask(&mut buckets, start).expect("a refusal says how long to wait");
        prop_assert!(wait >= 1);
        if wait > 1 {
            prop_assert!(ask(&mut buckets.clone(), start + (wait - 1) * SECOND).is_some());
        }
        prop_assert_eq!(ask(&mut buckets, start + wait * SECOND), None);
    }

    /// Taking a scope away, or adding a deny, never turns a refusal into a grant.
    #[test]
    fn less_right_never_grants_more(
        held in prop::collection::btree_set(0_usize..6, 1..6),
        asked in prop::collection::btree_set(0_usize..6, 1..4),
        any_of in any::<bool>(),
        taken in 0_usize..6,
        from in prop::sample::select(vec!["198.51.100.7:1", "203.0.113.9:1", "[2001:db8::1]:1", "192.0.2.1:0"]),
        denied in prop::sample::select(vec!["198.51.100.0/24", "203.0.113.9/32", "2001:db8::/32", "0.0.0.0/0", "192.0.2.0/24"]),
        deny_at in 0_u8..4,
    ) {
        let scope = |n: &usize| format!("s{n}");
        let base = |held: Vec<String>| json!({
            "version": 1, "gateway": "g",
            "networks": {"n": {"cidrs": [denied]}},
            "consumers": [{"name": "c", "scopes": held, "api_keys": [{"id": "k", "sha256": "{{sha256:alpha}}"}]}],
            "routes": [{
                "name": "r", "paths": ["/x/**"], "methods": ["GET"], "credentials": ["api_key"],
                "scopes": {(if any_of { "any_of" } else { "all_of" }): asked.iter().map(scope).collect::<Vec<_>>()},
            }],
        });
        let all: Vec<String> = held.iter().map(scope).collect();
        let before = grants(&base(all.clone()), from);
        let fewer: Vec<String> = held.iter().filter(|n| **n != taken).map(scope).collect();
        if !fewer.is_empty() {
            prop_assert!(before || !grants(&base(fewer), from));
        }
        let mut with_deny = base(all);
        match deny_at {
            0 => with_deny["deny"] = json!(["n"]),
            1 => with_deny["routes"][0]["deny"] = json!(["n"]),
            2 => with_deny["consumers"][0]["deny"] = json!(["n"]),
            _ => {
                let route = json!({"name": "d", "paths": ["/x/y"], "methods": ["GET"], "access": "deny"});
                with_deny["routes"].as_array_mut().unwrap().push(route);
            }
        }
        prop_assert!(before || !grants(&with_deny, from));
    }

    /// What was normalised once stays as it is.
    #[test]
    fn normalising_a_path_is_idempotent(target in path()) {
        if let Ok(path) = Path::parse(&target) {
            let text = path.as_str().to_owned();
            let again = Path::parse(text.as_bytes()).map(|path| path.as_str().to_owned());
            prop_assert_eq!(again.as_deref(), Ok(text.as_str()));
        }
    }

    /// W01, W03: no bytes of a caller make it panic, and what is refused or forwarded is whole.
    #[test]
    fn deciding_never_panics(
        lines in prop::collection::vec((header_name(), value()), 0..12),
        target in path(),
        peer in prop::option::of(value()),
        sources in any::<bool>(),
    ) {
        let mut written = reference();
        if sources {
            written["api_key"] = json!({"sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "key"}]});
        }
        let policy = compile(&written);
        let mut headers = vec![(&b":path"[..], &target[..]), (b":method", b"GET"), (b":authority", b"api.example.com")];
        headers.extend(lines.iter().map(|(name, value)| (name.as_bytes(), &value[..])));
        let request = Request { headers: &headers, source_address: peer.as_deref(), route_name: None };
        let mut buckets = MemoryStore::default();
        let decision = policy.decide_now(&request, FIXED_NOW, &mut buckets, &mut tokens(&policy), &mut Notes::default());
        let mut audit = Vec::new();
        decision.write_audit(&mut audit);
        prop_assert!(serde_json::from_slice::<Value>(&audit).is_ok(), "{}", String::from_utf8_lossy(&audit));
        prop_assert!(audit.iter().all(|byte| (b' '..=b'~').contains(byte)));
        if let Effects::Reply(reply) = decision.effects() {
            prop_assert!((400..=503).contains(&reply.status));
        }
    }

    /// K12, C07: no output holds the key that came in, wherever the policy takes keys from.
    #[test]
    fn no_output_holds_a_secret(
        place in 0_u8..6,
        name in prop::sample::select(vec!["alpha", "admin", "revoked", "expired", "nobody", "disabled"]),
        target in prop::sample::select(vec!["/orders/1", "/public/x", "/admin/x", "/nowhere", "/orders/../x", "/orders%2f"]),
        from in prop::sample::select(vec!["10.0.0.1:1", "203.0.113.9:1", "junk"]),
        observe in any::<bool>(),
    ) {
        let mut written = reference();
        written["api_key"] = json!({"sources": [{"header": "x-api-key"}, {"query": "api_key"}, {"cookie": "key"}], "retiring_header": "x-retiring"});
        if observe {
            written["mode"] = json!("observe");
        }
        let policy = compile(&written);
        let key = api_key(name);
        let (query, cookie) = (format!("{target}?api_key={key}&a=b"), format!("a=b; key={key}"));
        let escaped = format!("{target}?a&API%5fKEY={key}");
        let mut headers = vec![(&b":method"[..], &b"GET"[..]), (b":authority", b"api.example.com"), (b"x-forwarded-for", b"198.51.100.7, 10.0.0.1")];
        let path = match place { 1 => query.as_str(), 2 => escaped.as_str(), _ => target };
        headers.push((b":path", path.as_bytes()));
        match place {
            3 => headers.push((b"cookie", cookie.as_bytes())),
            4 => headers.push((b"x_api_key", key.as_bytes())),
            5 => headers.extend([(&b"x-api-key"[..], key.as_bytes()), (b"x-api-key", key.as_bytes())]),
            0 => headers.push((b"x-api-key", key.as_bytes())),
            _ => {}
        }
        let request = Request { headers: &headers, source_address: Some(from.as_bytes()), route_name: None };
        let mut notes = Notes::default();
        let decision = policy.decide_now(&request, FIXED_NOW, &mut MemoryStore::default(), &mut tokens(&policy), &mut notes);
        let mut output = notes.0;
        let mut audit = Vec::new();
        decision.write_audit(&mut audit);
        output.push(String::from_utf8(audit).unwrap());
        output.push(format!("{:?}", decision.effects()));
        let secret = key.strip_prefix("pcl_").unwrap();
        for line in output {
            prop_assert!(!line.contains(secret), "{line}");
            prop_assert!(!line.contains(&digest(key.as_bytes())), "{line}");
        }
    }
}

fn grants(policy: &Value, from: &str) -> bool {
    let policy = compile(policy);
    let key = api_key("alpha");
    let lines = [
        (&b":method"[..], &b"GET"[..]),
        (b":path", b"/x/y"),
        (b":authority", b"a"),
        (b"x-api-key", key.as_bytes()),
    ];
    let request =
        Request { headers: &lines, source_address: Some(from.as_bytes()), route_name: None };
    let verdict = policy
        .decide_now(&request, FIXED_NOW, &mut MemoryStore::default(), &mut tokens(&policy), &mut ())
        .verdict();
    matches!(verdict, Ok(Grant::Principal | Grant::Public))
}

/// Every note of every stage.
#[derive(Default)]
struct Notes(Vec<String>);

impl Trace for Notes {
    fn note(&mut self, _stage: Stage, text: impl FnOnce() -> String) {
        self.0.push(text());
    }
}

fn header_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "x-api-key",
        "x_api_key",
        "cookie",
        "x-forwarded-for",
        ":path",
        ":authority",
        ":method",
        "host",
        "x-portcullis-consumer",
        "content-type",
        "x-request-id",
        "x-any",
        "",
    ])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[0-9a-f:., \\[\\]]{0,40}".prop_map(String::into_bytes),
        Just(api_key("alpha").into_bytes()),
        Just(b"application/grpc".to_vec()),
        Just(b"key=a; key=b".to_vec()),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "/",
        "orders",
        "public",
        "admin",
        "..",
        ".",
        "%2e",
        "%2f",
        "%5c",
        "\\",
        ";",
        "%25",
        "%",
        "%41",
        "a",
        "?",
        "#",
        "%c3%a9",
        "%ff",
        " ",
        "{x}",
        "*",
        "api_key=k",
        "&",
        "%00",
    ]);
    prop_oneof![
        prop::collection::vec(part, 0..10)
            .prop_map(|parts| format!("/{}", parts.concat()).into_bytes()),
        prop::collection::vec(any::<u8>(), 0..60),
    ]
}
