//! Charges by the upstream's response: when they are read, what they take, and what is never charged.

use portcullis_tests::fake_host::{Answer, Meddle, Outcome, Process, Request, Vm};
use serde_json::{Value, json};

use crate::{NOW, SECOND, details, get, good, line};

/// A token of the consumer a minute, ten at once, and up to 500 for a request.
fn policy() -> Value {
    let mut policy = crate::policy();
    policy["limits"]["per-consumer"] = json!({
        "key": ["consumer"], "rate": "1/m", "burst": 10,
        "charge": {"header": "x-cost", "max": 500},
    });
    policy
}

fn vm_of(process: &Process, policy: &Value) -> Vm {
    let mut vm = Vm::new(process);
    let configured = vm.configure(policy.to_string());
    assert!(configured.accepted, "{configured:?}");
    vm
}

fn vm() -> (Process, Vm) {
    let process = Process::at(NOW);
    let vm = vm_of(&process, &policy());
    (process, vm)
}

fn costing(cost: &str) -> Request {
    good().answered(&[("x-cost", cost), ("content-type", "text/plain")])
}

/// Tokens that are left after one more request.
fn left(vm: &mut Vm) -> u64 {
    let outcome = vm.request(&good());
    let Answer::Forwarded { response, .. } = &outcome.answer else { panic!("{outcome:?}") };
    let told = String::from_utf8_lossy(line(response, "ratelimit")[0]).into_owned();
    let (_, told) = told.split_once(r#""per-consumer";r="#).expect("the limit");
    told.split(';').next().and_then(|left| left.parse().ok()).expect("a number")
}

fn response(outcome: &Outcome) -> &[(Vec<u8>, Vec<u8>)] {
    match &outcome.answer {
        Answer::Forwarded { response, .. } => response,
        Answer::Replied(reply) => &reply.headers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_rest_is_taken_when_the_response_comes() {
    let (_, mut vm) = vm();
    let outcome = vm.request(&costing("4"));
    assert_eq!(line(response(&outcome), "x-cost"), [b""; 0]);
    assert_eq!(line(response(&outcome), "content-type"), [b"text/plain"]);
    let at = outcome.calls.iter().position(|call| *call == "proxy_set_property").expect("a record");
    let after: Vec<_> =
        outcome.calls[at..].iter().copied().filter(|c| !c.contains("metric")).collect();
    let expected = [
        "proxy_set_property",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_remove_header_map_value",
    ];
    assert_eq!(after[..expected.len()], expected, "{after:?}");
    assert!(after[expected.len()..].iter().all(|call| *call == "proxy_add_header_map_value"));
    assert_eq!(left(&mut vm), 5);
    // One that costs no more than it took asks nobody for the bucket.
    let outcome = vm.request(&costing("1"));
    let calls = outcome.calls.iter().filter(|call| call.ends_with("_shared_data")).count();
    assert_eq!((calls, line(response(&outcome), "x-cost").len()), (2, 0));
    assert_eq!(left(&mut vm), 3);
}

#[test]
fn who_owes_is_refused_until_it_has_refilled() {
    let (process, mut vm) = vm();
    vm.request(&costing("30"));
    let outcome = vm.request(&good());
    assert_eq!(details(&outcome), "rate_limited");
    // 20 are owed, and the next one needs one more.
    assert_eq!(line(response(&outcome), "retry-after"), [b"1260"]);
    process.advance(21 * 60 * SECOND - 1);
    assert_eq!(details(&vm.request(&good())), "rate_limited");
    process.advance(1);
    assert_eq!(left(&mut vm), 0);
}

#[test]
fn a_response_that_says_nothing_costs_nothing_more() {
    let (process, mut vm) = vm();
    // Envoy's own answer in the upstream's place is one, too.
    assert_eq!(vm.request(&good()).status(), 200);
    assert_eq!(left(&mut vm), 8);
    // And so is a stream that ends without one.
    let (root, request) = (vm.root(), costing("500"));
    let stream = vm.open(root);
    assert!(vm.begin(stream, &request).is_none());
    vm.close(stream);
    assert_eq!(left(&mut vm), 6);
    assert_eq!(unreadable(&process), 0);
}

fn unreadable(process: &Process) -> u64 {
    let labels = "gateway=.=external;.;event=.=unreadable;.;limit=.=per-consumer;.;";
    process.metric(&format!("portcullis.limit_store.{labels}"))
}

#[test]
fn a_cost_that_cannot_be_read_is_the_most_and_counted() {
    for lines in [vec!["many"], vec!["1", "0"], vec![""]] {
        let (process, mut vm) = vm();
        let lines: Vec<_> = lines.into_iter().map(|cost| ("x-cost", cost)).collect();
        let outcome = vm.request(&good().answered(&lines));
        assert_eq!((outcome.status(), line(response(&outcome), "x-cost").len()), (200, 0));
        assert_eq!(unreadable(&process), 1);
        // It owes 490 tokens of the most, which is no more than the bucket can owe.
        process.advance(491 * 60 * SECOND - 1);
        assert_eq!(details(&vm.request(&good())), "rate_limited");
        process.advance(1);
        assert_eq!(vm.request(&good()).status(), 200);
    }
}

#[test]
fn own_replies_are_never_charged() {
    let (_, mut vm) = vm();
    assert_eq!(left(&mut vm), 9);
    let cost = [("x-cost", "500")];
    let bad = [
        get("/orders/1").with("x-api-key", "no key of anybody").answered(&cost),
        get("/nowhere").answered(&cost),
        get("/orders/1").answered(&cost),
    ];
    for request in &bad {
        let outcome = vm.request(request);
        assert!(outcome.reply().is_some());
        let reads = outcome.calls.iter().filter(|call| **call == "proxy_get_header_map_pairs");
        assert_eq!(reads.count(), 1, "the request's own lines");
    }
    // A public route without a caller, whose limits have no charge.
    let outcome = vm.request(&get("/limited/x").answered(&cost));
    assert_eq!(line(response(&outcome), "x-cost"), [b"500"]);
    let reads = outcome.calls.iter().filter(|call| **call == "proxy_get_header_map_pairs");
    assert_eq!(reads.count(), 1, "the request's own lines");
    assert_eq!(left(&mut vm), 8);
    while vm.request(&costing("1")).status() == 200 {}
    for _ in 0..3 {
        let outcome = vm.request(&costing("500"));
        assert_eq!(line(response(&outcome), "retry-after"), [b"60"], "{outcome:?}");
    }
}

#[test]
fn a_reload_between_request_and_response_changes_nothing() {
    let (process, mut vm) = vm();
    let (root, request) = (vm.root(), good());
    let (first, second) = (vm.open(root), vm.open(root));
    assert!(vm.begin(first, &request).is_none() && vm.begin(second, &request).is_none());
    let mut plain = policy();
    plain["limits"]["per-consumer"] = json!({"key": ["consumer"], "rate": "1/m", "burst": 10});
    // The new policy knows no charge, and the streams keep the one that they were born with.
    assert!(vm.configure(plain.to_string()).accepted);
    let seen = vm.respond(first, &[(":status", "200"), ("x-cost", "4")]);
    assert_eq!(line(&seen, "x-cost"), [b""; 0]);
    assert_eq!(left(&mut vm), 4);
    // Also where the old root context is gone, and for all workers.
    vm.close(root);
    vm.respond(second, &[(":status", "200"), ("x-cost", "4")]);
    for stream in [first, second] {
        vm.close(stream);
    }
    assert_eq!(left(&mut vm_of(&process, &plain)), 0);
    assert_eq!(vm.trap(), None);
}

#[test]
fn a_host_that_fails_costs_nobody_his_response() {
    // row W18
    for call in [
        "proxy_get_header_map_pairs",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_remove_header_map_value",
        "proxy_get_current_time_nanoseconds",
    ] {
        for meddle in [1_u32, 2, 10, 255] {
            let (_, mut vm) = vm();
            let root = vm.root();
            let stream = vm.open(root);
            assert!(vm.begin(stream, &good()).is_none());
            vm.meddle(call, 0, usize::MAX, Meddle::Answer(meddle));
            let seen = vm.respond(stream, &[(":status", "200"), ("x-cost", "4")]);
            assert!(seen.iter().any(|(name, _)| name == b"ratelimit"), "{call} {meddle}");
            assert_eq!(vm.trap(), None, "{call} {meddle}");
            assert!(vm.log().iter().any(|line| line.contains(call)), "{call} {meddle}");
        }
    }
    // A bucket that others are always faster at stays as it is.
    let (_, mut vm) = vm();
    let root = vm.root();
    let stream = vm.open(root);
    assert!(vm.begin(stream, &good()).is_none());
    vm.meddle("proxy_set_shared_data", 0, 16, Meddle::Answer(8));
    vm.respond(stream, &[(":status", "200"), ("x-cost", "4")]);
    assert_eq!(left(&mut vm), 8);
}

#[test]
fn buckets_that_are_charged_are_not_leased() {
    let process = Process::at(NOW);
    let mut policy = policy();
    policy["limits"]["per-consumer"]["burst"] = json!(1_000);
    let (mut one, mut two) = (vm_of(&process, &policy), vm_of(&process, &policy));
    for _ in 0..5 {
        one.request(&good());
        two.request(&good());
    }
    one.request(&costing("400"));
    assert_eq!(left(&mut two), 1_000 - 10 - 400 - 1);
    assert_eq!(left(&mut one), 1_000 - 10 - 400 - 2);
}
