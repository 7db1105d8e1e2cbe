use super::*;
use crate::authn::signature::PureVerifier;
use crate::authn::tokens::Tokens;
use crate::effects::Effects;
use crate::limit::Troubled;
use crate::request::Request;
use crate::time::SECOND;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: u64 = 1_800_000_000 * SECOND;

/// A gateway with these limits, all of them on its only route, whose requests cost 2.
struct World {
    policy: Policy,
    store: Troubled,
    now: u64,
}

impl World {
    fn new(limits: &str, names: &str) -> Self {
        let text = format!(
            "{{'version': 1, 'gateway': 'g', 'limits': {{{limits}}}, 'routes': [{{'name': 'r', 'paths': \
             ['/x'], 'methods': ['GET'], 'access': 'public', 'limits': [{names}]}}]}}"
        );
        let compiled = Policy::compile(text.replace('\'', "\"").as_bytes());
        let mut policy = compiled.policy.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
        policy.routes.iter_mut().for_each(|route| route.cost = 2);
        Self { policy, store: Troubled::default(), now: NOW }
    }

    /// A token a second, 10 at once, up to 9 for a request.
    fn plain() -> Self {
        Self::new(
            "'l': {'key': ['route'], 'rate': '1/s', 'burst': 10, 'charge': {'header': 'x-cost', 'max': 9}}",
            "'l'",
        )
    }

    /// What the response of a request is held against; `None`: it was refused.
    fn send(&mut self) -> Option<Vec<Charge>> {
        let lines = [(&b":method"[..], &b"GET"[..]), (b":path", b"/x"), (b":authority", b"a")];
        let request = Request { headers: &lines, source_address: None, route_name: None };
        let (now, policy) = (Timestamp::from_unix_nanos(self.now), &self.policy);
        let mut tokens = Tokens::new(policy, PureVerifier, [0; 16]);
        let decision = policy.decide_now(&request, now, &mut self.store, &mut tokens, &mut ());
        match decision.effects() {
            Effects::Forward(forward) => Some(forward.charges),
            Effects::Reply(_) => None,
        }
    }

