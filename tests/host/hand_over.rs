//! What the filters behind this one are told: set by this filter, for requests that go on, or not at all.

use portcullis_tests::fake_host::{Meddle, Outcome, Process, Request, Vm};

use crate::{NOW, details, get, good, policy};

const HITS: (&str, &str) = ("envoy.ratelimit.hits_addend", "1");
const COST: (&str, &str) = ("wasm.portcullis.cost", "1");
const ROUTE: (&str, &str) = ("wasm.portcullis.route", "orders");

/// A VM whose policy hands everything over, with these changes to it.
fn vm(changes: &[(&str, serde_json::Value)]) -> Vm {
    let mut policy = policy();
    policy["hand_over"] = serde_json::json!(["consumer", "plan", "route", "cost"]);
    for (field, value) in changes {
        policy[*field] = value.clone();
    }
    let mut vm = Vm::new(&Process::at(NOW));
    let configured = vm.configure(policy.to_string());
    assert!(configured.accepted, "{configured:?}");
    vm
}

fn told(outcome: &Outcome) -> Vec<(&str, &str)> {
    let told = outcome.handed_over.iter();
    told.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The request with all that a caller could hope to be believed.
fn boasting(request: Request) -> Request {
    let names =
        ["consumer", "wasm.portcullis.consumer", "portcullis.consumer", "x-portcullis-consumer"];
    names.into_iter().fold(request, |request, name| request.with(name, "admin"))
}

#[test]
fn a_verified_caller_is_told() {
    let mut vm = vm(&[]);
    let outcome = vm.request(&boasting(good()));
    assert_eq!(outcome.status(), 200);
    let expected = [HITS, ("wasm.portcullis.consumer", "mobile"), COST, ROUTE];
    assert_eq!(told(&outcome), expected);
}

#[test]
fn nobody_else_is() {
    let mut vm = vm(&[]);
    let outcome = vm.request(&boasting(get("/public/x")));
    assert_eq!(outcome.status(), 200);
    assert_eq!(told(&outcome), [HITS, COST, ("wasm.portcullis.route", "public")]);
    for refused in [
        boasting(get("/orders/1")),
        boasting(get("/orders/1")).with("x-api-key", "guess"),
        boasting(get("/public/x")).with("x-api-key", "guess"),
        boasting(get("/nowhere")),
        boasting(good().from("203.0.113.9:1")),
    ] {
        let outcome = vm.request(&refused);
        assert!(outcome.reply().is_some(), "{outcome:?}");
        assert_eq!(told(&outcome), [], "{outcome:?}");
    }
}

#[test]
fn who_is_only_observed_is_told_if_verified() {
    let mut vm = vm(&[("mode", "observe".into())]);
    let outcome = vm.request(&boasting(get("/orders/1")).with("x-api-key", "guess"));
    assert_eq!((outcome.status(), told(&outcome)), (200, vec![HITS, COST, ROUTE]));
    let outcome = vm.request(&good().from("203.0.113.9:1"));
    assert_eq!((outcome.status(), told(&outcome)), (200, vec![]));
}

#[test]
fn what_cannot_be_told_is_not_forwarded() {
    // A limit of the filter behind would not count: row W18.
    let mut vm = vm(&[]);
    for status in [1, 2, 6, 10, 12] {
        for skip in 0..3 {
            vm.behave();
            vm.meddle("proxy_set_property", skip, 1, Meddle::Answer(status));
            let outcome = vm.request(&good());
            assert_eq!(
                (outcome.status(), details(&outcome)),
                (503, "host_failure"),
                "{status} {skip}"
            );
            assert!(
                outcome
                    .audit
                    .is_some_and(|audit| audit.windows(12).any(|text| text == b"host_failure"))
            );
        }
    }
    for status in [1, 2, 10, 12] {
        vm.behave();
        vm.meddle("proxy_call_foreign_function", 0, 1, Meddle::Answer(status));
        assert_eq!(details(&vm.request(&good())), "host_failure", "{status}");
    }
    vm.behave();
    assert_eq!(vm.request(&good()).status(), 200);
}

#[test]
fn a_plan_is_told_of_who_has_one() {
    let mut consumers = policy()["consumers"].clone();
    consumers[0]["plan"] = "gold".into();
    let plans = serde_json::json!({"gold": {"limits": ["per-consumer"]}});
    let mut vm = vm(&[("consumers", consumers), ("plans", plans)]);
    let outcome = vm.request(&boasting(good()));
    assert!(told(&outcome).contains(&("wasm.portcullis.plan", "gold")), "{outcome:?}");
    let outcome = vm.request(&boasting(get("/public/x")));
    assert_eq!(told(&outcome), [HITS, COST, ("wasm.portcullis.route", "public")]);
}

#[test]
fn a_request_counts_what_its_route_costs() {
    let mut routes = policy()["routes"].clone();
    routes[2]["cost"] = 250.into();
    let mut vm = vm(&[("routes", routes)]);
    let outcome = vm.request(&good());
    assert_eq!(outcome.status(), 200);
    for fact in [("envoy.ratelimit.hits_addend", "250"), ("wasm.portcullis.cost", "250")] {
        assert!(told(&outcome).contains(&fact), "{outcome:?}");
    }
}

#[test]
fn it_costs_a_call_for_each_and_nothing_where_it_is_not_asked_for() {
    let calls = |vm: &mut Vm| {
        let calls = vm.request(&good()).calls;
        ["proxy_set_property", "proxy_call_foreign_function"]
            .map(|name| calls.iter().filter(|call| **call == name).count())
    };
    assert_eq!(calls(&mut vm(&[])), [4, 1]);
    assert_eq!(calls(&mut vm(&[("hand_over", serde_json::json!(["route"]))])), [2, 0]);
    let (_, mut plain) = crate::vm();
    assert_eq!(calls(&mut plain), [1, 0]);
}
