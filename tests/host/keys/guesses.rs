//! Limits that count failures, for tokens that wait for keys: row L16.

use serde_json::{Value, json};

use super::{
    GOOD, SECOND, Served, UNAVAILABLE, UNKNOWN, World, policy, remote, set, verdict, with_token,
};

/// The policy, and a limit of two failures of an address.
fn limited() -> Value {
    let mut policy = policy(&remote());
    policy["limits"]["guesses"] =
        json!({"key": ["address"], "rate": "1/h", "burst": 2, "counts": "failures"});
    policy["global_limits"] = json!(["guesses"]);
    policy
}

const LIMITED: (u32, &str) = (429, "rate_limited");

#[test]
fn a_token_that_waited_counts_once_when_it_fails() {
    let mut world = World::new(1, &limited(), |_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    for number in 0..2 {
        let (outcome, waited) = world.request(0, &with_token("other"));
        assert_eq!(verdict(&outcome), UNKNOWN, "{number}");
        // That nobody has the key is remembered.
        assert_eq!(waited > 0, number == 0, "{number}");
    }
    // Nothing is fetched and nothing waits any more.
    let (outcome, waited) = world.request(0, &with_token("other"));
    assert_eq!((verdict(&outcome), waited), (LIMITED, 0));
    assert_eq!(verdict(&world.request(0, &with_token("k1")).0), LIMITED);
}

#[test]
fn those_that_wait_together_are_looked_at_again() {
    let mut world = World::new(1, &limited(), |_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    for token in ["other", "other", "other", "k1", "other"] {
        // Those whose key is there do not wait, and are not in the way of those that do.
        assert_eq!(world.open(0, &with_token(token)).1.is_none(), token == "other");
    }
    world.run(10 * SECOND);
    let ended: Vec<_> =
        world.workers[0].ended.iter().map(|(_, outcome)| verdict(outcome)).collect();
    assert_eq!(ended, [UNKNOWN, UNKNOWN, LIMITED, LIMITED]);
    let last = &world.workers[0].ended[3].1;
    let audit = String::from_utf8_lossy(last.audit.as_deref().unwrap_or_default()).into_owned();
    assert!(audit.contains(r#""rule":"guesses""#) && audit.contains("retry_in_ms"), "{audit}");
}

#[test]
fn a_token_that_nobody_can_judge_is_no_guess() {
    let mut world = World::new(1, &limited(), |_| Served::Broken);
    for _ in 0..4 {
        assert_eq!(verdict(&world.request(0, &with_token("k1")).0), UNAVAILABLE);
    }
    world.serve(|_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    for _ in 0..4 {
        assert_eq!(verdict(&world.request(0, &with_token("k1")).0), GOOD);
    }
}

#[test]
fn good_tokens_that_waited_take_nothing() {
    let mut world = World::new(1, &limited(), |_| Served::json(set(&["k1"])));
    for _ in 0..5 {
        assert_eq!(world.open(0, &with_token("k1")).1, None);
    }
    world.run(10 * SECOND);
    assert!(world.workers[0].ended.iter().all(|(_, outcome)| verdict(outcome) == GOOD));
    assert_eq!(world.workers[0].ended.len(), 5);
    for _ in 0..2 {
        assert_eq!(verdict(&world.request(0, &with_token("other")).0), UNKNOWN);
    }
    assert_eq!(verdict(&world.request(0, &with_token("k1")).0), LIMITED);
}
