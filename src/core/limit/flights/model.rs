//! Every order in which workers can read, swap, be struck off, trap and let time pass, at small sizes.
//!
//! The code under test is the real one, run call by call. As in the model of leases, instants are counted from
//! now.

use std::collections::HashSet;
use std::hash::Hash;

use siphasher::sip::SipHasher13;

use super::replay::{Answer, CURRENT, Call, Operation, REPLACED, Replay};
use super::*;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: u64 = 1_000_000 * SECOND;
const SET: u16 = 7;
const TAG: u64 = 0xabcd;

#[derive(Clone, Debug)]
struct Worker {
    flights: Flights,
    /// Requests that entered and have not left, and where they are counted.
    inside: Vec<Place>,
    /// What it is about, and the answers so far.
    pending: Option<(Operation, Vec<Answer>)>,
    /// Was not heard of in time, once.
    was_late: bool,
}

impl Worker {
    fn new(vm: u64) -> Self {
        let flights = Flights::new(vm << 16);
        Self { flights, inside: Vec::new(), pending: None, was_late: false }
    }

    /// For how long it has not been heard of, if anybody relies on it: since its last sign of life, or
    /// since it began what it is about, whatever it has told since.
    fn silence(&self) -> Option<u64> {
        let answers = self.pending.iter().flat_map(|(_, answers)| answers);
        let began = answers.filter_map(|answer| match answer {
            Answer::Time(time) => Some(*time),
            _ => None,
        });
        let heard = self.flights.heard.filter(|_| !self.flights.is_idle());
        began.chain(heard).min().map(|since| NOW - since)
    }
}

#[derive(Clone, Debug)]
struct World {
    roster: Vec<u8>,
    set: Vec<u8>,
    workers: Vec<Worker>,
    /// Faults, traps and long pauses that are still to come.
    faults: usize,
    traps: usize,
    pauses: usize,
    vms: u64,
}

/// What a model is made of.
#[derive(Clone, Copy)]
struct Model {
    workers: usize,
    most: u16,
    /// As many as one worker tries to have in flight.
    each: u16,
    faults: usize,
    traps: usize,
    pauses: usize,
    time: Time,
}

/// How time passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Time {
    /// Not at all, and everybody is on the roster.
    Never,
    /// By two seconds while nobody does anything, and everybody is heard of in time.
    AtRest,
    /// Also in the middle of what workers do.
    InBetween,
    /// By four seconds at any time, so that workers stand still for longer than they live; a few times.
    Late,
}

impl Time {
    fn step(self) -> u64 {
        if self == Self::Late { 4 * SECOND } else { 2 * SECOND }
    }

    /// Whether it may pass, if the longest silence of a worker that has something to tell is this.
    fn may_pass(self, silence: u64, rests: bool, pauses: usize) -> bool {
        match self {
            Self::Never => false,
            Self::AtRest => rests && silence + self.step() <= LIFE,
            Self::InBetween => silence + self.step() <= LIFE,
            Self::Late => pauses > 0,
        }
    }

    /// An instant, a step later: counted from now. What lies so far back is more than a life before the
    /// clock of anything that is under way.
    fn earlier(self, time: u64) -> u64 {
        let past = if self == Self::Late { 4 } else { 3 };
        (time - self.step()).max(NOW - past * self.step())
    }
}

impl World {
    fn value(&mut self, at: Shared) -> &mut Vec<u8> {
        match at {
            Shared::Roster => &mut self.roster,
            Shared::Set(_) => &mut self.set,
        }
    }

    fn inside(&self, is_counted: impl Fn(&Worker) -> bool) -> usize {
        self.workers.iter().filter(|it| is_counted(it)).map(|it| it.inside.len()).sum()
    }

    /// Does what an operation calls for.
    fn call(&mut self, call: Call) -> Answer {
        match call {
            Call::Clock => Answer::Time(NOW),
            Call::Read(at) => {
                // The order of records says nothing.
                let (mut bytes, mut sorted) = (self.value(at).clone(), List::default());
                assert!(sorted.read(&bytes, ROOM));
                sorted.0.sort();
                sorted.write(&mut bytes);
                Answer::Value(at, bytes, CURRENT)
            }
            Call::Swap(_, _, REPLACED) => Answer::Swapped(false),
            Call::Swap(at, value, _) => {
                *self.value(at) = value;
                let pending = self.workers.iter_mut().filter_map(|it| it.pending.as_mut());
                for answer in pending.flat_map(|(_, answers)| answers) {
                    if let Answer::Value(read, _, version) = answer
                        && *read == at
                    {
                        *version = REPLACED;
                    }
                }
                Answer::Swapped(true)
            }
        }
    }