    /// The names of the headers that callers are not told.
    fn answer(&mut self, charges: &[Charge], lines: &[HeaderLine<'_>]) -> Vec<String> {
        let now = Timestamp::from_unix_nanos(self.now);
        let removed = self.policy.charge(charges, lines, now, &mut self.store, &mut ());
        removed.into_iter().map(str::to_owned).collect()
    }

    /// Sends a request that costs what these lines say.
    fn pay(&mut self, lines: &[&[u8]]) {
        let charges = self.send().unwrap_or_else(|| panic!("it is let in"));
        let lines: Vec<HeaderLine<'_>> = lines.iter().map(|line| (&b"x-cost"[..], *line)).collect();
        self.answer(&charges, &lines);
    }

    /// How many tokens were taken of a bucket of 10 at a token a second: how long it takes to be full.
    fn taken(&mut self) -> u64 {
        let seconds = (0..1_000).find(|seconds| {
            let mut later =
                Self { policy: Self::plain().policy, store: Troubled::default(), now: self.now };
            later.store.inner = self.store.inner.clone();
            later.now += seconds * SECOND;
            (0..5).all(|_| later.send().is_some())
        });
        seconds.unwrap_or(u64::MAX)
    }
}

#[test]
fn a_cost_is_a_whole_number_or_the_most() {
    let cases: [(&[&[u8]], u64, usize); 16] = [
        (&[], 2, 0),
        (&[b"0"], 2, 0),
        (&[b"1"], 2, 0),
        (&[b"2"], 2, 0),
        (&[b"3"], 3, 0),
        (&[b"007"], 7, 0),
        (&[b"9"], 9, 0),
        (&[b"10"], 9, 0),
        (&[b"99999999999999999999999999"], 9, 0),
        (&[b""], 9, 1),
        (&[b"1.5"], 9, 1),
        (&[b"-1"], 9, 1),
        (&[b"+3"], 9, 1),
        (&[b"3, 0"], 9, 1),
        (&[b"\xff"], 9, 1),
        (&[b"3", b"0"], 9, 1),
    ];
    for (lines, taken, unreadable) in cases {
        let mut world = World::plain();
        world.pay(lines);
        assert_eq!((world.taken(), world.store.unreadable), (taken, unreadable), "{lines:?}");
    }
}

#[test]
fn who_owes_waits_for_what_it_owes() {
    let mut world = World::plain();
    let charges: Vec<_> = (0..5).filter_map(|_| world.send()).collect();
    assert_eq!(charges.len(), 5);
    for charges in &charges {
        world.answer(charges, &[(b"X-Cost", b"9")]);
    }
    // 35 tokens are owed, and a request takes 2.
    world.now += 37 * SECOND - 1;
    assert!(world.send().is_none());
    world.now += 1;
    assert!(world.send().is_some() && world.send().is_none());
    // A clock that was years ahead locks nobody out for longer than the bucket can owe.
    let mut world = World::plain();
    world.now += 10_000 * 86_400 * SECOND;
    world.pay(&[b"9"]);
    world.now = NOW;
    assert!(world.send().is_none());
    world.now += (90 + 2) * SECOND;
    assert!(world.send().is_some());
}

#[test]
fn callers_are_told_what_the_policy_says() {
    let mut world = World::new(
        "'a': {'key': ['route'], 'rate': '1/s', 'burst': 100, 'charge': {'header': 'X-A', 'max': 9}},
         'b': {'key': ['route'], 'rate': '1/s', 'burst': 100, 'charge': {'header': 'x-b', 'max': 9, 'forward': true}},
         'c': {'key': ['route'], 'rate': '1/s', 'burst': 100}",
        "'a', 'b', 'c'",
    );
    let charges = world.send().unwrap_or_else(|| panic!("it is let in"));
    assert_eq!(charges.len(), 2);
    assert_eq!(world.answer(&charges, &[(b"x-a", b"1"), (b"x-b", b"1")]), ["x-a"]);
    assert!(world.answer(&charges, &[(b"x-b", b"1"), (b"x-c", b"1")]).is_empty());
    assert_eq!(world.answer(&charges, &[(b"x-a", b"?")]), ["x-a"]);
}

#[test]
fn each_window_is_charged_and_a_quota_owes_nothing() {
    let mut world = World::new(
        "'l': {'key': ['route'], 'charge': {'header': 'x-cost', 'max': 9}, 'windows': [{'rate': '1/s', 'burst': 100}, {'quota': '20/hour'}]}",
        "'l'",
    );
    let charges: Vec<_> = (0..3).filter_map(|_| world.send()).collect();
    assert_eq!(charges.iter().map(Vec::len).collect::<Vec<_>>(), [2; 3]);
    for charges in &charges {
        world.answer(charges, &[(b"x-cost", b"9")]);
    }
    // 27 of 20 are used until the hour is over: 2027-01-15T08:00:00Z was its begin.
    assert!(world.send().is_none());
    world.now = NOW + 3_600 * SECOND - 1;
    assert!(world.send().is_none());
    world.now = NOW + 3_600 * SECOND + 100;
    assert_eq!((0..20).filter(|_| world.send().is_some()).count(), 10);
}

#[test]
fn lost_races_are_run_again_a_bounded_number_of_times() {
    // L05
    let mut world = World::plain();
    let charges = world.send().unwrap_or_else(|| panic!("it is let in"));
    world.store.losses = ATTEMPTS - 1;
    world.answer(&charges, &[(b"x-cost", b"9")]);
    assert_eq!((world.taken(), world.store.gave_up), (9, 0));
    world.store.losses = usize::MAX;
    world.answer(&charges, &[(b"x-cost", b"9")]);
    assert_eq!(world.store.gave_up, 1);
}

#[test]
fn what_is_not_let_in_is_not_charged() {
    let mut world = World::plain();
    while world.send().is_some() {}
    // The policy looks on: what it would have refused is forwarded, and took nothing.
    let text = "{'version': 1, 'gateway': 'g', 'mode': 'observe', 'limits': {'l': {'key': ['route'], 'rate': '1/s', \
                'burst': 10, 'charge': {'header': 'x-cost', 'max': 9}}}, 'routes': [{'name': 'r', 'paths': ['/x'], \
                'methods': ['GET'], 'access': 'public', 'limits': ['l']}]}";
    world.policy = Policy::compile(text.replace('\'', "\"").as_bytes())
        .policy
        .unwrap_or_else(|| panic!("it is good"));
    assert!(world.send().is_some_and(|charges| charges.is_empty()));
}
