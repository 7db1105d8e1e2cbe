//! Charges that come with the response: how much more they let through, and for how long one is locked out.

use portcullis_core::{Charge, Effects, HeaderLine, MemoryStore, Policy, Request, Timestamp};
use portcullis_tests::policy::tokens;
use portcullis_tests::template::FIXED_NOW;
use proptest::prelude::*;
use serde_json::json;

use super::{SECOND, compile};

/// The most that a request costs.
const MAX: u64 = 7;

/// A gateway with one limit, and the requests that are on their way.
struct World {
    policy: Policy,
    buckets: MemoryStore,
    now: u64,
    /// When each was let in, and what its response is held against.
    flying: Vec<(u64, Vec<Charge>)>,
    /// When a request was let in, and what it cost in the end.
    paid: Vec<(u64, u64)>,
}

impl World {
    fn new(rate: u64, burst: u64) -> Self {
        let policy = compile(&json!({
            "version": 1, "gateway": "g",
            "limits": {"l": {"key": ["route"], "rate": format!("{rate}/s"), "burst": burst, "charge": {"header": "x-cost", "max": MAX}}},
            "routes": [{"name": "r", "paths": ["/x"], "methods": ["GET"], "access": "public", "limits": ["l"]}],
        }));
        let (buckets, now) = (MemoryStore::default(), FIXED_NOW.unix_nanos());
        Self { policy, buckets, now, flying: Vec::new(), paid: Vec::new() }
    }

    /// Sends a request. True: it is let in.
    fn send(&mut self) -> bool {
        let lines = [(&b":method"[..], &b"GET"[..]), (b":path", b"/x"), (b":authority", b"a")];
        let request = Request { headers: &lines, source_address: None, route_name: None };
        let (now, mut tokens) = (Timestamp::from_unix_nanos(self.now), tokens(&self.policy));
        let decision =
            self.policy.decide_now(&request, now, &mut self.buckets, &mut tokens, &mut ());
        let Effects::Forward(forward) = decision.effects() else { return false };
        self.flying.push((self.now, forward.charges));
        true
    }

    /// Has one of the requests answered, that at this position among them.
    fn answer(&mut self, position: usize, cost: u64) {
        if self.flying.is_empty() {
            return;
        }
        let (since, charges) = self.flying.remove(position % self.flying.len());
        let text = cost.to_string();
        let lines: [HeaderLine<'_>; 2] = [(b":status", b"200"), (b"x-cost", text.as_bytes())];
        let now = Timestamp::from_unix_nanos(self.now);
        self.policy.charge(&charges, &lines, now, &mut self.buckets, &mut ());
        self.paid.push((since, cost.clamp(1, MAX)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Over any stretch of time the requests that are let in cost together at most what the bucket and its
    /// rate give, and the most for each that can be on its way at once.
    #[test]
    fn what_is_let_in_costs_no_more_than_its_bound(
        rate in 1_u64..50,
        burst in 1_u64..12,
        most in 1_usize..12,
        steps in prop::collection::vec((0_u64..700_000_000, 0_u8..4, any::<usize>(), 0_u64..10), 1..150),
    ) {
        let most = most.min(usize::try_from(burst).unwrap());
        let mut world = World::new(rate, burst);
        for (step, what, position, cost) in steps {
            world.now += if step % 3 == 0 { 0 } else { step };
            if what < 2 && world.flying.len() < most {
                world.send();
            } else {
                world.answer(position, cost);
            }
        }
        while !world.flying.is_empty() {
            world.answer(0, MAX);
        }
        let paid = &world.paid;
        for (from, _) in paid {
            for (to, _) in paid.iter().filter(|(to, _)| from <= to) {
                let within = paid.iter().filter(|(at, _)| (from..=to).contains(&at));
                let cost: u64 = within.map(|(_, cost)| cost).sum();
                let refilled = (to - from) * rate / SECOND;
                let bound = burst + refilled + most as u64 * (MAX - 1);
                prop_assert!(cost <= bound, "{cost} of {bound} in {} ns", to - from);
            }
        }
    }

    /// However many are on their way, the bucket is full again when it and all that it can owe have
    /// refilled; and nobody is let in before what is owed has.
    #[test]
    fn nobody_is_locked_out_for_longer_than_the_bucket_can_owe(
        burst in 1_u64..8,
        rounds in 1_u64..6,
    ) {
        let mut world = World::new(10, burst);
        let interval = SECOND / 10;
        for _ in 0..rounds {
            while world.send() {}
            world.now += burst * interval;
        }
        let sent = world.flying.len() as u64;
        prop_assert_eq!(sent, rounds * burst);
        while !world.flying.is_empty() {
            world.answer(0, u64::MAX);
        }
        // The bucket had refilled after the last round: what it lacks are the charges.
        let owed = (sent * (MAX - 1)).min(burst + burst * MAX);
        let lacking = (owed + 1).saturating_sub(burst);
        if lacking > 0 {
            world.now += lacking * interval - 1;
            prop_assert!(!world.send());
            world.now += 1;
        }
        prop_assert!(world.send());
        world.now += burst * (1 + MAX) * interval;
        prop_assert_eq!((0..2 * burst).filter(|_| world.send()).count() as u64, burst);
    }
}
