//! Key ids that a set does not have: rows S10 and S11.

use std::cell::Cell;
use std::rc::Rc;

use super::{
    GOOD, SECOND, Served, UNKNOWN, World, bearer, key, policy, remote, set, verdict, with_token,
};
use serde_json::json;

/// A token that is good but for its signature, of a key that nobody has.
fn forged(number: usize) -> String {
    use crate::NOW;
    let now = NOW / SECOND;
    let header = json!({"alg": "EdDSA", "kid": format!("forged-{number}")});
    let claims = json!({"iss": "https://id.example.com/corp", "aud": "orders", "sub": "eve", "exp": now + 86_400});
    let text = format!(
        "{}.{}",
        portcullis_mint::encode(header.to_string().as_bytes()),
        portcullis_mint::encode(claims.to_string().as_bytes())
    );
    format!("{text}.{}", portcullis_mint::encode(&[7; 64]))
}

#[test]
fn a_new_key_is_fetched_for_the_first_token_of_it() {
    let mut world = World::new(2, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    world.serve(|_| Served::json(set(&["k1", "k2"])));
    let (outcome, waited) = world.request(0, &with_token("k2"));
    assert_eq!(verdict(&outcome), GOOD);
    assert!(waited < SECOND / 10, "{waited}");
    // The other worker finds it without asking the issuer, and without waiting for its timer.
    let (outcome, waited) = world.request(1, &with_token("k2"));
    assert_eq!((verdict(&outcome), waited), (GOOD, 0));
    assert_eq!(world.calls_to("idp").len(), 2);
}

#[test]
fn a_worker_that_does_not_fetch_learns_soon_of_what_another_did() {
    let mut world = World::new(2, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    world.serve(|_| Served::json(set(&["k1", "k2"])));
    let (_, outcome) = world.open(0, &with_token("k2"));
    assert_eq!(outcome, None);
    let (outcome, waited) = world.request(1, &with_token("k2"));
    assert_eq!(verdict(&outcome), GOOD);
    assert!(0 < waited && waited < SECOND / 10, "{waited}");
    assert_eq!(world.calls_to("idp").len(), 2);
}

#[test]
fn a_token_that_comes_right_after_a_fetch_waits_for_the_next_one() {
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(SECOND);
    world.serve(|_| Served::json(set(&["k1", "k2"])));
    let (outcome, waited) = world.request(0, &with_token("k2"));
    assert_eq!(verdict(&outcome), GOOD);
    assert!((3 * SECOND..6 * SECOND).contains(&waited), "{waited}");
}

#[test]
fn an_unknown_id_is_remembered_and_not_for_ever() {
    // row S11
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    let (outcome, waited) = world.request(0, &with_token("k2"));
    assert_eq!(verdict(&outcome), UNKNOWN);
    assert!(0 < waited && waited < SECOND, "{waited}");
    let calls = world.calls_to("idp").len();
    for _ in 0..3 {
        world.run(6 * SECOND);
        let (outcome, waited) = world.request(0, &with_token("k2"));
        assert_eq!((verdict(&outcome), waited), (UNKNOWN, 0));
    }
    assert_eq!(world.calls_to("idp").len(), calls);
    // The issuer has it now. Six cool-downs after it was found unknown it is asked for anew.
    world.serve(|_| Served::json(set(&["k1", "k2"])));
    world.run(13 * SECOND);
    assert_eq!(verdict(&world.request(0, &with_token("k2")).0), GOOD);
}

#[test]
fn ten_thousand_unknown_ids_are_one_fetch_a_cool_down() {
    // rows S10, S11
    const WORKERS: usize = 4;
    let fetches = Rc::new(Cell::new(0));
    let count = Rc::clone(&fetches);
    let mut world = World::new(WORKERS, &policy(&remote()), move |call| {
        if call.cluster == "idp" {
            count.set(count.get() + 1);
        }
        Served::json(set(&["k1"]))
    });
    world.run(SECOND);
    let (mut at_once, mut waiting) = (0, 0);
    // Six milliseconds between two of them: 10,000 in a minute.
    for number in 0..10_000 {
        let (stream, outcome) = world.open(number % WORKERS, &bearer(&forged(number)));
        match outcome {
            Some(outcome) => {
                assert_eq!(verdict(&outcome), UNKNOWN, "{number}");
                at_once += 1;
            }
            None => waiting += usize::from(stream > 0),
        }
        if number % 5 != 0 {
            world.run(5_000_000);
        }
        if number % 1_000 == 0 {
            // Good tokens are served meanwhile.
            let (outcome, waited) = world.request(number % WORKERS, &with_token("k1"));
            assert_eq!((verdict(&outcome), waited), (GOOD, 0));
        }
    }
    world.run(9 * SECOND);
    let mut ended = 0;
    for worker in &mut world.workers {
        for (stream, outcome) in std::mem::take(&mut worker.ended) {
            assert_eq!(verdict(&outcome), UNKNOWN);
            worker.vm.close(stream);
            ended += 1;
        }
    }
    assert_eq!((at_once + waiting, ended), (10_000, waiting));
    let times: Vec<_> = world
        .calls
        .iter()
        .filter(|(.., call)| call.cluster == "idp")
        .map(|(time, ..)| *time)
        .collect();
    assert_eq!(times.len(), fetches.get());
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 5 * SECOND), "{times:?}");
    let cool_downs = (world.process.now() - crate::NOW) / (5 * SECOND);
    assert!(times.len() as u64 <= cool_downs + 1, "{} in {cool_downs}", times.len());
    assert_eq!(world.issuer_metric("requests_waiting", "corp"), 0);
}

#[test]
fn the_memory_of_unknown_ids_is_bounded() {
    // row S11
    let mut world = World::new(1, &policy(&remote()), |_| Served::json(set(&["k1"])));
    world.run(10 * SECOND);
    let flood = |world: &mut World, from: usize| {
        for number in from..from + 1_000 {
            assert!(world.open(0, &bearer(&forged(number))).1.is_none());
        }
        world.run(6 * SECOND);
        let worker = &mut world.workers[0];
        let ended = std::mem::take(&mut worker.ended);
        assert_eq!(ended.len(), 1_000);
        for (stream, _) in ended {
            worker.vm.close(stream);
        }
    };
    flood(&mut world, 0);
    flood(&mut world, 1_000);
    let memory = world.workers[0].vm.memory();
    for round in 2..6 {
        flood(&mut world, round * 1_000);
    }
    assert_eq!(world.workers[0].vm.memory(), memory);
    // Whoever was forgotten waits again, and nobody is taken for unknown who is not.
    assert_eq!(verdict(&world.request(0, &with_token("k1")).0), GOOD);
}

#[test]
fn a_key_that_cannot_be_used_is_not_asked_for() {
    let unusable = json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "weak"});
    let good = key("k1").public_jwk();
    let both = json!({"keys": [good, unusable]}).to_string();
    let mut world = World::new(1, &policy(&remote()), move |_| Served::json(both.clone()));
    world.run(10 * SECOND);
    let (outcome, waited) = world.request(0, &with_token("weak"));
    assert_eq!((verdict(&outcome), waited), (UNKNOWN, 0));
}
