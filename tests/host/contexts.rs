//! Several configurations in one VM, streams across a reload, trailers, replies.

use portcullis_tests::fake_host::{Answer, Process, Vm};
use sha2::{Digest as _, Sha256};

use crate::{NOW, decisions, details, get, good, line, policy, vm};

/// The policy of another gateway, which knows one route only.
fn internal() -> serde_json::Value {
    serde_json::json!({
        "version": 1,
        "gateway": "internal",
        "routes": [{"name": "all", "paths": ["/inside/**"], "methods": ["*"], "access": "public"}],
    })
}

#[test]
fn two_gateways_live_in_one_vm() {
    let process = Process::at(NOW);
    let mut vm = Vm::new(&process);
    let external = vm.configure(policy().to_string()).root;
    let internal = vm.configure(internal().to_string()).root;
    for _ in 0..3 {
        assert_eq!(vm.request_on(external, &good()).status(), 200);
        assert_eq!(details(&vm.request_on(internal, &good())), "route_unknown");
        assert_eq!(vm.request_on(internal, &get("/inside/x")).status(), 200);
        assert_eq!(details(&vm.request_on(external, &get("/inside/x"))), "route_unknown");
    }
}

#[test]
fn gateways_do_not_spend_from_each_others_buckets() {
    // One limit by name, one caller: only the gateway tells the buckets apart.
    let process = Process::at(NOW);
    let mut vm = Vm::new(&process);
    let roots = ["external", "internal"].map(|gateway| {
        let mut policy = policy();
        policy["gateway"] = gateway.into();
        vm.configure(policy.to_string()).root
    });
    for root in roots {
        for _ in 0..3 {
            assert_eq!(vm.request_on(root, &get("/limited/x")).status(), 200);
        }
    }
    for root in roots {
        assert_eq!(details(&vm.request_on(root, &get("/limited/x"))), "rate_limited");
    }
}

#[test]
fn a_stream_keeps_the_policy_it_was_born_with() {
    let (_, mut vm) = vm();
    let old = vm.configure(policy().to_string()).root;
    let stream = vm.open(old);
    let new = vm.configure(internal().to_string()).root;
    vm.close(old);
    assert_eq!(vm.run(stream, &good()).status(), 200);
    vm.close(stream);
    assert_eq!(vm.request_on(new, &get("/inside/x")).status(), 200);
    assert_eq!(details(&vm.request_on(old, &good())), "policy_unavailable");
}

#[test]
fn a_refused_configuration_changes_nothing() {
    // row W20
    let (_, mut vm) = vm();
    let accepted = vm.configure(policy().to_string());
    for broken in ["", "{", "{}", "null", "\u{0}", r#"{"version":1,"gateway":"x","routes":[]}"#] {
        let refused = vm.reconfigure(accepted.root, broken);
        assert!(!refused.accepted, "{broken}");
        assert!(refused.log.iter().any(|line| line.starts_with("error: ")), "{broken} {refused:?}");
        let refused = vm.configure(broken);
        assert_eq!(details(&vm.request_on(refused.root, &good())), "policy_unavailable");
        assert_eq!(vm.request_on(accepted.root, &good()).status(), 200);
    }
    assert_eq!(vm.trap(), None);
}

#[test]
fn without_a_policy_everything_is_refused() {
    let process = Process::at(NOW);
    let mut vm = Vm::new(&process);
    for request in [good(), get("/public/x"), get("")] {
        let outcome = vm.request_on(7, &request);
        assert_eq!((outcome.status(), details(&outcome)), (503, "policy_unavailable"));
    }
}

#[test]
fn identity_in_trailers_does_not_arrive() {
    // row H04
    let (_, mut vm) = vm();
    let sent = [
        ("x-portcullis-consumer", "admin"),
        ("x_portcullis_scopes", "admin"),
        ("x-portcullis_credential", "admin"),
        ("x-api-key", "admin"),
        ("grpc-status", "0"),
    ];
    for path in ["/public/x", "/orders/1"] {
        let request = good().with_trailers(&sent);
        let request = portcullis_tests::fake_host::Request {
            headers: get(path).with("x-api-key", crate::KEY).headers,
            ..request
        };
        let Answer::Forwarded { trailers, .. } = vm.request(&request).answer else {
            panic!("{path} is not forwarded");
        };
        assert_eq!(trailers, [(b"grpc-status".to_vec(), b"0".to_vec())]);
    }
}

