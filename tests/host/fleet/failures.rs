//! The service gives no answer: `on_error`, and the breaker.

use portcullis_tests::fake_host::Meddle;
use serde_json::json;

use super::service::{Rig, ok, policy, told, verdict};

/// A service that fails in one way: the outcome of a request.
type Fail = fn(&mut Rig) -> portcullis_tests::fake_host::Outcome;

const FAILURES: [(&str, Fail); 7] = [
    ("failed", |rig| rig.fails("/single/1")),
    ("malformed", |rig| rig.asks("/single/1", 1, b"\x08\x01\x12\xff")),
    ("malformed", |rig| rig.asks("/single/1", 1, b"")),
    // Neither yes nor no.
    ("malformed", |rig| rig.asks("/single/1", 1, b"\x08\x00")),
    ("malformed", |rig| rig.asks("/single/1", 1, &[&ok(9, 9)[..], &[0x7a; 70_000]].concat())),
    ("failed", |rig| {
        rig.vm.meddle("proxy_grpc_call", 0, 1, Meddle::Answer(10));
        rig.local("/single/1")
    }),
    ("malformed", |rig| {
        let (stream, waits) = rig.open("/single/1");
        rig.vm.meddle("proxy_get_buffer_bytes", 0, 1, Meddle::Answer(10));
        rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
        rig.end(stream)
    }),
];

#[test]
fn the_policy_says_what_happens_without_an_answer() {
    for (result, fail) in FAILURES {
        for (on_error, expected) in [
            ("local", (200, "", "local")),
            ("allow", (200, "", "nobody")),
            ("deny", (503, "limit_unavailable", "nobody")),
        ] {
            let mut rig = Rig::new(&json!({"on_error": on_error}));
            let outcome = fail(&mut rig);
            let (status, reason, from) = verdict(&outcome);
            assert_eq!((status, reason, &*from), expected, "{result} {on_error}");
            assert_eq!(rig.calls(result), 1, "{result} {on_error}");
            assert_eq!(rig.metric("fleet_fallbacks", "limit=.=single;.;"), 1);
            assert_eq!(told(&outcome, "retry-after"), "");
            // One failure is no reason to ask nobody.
            assert_eq!(verdict(&rig.asks("/single/1", 1, &ok(9, 9))).2, "service");
        }
    }
}

#[test]
fn without_the_service_each_process_has_its_share() {
    for (processes, share) in [(1, 4), (2, 2), (4, 1), (100, 1)] {
        let mut rig = Rig::new(&json!({"processes": processes}));
        for _ in 0..share {
            assert_eq!(verdict(&rig.fails("/narrow/1")), (200, "", "local".into()));
        }
        if share < 4 {
            let outcome = rig.fails("/narrow/1");
            assert_eq!(verdict(&outcome), (429, "rate_limited", "local".into()));
            assert!(told(&outcome, "ratelimit-policy").contains(&format!(";q={share};")));
            // One every fifteen seconds, and so many times slower.
            assert_eq!(told(&outcome, "retry-after"), (15 * processes).to_string());
        }
    }
}

#[test]
fn a_service_that_is_away_costs_few_requests_their_time() {
    let mut rig = Rig::new(&json!({}));
    for _ in 0..5 {
        assert_eq!(verdict(&rig.fails("/single/1")).2, "local");
    }
    let mut pause = 1_000;
    for _ in 0..7 {
        for _ in 0..2 {
            assert_eq!(verdict(&rig.local("/single/1")), (200, "", "local".into()));
        }
        rig.vm.tick(rig.root);
        assert_eq!(rig.metric("fleet_breakers_open", ""), 1);
        rig.advance(pause - 1);
        rig.local("/single/1");
        rig.advance(1);
        // One tries, and the others do not wait for it.
        let (stream, waits) = rig.open("/single/1");
        let call = waits.expect_err("a question");
        assert_eq!(verdict(&rig.local("/single/1")).2, "local");
        rig.vm.grpc_close(&call, 14);
        assert_eq!(verdict(&rig.end(stream)).2, "local");
        pause = (2 * pause).min(30_000);
    }
    rig.advance(30_000);
    assert_eq!(verdict(&rig.asks("/single/1", 1, &ok(9, 9))).2, "service");
    assert_eq!(verdict(&rig.asks("/single/1", 1, &ok(8, 9))).2, "service");
    rig.vm.tick(rig.root);
    assert_eq!(rig.metric("fleet_breakers_open", ""), 0);
    assert_eq!((rig.calls("failed"), rig.calls("ok"), rig.calls("breaker")), (12, 2, 28));
}

#[test]
fn a_breaker_of_a_policy_that_is_gone_is_not_counted() {
    let mut rig = Rig::new(&json!({}));
    for _ in 0..5 {
        rig.fails("/single/1");
    }
    rig.vm.tick(rig.root);
    assert_eq!(rig.metric("fleet_breakers_open", ""), 1);
    rig.vm.close(rig.root);
    assert_eq!(rig.metric("fleet_breakers_open", ""), 0);
}

#[test]
fn a_question_that_is_wrong_says_nothing_of_the_service() {
    // INVALID_ARGUMENT, OUT_OF_RANGE
    for status in [3, 11] {
        let mut rig = Rig::new(&json!({"on_error": "deny"}));
        for _ in 0..10 {
            let (stream, waits) = rig.open("/single/1");
            rig.vm.grpc_close(&waits.expect_err("a question"), status);
            assert_eq!(verdict(&rig.end(stream)).1, "limit_unavailable");
        }
        assert_eq!((rig.calls("failed"), rig.calls("breaker")), (10, 0));
    }
}

#[test]
fn callers_that_do_not_wait_tell_all_the_same_that_the_service_is_away() {
    let mut policy = policy(&json!({"timeout": "5000ms"}));
    policy["limits"]["single"]["rate"] = json!("10000/m");
    let mut rig = Rig::with(&policy);
    let gone = |rig: &mut Rig| {
        let (stream, waits) = rig.open("/single/1");
        rig.vm.close(stream);
        waits.expect_err("a question")
    };
    for _ in 0..5 {
        let call = gone(&mut rig);
        rig.vm.grpc_close(&call, 4);
        // Once is enough, and nobody else's call is meant.
        rig.vm.grpc_close(&call, 4);
    }
    assert_eq!(rig.calls("failed"), 5);
    assert_eq!(verdict(&rig.local("/single/1")).2, "local");
    // And one that is answered after its caller has gone, that it is back.
    rig.advance(1_000);
    let call = gone(&mut rig);
    rig.vm.grpc_answer(&call, ok(9, 9));
    assert_eq!(verdict(&rig.asks("/single/1", 1, &ok(9, 9))).2, "service");
    // However many go, as many as are remembered tell.
    let calls: Vec<_> = (0..100).map(|_| gone(&mut rig)).collect();
    for call in &calls {
        rig.vm.grpc_close(call, 4);
    }
    assert_eq!(rig.calls("failed"), 5 + 64);
    assert_eq!((rig.vm.resumed(), rig.vm.trap()), (vec![], None));
}
