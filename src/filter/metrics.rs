//! Counters and gauges, for all workers together, in the names that Istio's stock rules for labels
//! read: `portcullis.decisions.gateway=.=external;.;outcome=.=allowed;.;…`.
//!
//! A metric is never freed, so their number is bounded: when [`MAX_NAMES`] are defined in this VM,
//! routes, limits and consumers that have none yet are counted together as `other`. A metric that the
//! host does not take is not counted; that is no reason to refuse a request.
//!
//! What every request counts is gathered here and handed to Envoy by the timer, a second later at most,
//! when [`MANY`] counts have come together, and when a policy ends. A VM that traps takes with it what it
//! had not handed over: at most one second of one worker, and at most [`MANY`] counts.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use portcullis_core::{Consumer, Decision, Denial, Principal, Route};

use crate::abi::{self, MetricKind};

/// Metrics that a VM defines before it counts newcomers as `other`.
const MAX_NAMES: usize = 2_000;

/// Counts that wait for the timer before a request hands them over itself.
const MANY: u32 = 4_096;

pub(crate) const OTHER: &str = "other";

/// What the table of buckets had to do for a limit.
#[derive(Clone, Copy)]
pub(crate) enum StoreEvent {
    /// A request lost every race for its bucket and was refused.
    Contended,
    /// A newcomer found no place of its own and was charged to the shared bucket.
    Overflow,
    /// A set held bytes that no limit wrote and was emptied.
    Reset,
    /// A response said in no way that can be read what the request had cost.
    Unreadable,
}

impl StoreEvent {
    const fn label(self) -> &'static str {
        match self {
            Self::Contended => "contended",
            Self::Overflow => "overflow",
            Self::Reset => "reset",
            Self::Unreadable => "unreadable",
        }
    }
}

/// All metrics that this VM has defined.
#[derive(Default)]
pub(crate) struct Metrics {
    ids: HashMap<Box<str>, u32, BuildHasherDefault<Mixer>>,
    /// Scratch space for a name.
    name: String,
    /// Counters of requests, and how many counts there are that Envoy does not know yet.
    gathered: Vec<Gathered>,
    waiting: u32,
}

/// A counter, and what was counted since Envoy heard of it last.
struct Gathered {
    id: u32,
    count: u32,
}

/// Where a counter stands among those that are gathered.
#[derive(Clone, Copy)]
struct Place(usize);

impl Metrics {
    /// Counts a decision. `known` remembers places, so that most requests need no name.
    pub(crate) fn decision(
        &mut self,
        known: &mut Known,
        gateway: &str,
        decision: &Decision<'_, '_>,
    ) {
        let route = decision.route();
        let outcome = decision.outcome();
        let denial = decision.verdict().err();
        let key = (route.map(Route::position), outcome as u8, denial.map(Denial::index));
        let place = known.decisions.get(&key).copied().or_else(|| {
            let labels = [
                ("gateway", gateway),
                ("outcome", outcome.name()),
                ("reason", denial.map_or("none", Denial::code)),
                ("route", route.map_or("none", Route::name)),
            ];
            let place = self.place("decisions", &labels)?;
            known.decisions.insert(key, place);
            Some(place)
        });
        self.gather(place);
    }

    /// Counts the use of a credential: who still comes with a key, and who with a token.
    pub(crate) fn credential_use(
        &mut self,
        known: &mut Known,
        gateway: &str,
        principal: &Principal<'_>,
    ) {
        let consumer = principal.consumer();
        let is_key = principal.key().is_some();
        let key = (consumer.map_or(0, |consumer| std::ptr::from_ref(consumer).addr()), is_key);
        let place = known.things.get(&key).copied().or_else(|| {
            let labels = [
                ("gateway", gateway),
                ("kind", if is_key { "api_key" } else { "jwt" }),
                ("consumer", consumer.map_or("none", Consumer::name)),
            ];
            let place = self.place("credential_uses", &labels)?;
            known.things.insert(key, place);
            Some(place)
        });
        self.gather(place);
    }

    /// Counts a request that a limit refused, or would have refused if it did not only observe. The name is
    /// the one that the policy holds.
    pub(crate) fn limit_refusal(
        &mut self,
        known: &mut Known,
        gateway: &str,
        limit: &str,
        is_observed: bool,
    ) {
        let key = (limit.as_ptr().addr(), is_observed);
        let place = known.things.get(&key).copied().or_else(|| {
            let name = if is_observed { "observed_limit_refusals" } else { "limit_refusals" };
            let place = self.place(name, &[("gateway", gateway), ("limit", limit)])?;
            known.things.insert(key, place);
            Some(place)
        });
        self.gather(place);
    }

    /// The place of a counter that is gathered.
    fn place(&mut self, name: &str, labels: &[(&str, &str)]) -> Option<Place> {
        let id = self.id(MetricKind::Counter, name, labels)?;
        let held = self.gathered.iter().position(|counter| counter.id == id);
        Some(Place(held.unwrap_or_else(|| {
            self.gathered.push(Gathered { id, count: 0 });
            self.gathered.len().saturating_sub(1)
        })))
    }

    fn gather(&mut self, place: Option<Place>) {
        let Some(counter) = place.and_then(|place| self.gathered.get_mut(place.0)) else { return };
        counter.count = counter.count.saturating_add(1);
        self.waiting = self.waiting.saturating_add(1);
        if self.waiting >= MANY {
            self.hand_over();
        }
    }

    /// Whether there are counts that Envoy does not know yet.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Hands Envoy what was gathered.
    pub(crate) fn hand_over(&mut self) {
        if std::mem::take(&mut self.waiting) == 0 {
            return;
        }
        for counter in &mut self.gathered {
            let count = std::mem::take(&mut counter.count);
            if count > 0 {
                add(Some(counter.id), i64::from(count));
            }
        }
    }

