//! Requests that wait for the service: rows W12 to W14.

use portcullis_tests::fake_host::{Answer, GrpcCall, Meddle};
use serde_json::json;

use super::service::{Rig, configured, ok, policy, verdict};
use crate::{KEY, get};

#[test]
fn each_answer_takes_up_its_own_request() {
    let mut rig = Rig::new(&json!({}));
    let waiting: Vec<_> = (0..50)
        .map(|_| rig.open("/single/1"))
        .map(|(stream, waits)| (stream, waits.expect_err("a question")))
        .collect();
    for (stream, call) in waiting.iter().rev() {
        rig.vm.grpc_answer(call, ok(9, 9));
        assert_eq!(verdict(&rig.end(*stream)).0, 200);
    }
    assert_eq!(rig.metric("fleet_waiting", ""), 0);
}

#[test]
fn more_than_can_wait_are_decided_without_the_service() {
    // row S02
    let mut policy = policy(&json!({}));
    policy["limits"]["single"]["rate"] = json!("10000/s");
    let mut rig = Rig::with(&policy);
    for _ in 0..1_024 {
        assert!(rig.open("/single/1").1.is_err());
    }
    assert_eq!(verdict(&rig.local("/single/1")), (200, "", "local".into()));
    assert_eq!((rig.calls("busy"), rig.metric("fleet_waiting", "")), (1, 1_024));
}

#[test]
fn an_answer_that_never_comes_is_given_up() {
    let mut rig = Rig::new(&json!({}));
    let (stream, _) = rig.open("/single/1");
    assert_eq!(rig.vm.tick_period(rig.root), Some(1_000));
    rig.advance(1_000);
    rig.vm.tick(rig.root);
    assert!(rig.vm.is_stopped(stream));
    rig.advance(20);
    rig.vm.tick(rig.root);
    assert_eq!(verdict(&rig.end(stream)), (200, "", "local".into()));
    assert_eq!(rig.calls("failed"), 1);
}

#[test]
fn a_request_that_goes_away_is_forgotten() {
    // row W13
    let mut rig = Rig::new(&json!({}));
    let (gone, waits) = rig.open("/single/1");
    let call = waits.expect_err("a question");
    rig.vm.close(gone);
    assert_eq!(rig.metric("fleet_waiting", ""), 0);
    rig.vm.grpc_answer(&call, ok(9, 9));
    rig.vm.grpc_close(&call, 14);
    assert_eq!((rig.vm.resumed(), rig.vm.trap()), (vec![], None));
    // One that Envoy answers itself is not answered twice.
    let (stream, waits) = rig.open("/single/1");
    let added = rig.vm.respond(stream, &[(":status", "408")]);
    assert_eq!(added.len(), 1, "{added:?}");
    rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
    assert_eq!((rig.vm.resumed(), rig.vm.trap()), (vec![], None));
    assert_eq!(rig.metric("fleet_waiting", ""), 0);
}

#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    // row W14. Envoy tells of a call that failed at once with a token that the filter was not given.
    let mut rig = Rig::new(&json!({}));
    let (stream, waits) = rig.open("/single/1");
    let call = waits.expect_err("a question");
    for token in [0, call.token + 1, u32::MAX] {
        let other = GrpcCall { token, ..call.clone() };
        rig.vm.grpc_answer(&other, ok(9, 9));
        for _ in 0..10 {
            rig.vm.grpc_close(&other, 14);
        }
    }
    assert!(rig.vm.is_stopped(stream));
    rig.vm.grpc_answer(&call, ok(9, 9));
    assert_eq!(verdict(&rig.end(stream)).2, "service");
    rig.vm.grpc_answer(&call, ok(9, 9));
    assert_eq!((rig.vm.resumed(), rig.vm.trap()), (vec![], None));
    assert_eq!(verdict(&rig.asks("/single/1", 1, &ok(9, 9))).2, "service");
}

#[test]
fn a_request_that_waits_keeps_its_policy() {
    for is_same_context in [true, false] {
        let mut rig = Rig::new(&json!({}));
        let (stream, waits) = rig.open("/single/1");
        let new = json!({
            "version": 1,
            "gateway": "fleet",
            "routes": [{"name": "x", "paths": ["/x"], "methods": ["GET"], "access": "public"}],
        });
        let configured = if is_same_context {
            rig.vm.reconfigure(rig.root, new.to_string())
        } else {
            rig.vm.configure(new.to_string())
        };
        assert!(configured.accepted, "{configured:?}");
        rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
        assert_eq!(verdict(&rig.end(stream)), (200, "", "service".into()));
    }
    // The root context is gone, and with it the call: another one's timer takes the request up.
    let mut rig = Rig::new(&json!({}));
    let (stream, _) = rig.open("/single/1");
    let other = configured(&mut rig.vm, &policy(&json!({}))).root;
    rig.vm.close(rig.root);
    rig.advance(2_000);
    rig.vm.tick(other);
    assert_eq!(verdict(&rig.end(stream)), (200, "", "local".into()));
}

#[test]
fn faults_of_the_host_refuse_a_request_that_waited() {
    for call in [
        "proxy_get_header_map_pairs",
        "proxy_get_current_time_nanoseconds",
        "proxy_set_property",
        "proxy_continue_stream",
    ] {
        for skip in 0..2 {
            let mut rig = Rig::new(&json!({}));
            let (stream, waits) = rig.open("/single/1");
            rig.vm.meddle(call, skip, usize::MAX, Meddle::Answer(10));
            rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
            let outcome = rig.end(stream);
            let good = skip > 0 && !call.contains("time");
            let expected = if good { (200, "") } else { (503, "host_failure") };
            assert_eq!((outcome.status(), crate::details(&outcome)), expected, "{call} {skip}");
        }
    }
    let mut rig = Rig::new(&json!({}));
    let (_, waits) = rig.open("/single/1");
    rig.vm.meddle("proxy_set_effective_context", 0, 1, Meddle::Answer(2));
    rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
    assert_eq!((rig.vm.resumed(), rig.vm.trap()), (vec![], None));
}

#[test]
fn trailers_that_waited_are_stripped() {
    // row H04
    let mut rig = Rig::new(&json!({}));
    let sent = [("x-portcullis-consumer", "admin"), ("grpc-status", "0")];
    let request = get("/single/1").with("x-api-key", KEY).with_trailers(&sent);
    let (stream, waits) = rig.begin(&request);
    rig.vm.grpc_answer(&waits.expect_err("a question"), ok(9, 9));
    let Answer::Forwarded { trailers, .. } = rig.end(stream).answer else { panic!() };
    assert_eq!(trailers, [(b"grpc-status".to_vec(), b"0".to_vec())]);
}
