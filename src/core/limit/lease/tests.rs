//! Every order in which workers can read, swap, spend, lose a lease and let time pass, at small sizes.
//!
//! A state holds no past: instants are counted from now, and what lies before now is now. So all states
//! that can be reached are few, and each step out of each of them is checked.

use std::collections::BTreeSet;

use super::*;
use crate::limit::State;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The instant that every state calls now.
const NOW: u64 = 1_800_000_000 * SECOND;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Worker {
    /// Arrival, what is left, what was written, and the age, at most a tick more than a lease lives.
    lease: (u64, u64, u64, u64),
    /// A request between its look and its swap: its cost, the arrival after it, what remains, whether
    /// somebody else was faster.
    pending: Option<(u64, u64, u64, bool)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct World {
    arrival: u64,
    /// The arrival of a bucket without leases that admitted the same requests.
    exact: u64,
    workers: Vec<Worker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// At this cost.
    Admitted(u64, State),
    Refused(u64, State),
    Nothing,
    Time,
}

/// What a model is made of.
struct Model {
    quota: Quota,
    workers: usize,
    /// A request costs at most so many tokens.
    dearest: u64,
    /// Tokens taken ahead are at most this and at most the half of what remains.
    most: u64,
    tick: u64,
    loses_leases: bool,
}

fn now() -> Timestamp {
    Timestamp::from_unix_nanos(NOW)
}

impl Worker {
    fn lease(&self) -> Lease {
        let (arrival, left, written, age) = self.lease;
        Lease { arrival, left, written, since: NOW - age }
    }

    fn keep(&mut self, lease: Lease) {
        let age = NOW - lease.since;
        self.lease = (lease.arrival.max(NOW), lease.left, lease.written, age);
    }
}

impl World {
    /// What the bucket holds and what lies in leases, in nanoseconds of refilling.
    fn tokens(&self, quota: &Quota) -> u64 {
        let leased: u64 = self.workers.iter().map(|worker| worker.lease.1).sum();
        NOW + quota.fill() - self.arrival.max(NOW) + leased * quota.interval()
    }

    fn others(&self, at: usize) -> u64 {
        let others = self.workers.iter().enumerate().filter(|(other, _)| *other != at);
        others.map(|(_, worker)| worker.lease.1).sum()
    }
}

impl Model {
    fn start(&self) -> World {
        let unused = Worker { lease: (NOW, 0, NOW, LIFE + self.tick), pending: None };
        World { arrival: NOW, exact: NOW, workers: vec![unused; self.workers] }
    }

    /// Every step out of a state: which worker made it, what came of it, and the next state.
    fn steps(&self, world: &World) -> Vec<(usize, Event, World)> {
        let mut steps = Vec::new();
        for at in 0..self.workers {
            let is_pending = world.workers[at].pending.is_some();
            for cost in 1..=if is_pending { 1 } else { self.dearest } {
                let mut next = world.clone();
                let event = if is_pending {
                    self.finish(&mut next, at)
                } else {
                    self.begin(&mut next, at, cost)
                };
                steps.push((at, event, next));
            }
            if self.loses_leases && world.workers[at].pending.is_none() {
                let mut next = world.clone();
                next.workers[at] = self.start().workers[at];
                steps.push((at, Event::Nothing, next));
            }
        }
        if world.workers.iter().all(|worker| worker.pending.is_none()) {
            let earlier = |arrival: u64| arrival.saturating_sub(self.tick).max(NOW);
            let mut next = world.clone();
            (next.arrival, next.exact) = (earlier(world.arrival), earlier(world.exact));
            for worker in &mut next.workers {
                let (arrival, left, written, age) = worker.lease;
                let age = (age + self.tick).min(LIFE + self.tick);
                // What others have changed stays another one.
                let written = match earlier(written) {
                    same if written != world.arrival && same == next.arrival => NOW - 1,
                    written => written,
                };
                worker.lease = (earlier(arrival), left, written, age);
            }
            steps.push((0, Event::Time, next));
        }
        steps
    }

    fn admit(&self, world: &mut World, cost: u64, state: State) -> Event {
        world.exact = self.quota.moved(world.exact, cost);
        Event::Admitted(cost, state)
    }

    /// A request looks at its lease, or else at the bucket.
    fn begin(&self, world: &mut World, at: usize, cost: u64) -> Event {
        let mut lease = world.workers[at].lease();
        let own = lease.arrival(cost, now());
        let arrival = own.unwrap_or_else(|| lease.give_back(&self.quota, world.arrival, now()));
        match (self.quota.judge(arrival, cost, now()), own) {
            (state @ State::Open { next, .. }, Some(_)) => {
                lease.spend(cost, next);
                world.workers[at].keep(lease);
                self.admit(world, cost, state)
            }
            (State::Open { next, remaining, .. }, None) => {
                world.workers[at].pending = Some((cost, next, remaining, false));
                Event::Nothing
            }
            (state @ State::Empty { .. }, _) => Event::Refused(cost, state),
        }
    }

    /// It swaps what it saw. Who comes too late begins again, as any other request.
    fn finish(&self, world: &mut World, at: usize) -> Event {
        let Some((cost, next, remaining, is_late)) = world.workers[at].pending.take() else {
            return Event::Nothing;
        };
        if is_late {
            return Event::Nothing;
        }
        let is_recent = world.workers[at].lease().is_recent(now());
        let ahead = if is_recent { (remaining / 2).min(self.most) } else { 0 };
        let lease = Lease::new(&self.quota, next, ahead, now());
        world.arrival = lease.written();
        world.workers[at].keep(lease);
        for worker in &mut world.workers {
            if let Some((.., is_late)) = &mut worker.pending {
                *is_late = true;
            }
        }
        let full_in = next - NOW;
        self.admit(world, cost, State::Open { next, remaining, full_in })
    }

    /// Visits every state that can be reached.
    fn explore(&self, mut check: impl FnMut(&World, usize, Event, &World)) -> usize {
        let mut known = BTreeSet::from([self.start()]);
        let mut open = vec![self.start()];
        while let Some(world) = open.pop() {
            for (at, event, mut next) in self.steps(&world) {
                check(&world, at, event, &next);
                // Workers are alike.
                next.workers.sort();
                if known.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        known.len()
    }
}

fn models(most: u64, loses_leases: bool) -> impl Iterator<Item = Model> {
    // Two workers whose time goes on by half a token, three by a whole one.
    [(2, LIFE / 2, 5, LIFE / 4), (2, LIFE, 4, LIFE / 2), (3, LIFE, 3, LIFE)]
        .map(move |(workers, interval, burst, tick)| {
            let quota = Quota::new(1, interval, burst).unwrap_or_else(|| panic!("{burst}"));
            Model { quota, workers, dearest: 2, most, tick, loses_leases }
        })
        .into_iter()
}

#[test]
fn tokens_come_from_nothing_but_time() {
    // The bound: a request takes what it costs, time gives what the rate gives, nothing else adds any: not
    // those under way on each worker, and not those that were too late and begin again.
    for model in models(2, true) {
        let (quota, mut most, mut late) = (model.quota, 0, 0);
        let states = model.explore(|before, at, event, after| {
            let was_late = before.workers[at].pending.is_some_and(|(.., is_late)| is_late);
            late += usize::from(was_late && after.workers != before.workers);
            let given = match event {
                Event::Time => model.tick,
                _ => 0,
            };
            let taken = match event {
                Event::Admitted(cost, _) => cost * quota.interval(),
                _ => 0,
            };
            let (had, has) = (before.tokens(&quota), after.tokens(&quota));
            assert!(has + taken <= had + given, "{event:?} {before:?} {after:?}");
            most = most.max(has);
        });
        let in_leases = model.workers as u64 * model.most * quota.interval();
        assert!(most > quota.fill() && most <= quota.fill() + in_leases, "{most}");
        assert!(late > 100, "{late} were too late");
        assert!(states > 1_000, "{states}");
    }
}

#[test]
fn a_refusal_costs_at_most_what_others_hold() {
    for model in models(2, false) {
        let (quota, mut is_short) = (model.quota, false);
        model.explore(|before, at, event, after| {
            // Never less than without leases, all in all.
            let exact = NOW + quota.fill() - after.exact.min(NOW + quota.fill());
            assert!(after.tokens(&quota) >= exact, "{event:?} {before:?} {after:?}");
            if let Event::Refused(cost, _) = event {
                let there = NOW + quota.fill() - before.exact.min(NOW + quota.fill());
                let held = before.others(at) * quota.interval();
                assert!(there < held + cost * quota.interval(), "{before:?}");
                is_short |= there >= cost * quota.interval();
            }
        });
        assert!(is_short, "the model shows the price");
    }
}

#[test]
fn one_worker_tells_what_it_would_tell_without_leases() {
    for model in models(2, false).map(|model| Model { workers: 1, ..model }) {
        let (mut answers, mut leased) = (0, 0);
        model.explore(|before, _, event, _| {
            if let Event::Admitted(cost, state) | Event::Refused(cost, state) = event {
                assert_eq!(state, model.quota.judge(before.exact, cost, now()), "{before:?}");
                answers += 1;
                leased += usize::from(before.workers[0].pending.is_none());
            }
        });
        assert!(leased > 0 && answers > leased, "{answers}, {leased} of them from leases");
    }
}

#[test]
fn without_leases_buckets_are_exact() {
    for model in models(0, false) {
        model.explore(|before, _, event, after| {
            assert_eq!(after.arrival, after.exact, "{event:?} {before:?}");
            if let Event::Refused(cost, state) = event {
                assert_eq!(state, model.quota.judge(before.exact, cost, now()));
            }
        });
    }
}

#[test]
fn few_tokens_are_never_taken_ahead() {
    let ahead = |remaining| Quota::ahead(remaining, 1);
    assert_eq!([0, 31, 32, 63, 64].map(ahead), [0, 0, 1, 1, 2]);
    assert_eq!([63 * 32 - 1, 63 * 32, u64::MAX].map(ahead), [62, 63, 63]);
    assert_eq!([1, 9, 10].map(|cost| Quota::ahead(9 * 32, cost)), [9, 9, 0], "or it is no use");
    let quota = |burst| Quota::new(1, SECOND, burst).unwrap_or_else(|| panic!("{burst}"));
    assert!(!quota(32).is_leased() && quota(33).is_leased());
    let calendar = Quota::of_window(100_000, crate::limit::Calendar::Month(1));
    assert!(calendar.is_some_and(|quota| !quota.is_leased()));
}

#[test]
fn a_lease_ends_with_its_life_or_a_clock_set_back() {
    let lease = Lease::new(
        &Quota::new(1, SECOND, 9).unwrap_or_else(|| panic!("nine")),
        NOW + SECOND,
        3,
        now(),
    );
    let at = |nanos: u64| lease.arrival(1, Timestamp::from_unix_nanos(nanos));
    assert_eq!((at(NOW), at(NOW + LIFE)), (Some(NOW + SECOND), Some(NOW + SECOND)));
    assert_eq!((at(NOW - 1), at(NOW + LIFE + 1)), (None, None));
    assert_eq!(lease.arrival(3, now()), Some(NOW + SECOND));
    assert_eq!(lease.arrival(4, now()), None, "not enough for it");
    assert_eq!(Lease { left: 0, ..lease }.arrival(1, now()), None);
}

#[test]
fn no_stretch_of_time_holds_more_than_the_bound() {
    // The same as a caller sees it, on long walks through the model.
    let mut exceeds = false;
    for model in models(2, false) {
        let mut dice = 1_u64;
        let (mut world, mut time, mut admitted) = (model.start(), 0, Vec::new());
        for number in 0..4_000 {
            // Marsaglia's xorshift64.
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let mut steps = model.steps(&world);
            // A worker takes a lease, the bucket fills up behind it, and everybody comes at once.
            let fits = |(at, event, _): &(usize, Event, World)| match number % 60 {
                0..30 | 32..34 | 36..40 => *event == Event::Time,
                30..32 | 34..36 => *event != Event::Time && *at == 0,
                _ => *event != Event::Time,
            };
            let is_any = steps.iter().any(fits);
            steps.retain(|step| !is_any || fits(step));
            let place = usize::try_from(dice % steps.len() as u64).unwrap_or_default();
            let step = steps.swap_remove(place);
            let in_leases: u64 = world.workers.iter().map(|worker| worker.lease.1).sum();
            match step.1 {
                Event::Time => time += model.tick,
                Event::Admitted(cost, _) => admitted.extend((0..cost).map(|_| (time, in_leases))),
                Event::Refused(..) | Event::Nothing => {}
            }
            world = step.2;
        }
        let quota = model.quota;
        for (first, (from, in_leases)) in admitted.iter().enumerate() {
            for (count, (to, _)) in (1_u64..).zip(admitted.iter().skip(first)) {
                let refilled = (to - from) / quota.interval();
                assert!(
                    count <= quota.burst() + refilled + in_leases,
                    "{count} from {from} to {to}"
                );
                exceeds |= count > quota.burst() + refilled;
            }
        }
    }
    assert!(exceeds, "the walk shows what leases admit");
}