    /// Runs a worker's operation as far as its answers go. The call that it makes next, if it is not over.
    fn run(&mut self, at: usize, most: u16) -> Option<Call> {
        let worker = &mut self.workers[at];
        let (operation, answers) = worker.pending.clone()?;
        let mut shared = Replay { answers: answers.iter(), wanted: None };
        let (mut flights, mut inside) = (worker.flights.clone(), worker.inside.clone());
        // What fails is told again later.
        let _ = match operation {
            Operation::Enter => flights.enter(&mut shared, SET, TAG, most).map(|entry| {
                if let Entry::Entered(place, count) = entry {
                    assert!(count <= most);
                    inside.push(place);
                }
            }),
            Operation::Leave => {
                inside.pop().map_or(Ok(()), |place| flights.leave(&mut shared, place))
            }
            Operation::Tick => flights.tick(&mut shared),
        };
        if shared.wanted.is_none() {
            (worker.flights, worker.inside, worker.pending) = (flights, inside, None);
        }
        shared.wanted
    }

    fn learn(&mut self, at: usize, answer: Answer) {
        if let Some((_, answers)) = &mut self.workers[at].pending {
            answers.push(answer);
        }
    }

    /// Finishes what a worker does, with nobody in between.
    fn finish(&mut self, at: usize, most: u16) {
        while let Some(call) = self.run(at, most) {
            let answer = self.call(call);
            self.learn(at, answer);
        }
    }

    fn does(&mut self, at: usize, operation: Operation, most: u16) {
        self.workers[at].pending = Some((operation, Vec::new()));
        self.finish(at, most);
    }

    /// Lets time pass: all that was is further away.
    fn wait(&mut self, time: Time) {
        let earlier = |instant| time.earlier(instant);
        let age = |bytes: &mut Vec<u8>| {
            let mut roster = List::default();
            assert!(roster.read(bytes, VMS));
            let mut aged = List::default();
            for record in roster.iter() {
                aged.push(Record::heard(record.name(), earlier(record.heard_at())), VMS);
            }
            aged.write(bytes);
        };
        age(&mut self.roster);
        for worker in &mut self.workers {
            worker.flights.heard = worker.flights.heard.map(earlier);
            for answer in worker.pending.iter_mut().flat_map(|(_, answers)| answers) {
                match answer {
                    Answer::Value(Shared::Roster, bytes, _) => age(bytes),
                    Answer::Time(time) => *time = earlier(*time),
                    _ => {}
                }
            }
            worker.was_late |= worker.silence().is_some_and(|silence| silence > LIFE);
            if worker.flights.is_idle() && worker.pending.is_none() {
                // It will be heard of when it has something to tell.
                worker.flights.heard = None;
            }
        }
    }

    /// A fingerprint that equal worlds share, and others do not but once in 2^64 pairs.
    fn name(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        for it in &self.workers {
            let mut own: Vec<_> = it.flights.own.iter().collect();
            own.sort();
            let Flights { vm, heard, is_stale, .. } = it.flights;
            (vm, heard, is_stale, own, &it.inside, &it.pending, it.was_late).hash(&mut hasher);
        }
        let sorted = |bytes| {
            let mut list = List::default();
            list.read(bytes, ROOM);
            list.0.sort();
            list.0
        };
        (sorted(&self.roster), sorted(&self.set), self.faults, self.traps, self.pauses)
            .hash(&mut hasher);
        hasher.finish()
    }

    /// When everybody ends what it does and goes, all places are free again.
    fn heals(&self, most: u16) {
        let mut world = self.clone();
        for at in 0..world.workers.len() {
            world.finish(at, most);
            while !world.workers[at].inside.is_empty() {
                world.does(at, Operation::Leave, most);
            }
            // Twice: one may have been struck off by itself.
            world.does(at, Operation::Tick, most);
        }
        let is_idle = |it: &Worker| it.flights.is_idle();
        assert!(world.workers.iter().all(is_idle), "{self:?}\n{world:?}");
        let mut left = List::default();
        assert!(left.read(&world.set, ROOM));
        let lives = |record: Record| world.workers.iter().any(|it| it.flights.vm == record.vm());
        assert!(!left.iter().any(lives), "{self:?}\n{world:?}");
        // Those that are gone without a word.
        world.wait(Time::Late);
        for number in 0..most {
            world.does(0, Operation::Enter, most);
            assert_eq!(
                world.workers[0].inside.len(),
                usize::from(number) + 1,
                "{self:?}\n{world:?}"
            );
        }
        world.does(1, Operation::Enter, most);
        assert_eq!(world.inside(|_| true), usize::from(most), "{self:?}\n{world:?}");
    }
}

impl Model {
    fn start(&self) -> World {
        let workers: Vec<_> = (1..).map(Worker::new).take(self.workers).collect();
        let vms = workers.len() as u64;
        let mut world = World {
            roster: Vec::new(),
            set: Vec::new(),
            workers,
            faults: self.faults,
            traps: self.traps,
            pauses: self.pauses,
            vms,
        };
        if self.time == Time::Never {
            for at in 0..self.workers {
                world.does(at, Operation::Enter, self.most);
                world.does(at, Operation::Leave, self.most);
            }
        }
        world
    }

