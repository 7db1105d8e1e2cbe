//! Requests that wait for an answer, an issuer's keys or the word of the rate limit service: Envoy holds
//! them, headers and body, until they are decided.

use std::rc::Rc;

use portcullis_core::{Answer, Issuer, Pause, Question, Timestamp};

use crate::fleet::Heard;
use crate::generation::Generation;
use crate::keys;
use crate::metrics::Metrics;

/// Most requests of one VM that wait for keys, and most that wait for the service: who makes up tokens must
/// not keep others from being counted. More are refused at once.
const MAX_WAITING: usize = 1_024;

/// Most calls whose requests are over that are still listened for: they tell whether the service answers.
const MAX_ABANDONED: usize = 64;

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

/// A call to the service whose request is over.
struct Abandoned {
    token: u32,
    generation: Rc<Generation>,
    deadline: Timestamp,
}

/// All of them, those that came first in front.
#[derive(Default)]
pub(crate) struct WaitingList {
    waiting: Vec<Waiting>,
    abandoned: Vec<Abandoned>,
}

impl WaitingList {
    /// Whether one more may wait for the answer to such a question.
    pub(crate) fn has_room(&self, question: &Question) -> bool {
        let is_of_keys = |question: &Question| matches!(question, Question::Keys { .. });
        let same = self
            .waiting
            .iter()
            .filter(|waiting| is_of_keys(waiting.pause.question()) == is_of_keys(question));
        same.count() < MAX_WAITING
    }

    pub(crate) fn push(&mut self, waiting: Waiting, metrics: &mut Metrics) {
        count(&waiting, metrics, 1);
        self.waiting.push(waiting);
    }

    /// Forgets a request that is over, if it waits.
    pub(crate) fn remove(&mut self, stream: u32, metrics: &mut Metrics) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.stream == stream) else {
            return;
        };
        let waiting = self.waiting.remove(at);
        count(&waiting, metrics, -1);
        if let Waiting { need: Need::Service { token, deadline }, generation, .. } = waiting {
            if self.abandoned.len() >= MAX_ABANDONED {
                self.abandoned.remove(0);
            }
            self.abandoned.push(Abandoned { token, generation, deadline });
        }
    }

    /// Takes the request that waits for this call, by its root context and token.
    pub(crate) fn take_call(
        &mut self,
        (root, call): (u32, u32),
        metrics: &mut Metrics,
    ) -> Option<Waiting> {
        let is_it = |waiting: &Waiting| {
            waiting.generation.root == root
                && matches!(waiting.need, Need::Service { token, .. } if token == call)
        };
        let waiting = self.waiting.remove(self.waiting.iter().position(is_it)?);
        count(&waiting, metrics, -1);
        Some(waiting)
    }

    /// Takes a call whose request is over.
    pub(crate) fn take_abandoned(&mut self, (root, call): (u32, u32)) -> Option<Rc<Generation>> {
        let is_it = |one: &Abandoned| one.generation.root == root && one.token == call;
        let at = self.abandoned.iter().position(is_it)?;
        Some(self.abandoned.remove(at).generation)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a request waits for keys that belongs to this root context.
    pub(crate) fn is_any_of(&self, root: u32) -> bool {
        let is_it = |waiting: &Waiting| {
            waiting.generation.root == root && matches!(waiting.need, Need::Keys(_))
        };
        self.waiting.iter().any(is_it)
    }

    /// The sources that requests of a generation wait for, each once: there are few.
    pub(crate) fn awaited(&self, generation: &Rc<Generation>) -> Vec<usize> {
        let own = self.waiting.iter().filter(|waiting| Rc::ptr_eq(&waiting.generation, generation));
        let sources = own.filter_map(|waiting| match &waiting.need {
            Need::Keys(need) => Some(need.source),
            Need::Service { .. } => None,
        });
        let mut found = Vec::new();
        for source in sources {
            if !found.contains(&source) {
                found.push(source);
            }
        }
        found
    }

    /// The generations of requests that wait, as far as `is_wanted`, each once.
    pub(crate) fn generations(
        &self,
        is_wanted: impl Fn(&Generation) -> bool,
    ) -> Vec<Rc<Generation>> {
        let mut found: Vec<Rc<Generation>> = Vec::new();
        for waiting in &self.waiting {
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
        self.abandoned.retain(|abandoned| abandoned.deadline > now);
        let mut answers = Vec::new();
        let ready = self.waiting.extract_if(.., |waiting| {
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
                    (*deadline <= now).then(|| generation.heard(Heard::Nothing, now, metrics))
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
