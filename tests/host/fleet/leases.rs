//! Leases: hits that are asked for ahead.

use serde_json::json;

use super::service::{Asked, Rig, about, answer, ok, over, policy, told, verdict};

/// A worker to which somebody has just come.
fn rig() -> Rig {
    let mut rig = Rig::new(&json!({}));
    rig.asks("/leased/1", 1, &ok(99, 30));
    rig
}

#[test]
fn nothing_is_asked_for_ahead_for_who_comes_seldom() {
    let mut rig = rig();
    for _ in 0..20 {
        rig.advance(1_001);
        rig.asks("/leased/1", 1, &ok(90, 30));
    }
    rig.advance(1_000);
    rig.asks("/leased/1", 10, &ok(80, 30));
}

#[test]
fn nothing_is_asked_for_ahead_where_nothing_is_remembered() {
    // rows W09, L23: nobody is made to lose hits by a flood of those who are remembered.
    let mut policy = policy(&json!({}));
    policy["limits"]["leased"]["key"] = json!(["address"]);
    let mut rig = Rig::with(&policy);
    let request = |caller: u32| {
        let [_, a, b, c] = caller.to_be_bytes();
        crate::get("/leased/1").with("x-api-key", crate::KEY).from(format!("10.{a}.{b}.{c}:1"))
    };
    let mut hits = |callers: std::ops::Range<u32>, times: usize| {
        let asked = callers.flat_map(|caller| (0..times).map(move |_| caller)).map(|caller| {
            let (stream, waits) = rig.begin(&request(caller));
            let Err(call) = waits else { return 0 };
            rig.vm.grpc_answer(&call, ok(50, 30));
            assert_eq!(verdict(&rig.end(stream)).0, 200);
            Asked::read(&call).hits
        });
        asked.sum::<u64>()
    };
    // Each has a lease with hits that are left.
    hits(0..6_000, 2);
    let asked = hits(6_000..6_100, 10);
    assert!((1_000..=1_500).contains(&asked), "{asked} hits for 1,000 requests");
}

#[test]
fn one_question_pays_for_many_requests() {
    let mut rig = rig();
    let outcome = rig.asks("/leased/1", 10, &ok(90, 30));
    assert_eq!(
        (verdict(&outcome).2, told(&outcome, "ratelimit")),
        ("service".into(), "\"leased\";r=99;t=30".into())
    );
    for left in (90..99).rev() {
        let outcome = rig.local("/leased/1");
        assert_eq!(verdict(&outcome), (200, "", "lease".into()));
        assert_eq!(told(&outcome, "ratelimit"), format!("\"leased\";r={left};t=30"));
    }
    rig.asks("/leased/1", 10, &ok(80, 29));
    assert_eq!(rig.calls("ok"), 3);
}

#[test]
fn a_lease_ends_after_a_second_and_with_its_window() {
    for (message, life) in [(ok(90, 30), 1_000), (answer(1, None), 1_000)] {
        let mut rig = rig();
        rig.asks("/leased/1", 10, &message);
        rig.advance(life - 1);
        assert_eq!(verdict(&rig.local("/leased/1")).2, "lease");
        rig.advance(1);
        rig.asks("/leased/1", 10, &message);
    }
    // The window is over: nothing of the lease is left.
    let mut rig = rig();
    rig.asks("/leased/1", 10, &ok(90, 0));
    rig.asks("/leased/1", 10, &ok(90, 0));
}

#[test]
fn only_one_asks_for_a_lease_at_a_time() {
    let mut rig = rig();
    let (first, waits) = rig.open("/leased/1");
    let lease = waits.expect_err("a question");
    let (second, waits) = rig.open("/leased/1");
    let single = waits.expect_err("a question");
    assert_eq!((Asked::read(&lease).hits, Asked::read(&single).hits), (10, 1));
    rig.vm.grpc_answer(&single, ok(89, 30));
    assert_eq!(verdict(&rig.end(second)).0, 200);
    rig.vm.grpc_answer(&lease, ok(90, 30));
    assert_eq!(verdict(&rig.end(first)).0, 200);
    for _ in 0..9 {
        assert_eq!(verdict(&rig.local("/leased/1")).2, "lease");
    }
    // Who asked for a lease is gone: a second later another one may.
    let (gone, _) = rig.open("/leased/1");
    rig.vm.close(gone);
    rig.asks("/leased/1", 1, &ok(70, 30));
    rig.advance(1_000);
    rig.asks("/leased/1", 10, &ok(60, 30));
}

#[test]
fn a_lease_that_is_refused_is_asked_for_once_until_the_reset() {
    let mut rig = rig();
    let (stream, waits) = rig.open("/leased/1");
    let call = waits.expect_err("a question");
    assert_eq!(Asked::read(&call), about("leased", 10));
    rig.vm.grpc_answer(&call, over(20));
    // The same request asks for itself alone, in what is left of its time.
    let call = rig.call();
    assert_eq!(Asked::read(&call), about("leased", 1));
    rig.vm.grpc_answer(&call, ok(3, 20));
    assert_eq!(verdict(&rig.end(stream)), (200, "", "service".into()));
    for left in [2, 1, 0] {
        rig.asks("/leased/1", 1, &ok(left, 20));
    }
    let outcome = rig.asks("/leased/1", 1, &over(20));
    assert_eq!(verdict(&outcome), (429, "rate_limited", "service".into()));
    assert_eq!(verdict(&rig.local("/leased/1")).2, "remembered");
    rig.advance(20_000);
    rig.asks("/leased/1", 1, &ok(99, 60));
    rig.asks("/leased/1", 10, &ok(90, 60));
}
