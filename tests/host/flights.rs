//! Requests in flight: counted over all workers, and given up however a request ends.

use portcullis_tests::fake_host::{Meddle, Outcome, Process, Request, Vm};
use serde_json::{Value, json};

use crate::{NOW, SECOND, details, get, good, line};

const SET: &str = "proxy_set_shared_data";

/// How a request ends.
type End = (&'static str, fn(&mut Vm, u32));

/// At most three requests of a consumer at a time, and two of an address on one route.
fn policy() -> Value {
    let mut policy = crate::policy();
    policy["limits"] = json!({
        "flights": {"key": ["consumer"], "concurrent": 3},
        "of-address": {"key": ["address"], "concurrent": 2},
        "rate": {"key": ["consumer"], "rate": "1000/s"},
    });
    policy["consumers"][0]["limits"] = json!(["flights"]);
    policy["routes"][1]["limits"] = json!(["of-address"]);
    policy
}

fn workers<const N: usize>(policy: &Value) -> (Process, [Vm; N]) {
    let process = Process::at(NOW);
    let vms = std::array::from_fn(|_| worker(&process, policy));
    (process, vms)
}

fn worker(process: &Process, policy: &Value) -> Vm {
    let mut vm = Vm::new(process);
    let configured = vm.configure(policy.to_string());
    assert!(configured.accepted, "{configured:?}");
    vm
}

/// A request that is in flight from now on, or its refusal.
fn begin(vm: &mut Vm, request: &Request) -> Result<u32, Box<Outcome>> {
    let root = vm.root();
    let stream = vm.open(root);
    vm.begin(stream, request).map_or(Ok(stream), |outcome| Err(Box::new(outcome)))
}

/// As many requests as are let in, at most nine.
fn fill(vm: &mut Vm, request: &Request) -> Vec<u32> {
    let streams = (0..9).map_while(|_| match begin(vm, request) {
        Ok(stream) => Some(stream),
        Err(outcome) => {
            assert_eq!((outcome.status(), details(&outcome)), (429, "concurrency_limited"));
            None
        }
    });
    streams.collect()
}

fn close(vm: &mut Vm, streams: &[u32]) {
    for stream in streams {
        vm.close(*stream);
    }
}

/// What all workers have published.
fn published(process: &Process) -> u64 {
    let sets = process.keys().into_iter().filter(|key| key.starts_with(b"pf1/s"));
    let values = sets.filter_map(|key| process.shared(&key)).map(|(value, _)| value);
    let counts = values.flat_map(|value| {
        let counts =
            value.chunks(16).map(|record| u64::from(record[8]) + 256 * u64::from(record[9]));
        counts.collect::<Vec<_>>()
    });
    counts.sum()
}

fn event(process: &Process, event: &str, limit: &str) -> u64 {
    let labels = format!("gateway=.=external;.;event=.={event};.;limit=.={limit};.;");
    process.metric(&format!("portcullis.limit_store.{labels}"))
}

#[test]
fn workers_share_what_is_in_flight() {
    let (process, [mut one, mut two]) = workers(&policy());
    let first = begin(&mut one, &good()).expect("the first");
    let others = fill(&mut two, &good());
    assert_eq!((others.len(), published(&process)), (2, 3));
    assert!(fill(&mut one, &good()).is_empty());
    vm_ends(&mut one, first);
    assert_eq!(fill(&mut two, &good()).len(), 1);
    close(&mut two, &others);
    assert_eq!(fill(&mut one, &good()).len(), 2);
    // Others are not touched by it.
    assert_eq!(fill(&mut one, &get("/limited/x")).len(), 2);
    assert_eq!(fill(&mut two, &get("/limited/x").from("198.51.100.8:1")).len(), 2);
    assert!(fill(&mut two, &get("/limited/x").from("198.51.100.7:2")).is_empty());
}

fn vm_ends(vm: &mut Vm, stream: u32) {
    vm.respond(stream, &[(":status", "200")]);
    vm.close(stream);
}

#[test]
fn a_refusal_says_when_and_counts_as_one() {
    let (process, [mut vm]) = workers(&policy());
    assert_eq!(fill(&mut vm, &good()).len(), 3);
    let outcome = vm.request(&good());
    let reply = outcome.reply().expect("a reply");
    assert_eq!(reply.status, 429);
    assert_eq!(line(&reply.headers, "retry-after"), [b"1"]);
    assert_eq!(line(&reply.headers, "ratelimit"), [br#""flights";r=0"#], "nothing refills");
    let audit: Value = serde_json::from_slice(&outcome.audit.expect("a record")).expect("JSON");
    assert_eq!(audit["limits"], json!([{"name": "flights", "in_flight": 3, "most": 3}]));
    assert_eq!(
        (&audit["reason"], &audit["rule"]),
        (&json!("concurrency_limited"), &json!("flights"))
    );
    let refused = "portcullis.limit_refusals.gateway=.=external;.;limit=.=flights;.;";
    vm.tick(vm.root());
    assert_eq!(process.metric(refused), 2);
}

#[test]
fn every_end_of_a_request_gives_its_place_up() {
    let (process, [mut vm]) = workers(&policy());
    let ends: [End; 4] = [
        ("the client resets before the response", |vm, stream| vm.close(stream)),
        ("the response ends, or the client resets in its middle", vm_ends),
        ("another filter answers", |vm, stream| {
            vm.respond(stream, &[(":status", "503")]);
            vm.close(stream);
        }),
        ("trailers that cannot be stripped", |vm, stream| {
            vm.meddle("proxy_get_header_map_pairs", 0, 1, Meddle::Answer(10));
            assert!(!vm.trailers(stream, &[]).0);
            // Not only when Envoy has sent the answer.
            let more = fill(vm, &good());
            assert_eq!(more.len(), 1);
            close(vm, &more);
            vm.close(stream);
        }),
    ];
    for (name, end) in ends {
        let mut streams = fill(&mut vm, &good());
        assert_eq!(streams.len(), 3, "{name}");
        let last = streams.pop().expect("one of three");
        end(&mut vm, last);
        close(&mut vm, &streams);
        assert_eq!(published(&process), 0, "{name}");
    }
    assert_eq!(vm.trap(), None);
}

#[test]
fn what_is_not_forwarded_is_not_in_flight() {
    let mut policy = policy();
    policy["limits"]["rate"] = json!({"key": ["consumer"], "rate": "1/h", "burst": 4});
    policy["consumers"][0]["limits"] = json!(["flights", "rate"]);
    let (process, [mut vm]) = workers(&policy);
    // An edit that fails.
    vm.meddle("proxy_add_header_map_value", 0, 1, Meddle::Answer(10));
    assert_eq!(details(&begin(&mut vm, &good()).expect_err("a failure")), "host_failure");
    assert_eq!(published(&process), 0);
    // A race lost behind it: the swap of the bucket, after that of the set.
    vm.meddle(SET, 1, 16, Meddle::Answer(8));
    assert_eq!(details(&begin(&mut vm, &good()).expect_err("a refusal")), "rate_limited");
    assert_eq!(published(&process), 0);
    vm.behave();
    // An empty bucket: nobody asks what is in flight.
    let streams: Vec<_> = (0..3).map(|_| begin(&mut vm, &good()).expect("a token")).collect();
    close(&mut vm, &streams);
    let outcome = begin(&mut vm, &good()).expect_err("no token");
    assert_eq!(details(&outcome), "rate_limited");
    assert!(!outcome.calls.contains(&"clock_time_get"), "{:?}", outcome.calls);
    assert_eq!(published(&process), 0);
}

#[test]
fn the_second_of_two_such_limits_takes_the_first_one_back() {
    let mut policy = policy();
    policy["limits"]["narrow"] = json!({"key": ["route"], "concurrent": 1});
    policy["routes"][2]["limits"] = json!(["narrow"]);
    policy["consumers"][0]["limits"] = json!(["flights"]);
    let (process, [mut vm]) = workers(&policy);
    assert_eq!(fill(&mut vm, &good()).len(), 1);
    assert_eq!(published(&process), 2);
}

#[test]
fn observing_counts_and_lets_pass() {
    let mut policy = policy();
    policy["mode"] = json!("observe");
    let (process, [mut vm]) = workers(&policy);
    let streams = fill(&mut vm, &good());
    assert_eq!(streams.len(), 9);
    assert_eq!(published(&process), 3, "what it would have let in");
    close(&mut vm, &streams);
    assert_eq!(published(&process), 0);

    let mut policy = self::policy();
    policy["limits"]["flights"]["mode"] = json!("observe");
    let (process, [mut vm]) = workers(&policy);
    let streams = fill(&mut vm, &good());
    assert_eq!((streams.len(), published(&process)), (9, 3));
    let root = vm.root();
    let stream = vm.open(root);
    let outcome = vm.run(stream, &good());
    let audit: Value = serde_json::from_slice(&outcome.audit.expect("a record")).expect("JSON");
    let limits = json!([{"name": "flights", "in_flight": 3, "most": 3, "mode": "observe"}]);
    assert_eq!((&audit["limits"], &audit["outcome"]), (&limits, &json!("allowed")));
}

#[test]
fn a_trap_voids_what_its_vm_had_in_flight() {
    let (process, [mut one, mut two]) = workers(&policy());
    let kept = begin(&mut two, &good()).expect("the first");
    assert_eq!(fill(&mut one, &good()).len(), 2);
    // Envoy says nothing to a VM that is dead, and starts another one.
    drop(one);
    let mut successor = worker(&process, &policy());
    for _ in 0..3 {
        assert!(fill(&mut successor, &good()).is_empty(), "it might still be alive");
        process.advance(SECOND);
        two.tick(two.root());
    }
    process.advance(SECOND / 10);
    assert_eq!(fill(&mut successor, &good()).len(), 2, "one is alive");
    vm_ends(&mut two, kept);
    assert_eq!(fill(&mut two, &good()).len(), 1);
    assert_eq!(published(&process), 3, "what was void is gone");
}

#[test]
fn a_worker_that_stood_still_counts_again() {
    let (process, [mut one, mut two]) = workers(&policy());
    assert_eq!(one.tick_period(one.root()), Some(1_000));
    let slow = fill(&mut one, &good());
    // Its timer runs every second while it has requests in flight, and only then.
    for _ in 0..5 {
        process.advance(SECOND);
        one.tick(one.root());
        assert_eq!(one.tick_period(one.root()), Some(1_000));
        assert!(fill(&mut two, &good()).is_empty());
    }
    process.advance(4 * SECOND);
    let others = fill(&mut two, &good());
    assert_eq!(others.len(), 3, "it was not heard of for three seconds");
    one.tick(one.root());
    assert_eq!(published(&process), 6);
    close(&mut two, &others);
    assert!(fill(&mut two, &good()).is_empty(), "it is heard of again");
    close(&mut one, &slow);
    assert_eq!(fill(&mut two, &good()).len(), 3);
    one.tick(one.root());
    assert_eq!(one.tick_period(one.root()), Some(60_000));
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let (process, [mut one, mut two]) = workers(&policy());
    let limited = get("/limited/x");
    let streams = fill(&mut one, &limited);
    for now in [NOW - 3_600 * SECOND, NOW + 366 * 86_400 * SECOND, 0, NOW] {
        process.set_now(now);
        assert!(fill(&mut two, &limited).is_empty(), "{now}");
    }
    close(&mut one, &streams);
    assert_eq!(fill(&mut two, &limited).len(), 2);
}

#[test]
fn a_place_that_cannot_be_given_up_now_is_on_the_timer() {
    // row L05
    let (process, [mut vm]) = workers(&policy());
    for status in [8, 10] {
        let streams = fill(&mut vm, &good());
        assert_eq!(streams.len(), 3, "{status}");
        vm.meddle(SET, 0, usize::MAX, Meddle::Answer(status));
        close(&mut vm, &streams);
        assert_eq!(published(&process), 3);
        vm.tick(vm.root());
        vm.behave();
        process.advance(SECOND);
        vm.tick(vm.root());
        assert_eq!(published(&process), 0, "{status}");
    }
    assert_eq!(vm.tick_period(vm.root()), Some(60_000));
}

#[test]
fn an_entry_that_cannot_be_told_is_refused() {
    // rows L05, W18
    let (process, [mut vm]) = workers(&policy());
    vm.meddle(SET, 0, usize::MAX, Meddle::Answer(8));
    let outcome = begin(&mut vm, &good()).expect_err("every race is lost");
    assert_eq!(details(&outcome), "concurrency_limited");
    let swaps = outcome.calls.iter().filter(|call| **call == SET).count();
    assert!((2..=32).contains(&swaps), "{swaps}");
    assert_eq!(event(&process, "contended", "flights"), 1);
    for (call, skip) in [(SET, 0), (SET, 1), ("proxy_get_shared_data", 1), ("clock_time_get", 0)] {
        vm.behave();
        vm.meddle(call, skip, 1, Meddle::Answer(10));
        process.advance(SECOND);
        let outcome = begin(&mut vm, &good()).expect_err("the host fails");
        assert_eq!(details(&outcome), "host_failure", "{call} {skip}");
    }
    vm.behave();
    assert_eq!(fill(&mut vm, &good()).len(), 3);
    assert_eq!(vm.trap(), None);
}

#[test]
fn junk_is_emptied_and_counted() {
    // rows W10, L08
    let (process, [mut one, mut two]) = workers(&policy());
    let streams = fill(&mut one, &good());
    let is_used = |key: &Vec<u8>| process.shared(key).is_some_and(|(value, _)| !value.is_empty());
    let mut keys = process.keys().into_iter().filter(|key| key.starts_with(b"pf1/s"));
    let set = keys.find(is_used).expect("a set in use");
    let mut resets = 0;
    for junk in [&[1][..], &[0xff; 15], &[0; 16], &vec![0xff; 1 << 20]] {
        process.set_shared(&set, junk, 0);
        // What others had told is lost; what a VM has itself it knows.
        assert!(fill(&mut one, &good()).is_empty());
        resets += 1;
        assert_eq!(event(&process, "reset", "flights"), resets);
        let others = fill(&mut two, &good());
        assert_eq!(others.len(), 3);
        close(&mut two, &others);
        resets = event(&process, "reset", "flights");
        process.set_shared(b"pf1/r\0\0", junk, 0);
        process.advance(SECOND);
        one.tick(one.root());
        assert!(fill(&mut two, &good()).is_empty(), "and tells it again");
    }
    // Bytes that could be records are those of nobody who is heard of.
    process.set_shared(&set, &[0xff; 64], 0);
    process.set_shared(b"pf1/r\0\0", &[0xff; 64], 0);
    close(&mut one, &streams);
    process.advance(SECOND);
    assert_eq!(fill(&mut two, &good()).len(), 3);
    assert_eq!((one.trap(), two.trap()), (None, None));
}

#[test]
fn a_crowded_set_is_tighter_and_never_looser() {
    // row W09
    let (process, [mut one, mut two]) = workers(&policy());
    let keys = || process.keys().into_iter().filter(|key| key.starts_with(b"pf1/s"));
    let made = keys().count();
    // Somebody who is heard of has one request each of 512 keys in every set.
    let crowd = |vm: &[u8]| {
        let record = |tag: u16| [&[0, 7][..], &tag.to_le_bytes(), &[9; 4], &[1, 0], vm].concat();
        let records: Vec<u8> = (0..512).flat_map(record).collect();
        assert!(keys().all(|key| process.set_shared(&key, &records, 0)));
    };
    let streams = fill(&mut one, &good());
    let (roster, _) = process.shared(b"pf1/r\0\0").expect("a roster");
    close(&mut one, &streams);
    crowd(&roster[..6]);
    let from = |host: u8| get("/limited/x").from(format!("192.0.2.{host}:1"));
    let streams: Vec<_> = (0..50).flat_map(|host| fill(&mut two, &from(host))).collect();
    assert!((50..=100).contains(&streams.len()), "{}", streams.len());
    assert_eq!(event(&process, "overflow", "of-address"), streams.len() as u64);
    // Nobody has more than two, wherever they are counted.
    assert!((0..50).all(|host| fill(&mut one, &from(host)).is_empty()));
    close(&mut two, &streams);
    assert_eq!(fill(&mut one, &from(1)).len(), 2);
    assert_eq!(keys().count(), made, "a request makes no key");
}

#[test]
fn values_are_made_once_and_only_where_they_are_needed() {
    let count =
        |process: &Process| process.keys().iter().filter(|key| key.starts_with(b"pf1/")).count();
    let (process, mut vm) = crate::vm();
    assert_eq!(count(&process), 0);
    vm.request(&good());
    assert_eq!(count(&process), 0);
    assert!(vm.configure(policy().to_string()).accepted);
    let made = count(&process);
    assert_eq!(made, 4_096 + 2_048 + 2);
    for number in 0..200_u8 {
        vm.request(&get("/limited/x").from(format!("10.0.0.{number}:1")));
        vm.request(&good());
    }
    drop(worker(&process, &policy()));
    assert_eq!(count(&process), made);
}

#[test]
fn a_reload_keeps_what_is_in_flight() {
    let (_, [mut vm]) = workers(&policy());
    let streams = fill(&mut vm, &good());
    let mut wider = policy();
    wider["limits"]["flights"]["concurrent"] = json!(5);
    assert!(vm.configure(wider.to_string()).accepted);
    assert_eq!(fill(&mut vm, &good()).len(), 2);
    let mut narrower = policy();
    narrower["limits"]["flights"]["concurrent"] = json!(1);
    assert!(vm.configure(narrower.to_string()).accepted);
    assert!(fill(&mut vm, &good()).is_empty());
    close(&mut vm, &streams);
    assert!(fill(&mut vm, &good()).is_empty(), "two are left");
}
