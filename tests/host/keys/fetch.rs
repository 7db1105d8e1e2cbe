//! One fetch for all workers, when it is due, and what its answer's headers say.

use std::ops::RangeInclusive;

use serde_json::json;

use super::{GOOD, SECOND, Served, UNKNOWN, World, policy, remote, set, verdict, with_token};

const MILLI: u64 = 1_000_000;

fn idp(
    ids: &'static [&'static str],
) -> impl FnMut(&portcullis_tests::fake_host::HttpCall) -> Served {
    move |_| Served::json(set(ids))
}

#[test]
fn all_workers_share_one_fetch() {
    // rows S10, S12
    let mut world = World::new(4, &policy(&remote()), idp(&["k1"]));
    world.run(2 * SECOND);
    let calls = world.calls_to("idp");
    assert_eq!(calls.len(), 1, "{calls:?}");
    let headers: Vec<_> = calls[0]
        .headers
        .iter()
        .map(|(name, value)| (str::from_utf8(name), str::from_utf8(value)))
        .collect();
    let expected = [
        (":method", "GET"),
        (":path", "/jwks.json"),
        (":authority", "id.example.com"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "portcullis"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (Ok(name), Ok(value))));
    assert_eq!(calls[0].timeout, 3_000);
    for worker in 0..4 {
        let (outcome, waited) = world.request(worker, &with_token("k1"));
        assert_eq!((verdict(&outcome), waited), (GOOD, 0));
    }
    assert_eq!(world.issuer_metric("key_set_keys", "corp"), 1);
    assert_eq!(world.issuer_metric("key_set_good", "corp"), 1);
    assert_eq!(world.fetches("corp", "updated"), 1);
}

#[test]
fn who_comes_late_takes_what_is_there() {
    let mut world = World::new(1, &policy(&remote()), idp(&["k1"]));
    world.run(SECOND);
    // Also the VM that takes the place of one that has died.
    world.kill(0);
    world.serve(|_| Served::Broken);
    let late = world.add_worker();
    let (outcome, waited) = world.request(late, &with_token("k1"));
    assert_eq!((verdict(&outcome), waited), (GOOD, 0));
}

#[test]
fn an_unchanged_set_is_asked_for_and_lasts() {
    let corp = json!({
        "cluster": "idp", "path": "/jwks.json", "authority": "id.example.com",
        "refresh": "10s", "timeout": "3s", "max_stale": "15s", "cooldown": "5s",
    });
    let mut world =
        World::new(2, &policy(&corp), |call| match call.header("if-none-match").as_str() {
            "" => Served::json(set(&["k1"])).with("etag", "W/\"one\""),
            "W/\"one\"" => Served::status(304, ""),
            other => panic!("{other}"),
        });
    world.run(60 * SECOND);
    assert_eq!(world.fetches("corp", "updated"), 1);
    let unchanged = world.fetches("corp", "unchanged");
    assert!((5..=7).contains(&unchanged), "{unchanged}");
    for worker in 0..2 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD);
    }
    assert!(world.issuer_metric("key_set_age_seconds", "corp") <= 11);
}

#[test]
fn cache_headers_bring_the_next_fetch_forward_and_never_put_it_off() {
    // The second fetch comes within these milliseconds after the first one.
    type Lines = &'static [(&'static str, &'static str)];
    let cases: [(Lines, RangeInclusive<u64>); 13] = [
        (&[], 50_900..=54_000),
        (&[("cache-control", "public, max-age=20")], 16_900..=18_000),
        (&[("cache-control", "MAX-AGE=\"20\"")], 16_900..=18_000),
        (&[("cache-control", "max-age=20"), ("age", "8")], 10_100..=10_900),
        (&[("cache-control", "max-age=20"), ("age", "30")], 5_000..=5_100),
        (&[("cache-control", "max-age=40, max-age=20")], 16_900..=18_000),
        (&[("cache-control", "max-age=20"), ("cache-control", "no-store")], 5_000..=5_100),
        (&[("cache-control", "no-cache=\"x\", max-age=20")], 5_000..=5_100),
        (&[("cache-control", "max-age=0")], 5_000..=5_100),
        (&[("cache-control", "max-age=99999999999999999999999")], 50_900..=54_000),
        (&[("cache-control", "max-age=-1")], 50_900..=54_000),
        (&[("cache-control", "max-age=")], 50_900..=54_000),
        (&[("cache-control", "\u{fffd},,=,s-maxage=1")], 50_900..=54_000),
    ];
    for (lines, expected) in cases {
        let mut world = World::new(2, &policy(&remote()), move |_| {
            let served = Served::json(set(&["k1"]));
            lines.iter().fold(served, |served, (name, value)| served.with(name, value))
        });
        world.run(56 * SECOND);
        let calls: Vec<_> = world.calls.iter().filter(|(.., call)| call.cluster == "idp").collect();
        let after = (calls[1].0 - calls[0].0) / MILLI;
        // A step of the clock, and the shortest period of the timer.
        assert!(
            (*expected.start()..=expected.end() + 1_100).contains(&after),
            "{lines:?}: {after}"
        );
    }
}

#[test]
fn a_key_that_is_removed_stops_working_within_the_interval() {
    let mut world = World::new(3, &policy(&remote()), idp(&["k1", "k2"]));
    world.run(SECOND);
    for worker in 0..3 {
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), GOOD);
    }
    world.serve(idp(&["k2"]));
    world.run(60 * SECOND);
    for worker in 0..3 {
        // The token is one that the worker had verified, and the answer is final at once or after
        // one more fetch.
        assert_eq!(verdict(&world.request(worker, &with_token("k1")).0), UNKNOWN);
        assert_eq!(verdict(&world.request(worker, &with_token("k2")).0), GOOD);
    }
}

#[test]
fn a_shorter_interval_takes_effect_when_the_policy_is_loaded() {
    let mut world = World::new(1, &policy(&remote()), idp(&["k1"]));
    world.run(SECOND);
    let mut shorter = remote();
    shorter["refresh"] = "10s".into();
    let worker = &mut world.workers[0];
    assert!(worker.vm.reconfigure(worker.root, policy(&shorter).to_string()).accepted);
    world.run(9 * SECOND);
    assert_eq!(world.calls_to("idp").len(), 2);
}

#[test]
fn a_fetch_that_takes_longer_than_the_cool_down_is_the_only_one() {
    let corp = json!({
        "cluster": "idp", "path": "/jwks.json", "authority": "id.example.com",
        "refresh": "1s", "timeout": "3s", "max_stale": "10m", "cooldown": "1s",
    });
    let mut world = World::new(3, &policy(&corp), |_| Served::Silence);
    for worker in 0..3 {
        world.open(worker, &with_token("k1"));
    }
    world.run(10 * SECOND);
    let times: Vec<_> =
        world.calls.iter().filter(|(.., call)| call.cluster == "idp").map(|(at, ..)| *at).collect();
    assert!(times.len() >= 3, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 3 * SECOND), "{times:?}");
}