    /// Every step out of a world.
    fn steps(&self, world: &World) -> Vec<World> {
        let mut steps = Vec::new();
        for at in 0..self.workers {
            match world.workers[at].pending {
                None => {
                    for operation in [Operation::Enter, Operation::Leave, Operation::Tick] {
                        let worker = &world.workers[at];
                        let is_pointless = match operation {
                            // One each is enough to be more than may be.
                            Operation::Enter => worker.inside.len() >= usize::from(self.each),
                            Operation::Leave => worker.inside.is_empty(),
                            Operation::Tick if self.time == Time::Never => !worker.flights.is_stale,
                            Operation::Tick => worker.flights.is_idle(),
                        };
                        if is_pointless {
                            continue;
                        }
                        let mut next = world.clone();
                        next.workers[at].pending = Some((operation, Vec::new()));
                        // The first call is made at once.
                        self.step(&next, at, &mut steps);
                    }
                }
                Some(_) => self.step(world, at, &mut steps),
            }
            if world.traps > 0 {
                let mut next = world.clone();
                next.traps -= 1;
                next.vms += 1;
                next.workers[at] = Worker::new(next.vms);
                steps.push(next);
            }
        }
        let silence = world.workers.iter().filter_map(Worker::silence).max();
        let rests = world.workers.iter().all(|worker| worker.pending.is_none());
        if self.time.may_pass(silence.unwrap_or(0), rests, world.pauses) {
            let mut next = world.clone();
            next.pauses = next.pauses.saturating_sub(1);
            next.wait(self.time);
            steps.push(next);
        }
        steps
    }

    /// One call of a worker's operation, and the same with a fault.
    fn step(&self, world: &World, at: usize, steps: &mut Vec<World>) {
        let mut next = world.clone();
        let Some(call) = next.run(at, self.most) else { return steps.push(next) };
        let answer = |mut next: World, mut answer: Answer| loop {
            next.learn(at, answer);
            match next.run(at, self.most) {
                // Where time stands still, looking at the clock is no step of its own.
                Some(Call::Clock) if self.time != Time::InBetween => {
                    answer = next.call(Call::Clock);
                }
                _ => return next,
            }
        };
        if next.faults > 0 {
            let mut without = next.clone();
            without.faults -= 1;
            let mut with = without.clone();
            steps.push(answer(without, Answer::Fault));
            if matches!(call, Call::Swap(..)) {
                // It was written, and nobody knows.
                with.call(call.clone());
                steps.push(answer(with, Answer::Fault));
            }
        }
        let said = next.call(call);
        steps.push(answer(next, said));
    }

    /// Visits every world that can be reached.
    fn explore(&self, check: impl Fn(&World)) -> usize {
        let start = self.start();
        let mut known = HashSet::from([start.name()]);
        let mut open = vec![start];
        while let Some(world) = open.pop() {
            if world.workers.iter().all(|worker| worker.pending.is_none()) {
                check(&world);
            }
            for next in self.steps(&world) {
                if known.insert(next.name()) {
                    open.push(next);
                }
            }
        }
        known.len()
    }
}

/// Two workers, of which each tries to have one request more in flight than may be.
const TWO: Model =
    Model { workers: 2, most: 1, each: 2, faults: 0, traps: 0, pauses: 0, time: Time::AtRest };

fn holds(model: Model) {
    let worlds = model.explore(|world| {
        // Those that were late, and came back with what they had, are beside the others.
        assert!(world.inside(|it| !it.was_late) <= usize::from(model.most), "{world:?}");
        world.heals(model.most);
    });
    assert!(worlds > 5_000, "{worlds}");
}

#[test]
fn never_more_than_the_limit_and_nothing_leaks() {
    holds(TWO);
    holds(Model { most: 2, each: 3, ..TWO });
}

#[test]
fn time_may_pass_in_the_middle_of_an_entry() {
    holds(Model { each: 1, time: Time::InBetween, ..TWO });
}

#[test]
fn a_call_that_fails_leaks_nothing() {
    holds(Model { faults: 1, ..TWO });
}

#[test]
fn a_trap_leaves_nothing_behind() {
    holds(Model { traps: 1, ..TWO });
}

#[test]
fn a_worker_that_stands_still_comes_back() {
    holds(Model { each: 1, pauses: 1, time: Time::Late, ..TWO });
}

#[test]
fn three_workers_share_as_well() {
    holds(Model { workers: 3, faults: 1, time: Time::Never, ..TWO });
}

#[test]
#[cfg(not(target_arch = "wasm32"))]
fn three_workers_share_two_places() {
    holds(Model { workers: 3, most: 2, each: 1, time: Time::Never, ..TWO });
}
