//! Several workers of one process, their timers, and the issuers that they ask.

use portcullis_tests::fake_host::{HttpCall, Outcome, Process, Request, Vm};
use serde_json::Value;

use crate::{NOW, SECOND};

const MILLI: u64 = 1_000_000;
/// How far the clock goes in one step.
const STEP: u64 = 5 * MILLI;

/// What a cluster does with a call.
#[derive(Clone, Debug)]
pub(super) enum Served {
    /// Answers after 20 ms.
    Answer(Vec<(String, String)>, Vec<u8>),
    /// Breaks the connection at once.
    Broken,
    /// Never answers: Envoy gives up when time is up.
    Silence,
}

impl Served {
    /// A good answer.
    pub(super) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    pub(super) fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(vec![(":status".into(), status.to_string())], body.into())
    }

    /// The same answer with one more line.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(lines, _) = &mut self {
            lines.push((name.into(), value.into()));
        }
        self
    }
}

type Serve = Box<dyn FnMut(&HttpCall) -> Served>;

/// One worker.
pub(super) struct Worker {
    pub(super) vm: Vm,
    pub(super) root: u32,
    period: u32,
    next_tick: u64,
    due: Vec<(u64, HttpCall, Served)>,
    /// Requests that waited and are decided.
    pub(super) ended: Vec<(u32, Outcome)>,
}

pub(super) struct World {
    pub(super) process: Process,
    pub(super) workers: Vec<Worker>,
    policy: Value,
    serve: Serve,
    /// Every call, when it was sent, and by which worker.
    pub(super) calls: Vec<(u64, usize, HttpCall)>,
    /// What was logged while the policy was configured.
    pub(super) configured: Vec<String>,
}

impl World {
    pub(super) fn new(
        workers: usize,
        policy: &Value,
        serve: impl FnMut(&HttpCall) -> Served + 'static,
    ) -> Self {
        Self::of(Process::at(NOW), workers, policy, serve)
    }

    pub(super) fn of(
        process: Process,
        workers: usize,
        policy: &Value,
        serve: impl FnMut(&HttpCall) -> Served + 'static,
    ) -> Self {
        let (policy, serve): (_, Serve) = (policy.clone(), Box::new(serve));
        let mut world = Self {
            process,
            workers: Vec::new(),
            policy,
            serve,
            calls: Vec::new(),
            configured: Vec::new(),
        };
        for _ in 0..workers {
            world.add_worker();
        }
        world
    }

    /// One more worker with the policy.
    pub(super) fn add_worker(&mut self) -> usize {
        let mut vm = Vm::new(&self.process);
        let configured = vm.configure(self.policy.to_string());
        assert!(configured.accepted, "{configured:?}");
        self.configured.extend(configured.log);
        assert_eq!(vm.sent(), [], "nothing is fetched while configuring");
        let (root, now) = (configured.root, self.process.now());
        let (due, ended) = (Vec::new(), Vec::new());
        self.workers.push(Worker { vm, root, period: 0, next_tick: now, due, ended });
        let at = self.workers.len() - 1;
        self.after(at);
        at
    }

    /// Changes what the clusters do from now on.
    pub(super) fn serve(&mut self, serve: impl FnMut(&HttpCall) -> Served + 'static) {
        self.serve = Box::new(serve);
    }

    /// A worker's VM dies, and with it all that it had in flight.
    pub(super) fn kill(&mut self, at: usize) {
        self.workers.remove(at);
    }

    /// Collects what a worker did: timers, calls, requests that ended.
    fn after(&mut self, at: usize) {
        let now = self.process.now();
        let worker = &mut self.workers[at];
        assert_eq!(worker.vm.trap(), None);
        let period = worker.vm.tick_period(worker.root).expect("a timer");
        if period != worker.period {
            (worker.period, worker.next_tick) = (period, now + u64::from(period) * MILLI);
        }
        for call in worker.vm.sent() {
            let served = (self.serve)(&call);
            let timeout = now + u64::from(call.timeout) * MILLI;
            let due = match served {
                Served::Answer(..) => timeout.min(now + 20 * MILLI),
                Served::Broken => now,
                Served::Silence => timeout,
            };
            worker.due.push((due, call.clone(), served));
            self.calls.push((now, at, call));
        }
        worker.ended.extend(worker.vm.resumed());
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, nanos: u64) {
        let end = self.process.now() + nanos;
        while self.process.now() < end {
            self.process.advance(STEP);
            let now = self.process.now();
            for at in 0..self.workers.len() {
                while let Some(next) = self.workers[at].due.iter().position(|(due, ..)| *due <= now)
                {
                    let worker = &mut self.workers[at];
                    let (_, call, served) = worker.due.remove(next);
                    if let Served::Answer(lines, body) = served {
                        worker.vm.answer(&call, &lines, body);
                    } else {
                        worker.vm.fail(&call);
                    }
                    self.after(at);
                }
                let worker = &mut self.workers[at];
                if worker.next_tick <= now {
                    worker.vm.tick(worker.root);
                    worker.next_tick = now + u64::from(worker.period) * MILLI;
                    self.after(at);
                }
            }
        }
    }

    /// Lets time pass up to an instant after the start of the world.
    pub(super) fn run_until(&mut self, nanos: u64) {
        self.run((NOW + nanos).saturating_sub(self.process.now()));
    }

    /// Opens a request on a worker. What comes of it at once, `None` if it waits.
    pub(super) fn open(&mut self, at: usize, request: &Request) -> (u32, Option<Outcome>) {
        let worker = &mut self.workers[at];
        let stream = worker.vm.open(worker.root);
        let outcome = worker.vm.run(stream, request);
        let waits = worker.vm.is_stopped(stream);
        if !waits {
            worker.vm.close(stream);
        }
        self.after(at);
        (stream, (!waits).then_some(outcome))
    }

    /// Runs a request on a worker to its end, and tells how long it waited.
    pub(super) fn request(&mut self, at: usize, request: &Request) -> (Outcome, u64) {
        let begun = self.process.now();
        let (stream, outcome) = self.open(at, request);
        if let Some(outcome) = outcome {
            return (outcome, 0);
        }
        while self.process.now() < begun + 30 * SECOND {
            self.run(STEP);
            let ended = &mut self.workers[at].ended;
            if let Some(found) = ended.iter().position(|(held, _)| *held == stream) {
                let outcome = ended.remove(found).1;
                self.workers[at].vm.close(stream);
                return (outcome, self.process.now() - begun);
            }
        }
        panic!("the request waits for ever");
    }

    /// The calls of a cluster.
    pub(super) fn calls_to(&self, cluster: &str) -> Vec<&HttpCall> {
        let calls = self.calls.iter().filter(|(.., call)| call.cluster == cluster);
        calls.map(|(.., call)| call).collect()
    }

    /// A metric of an issuer.
    pub(super) fn issuer_metric(&self, name: &str, issuer: &str) -> u64 {
        self.process.metric(&format!("portcullis.{name}.gateway=.=tokens;.;issuer=.={issuer};.;"))
    }

    /// How often fetches for an issuer ended so.
    pub(super) fn fetches(&self, issuer: &str, result: &str) -> u64 {
        let labels = format!("gateway=.=tokens;.;issuer=.={issuer};.;result=.={result};.;");
        self.process.metric(&format!("portcullis.key_fetches.{labels}"))
    }
}