#[test]
fn nothing_happens_after_a_reply() {
    // row W13
    let (_, mut vm) = vm();
    let root = vm.configure(policy().to_string()).root;
    let stream = vm.open(root);
    let outcome = vm.run(stream, &get("/nowhere"));
    let reply = outcome.reply().expect("a reply");
    assert_eq!((reply.status, reply.details.as_str()), (403, "route_unknown"));
    let lines = [(b"x-portcullis-consumer".to_vec(), b"admin".to_vec())];
    let (goes_on, seen) = vm.trailers(stream, &lines);
    assert!(!goes_on);
    assert_eq!(seen, lines);
    vm.close(stream);
    vm.close(stream);
    assert_eq!(vm.trap(), None);
}

#[test]
fn responses_tell_limits_and_retiring_keys_once() {
    let (_, mut vm) = vm();
    let Answer::Forwarded { headers, response, .. } = vm.request(&good()).answer else {
        panic!("a good request is not forwarded");
    };
    assert_eq!(line(&headers, "x-portcullis-consumer"), [b"mobile"]);
    assert_eq!(line(&response, "x-key-retiring"), [b"2027-01-20T00:00:00.000Z"]);
    assert_eq!(line(&response, "ratelimit").len(), 1);
    for _ in 0..3 {
        vm.request(&get("/limited/x"));
    }
    let outcome = vm.request(&get("/limited/x"));
    let reply = outcome.reply().expect("the fourth request is over the limit");
    assert_eq!((reply.status, details(&outcome)), (429, "rate_limited"));
    assert_eq!(line(&reply.headers, "retry-after"), [b"1"]);
    assert_eq!(line(&reply.headers, "ratelimit").len(), 1);
}

#[test]
fn grpc_callers_get_a_grpc_status() {
    // row R44
    let (_, mut vm) = vm();
    let grpc = |path| get(path).with("content-type", "application/grpc");
    let reply = |outcome: portcullis_tests::fake_host::Outcome| {
        outcome.reply().map(|reply| (reply.grpc_status, reply.details.clone()))
    };
    let missing = reply(vm.request(&grpc("/orders/1")));
    assert_eq!(missing, Some((16, "credential_missing".into())));
    let unknown = reply(vm.request(&grpc("/nowhere")));
    assert_eq!(unknown, Some((7, "route_unknown".into())));
    for _ in 0..3 {
        vm.request(&grpc("/limited/x"));
    }
    assert_eq!(reply(vm.request(&grpc("/limited/x"))), Some((8, "rate_limited".into())));
}

#[test]
fn gauges_are_set_by_the_newest_configuration_of_a_gateway() {
    let (process, mut vm) = vm();
    let revision = "portcullis.policy_revision.gateway=.=external;.;";
    let expiring = "portcullis.keys_expiring.gateway=.=external;.;";
    let old = vm.configure(policy().to_string()).root;
    assert_eq!(process.metrics(), [].into(), "nothing is counted while configuring");
    assert_eq!(vm.tick_period(old), Some(1_000));
    vm.tick(old);
    let first = process.metric(revision);
    assert!(first > 0);
    assert_eq!(process.metric(expiring), 1);
    assert_eq!(vm.tick_period(old), Some(60_000));

    let mut changed = policy();
    changed["realm"] = "another".into();
    let keys = &mut changed["consumers"][0]["api_keys"];
    let mut revoked = keys[0].clone();
    revoked["id"] = "mobile-2".into();
    revoked["sha256"] = crate::hex(&Sha256::digest("another")).into();
    revoked["state"] = "revoked".into();
    keys[0]["expires"] = "2027-06-01T00:00:00Z".into();
    keys.as_array_mut().expect("a list").push(revoked);
    let new = vm.configure(changed.to_string()).root;
    vm.tick(new);
    vm.tick(old);
    assert_ne!(process.metric(revision), first);
    assert_eq!(process.metric(expiring), 0);
}

#[test]
fn every_decision_is_counted_once() {
    let (process, mut vm) = vm();
    for _ in 0..2 {
        vm.request(&good());
        vm.request(&get("/nowhere"));
    }
    vm.tick(vm.root());
    let prefix = "portcullis.decisions.gateway=.=external;.;outcome=.=";
    let allowed = format!("{prefix}allowed;.;reason=.=none;.;route=.=orders;.;");
    let refused = format!("{prefix}refused;.;reason=.=route_unknown;.;route=.=none;.;");
    assert_eq!((process.metric(&allowed), process.metric(&refused)), (2, 2));
    assert_eq!(decisions(&process), 4);
    let retiring = "portcullis.retiring_key_uses.gateway=.=external;.;consumer=.=mobile;.;";
    assert_eq!(process.metric(retiring), 2);
}
