//! Limits of a fleet: the rate limit service is asked, remembered, and done without.

#[path = "fleet/failures.rs"]
mod failures;
#[path = "fleet/leases.rs"]
mod leases;
#[path = "fleet/service.rs"]
mod service;
#[path = "fleet/waiting.rs"]
mod waiting;

use portcullis_tests::fake_host::Answer;
use serde_json::json;

use service::{Asked, Rig, about, answer, configured, ok, over, policy, told, verdict};

#[test]
fn the_service_is_asked_as_the_protocol_says() {
    let mut rig = Rig::new(&json!({"domain": "shop", "timeout": "75ms"}));
    let (stream, waits) = rig.open("/single/1");
    let call = waits.expect_err("a question");
    assert_eq!(call.method, "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");
    assert_eq!((&*call.cluster, call.timeout), ("ratelimit", 75));
    assert_eq!(Asked::read(&call), Asked { domain: "shop".into(), ..about("single", 1) });
    assert_eq!(rig.metric("fleet_waiting", ""), 1);
    rig.vm.grpc_answer(&call, ok(42, 17));
    let outcome = rig.end(stream);
    assert_eq!(verdict(&outcome), (200, "", "service".into()));
    assert_eq!(told(&outcome, "ratelimit"), "\"single\";r=42;t=17");
    assert_eq!((rig.metric("fleet_waiting", ""), rig.calls("ok")), (0, 1));
}

#[test]
fn every_part_of_a_key_is_an_entry_in_a_fixed_order() {
    let mut policy = policy(&json!({}));
    policy["limits"]["single"]["key"] = json!(["route", "address", "credential", "consumer"]);
    policy["routes"][0]["access"] = json!("public");
    policy["routes"][0].as_object_mut().expect("a route").remove("credentials");
    let mut rig = Rig::with(&policy);
    let entries = |request| {
        let mut rig = Rig::with(&policy);
        let (_, waits) = rig.begin(&request);
        let entries = Asked::read(&waits.expect_err("a question")).entries;
        entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    };
    let public = crate::get("/single/1");
    assert_eq!(
        entries(public.clone().with("x-api-key", crate::KEY).from("[2001:db8::1:2]:1")),
        "limit=single consumer=mobile credential=m route=single address=2001:db8::"
    );
    // Nobody is somebody of his own, and no name begins with a dash.
    assert_eq!(
        entries(public),
        "limit=single consumer=- credential=- route=single address=198.51.100.7"
    );
    rig.vm.close(rig.root);
}

#[test]
fn what_the_process_refuses_waits_for_the_fleet() {
    let mut rig = Rig::new(&json!({}));
    for left in (0..4).rev() {
        assert_eq!(verdict(&rig.asks("/narrow/1", 1, &ok(left, 40))).0, 200);
    }
    // The next token of this process is there in 15 s, and nothing of the fleet's before 40.
    let outcome = rig.local("/narrow/1");
    assert_eq!(verdict(&outcome), (429, "rate_limited", "-".into()));
    assert_eq!(
        (told(&outcome, "retry-after"), told(&outcome, "ratelimit")),
        ("40".into(), "\"narrow\";r=0;t=40".into())
    );
    // A service that only looks on admits what it has counted as too much: it is asked as ever.
    rig.advance(15_000);
    assert_eq!(verdict(&rig.asks("/narrow/1", 1, &ok(0, 25))), (200, "", "service".into()));
    // Never longer than an empty bucket takes to fill, whatever the service says.
    let mut rig = Rig::new(&json!({}));
    for left in (0..4).rev() {
        rig.asks("/narrow/1", 1, &ok(left, 120));
    }
    assert_eq!(told(&rig.local("/narrow/1"), "retry-after"), "60");
    // Where the service has some left, the process decides.
    let mut rig = Rig::new(&json!({}));
    for _ in 0..4 {
        rig.asks("/narrow/1", 1, &ok(9, 40));
    }
    assert_eq!(told(&rig.local("/narrow/1"), "retry-after"), "15");
}

