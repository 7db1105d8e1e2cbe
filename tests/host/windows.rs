//! Windows, quotas, costs and limits that look on, as several workers of one process have them.

use portcullis_tests::fake_host::{Meddle, Outcome, Vm};
use serde_json::{Value, json};

use crate::leases::{allowed, ask, looks, told, workers};
use crate::{NOW, SECOND, details};

/// The end of the month that [`NOW`] is in.
const FEBRUARY: u64 = NOW + 1_440_000 * SECOND;

/// One limit by address, on the route that is asked, and by one consumer.
fn policy(limit: &Value) -> Value {
    let mut policy = crate::policy();
    policy["limits"]["per-address"] = limit.clone();
    policy
}

fn quota(text: &str) -> Value {
    policy(&json!({"key": ["address"], "quota": text}))
}

/// Requests by turns to all workers, and how many of them were admitted.
fn by_turns(vms: &mut [Vm], times: usize) -> usize {
    (0..times).map(|_| vms.iter_mut().map(|vm| allowed(vm, 1)).sum::<usize>()).sum()
}

#[test]
fn a_quota_is_exact_among_workers() {
    let (process, mut vms) = workers::<3>(&quota("1000/month"));
    assert_eq!(by_turns(&mut vms, 300), 900);
    // Nothing lies in a lease: any one worker gets all that is left.
    assert_eq!(allowed(&mut vms[1], 200), 100);
    assert_eq!(by_turns(&mut vms, 10), 0);
    assert_eq!(looks(&ask(&mut vms[0])), 1);
    process.set_now(FEBRUARY - 1);
    assert_eq!(by_turns(&mut vms, 10), 0);
    process.set_now(FEBRUARY);
    assert_eq!(told(&ask(&mut vms[2])), r#""per-address";r=999;t=2419200"#);
    assert_eq!(by_turns(&mut vms, 400), 999);
}

#[test]
fn a_window_that_ends_takes_its_leases_with_it() {
    let limit = json!({"key": ["address"], "windows": [{"rate": "100/s", "burst": 1000}, {"quota": "500/month"}]});
    let (process, mut vms) = workers::<2>(&policy(&limit));
    process.set_now(FEBRUARY - SECOND / 2);
    assert_eq!(by_turns(&mut vms, 150), 300);
    process.set_now(FEBRUARY);
    // The bucket goes on where it was, the quota is whole.
    let said = told(&ask(&mut vms[0]));
    assert!(said.starts_with(r#""per-address;100/s";r=7"#), "{said}");
    assert!(said.ends_with(r#""per-address;500/month";r=499;t=2419200"#), "{said}");
    // 200 are used before the second worker hears of it again.
    assert_eq!(allowed(&mut vms[0], 199), 199);
    let said = told(&ask(&mut vms[1]));
    assert!(said.ends_with(r#""per-address;500/month";r=299;t=2419200"#), "{said}");
}

#[test]
fn windows_that_fill_alike_share_no_lease() {
    // 100 ms a token and 200 at once, both of them.
    let windows = json!([{"rate": "600/m", "burst": 200}, {"rate": "36000/h", "burst": 200}]);
    let limit = json!({"key": ["address"], "windows": windows});
    let (_, [mut vm]) = workers(&policy(&limit));
    for left in (0..200_u64).rev() {
        let t = (200 - left).div_ceil(10);
        let both =
            format!(r#""per-address;600/m";r={left};t={t}, "per-address;36000/h";r={left};t={t}"#);
        assert_eq!(told(&ask(&mut vm)), both);
    }
    assert_eq!(details(&ask(&mut vm)), "rate_limited");
}

#[test]
fn a_cost_is_spent_from_leases_whole() {
    let mut dear = policy(&json!({"key": ["address"], "rate": "10/s", "burst": 1000}));
    dear["routes"][1]["cost"] = json!(7);
    let (_, [mut one, mut other]) = workers(&dear);
    let mut asked = 0;
    for request in 1..=140 {
        let outcome = ask(&mut one);
        assert!(told(&outcome).starts_with(&format!(r#""per-address";r={};"#, 1000 - 7 * request)));
        asked += looks(&outcome);
    }
    assert!(asked < 80, "{asked} looks for 140 requests");
    // 20 are left, none of them in a lease: two requests.
    assert_eq!(allowed(&mut other, 5), 2);
    let outcome = ask(&mut one);
    assert_eq!(
        (details(&outcome), told(&outcome)),
        ("rate_limited", r#""per-address";r=6;t=1"#.to_owned())
    );
}

#[test]
fn a_reload_keeps_what_was_used_of_a_quota() {
    let (process, [mut vm]) = workers(&quota("100/year"));
    assert_eq!(allowed(&mut vm, 60), 60);
    let root = vm.root();
    let mut other = quota("100/year");
    other["realm"] = json!("another");
    assert!(vm.reconfigure(root, other.to_string()).accepted);
    assert_eq!(allowed(&mut vm, 60), 40);
    // More of it, with more in it.
    assert!(vm.reconfigure(root, quota("110/year").to_string()).accepted);
    assert_eq!(allowed(&mut vm, 60), 10);
    // Another process begins anew: nothing of it is kept anywhere else.
    drop(process);
    let (_, [mut vm]) = workers(&quota("100/year"));
    assert_eq!(allowed(&mut vm, 200), 100);
}

#[test]
fn a_limit_that_looks_on_is_counted_and_fails_nobody() {
    let quiet = |key: &str| json!({"key": [key], "rate": "1/s", "burst": 2, "mode": "observe"});
    let (process, [mut vm]) = workers(&policy(&quiet("address")));
    let is_free = |outcome: &Outcome| outcome.forwarded().is_some();
    assert!((0..5).all(|_| is_free(&ask(&mut vm))));
    let name = "portcullis.observed_limit_refusals.gateway=.=external;.;limit=.=per-address;.;";
    vm.tick(vm.root());
    assert_eq!(process.metric(name), 3);
    assert!(!process.metrics().keys().any(|name| name.contains("portcullis.limit_refusals")));
    // Its bucket out of reach is no reason to refuse either, while that of another limit is.
    vm.meddle("proxy_get_shared_data", 0, 1, Meddle::Answer(10));
    assert!(is_free(&ask(&mut vm)));
    let (_, [mut vm]) = workers(&policy(&json!({"key": ["address"], "rate": "1/s", "burst": 2})));
    vm.meddle("proxy_get_shared_data", 0, 1, Meddle::Answer(10));
    assert_eq!(details(&ask(&mut vm)), "host_failure");
}
