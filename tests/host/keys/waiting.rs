//! Requests that wait for keys: rows S02, S12, W12, W13, W14.

use portcullis_tests::fake_host::{Answer, Meddle, Process};
use serde_json::json;

use super::{
    GOOD, NOW, SECOND, Served, UNAVAILABLE, World, bearer, get, policy, remote, set, token,
    verdict, with_token,
};
use crate::line;

fn silent() -> World {
    World::new(1, &policy(&remote()), |_| Served::Silence)
}

#[test]
fn a_thousand_requests_wait_for_one_fetch() {
    // rows S12, W12: the fake host stops the test where a request waits with its body going on.
    let mut world = World::new(2, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.serve(|_| Served::Answer(vec![(":status".into(), "200".into())], set(&["k1"]).into()));
    for number in 0..1_000 {
        let (_, outcome) = world.open(number % 2, &with_token("k1"));
        assert_eq!(outcome, None);
    }
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 1_000);
    world.run(SECOND);
    assert_eq!(world.calls_to("idp").len(), 1);
    for worker in &world.workers {
        assert_eq!(worker.ended.len(), 500);
        for (_, outcome) in &worker.ended {
            assert_eq!(verdict(outcome), GOOD);
            let lines = outcome.forwarded().expect("forwarded");
            assert_eq!(line(lines, "authorization"), [b""; 0]);
            assert!(outcome.audit.is_some());
        }
        // Those that came first go first.
        assert!(worker.ended.is_sorted_by_key(|(stream, _)| *stream));
    }
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 0);
    world.run(SECOND);
    assert_eq!(crate::decisions(&world.process), 1_000);
}

#[test]
fn few_go_on_in_one_callback() {
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    for _ in 0..100 {
        world.open(0, &with_token("k1"));
    }
    let mut most = 0;
    for _ in 0..100 {
        let before = world.workers[0].ended.len();
        let worker = &mut world.workers[0];
        if worker.vm.tick_period(worker.root) == Some(1) {
            worker.vm.tick(worker.root);
            worker.ended.extend(worker.vm.resumed());
            most = most.max(worker.ended.len() - before);
        } else {
            world.run(5_000_000);
        }
    }
    assert_eq!(world.workers[0].ended.len(), 100);
    assert!((1..=16).contains(&most), "{most}");
}

#[test]
fn more_than_can_wait_are_refused_at_once() {
    // row S02
    let mut world = silent();
    let mut waiting = 0;
    for number in 0..1_100 {
        match world.open(0, &with_token("k1")).1 {
            None => waiting += 1,
            Some(outcome) => assert_eq!(verdict(&outcome), UNAVAILABLE, "{number}"),
        }
    }
    assert_eq!(waiting, 1_024);
    assert_eq!(verdict(&world.request(0, &get("/public/x")).0), GOOD);
    world.run(9 * SECOND);
    let worker = &world.workers[0];
    assert_eq!(worker.ended.len(), 1_024);
    assert!(worker.ended.iter().all(|(_, outcome)| verdict(outcome) == UNAVAILABLE));
}

#[test]
fn nobody_waits_longer_than_cool_down_and_time_for_an_answer() {
    // row S02
    let mut world = silent();
    for _ in 0..5 {
        let (outcome, waited) = world.request(0, &with_token("k1"));
        assert_eq!(verdict(&outcome), UNAVAILABLE);
        assert!(waited <= 8 * SECOND + SECOND / 10, "{waited}");
        world.run(SECOND);
    }
    // Nobody answers at all, not even with a failure: the host has lost the call.
    let mut world = World::new(1, &policy(&remote()), |_| Served::Silence);
    world.workers[0].vm.meddle("proxy_http_call", 0, usize::MAX, Meddle::Answer(0));
    let (outcome, waited) = world.request(0, &with_token("k1"));
    assert_eq!(verdict(&outcome), UNAVAILABLE);
    assert!(waited <= 8 * SECOND + SECOND / 10, "{waited}");
}

#[test]
fn a_request_that_goes_away_is_forgotten() {
    // row W13
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    let (gone, _) = world.open(0, &with_token("k1"));
    let (stays, _) = world.open(0, &with_token("k1"));
    world.workers[0].vm.close(gone);
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 1);
    world.run(SECOND);
    let ended: Vec<_> = world.workers[0].ended.iter().map(|(stream, _)| *stream).collect();
    assert_eq!(ended, [stays]);
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 0);
}