    /// Counts something that the table of buckets should not have to do.
    pub(crate) fn store_event(&mut self, gateway: &str, limit: &str, event: StoreEvent) {
        let labels = [("gateway", gateway), ("event", event.label()), ("limit", limit)];
        count(self.id(MetricKind::Counter, "limit_store", &labels));
    }

    /// Counts the use of a key that is about to be retired.
    pub(crate) fn retiring_key(&mut self, gateway: &str, consumer: &str) {
        let labels = [("gateway", gateway), ("consumer", consumer)];
        count(self.id(MetricKind::Counter, "retiring_key_uses", &labels));
    }

    /// Counts a fetch of an issuer's keys that came to an end.
    pub(crate) fn key_fetch(&mut self, gateway: &str, issuer: &str, result: &str) {
        let labels = [("gateway", gateway), ("issuer", issuer), ("result", result)];
        count(self.id(MetricKind::Counter, "key_fetches", &labels));
    }

    /// Sets a gauge of an issuer.
    pub(crate) fn issuer_gauge(&mut self, name: &str, gateway: &str, issuer: &str, value: u64) {
        let labels = [("gateway", gateway), ("issuer", issuer)];
        if let Some(id) = self.id(MetricKind::Gauge, name, &labels) {
            // A gauge that is not written stays as it is until the next tick.
            let _ = abi::record(id, value);
        }
    }

    /// Counts requests that begin or end to wait for an issuer's keys, in all workers together. (What
    /// a VM had waiting when it died stays counted: nobody tells.)
    pub(crate) fn waiting(&mut self, gateway: &str, issuer: &str, by: i64) {
        let labels = [("gateway", gateway), ("issuer", issuer)];
        add(self.id(MetricKind::Gauge, "requests_waiting", &labels), by);
    }

    /// Counts look-ups of verified tokens.
    pub(crate) fn token_lookups(&mut self, gateway: &str, result: &str, by: u64) {
        let labels = [("gateway", gateway), ("result", result)];
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        if by > 0 {
            add(self.id(MetricKind::Counter, "token_lookups", &labels), by);
        }
    }

    /// Moves a gauge of a gateway that all workers have together. (What a VM had in it when it died stays
    /// there: nobody tells.)
    pub(crate) fn shift(&mut self, name: &str, gateway: &str, by: i64) {
        if by != 0 {
            add(self.id(MetricKind::Gauge, name, &[("gateway", gateway)]), by);
        }
    }

    /// Counts what became of a question to the rate limit service.
    pub(crate) fn fleet_call(&mut self, gateway: &str, result: &str) {
        let labels = [("gateway", gateway), ("result", result)];
        count(self.id(MetricKind::Counter, "fleet_calls", &labels));
    }

    /// Counts a request that was decided without the rate limit service's word on a limit.
    pub(crate) fn fleet_fallback(&mut self, gateway: &str, limit: &str) {
        let labels = [("gateway", gateway), ("limit", limit)];
        count(self.id(MetricKind::Counter, "fleet_fallbacks", &labels));
    }

    /// Sets a gauge of a gateway.
    pub(crate) fn gauge(&mut self, name: &str, gateway: &str, value: u64) {
        if let Some(id) = self.id(MetricKind::Gauge, name, &[("gateway", gateway)]) {
            // A gauge that is not written stays as it is until the next tick.
            let _ = abi::record(id, value);
        }
    }

    /// The id of a metric. The last label is the one that gives way to `other`.
    fn id(&mut self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Option<u32> {
        write(&mut self.name, name, labels);
        if let Some(id) = self.ids.get(self.name.as_str()) {
            return Some(*id);
        }
        if self.ids.len() >= MAX_NAMES
            && let Some(((label, value), before)) = labels.split_last()
            && *value != OTHER
            && *label != "gateway"
        {
            let folded: Vec<_> = before.iter().copied().chain([(*label, OTHER)]).collect();
            return self.id(kind, name, &folded);
        }
        let id = abi::define_metric(kind, &self.name).ok()?;
        self.ids.insert(self.name.as_str().into(), id);
        Some(id)
    }
}

/// Writes a name in Istio's encoding: a label's value runs from `=.=` to `;.;`.
fn write(out: &mut String, name: &str, labels: &[(&str, &str)]) {
    out.clear();
    out.push_str("portcullis.");
    out.push_str(name);
    out.push('.');
    for (label, value) in labels {
        out.push_str(label);
        out.push_str("=.=");
        out.push_str(value);
        out.push_str(";.;");
    }
}

fn count(id: Option<u32>) {
    add(id, 1);
}

fn add(id: Option<u32>, by: i64) {
    if let Some(id) = id {
        // Nobody is served worse because a counter stands still.
        let _ = abi::add(id, by);
    }
}

/// The counters of one policy's requests, so that most need no name.
#[derive(Default)]
pub(crate) struct Known {
    /// By position of the route, outcome and position of the reason.
    decisions: HashMap<Cell, Place, BuildHasherDefault<Mixer>>,
    /// By where the policy holds a consumer, 0 for none, and whether a key was shown; or by where it holds the
    /// name of a limit, and whether that only observes.
    things: HashMap<(usize, bool), Place, BuildHasherDefault<Mixer>>,
}

type Cell = (Option<usize>, u8, Option<usize>);

/// A hash for keys that no caller chooses.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline(never)]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        // The golden ratio spreads neighbours over all bits; the high ones come down.
        let mixed = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
