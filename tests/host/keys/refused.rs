//! Answers that are none: the set that is there stays until it is too old, then it is 503.

use serde_json::json;

use super::{
    GOOD, KEY, SECOND, Served, UNAVAILABLE, World, bearer, get, policy, remote, set, token_of,
    verdict, with_token,
};

fn deep() -> String {
    format!("{{\"keys\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))
}

fn many() -> String {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k"}).to_string();
    format!("{{\"keys\":[{}]}}", vec![key; 100_000].join(","))
}

/// Every way in which an answer can be no key set, and what it is counted as.
fn answers() -> Vec<(&'static str, Served)> {
    let set = || set(&["k1", "k2"]);
    vec![
        // S03
        ("status", Served::status(500, set())),
        ("status", Served::status(404, set())),
        ("status", Served::status(204, "")),
        ("status", Served::status(304, "")),
        ("status", Served::status(206, set())),
        ("not_a_set", Served::json("")),
        ("not_a_set", Served::json("<!doctype html><title>Sign in</title>")),
        ("not_a_set", Served::json(&set()[..set().len() - 2])),
        ("not_a_set", Served::json("{}")),
        ("not_a_set", Served::json(r#"{"keys":123}"#)),
        ("not_a_set", Served::json("\u{0}\u{fffd}")),
        ("no_usable_key", Served::json(r#"{"keys":[]}"#)),
        ("no_usable_key", Served::json(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#)),
        // S04
        ("status", Served::status(302, set()).with("location", "https://evil.example/jwks.json")),
        // S05
        ("too_long", Served::json(vec![b' '; 10 << 20])),
        ("too_long", Served::json(many())),
        ("not_a_set", Served::json(deep())),
        ("too_long", Served::json(format!("{{\"keys\":[],\"kid\":\"{}\"}}", "k".repeat(1 << 20)))),
        ("encoding", Served::json(set()).with("content-encoding", "gzip")),
        ("encoding", Served::json(set()).with("content-encoding", "identity, br")),
        // S02, W14
        ("unreachable", Served::Broken),
        ("unreachable", Served::Silence),
        ("unreachable", Served::Answer(Vec::new(), set().into())),
        ("status", Served::Answer(vec![("x-no".into(), "status".into())], set().into())),
        (
            "status",
            Served::Answer(vec![(":status".into(), "2000000000000000000000".into())], vec![]),
        ),
    ]
}

#[test]
fn what_is_no_key_set_leaves_the_old_one_in_use() {
    // rows S02, S03, S04, S05
    for (result, served) in answers() {
        let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
        world.run(SECOND);
        let bad = served.clone();
        world.serve(move |_| bad.clone());
        world.run(62 * SECOND);
        let label =
            format!("{result}: {}", format!("{served:?}").chars().take(90).collect::<String>());
        assert!(world.fetches("corp", result) >= 1, "{label} {:?}", world.process.metrics());
        assert_eq!(world.issuer_metric("key_set_good", "corp"), 0, "{label}");
        let (outcome, waited) = world.request(0, &with_token("k1"));
        assert_eq!((verdict(&outcome), waited), (GOOD, 0), "{label}");
        // One that only the new set would have: nobody can say that it is not the issuer's.
        assert_eq!(verdict(&world.request(0, &with_token("k2")).0), UNAVAILABLE, "{label}");
        assert_eq!(world.workers[0].vm.trap(), None, "{label}");
    }
}

#[test]
fn what_is_too_long_stays_with_the_host() {
    // row S05
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(vec![b'x'; 10 << 20]));
    let memory = world.workers[0].vm.memory();
    world.run(20 * SECOND);
    assert!(world.fetches("corp", "too_long") >= 3);
    assert_eq!(world.workers[0].vm.memory(), memory);
}

#[test]
fn a_redirect_is_one_call() {
    // row S04
    let mut world = World::new(1, &policy(&remote()), |_| {
        Served::status(302, "").with("location", "https://evil.example/jwks.json")
    });
    world.run(4 * SECOND);
    let calls = world.calls_to("idp");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].header(":authority"), "id.example.com");
}

#[test]
fn a_set_that_is_too_old_is_none() {
    // row S14
    let mut world = World::new(2, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(SECOND);
    world.serve(|_| Served::status(500, ""));
    world.run_until(599 * SECOND);
    for worker in 0..2 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD);
    }
    world.run_until(602 * SECOND);
    for worker in 0..2 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), UNAVAILABLE);
    }
    world.run(20 * SECOND);
    assert_eq!(world.issuer_metric("key_set_keys", "corp"), 0);
    world.serve(|_| Served::json(set(&["k1"])));
    // It waits for the next try: the set that is too old is none.
    for worker in 0..2 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD);
    }
}

#[test]
fn an_issuer_that_is_down_at_the_start_stops_nobody_else() {
    // rows S01, S17
    let mut world = World::new(2, &policy(&remote()), |call| match call.cluster.as_str() {
        "other" => Served::json(set(&["p1"])),
        _ => Served::Broken,
    });
    world.run(SECOND);
    for worker in 0..2 {
        let partner = bearer(&token_of("https://partner.example", "p1"));
        for request in [get("/public/x"), get("/orders/1").with("x-api-key", KEY), partner] {
            let (outcome, waited) = world.request(worker, &request);
            assert_eq!((verdict(&outcome), waited), (GOOD, 0));
        }
        for id in ["k1", "p1", "rs0"] {
            let (outcome, waited) = world.request(worker, &with_token(id));
            assert_eq!(verdict(&outcome), UNAVAILABLE);
            assert!(waited <= 8 * SECOND, "{waited}");
        }
    }
    world.run(SECOND);
    let uses = |kind: &str, consumer: &str| {
        let labels = format!("gateway=.=tokens;.;kind=.={kind};.;consumer=.={consumer};.;");
        world.process.metric(&format!("portcullis.credential_uses.{labels}"))
    };
    assert_eq!((uses("api_key", "mobile"), uses("jwt", "none"), uses("jwt", "mobile")), (2, 2, 0));
    // Who waits while the issuer comes back is served.
    world.serve(|_| Served::json(set(&["k1"])));
    let (outcome, waited) = world.request(0, &with_token("k1"));
    assert_eq!(verdict(&outcome), GOOD);
    assert!(waited <= 6 * SECOND, "{waited}");
}

#[test]
fn a_cluster_that_envoy_does_not_have_is_a_failed_fetch() {
    let process = portcullis_tests::fake_host::Process::at(crate::NOW);
    process.lose_cluster("idp");
    let mut world = World::of(process, 2, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(11 * SECOND);
    assert_eq!(world.fetches("corp", "unreachable"), 3);
    assert_eq!(verdict(&world.request(0, &with_token("k1")).0), UNAVAILABLE);
    world.process.regain_cluster("idp");
    world.run(6 * SECOND);
    assert_eq!(verdict(&world.request(0, &with_token("k1")).0), GOOD);
}

#[test]
fn an_outage_is_one_line_of_the_log() {
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(SECOND);
    world.serve(|_| Served::status(500, ""));
    let _ = world.workers[0].vm.log();
    world.run(300 * SECOND);
    assert!(world.fetches("corp", "status") > 40);
    let lines = world.workers[0].vm.log();
    let lines: Vec<_> = lines.iter().filter(|line| line.contains("`corp`")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("stays in use until 2027-01-15T08:10:00"), "{lines:?}");
}
