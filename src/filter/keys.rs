//! The key sets of a policy that are fetched: once per process and period, whoever needs them.
//!
//! A set has two records in shared data. STATE is small: since when and until when somebody fetches it,
//! how that went last time, and which set there is. Workers read it on their timer and when a request
//! needs keys, and swap it to begin or end a fetch, so there is one fetch at a time and none within the
//! cool-down of another, in all of the process. DATA is the set itself, and is read when STATE names
//! another one than a worker has.
//!
//! Nothing is fetched while a policy is configured: Envoy configures a copy of the VM first, and throws
//! it away. What is in the records already is put in force at once.

mod answer;
mod data;
mod records;
mod source;
mod state;
mod unknown;

use std::rc::Rc;

use portcullis_core::{Answer, Issuer, IssuerId, KeyOrigin, KeySet, Policy, Timestamp};

use crate::abi::{self, HostFault, Inbox, Level};
use crate::generation::Tokens;
use crate::metrics::Metrics;
use crate::waiting::{self, Ask};

pub(crate) use records::{Own, Records};
use source::Source;
pub(crate) use state::FetchResult;
use unknown::Unknown;

/// For how many cool-downs an id is remembered as unknown. Until then a key that the issuer adds under
/// it is found by the next fetch that anything else makes.
const UNKNOWN_FOR: u64 = 6;

/// Faults of the host that a policy's key sets put into the log.
const LOGGED_FAULTS: u8 = 8;

/// What a callback works with.
pub(crate) struct Turn<'t> {
    pub(crate) inbox: &'t Inbox,
    pub(crate) now: Timestamp,
    pub(crate) policy: &'t Policy,
    pub(crate) tokens: &'t mut Tokens,
    pub(crate) metrics: &'t mut Metrics,
    records: Records,
    fault: Option<HostFault>,
}

/// The fetched sets of one policy in this VM.
pub(crate) struct KeySets {
    sources: Vec<Source>,
    unknown: Unknown,
    records: Records,
    faults: u8,
}

/// What a request needs that cannot be decided with the keys that are there.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) source: usize,
    /// The key's id, where the token names one.
    key_id: Option<Box<str>>,
    /// When it was needed first.
    since: Timestamp,
    /// Until when the request waits.
    deadline: Timestamp,
    /// Which of the source's sets was looked at for it last.
    seen: u64,
}

impl Turn<'_> {
    fn put(&mut self, issuer: usize, set: Rc<KeySet>, until: Timestamp) {
        if let Some(issuer) = self.policy.issuers().get(issuer) {
            self.tokens.put_keys(issuer, set, until);
        }
    }

    fn count(&mut self, issuer: usize, result: FetchResult) {
        if let Some(issuer) = self.policy.issuers().get(issuer) {
            self.metrics.key_fetch(self.policy.gateway(), issuer.name(), result.name());
        }
    }

    fn fault(&mut self, fault: HostFault) {
        self.fault = Some(fault);
    }
}

impl KeySets {
    /// The sets of a policy, those in force that are there already.
    pub(crate) fn open(
        inbox: &Inbox,
        now: Timestamp,
        policy: &Policy,
        tokens: &mut Tokens,
        metrics: &mut Metrics,
        records: Records,
        secret: [u8; 16],
    ) -> Result<Self, HostFault> {
        let mut turn =
            Turn { inbox, now, policy, tokens, metrics, records: records.clone(), fault: None };
        let mut sources = Vec::new();
        for issuer in policy.issuers() {
            if let KeyOrigin::Remote(remote) = issuer.keys() {
                let mut source = Source::open(&turn, issuer, remote)?;
                source.look(&mut turn);
                sources.push(source);
            }
        }
        let mut sets = Self { sources, unknown: Unknown::new(secret), records, faults: 0 };
        sets.report(turn.fault);
        Ok(sets)
    }