#[test]
fn a_request_that_envoy_answers_itself_is_not_answered_twice() {
    // row W13
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    let (stream, _) = world.open(0, &with_token("k1"));
    let added = world.workers[0].vm.respond(stream, &[(":status", "408")]);
    assert_eq!(added.len(), 1, "{added:?}");
    world.run(SECOND);
    assert_eq!(world.workers[0].ended, []);
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 0);
}

#[test]
fn answers_that_nobody_waits_for_are_ignored() {
    // row W14
    let mut world = silent();
    let (stream, _) = world.open(0, &with_token("k1"));
    let (.., call) = world.calls[0].clone();
    let worker = &mut world.workers[0];
    let good = [(":status", "200")];
    for token in [0, call.token + 100, u32::MAX] {
        let other = portcullis_tests::fake_host::HttpCall { token, ..call.clone() };
        worker.vm.answer(&other, &good, set(&["k1"]));
        worker.vm.fail(&other);
    }
    assert!(worker.vm.is_stopped(stream));
    worker.vm.fail(&call);
    // It was asked for after the request came, so this is an answer; a second one is none.
    let resumed = worker.vm.resumed();
    assert_eq!((resumed.len(), verdict(&resumed[0].1)), (1, UNAVAILABLE));
    worker.vm.answer(&call, &good, set(&["k1"]));
    worker.vm.close(stream);
    worker.vm.answer(&call, &good, set(&["k1"]));
    assert_eq!(worker.vm.resumed(), []);
    assert_eq!(worker.vm.trap(), None);
}

#[test]
fn an_answer_after_the_last_request_went_is_taken() {
    // row W14
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    let (stream, _) = world.open(0, &with_token("k1"));
    world.workers[0].vm.close(stream);
    world.run(SECOND);
    let (outcome, waited) = world.request(0, &with_token("k1"));
    assert_eq!((verdict(&outcome), waited), (GOOD, 0));
}

#[test]
fn a_request_that_waits_keeps_its_policy() {
    for is_same_context in [true, false] {
        let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
        let (stream, _) = world.open(0, &with_token("k1"));
        // The new policy knows neither the issuer nor the route.
        let new = json!({
            "version": 1,
            "gateway": "tokens",
            "routes": [{"name": "x", "paths": ["/x"], "methods": ["GET"], "access": "public"}],
        });
        let worker = &mut world.workers[0];
        let configured = if is_same_context {
            worker.vm.reconfigure(worker.root, new.to_string())
        } else {
            worker.vm.configure(new.to_string())
        };
        assert!(configured.accepted, "{configured:?}");
        world.run(SECOND);
        let ended = std::mem::take(&mut world.workers[0].ended);
        let ended: Vec<_> =
            ended.iter().map(|(stream, outcome)| (*stream, verdict(outcome))).collect();
        assert_eq!(ended, [(stream, GOOD)], "{is_same_context}");
        let worker = &mut world.workers[0];
        let refused = worker.vm.request_on(configured.root, &with_token("k1"));
        assert_eq!(verdict(&refused), (403, "route_unknown"));
    }
}

#[test]
fn keys_are_fetched_for_a_policy_that_only_waiting_requests_have() {
    let mut world = World::new(1, &policy(&remote()), |_| Served::Broken);
    world.run(SECOND);
    let (stream, _) = world.open(0, &with_token("k1"));
    world.serve(|_| Served::json(set(&["k1"])));
    let new = json!({
        "version": 1,
        "gateway": "tokens",
        "routes": [{"name": "x", "paths": ["/x"], "methods": ["GET"], "access": "public"}],
    });
    let worker = &mut world.workers[0];
    assert!(worker.vm.reconfigure(worker.root, new.to_string()).accepted);
    world.run(6 * SECOND);
    let ended = std::mem::take(&mut world.workers[0].ended);
    let ended: Vec<_> = ended.iter().map(|(stream, outcome)| (*stream, verdict(outcome))).collect();
    assert_eq!(ended, [(stream, GOOD)]);
    // Nobody needs them any more.
    let calls = world.calls.len();
    world.run(120 * SECOND);
    assert_eq!(world.calls.len(), calls);
}

