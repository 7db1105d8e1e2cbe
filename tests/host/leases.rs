//! Leases: tokens that a worker takes ahead, as its callers and the other workers see them.

use portcullis_tests::fake_host::{Answer, Meddle, Outcome, Process, Request, Vm};
use serde_json::{Value, json};

use crate::{NOW, SECOND, details, get, line};

const SHARED: &str = "proxy_get_shared_data";

/// Longer than a lease answers.
const AWAY: u64 = 5 * SECOND + 1;

/// More callers by address than there are places for leases.
const CROWD: u32 = 6_000;

/// A limit by address and one by consumer, 10 a second each.
fn policy(burst: u64) -> Value {
    let mut policy = crate::policy();
    policy["limits"] = json!({
        "per-consumer": {"key": ["consumer"], "rate": "10/s", "burst": burst},
        "per-address": {"key": ["address"], "rate": "10/s", "burst": burst},
    });
    policy
}

pub(crate) fn workers<const N: usize>(policy: &Value) -> (Process, [Vm; N]) {
    let process = Process::at(NOW);
    let vms = std::array::from_fn(|_| {
        let mut vm = Vm::new(&process);
        assert!(vm.configure(policy.to_string()).accepted);
        vm
    });
    (process, vms)
}

pub(crate) fn ask(vm: &mut Vm) -> Outcome {
    vm.request(&get("/limited/x"))
}

pub(crate) fn allowed(vm: &mut Vm, times: usize) -> usize {
    (0..times).filter(|_| ask(vm).status() == 200).count()
}

pub(crate) fn looks(outcome: &Outcome) -> usize {
    outcome.calls.iter().filter(|call| **call == SHARED).count()
}

/// The `RateLimit` line of an answer.
pub(crate) fn told(outcome: &Outcome) -> String {
    let lines = match &outcome.answer {
        Answer::Forwarded { response, .. } => response,
        Answer::Replied(reply) => &reply.headers,
        other => panic!("{other:?}"),
    };
    String::from_utf8_lossy(line(lines, "ratelimit")[0]).into_owned()
}