#[test]
fn a_refusal_is_told_and_remembered() {
    let mut rig = Rig::new(&json!({}));
    let outcome = rig.asks("/single/1", 1, &over(17));
    assert_eq!(verdict(&outcome), (429, "rate_limited", "service".into()));
    assert_eq!(
        (told(&outcome, "retry-after"), told(&outcome, "ratelimit")),
        ("17".into(), "\"single\";r=0;t=17".into())
    );
    for (millis, left) in [(0, "17"), (5_000, "12"), (11_999, "1")] {
        rig.advance(millis);
        let outcome = rig.local("/single/1");
        assert_eq!(verdict(&outcome), (429, "rate_limited", "remembered".into()));
        assert_eq!(told(&outcome, "retry-after"), left);
    }
    rig.advance(1);
    assert_eq!(verdict(&rig.asks("/single/1", 1, &ok(9, 9))).0, 200);
    assert_eq!((rig.calls("ok"), rig.calls("over_limit")), (1, 1));
    rig.vm.tick(rig.root);
    assert_eq!(rig.metric("limit_refusals", "limit=.=single;.;"), 4);
}

#[test]
fn services_that_tell_no_figures_do() {
    let mut rig = Rig::new(&json!({}));
    let outcome = rig.asks("/single/1", 1, &answer(1, None));
    assert_eq!(verdict(&outcome), (200, "", "service".into()));
    // What this process knows.
    assert_eq!(told(&outcome, "ratelimit"), "\"single\";r=99;t=1");
    let outcome = rig.asks("/single/1", 1, &answer(2, None));
    assert_eq!((verdict(&outcome).0, told(&outcome, "retry-after")), (429, "1".into()));
    rig.advance(999);
    assert_eq!(verdict(&rig.local("/single/1")).2, "remembered");
    rig.advance(1);
    assert_eq!(verdict(&rig.asks("/single/1", 1, &answer(1, None))).0, 200);
}

#[test]
fn what_this_process_refuses_is_not_asked() {
    let mut rig = Rig::new(&json!({}));
    for _ in 0..4 {
        assert_eq!(verdict(&rig.asks("/narrow/1", 1, &ok(99, 1))).0, 200);
    }
    for _ in 0..3 {
        assert_eq!(verdict(&rig.local("/narrow/1")), (429, "rate_limited", "-".into()));
    }
    assert_eq!(rig.calls("ok"), 4);
}

#[test]
fn two_limits_are_asked_about_one_after_the_other_in_one_time() {
    let mut rig = Rig::new(&json!({}));
    rig.asks("/leased/1", 1, &ok(61, 51));
    let (stream, waits) = rig.open("/both/1");
    let first = waits.expect_err("a question");
    assert_eq!((Asked::read(&first), first.timeout), (about("single", 1), 20));
    rig.advance(15);
    rig.vm.grpc_answer(&first, ok(5, 5));
    let second = rig.call();
    assert_eq!((Asked::read(&second), second.timeout), (about("leased", 10), 5));
    rig.vm.grpc_answer(&second, ok(50, 50));
    let outcome = rig.end(stream);
    assert_eq!(told(&outcome, "ratelimit"), "\"single\";r=5;t=5, \"leased\";r=59;t=50");
    // Each was taken once from this process's buckets, however often the walk began anew.
    rig.advance(2_000);
    let (stream, waits) = rig.open("/both/1");
    rig.vm.grpc_answer(&waits.expect_err("a question"), answer(1, None));
    let second = rig.call();
    rig.vm.grpc_answer(&second, answer(1, None));
    assert_eq!(told(&rig.end(stream), "ratelimit"), "\"single\";r=99;t=1, \"leased\";r=99;t=1");
    // The first refuses: the second is not asked, and what is leased of it is not spent.
    rig.advance(2_000);
    assert_eq!(verdict(&rig.asks("/both/1", 1, &over(60))).0, 429);
    assert_eq!(verdict(&rig.local("/both/1")), (429, "rate_limited", "remembered".into()));
}

#[test]
fn a_limit_that_looks_on_is_asked_and_refuses_nobody() {
    let mut rig = Rig::new(&json!({"on_error": "deny"}));
    let outcome = rig.asks("/looks/1", 1, &over(17));
    assert_eq!(verdict(&outcome), (200, "", "service".into()));
    assert_eq!(told(&outcome, "ratelimit"), "");
    assert_eq!(verdict(&rig.local("/looks/1")), (200, "", "remembered".into()));
    rig.advance(17_000);
    assert_eq!(verdict(&rig.fails("/looks/1")), (200, "", "nobody".into()));
}