#[test]
fn an_address_pays_once() {
    let mut strict = policy(&remote());
    strict["limits"]["per-address"] = json!({"key": ["address"], "rate": "1/h", "burst": 2});
    let mut world = World::new(1, &strict, |_| Served::json(set(&["k1"])));
    let request = get("/limited/x").with("authorization", format!("Bearer {}", token("k1")));
    let verdicts: Vec<_> = (0..3).map(|_| world.request(0, &request).0.status()).collect();
    assert_eq!(verdicts, [200, 200, 429]);
}

#[test]
fn the_other_half_of_a_request_may_fail_as_well() {
    // rows W13, W18
    for call in [
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_get_current_time_nanoseconds",
        "proxy_remove_header_map_value",
        "proxy_set_property",
        "proxy_continue_stream",
    ] {
        for status in [1, 2, 8, 10, u32::MAX] {
            let mut world = silent();
            let (stream, _) = world.open(0, &with_token("k1"));
            let (.., answered) = world.calls[0].clone();
            let worker = &mut world.workers[0];
            // The first two of these are about the answer.
            let skip = match call {
                "proxy_get_header_map_pairs" | "proxy_get_current_time_nanoseconds" => 1,
                _ => 0,
            };
            worker.vm.meddle(call, skip, usize::MAX, Meddle::Answer(status));
            worker.vm.answer(&answered, &[(":status", "200")], set(&["k1"]));
            let resumed = worker.vm.resumed();
            let verdicts: Vec<_> =
                resumed.iter().map(|(stream, outcome)| (*stream, verdict(outcome))).collect();
            // Envoy has no value for an attribute: that is an answer and no fault.
            let absent = (call, status) == ("proxy_get_property", 1);
            let expected = if absent { GOOD } else { (503, "host_failure") };
            assert_eq!(verdicts, [(stream, expected)], "{call} {status}");
        }
    }
    for status in [1, 2, 10] {
        // A stream that the host does not know any more.
        let mut world = silent();
        world.open(0, &with_token("k1"));
        let (.., answered) = world.calls[0].clone();
        let worker = &mut world.workers[0];
        worker.vm.meddle("proxy_set_effective_context", 0, 1, Meddle::Answer(status));
        worker.vm.answer(&answered, &[(":status", "200")], set(&["k1"]));
        assert_eq!((worker.vm.resumed(), worker.vm.trap()), (vec![], None));
        // A reply that the host does not take resets the stream.
        let mut world = silent();
        let (stream, _) = world.open(0, &with_token("k1"));
        let (.., answered) = world.calls[0].clone();
        let worker = &mut world.workers[0];
        worker.vm.meddle("proxy_send_local_response", 0, 1, Meddle::Answer(status));
        worker.vm.fail(&answered);
        let resumed = worker.vm.resumed();
        assert_eq!((resumed[0].0, &resumed[0].1.answer), (stream, &Answer::Reset));
    }
}

#[test]
fn trailers_that_waited_are_stripped() {
    // row H04
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    let sent = [("x-portcullis-consumer", "admin"), ("grpc-status", "0")];
    let outcome = world.request(0, &with_token("k1").with_trailers(&sent)).0;
    let Answer::Forwarded { trailers, .. } = outcome.answer else { panic!("{outcome:?}") };
    assert_eq!(trailers, [(b"grpc-status".to_vec(), b"0".to_vec())]);
}

#[test]
fn what_is_wrong_with_a_token_is_known_before_its_key_is() {
    // Nobody waits who would be refused in any case.
    let mut world = silent();
    let good = token("k1");
    for token in ["x", "a.b.c", &good[..good.len() / 2], &format!("{good}.x")] {
        let (outcome, waited) = world.request(0, &bearer(token));
        assert_eq!((outcome.status(), waited), (401, 0), "{token}");
    }
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 0);
}