#[test]
fn one_worker_counts_down_one_by_one() {
    let (process, [mut vm]) = workers(&policy(200));
    let mut total = 0;
    for left in (0..200_u64).rev() {
        let outcome = ask(&mut vm);
        let full_in = (200 - left).div_ceil(10);
        assert_eq!(told(&outcome), format!(r#""per-address";r={left};t={full_in}"#));
        total += looks(&outcome);
    }
    assert!(total <= 80, "{total} looks for 200 requests");
    assert_eq!(details(&ask(&mut vm)), "rate_limited");
    // A token comes back when it should, and an old lease tells the truth.
    process.advance(SECOND / 10);
    assert_eq!(allowed(&mut vm, 2), 1);
    process.advance(15 * SECOND);
    assert_eq!(told(&ask(&mut vm)), r#""per-address";r=149;t=6"#);
    assert_eq!(told(&ask(&mut vm)), r#""per-address";r=148;t=6"#);
    process.advance(AWAY);
    assert_eq!(told(&ask(&mut vm)), r#""per-address";r=197;t=1"#);
    process.set_now(NOW);
    assert_eq!(allowed(&mut vm, 1), 0, "the clock was set back to the empty bucket");
}

#[test]
fn small_buckets_and_rare_callers_are_not_leased() {
    let (_, [mut vm]) = workers(&policy(32));
    assert!((0..32).all(|_| looks(&ask(&mut vm)) == 1));
    let (process, [mut vm]) = workers(&policy(1_000));
    for _ in 0..20 {
        assert_eq!(looks(&ask(&mut vm)), 1);
        process.advance(AWAY);
    }
}

#[test]
fn many_callers_have_a_lease_each() {
    let (process, [mut vm]) = workers(&policy(10_000));
    let mut round = || {
        process.advance(SECOND);
        (0..1_000_u32).map(|caller| looks(&vm.request(&from(caller)))).sum::<usize>()
    };
    assert_eq!((round(), round()), (1_000, 1_000));
    // Whoever shares his set with four others may have none.
    for _ in 0..4 {
        let asked = round();
        assert!(asked <= 30, "{asked} of 1,000");
    }
}

#[test]
fn workers_admit_no_more_and_hold_little_back() {
    let (process, mut vms) = workers::<3>(&policy(200));
    let mut total = 0;
    // The first two take leases and leave.
    for vm in &mut vms[..2] {
        total += allowed(vm, 2);
    }
    total += allowed(&mut vms[2], 300);
    assert!((188..=200).contains(&total), "{total}");
    // What they hold is theirs, and all that is missing.
    total += allowed(&mut vms[0], 10) + allowed(&mut vms[1], 10);
    assert_eq!(total, 200);
    // The bucket fills up behind a lease: that much more, once, and no more in the long run.
    process.advance(60 * SECOND);
    for vm in &mut vms {
        assert_eq!(allowed(vm, 2), 2);
    }
    process.advance(SECOND);
    let most: usize = vms.iter_mut().map(|vm| allowed(vm, 300)).sum();
    assert!((190..=200 + 3 * 6).contains(&most), "{most}");
    for second in 0..10 {
        process.advance(SECOND);
        let more: usize = vms.iter_mut().map(|vm| allowed(vm, 20)).sum();
        assert!(more <= 10, "{more} in second {second}");
    }
}

#[test]
fn a_lease_is_of_one_quota() {
    let (_, [mut vm]) = workers(&policy(200));
    allowed(&mut vm, 3);
    assert_eq!(looks(&ask(&mut vm)), 0);
    let old = vm.root();
    assert!(vm.configure(policy(100).to_string()).accepted);
    assert_eq!(looks(&ask(&mut vm)), 1);
    allowed(&mut vm, 1);
    assert_eq!(looks(&ask(&mut vm)), 0);
    // The same policy again is the same lease.
    assert!(vm.configure(policy(100).to_string()).accepted);
    assert_eq!(looks(&ask(&mut vm)), 0);
    // And the old one is where it was, as long as somebody is on the old listener.
    assert_eq!(looks(&vm.request_on(old, &get("/limited/x"))), 0);
}

#[test]
fn two_quotas_of_one_bucket_take_no_lease_from_each_other() {
    let (_, [mut vm]) = workers(&policy(2_000));
    let old = vm.root();
    assert!(vm.configure(policy(1_999).to_string()).accepted);
    let roots = [old, old, vm.root(), vm.root()];
    let mut ask = |root| vm.request_on(root, &get("/limited/x")).status() == 200;
    let admitted = roots.into_iter().cycle().take(3_000).take_while(|root| ask(*root)).count();
    // The last 63 and a half lie with the other.
    assert!((1_900..=2_000).contains(&admitted), "{admitted}");
}

#[test]
fn a_refusal_by_another_limit_spends_no_lease() {
    // row L17
    let mut policy = policy(200);
    policy["limits"]["narrow"] = json!({"key": ["consumer", "route"], "rate": "1/h", "burst": 4});
    policy["consumers"][0]["limits"] = json!(["per-consumer", "narrow"]);
    let (_, [mut vm]) = workers(&policy);
    let good = crate::good();
    for left in [199, 198, 197, 196] {
        let told = told(&vm.request(&good));
        assert!(told.contains(&format!(r#""per-consumer";r={left};"#)), "{told}");
    }
    for _ in 0..5 {
        let outcome = vm.request(&good);
        assert_eq!(details(&outcome), "rate_limited");
        assert!(told(&outcome).contains(r#""per-consumer";r=196;"#), "{}", told(&outcome));
    }
}

#[test]
fn what_may_have_been_written_is_not_spent_twice() {
    // row W18
    let (process, [mut vm]) = workers(&policy(200));
    assert_eq!(allowed(&mut vm, 3), 3);
    process.advance(AWAY);
    vm.meddle("proxy_set_shared_data", 0, 1, Meddle::Answer(10));
    assert_eq!(details(&ask(&mut vm)), "host_failure");
    // The bucket has filled up: what was left of the lease is gone, and nothing else.
    assert_eq!(told(&ask(&mut vm)), r#""per-address";r=199;t=1"#);
}

#[test]
fn a_flood_of_addresses_ends_no_lease_and_takes_no_memory() {
    // rows W09, L23
    let (process, [mut vm]) = workers(&policy(10_000));
    let good = crate::good();
    for _ in 0..3 {
        vm.request(&good);
    }
    assert_eq!(looks(&vm.request(&good)), 0);
    flood(&mut vm, 0);
    let (memory, keys) = (vm.memory(), process.keys().len());
    flood(&mut vm, CROWD);
    assert_eq!((vm.memory(), process.keys().len()), (memory, keys));
    assert_eq!(looks(&vm.request(&good)), 0);
    // Where every place is taken, the bucket is asked each time.
    let asked = (1..=50).map(|number| {
        let late = get("/limited/x").from(format!("192.0.2.{number}:1"));
        (0..6).map(|_| looks(&vm.request(&late))).sum::<usize>()
    });
    let asked: usize = asked.sum();
    assert!(asked > 250, "{asked} of 300");
}

/// Two requests from each of a crowd's addresses.
fn flood(vm: &mut Vm, begin: u32) {
    for caller in begin..begin + CROWD {
        let request = from(caller);
        assert_eq!((0..2).filter(|_| vm.request(&request).status() == 200).count(), 2);
    }
}

/// A request from one of many addresses.
fn from(caller: u32) -> Request {
    let [_, a, b, c] = caller.to_be_bytes();
    get("/limited/x").from(format!("10.{a}.{b}.{c}:1"))
}

#[test]
fn a_flood_costs_nobody_what_he_took_ahead() {
    // rows W09, L23
    let (process, [mut vm]) = workers(&policy(10_000));
    assert_eq!(allowed(&mut vm, 3), 3);
    process.advance(AWAY);
    flood(&mut vm, 0);
    flood(&mut vm, CROWD);
    // The bucket has refilled what was spent, and the rest of the lease came back.
    assert_eq!(told(&ask(&mut vm)), r#""per-address";r=9999;t=1"#);
}

#[test]
fn a_clock_that_was_years_ahead_locks_nobody_out() {
    let (process, [mut vm]) = workers(&policy(200));
    process.set_now(NOW + 2 * 366 * 86_400 * SECOND);
    assert_eq!(allowed(&mut vm, 3), 3);
    flood(&mut vm, 0);
    process.set_now(NOW);
    assert_eq!(told(&ask(&mut vm)), r#""per-address";r=199;t=1"#);
    // Nor out of a lease.
    let mut looks = |caller| (0..4).map(|_| looks(&vm.request(&from(caller)))).sum::<usize>();
    let asked: usize = (CROWD..CROWD + 100).map(&mut looks).sum();
    assert!(asked <= 220, "{asked} of 400");
}
