//! Requests that wait for an answer, an issuer's keys or the word of the rate limit service: Envoy holds
//! them, headers and body, until they are decided.

use std::rc::Rc;

use portcullis_core::{Answer, Issuer, Pause, Question, Timestamp};

use crate::generation::Generation;
use crate::keys;
use crate::metrics::Metrics;

/// Most requests that wait in one VM. More are refused at once.
const MAX_WAITING: usize = 1_024;

/// Most requests that go on from one callback. Envoy takes up the next one while it still works on
/// the one before, deeper on the same stack each time.
pub(crate) const BATCH: usize = 16;

/// What a request waits for.
pub(crate) enum Need {
    /// The keys of an issuer.
    Keys(keys::Need),
    /// The answer to a call, until it is clear that the host has lost it.
    Service { token: u32, deadline: Timestamp },
}

/// What a request does whose walk has paused.
pub(crate) enum Ask {
    Decide(Answer),
    Wait(Need),
}

/// One of them.
pub(crate) struct Waiting {
    pub(crate) stream: u32,
    pub(crate) generation: Rc<Generation>,
    pub(crate) need: Need,
    pub(crate) pause: Box<Pause>,
}

/// All of them, those that came first in front.
#[derive(Default)]
pub(crate) struct WaitingList(Vec<Waiting>);

impl WaitingList {
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < MAX_WAITING
    }

    pub(crate) fn push(&mut self, waiting: Waiting, metrics: &mut Metrics) {
        count(&waiting, metrics, 1);
        self.0.push(waiting);
    }

    /// Forgets a request that is over, if it waits.
    pub(crate) fn remove(&mut self, stream: u32, metrics: &mut Metrics) {
        if let Some(at) = self.0.iter().position(|waiting| waiting.stream == stream) {
            count(&self.0.remove(at), metrics, -1);
        }
    }

    /// Takes the request that waits for this call.
    pub(crate) fn take_call(&mut self, call: u32, metrics: &mut Metrics) -> Option<Waiting> {
        let is_it = |waiting: &Waiting| matches!(waiting.need, Need::Service { token, .. } if token == call);
        let waiting = self.0.remove(self.0.iter().position(is_it)?);
        count(&waiting, metrics, -1);
        Some(waiting)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a request waits for keys that belongs to this root context.
    pub(crate) fn is_any_of(&self, root: u32) -> bool {
        let is_it = |waiting: &Waiting| {
            waiting.generation.root == root && matches!(waiting.need, Need::Keys(_))
        };
        self.0.iter().any(is_it)
    }

    /// The sources that requests of a generation wait for.
    pub(crate) fn awaited(&self, generation: &Rc<Generation>) -> Vec<usize> {
        let own = self.0.iter().filter(|waiting| Rc::ptr_eq(&waiting.generation, generation));
        let sources = own.filter_map(|waiting| match &waiting.need {
            Need::Keys(need) => Some(need.source),
            Need::Service { .. } => None,
        });
        let mut sources: Vec<_> = sources.collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// The generations of requests that wait, as far as `is_wanted`, each once.
    pub(crate) fn generations(
        &self,
        is_wanted: impl Fn(&Generation) -> bool,
    ) -> Vec<Rc<Generation>> {
        let mut found: Vec<Rc<Generation>> = Vec::new();
        for waiting in &self.0 {
            let is_there = found.iter().any(|held| Rc::ptr_eq(held, &waiting.generation));
            if !is_there && is_wanted(&waiting.generation) {
                found.push(Rc::clone(&waiting.generation));
            }
        }
        found
    }

    /// Takes the next requests that can be decided by now, [`BATCH`] of them at most.
    pub(crate) fn take_ready(
        &mut self,
        now: Timestamp,
        metrics: &mut Metrics,
    ) -> Vec<(Waiting, Answer)> {
        let mut answers = Vec::new();
        let ready = self.0.extract_if(.., |waiting| {
            if answers.len() >= BATCH {
                return false;
            }
            let generation = &waiting.generation;
            let answer = match &mut waiting.need {
                Need::Keys(need) => {
                    let keys = generation.keys.try_borrow_mut();
                    keys.ok().and_then(|mut keys| keys.answer_to(need, now))
                }
                Need::Service { deadline, .. } => {
                    (*deadline <= now).then(|| generation.heard(None, now, metrics))
                }
            };
            answers.extend(answer);
            answer.is_some()
        });
        let ready: Vec<_> = ready.collect();
        for waiting in &ready {
            count(waiting, metrics, -1);
        }
        ready.into_iter().zip(answers).collect()
    }
}

fn count(waiting: &Waiting, metrics: &mut Metrics, by: i64) {
    let policy = &waiting.generation.policy;
    match waiting.pause.question() {
        Question::Keys { issuer, .. } => {
            if let Some(issuer) = policy.issuers().get(issuer.position()).map(Issuer::name) {
                metrics.waiting(policy.gateway(), issuer, by);
            }
        }
        Question::Fleet(_) => metrics.shift("fleet_waiting", policy.gateway(), by),
    }
}