#[test]
fn secrets_come_from_the_environment_or_the_policy_is_refused() {
    let mut secret = policy(&json!({"secrets": ["ORDERS_NEW", "ORDERS_OLD"]}));
    secret["issuers"][0]["algorithms"] = json!(["HS256"]);
    let process = Process::at(NOW);
    let mut vm = portcullis_tests::fake_host::Vm::new(&process);
    let refused = vm.configure(secret.to_string());
    assert!(!refused.accepted);
    let told = refused.log.iter().any(|line| line.contains("/issuers/0/keys/secrets"));
    assert!(told, "{refused:?}");

    let text = portcullis_mint::encode(&[7; 32]);
    process.set_environment(vec![("ORDERS_OLD", text.clone())]);
    let mut world = World::of(process, 1, &secret, |_| Served::Broken);
    let minted = |secret: &[u8]| {
        let now = NOW / SECOND;
        let claims = json!({"iss": "https://id.example.com/corp", "aud": "orders", "sub": "alice",
            "exp": now + 60});
        let key =
            portcullis_mint::TestKey::from_secret(portcullis_core::Algorithm::Hs256, None, secret);
        key.expect("a secret").token(&claims)
    };
    assert_eq!(verdict(&world.request(0, &bearer(&minted(&[7; 32]))).0), GOOD);
    let (outcome, waited) = world.request(0, &bearer(&minted(&[8; 32])));
    assert_eq!((verdict(&outcome), waited), ((401, "token_signature"), 0));
    let everything = format!("{:?}{outcome:?}", world.configured);
    assert!(!everything.contains(&text), "{everything}");
}

#[test]
fn a_request_that_waits_is_not_in_flight() {
    let mut policy = policy(&remote());
    policy["limits"]["flights"] = json!({"key": ["route"], "concurrent": 1});
    policy["routes"][1]["limits"] = json!(["flights"]);
    let mut world = World::new(1, &policy, |_| Served::json(set(&["k1"])));
    for _ in 0..3 {
        assert_eq!(world.open(0, &with_token("k1")).1, None);
    }
    let with_key = get("/orders/1").with("x-api-key", crate::KEY);
    assert_eq!(verdict(&world.request(0, &with_key).0), GOOD);
    world.run(SECOND);
    let ended: Vec<_> = world.workers[0].ended.iter().map(|(_, it)| verdict(it)).collect();
    assert_eq!(ended, [GOOD, (429, "concurrency_limited"), (429, "concurrency_limited")]);
}

/// A policy whose route for tokens has a limit of the fleet.
fn with_fleet() -> serde_json::Value {
    let mut policy = policy(&remote());
    policy["fleet"] = json!({"cluster": "ratelimit", "on_error": "deny"});
    policy["limits"]["fleet"] = json!({"key": ["consumer"], "rate": "10000/m", "scope": "fleet"});
    policy["routes"][1]["limits"] = json!(["fleet"]);
    policy
}

#[test]
fn a_request_waits_for_keys_first_and_for_the_rate_limit_service_next() {
    for (message, expected) in [(&b"\x08\x01"[..], GOOD), (b"\x08\x02", (429, "rate_limited"))] {
        let mut world = World::new(1, &with_fleet(), |_| Served::json(set(&["k1"])));
        let (stream, outcome) = world.open(0, &with_token("k1"));
        assert_eq!(outcome, None);
        assert_eq!(world.workers[0].vm.grpc_sent(), [], "who it is is not known yet");
        world.run(SECOND / 2);
        let worker = &mut world.workers[0];
        assert_eq!(worker.ended, []);
        let [call] = &worker.vm.grpc_sent()[..] else { panic!("one question") };
        worker.vm.grpc_answer(&call.clone(), message);
        let [(ended, outcome)] = &worker.vm.resumed()[..] else { panic!("one of them ends") };
        assert_eq!((*ended, verdict(outcome)), (stream, expected));
        assert_eq!(world.issuer_metric("requests_waiting", "corp"), 0);
    }
}

/// S12: those who make up tokens keep nobody from being counted, and who waits to be counted keeps no token
/// from its keys.
#[test]
fn who_waits_for_keys_takes_no_place_of_those_who_are_counted() {
    let mut world = World::new(1, &with_fleet(), |_| Served::Silence);
    for _ in 0..1_024 {
        assert_eq!(world.open(0, &with_token("k1")).1, None);
    }
    let (_, outcome) = world.open(0, &with_token("k1"));
    assert_eq!(outcome.as_ref().map(verdict), Some(UNAVAILABLE));
    let with_key = get("/orders/1").with("x-api-key", crate::KEY);
    for _ in 0..1_024 {
        assert_eq!(world.open(0, &with_key).1, None);
    }
    let (_, outcome) = world.open(0, &with_key);
    assert_eq!(outcome.as_ref().map(verdict), Some((503, "limit_unavailable")));
}