#[test]
fn a_cost_is_so_many_hits() {
    let mut policy = policy(&json!({}));
    policy["routes"][0]["cost"] = json!(3);
    policy["routes"][1]["cost"] = json!(3);
    let mut rig = Rig::with(&policy);
    assert_eq!(verdict(&rig.asks("/single/1", 3, &ok(9, 9))).0, 200);
    assert_eq!(verdict(&rig.asks("/leased/1", 3, &ok(9, 9))).0, 200);
    assert_eq!(verdict(&rig.asks("/leased/1", 10, &ok(9, 9))).0, 200);
    for lease in [2, 2] {
        for _ in 0..lease {
            assert_eq!(verdict(&rig.local("/leased/1")).2, "lease");
        }
        assert_eq!(verdict(&rig.asks("/leased/1", 10, &ok(9, 9))).0, 200);
    }
}

#[test]
fn what_is_known_outlives_a_reload_but_not_another_number() {
    let mut rig = Rig::new(&json!({}));
    rig.asks("/single/1", 1, &over(30));
    let mut same = policy(&json!({"on_error": "deny"}));
    rig.root = configured(&mut rig.vm, &same).root;
    assert_eq!(verdict(&rig.local("/single/1")).2, "remembered");
    same["limits"]["single"]["rate"] = json!("200/m");
    rig.root = configured(&mut rig.vm, &same).root;
    rig.asks("/single/1", 1, &ok(9, 9));
    same["limits"]["single"]["rate"] = json!("100/m");
    same["fleet"]["domain"] = json!("other");
    rig.root = configured(&mut rig.vm, &same).root;
    rig.asks("/single/1", 1, &ok(9, 9));
}

#[test]
fn nothing_is_asked_where_nothing_is_a_fleets() {
    let mut rig = Rig::new(&json!({}));
    let mut plain = policy(&json!({}));
    for limit in plain["limits"].as_object_mut().expect("limits").values_mut() {
        let limit = limit.as_object_mut().expect("a limit");
        limit.remove("scope");
        limit.remove("lease");
    }
    rig.root = configured(&mut rig.vm, &plain).root;
    let outcome = rig.local("/both/1");
    assert!(matches!(outcome.answer, Answer::Forwarded { .. }), "{outcome:?}");
    assert_eq!(verdict(&outcome).2, "-");
}

#[test]
fn a_refusal_that_is_remembered_spends_nothing() {
    // row L17
    let mut policy = policy(&json!({}));
    policy["limits"]["shared"] = json!({"key": ["route"], "rate": "1/h", "burst": 3});
    policy["limits"]["by-address"] = json!({"key": ["address"], "rate": "100/m", "scope": "fleet"});
    policy["routes"][0]["limits"] = json!(["shared", "single"]);
    policy["routes"][1]["limits"] = json!(["shared", "by-address"]);
    let mut rig = Rig::with(&policy);
    let (stream, waits) = rig.open("/single/1");
    rig.vm.grpc_answer(&waits.expect_err("a question"), over(60));
    assert_eq!(rig.end(stream).status(), 429);
    for _ in 0..5 {
        let outcome = rig.local("/single/1");
        assert_eq!(verdict(&outcome), (429, "rate_limited", "remembered".into()));
        assert_eq!(told(&outcome, "retry-after"), "60");
    }
    rig.advance(60_000);
    let (stream, waits) = rig.open("/single/1");
    rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
    let told_of_it = told(&rig.end(stream), "ratelimit");
    assert!(told_of_it.starts_with(r#""shared";r=1;"#), "{told_of_it}");
    // A limit by address is looked at before the credential here, and remembered after it.
    let (stream, waits) = rig.open("/leased/1");
    rig.vm.grpc_answer(&waits.expect_err("a question"), over(60));
    assert_eq!(rig.end(stream).status(), 429);
    for _ in 0..5 {
        assert_eq!(verdict(&rig.local("/leased/1")).1, "rate_limited");
    }
}