    /// Whether anything is fetched at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Looks at every record, takes newer sets, and begins the fetches that are due or that a waiting
    /// request needs.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>, awaited: &[usize]) {
        for (position, source) in self.sources.iter_mut().enumerate() {
            source.look(turn);
            source.fetch_if_due(turn, awaited.contains(&position));
        }
        self.report(turn.fault.take());
    }

    /// What a request does whose token needs other keys than are there.
    pub(crate) fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        issuer: IssuerId,
        key_id: Option<&str>,
        may_wait: bool,
    ) -> Ask {
        let is_its = |source: &Source| source.issuer == issuer.position();
        let position = self.sources.iter().position(is_its);
        let found = position.and_then(|at| Some((at, self.sources.get_mut(at)?)));
        let Some((position, source)) = found else { return Ask::Decide(Answer::Unavailable) };
        source.look(turn);
        let need = Need {
            source: position,
            key_id: key_id.map(Box::from),
            since: turn.now,
            deadline: turn
                .now
                .saturating_add(source.remote.cooldown)
                .saturating_add(source.remote.timeout),
            // Never the number of a set that is there, so that one is looked at.
            seen: source.loads.wrapping_sub(1),
        };
        self.decide(turn, need, may_wait)
    }

    fn decide(&mut self, turn: &mut Turn<'_>, mut need: Need, may_wait: bool) -> Ask {
        let answer = self.answer_to(&mut need, turn.now).or_else(|| {
            let held = self.sources.get(need.source)?.held.as_ref()?;
            let id = need.key_id.as_deref()?;
            let known =
                turn.now < held.until && self.unknown.has(need.source, &held.id, id, turn.now);
            known.then_some(Answer::Current)
        });
        let answer = answer.or_else(|| (!may_wait).then_some(Answer::Unavailable));
        if answer.is_none()
            && let Some(source) = self.sources.get_mut(need.source)
        {
            source.fetch_if_due(turn, true);
        }
        self.report(turn.fault.take());
        // A call that cannot even be made is over now.
        match answer.or_else(|| self.answer_to(&mut need, turn.now)) {
            Some(found) => Ask::Decide(found),
            None => Ask::Wait(waiting::Need::Keys(need)),
        }
    }

    /// What a need is met with by now, `None` if it has to wait. A fetch answers those needs that are
    /// older than it: what began before may have missed a key that was added since.
    pub(crate) fn answer_to(&mut self, need: &mut Need, now: Timestamp) -> Option<Answer> {
        let source = self.sources.get(need.source)?;
        let held = source.held.as_ref().filter(|held| now < held.until);
        if let Some(held) = held
            && need.seen != source.loads
        {
            need.seen = source.loads;
            if need.key_id.as_deref().is_none_or(|id| is_in(&held.set, id)) {
                return Some(Answer::Current);
            }
        }
        let state = &source.state;
        let is_latest = source.has_latest();
        if need.since <= state.completed && is_latest {
            return Some(match (state.result.is_good(), held, need.key_id.as_deref()) {
                (true, Some(held), Some(id)) => {
                    let life = source.remote.cooldown.saturating_mul(UNKNOWN_FOR);
                    self.unknown.put(need.source, &held.id, id, now.saturating_add(life));
                    Answer::Current
                }
                (true, Some(_), None) => Answer::Current,
                _ => Answer::Unavailable,
            });
        }
        (need.deadline <= now).then_some(Answer::Unavailable)
    }

    /// Whether an answer to a call is one of these sources'.
    pub(crate) fn is_awaiting(&self, token: u32) -> bool {
        self.sources.iter().any(|source| source.is_awaiting(token))
    }

    /// An answer to a call came.
    pub(crate) fn answered(&mut self, turn: &mut Turn<'_>, token: u32, lines: u32, size: usize) {
        if let Some(source) = self.sources.iter_mut().find(|source| source.is_awaiting(token)) {
            source.answered(turn, lines, size);
        }
        self.report(turn.fault.take());
    }

    /// A turn with these sets.
    pub(crate) fn turn<'t>(
        &self,
        inbox: &'t Inbox,
        now: Timestamp,
        policy: &'t Policy,
        tokens: &'t mut Tokens,
        metrics: &'t mut Metrics,
    ) -> Turn<'t> {
        Turn { inbox, now, policy, tokens, metrics, records: self.records.clone(), fault: None }
    }

    /// In how many nanoseconds the records are to be looked at next.
    pub(crate) fn next_look(&self, now: Timestamp) -> Option<u64> {
        self.sources.iter().map(|source| source.next_look(now)).min()
    }

    /// Sets the gauges of every set.
    pub(crate) fn gauges(&self, now: Timestamp, policy: &Policy, metrics: &mut Metrics) {
        for source in &self.sources {
            let Some(issuer) = policy.issuers().get(source.issuer).map(Issuer::name) else {
                continue;
            };
            let held = source.held.as_ref().filter(|held| now < held.until);
            let keys = held.map_or(0, |held| held.set.keys().len() as u64);
            let age = now.since(source.state.fetched) / 1_000_000_000;
            let values = [
                ("key_set_keys", keys),
                ("key_set_age_seconds", if source.held.is_some() { age } else { 0 }),
                ("key_set_good", u64::from(source.state.result.is_good())),
            ];
            for (name, value) in values {
                metrics.issuer_gauge(name, policy.gateway(), issuer, value);
            }
        }
    }

    fn report(&mut self, fault: Option<HostFault>) {
        if let Some(fault) = fault.filter(|_| self.faults < LOGGED_FAULTS) {
            self.faults = self.faults.saturating_add(1);
            log(Level::Error, &format!("key sets: {fault}"));
        }
    }
}

/// Whether a set has a key of this id, used or not: fetching it again would not help.
fn is_in(set: &KeySet, id: &str) -> bool {
    set.keys().iter().any(|key| key.id() == Some(id))
        || set.findings().iter().any(|finding| finding.id.as_deref() == Some(id))
}

fn log(level: Level, text: &str) {
    abi::log(level, text);
}
