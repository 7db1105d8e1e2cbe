//! Counters and gauges, for all workers together, in the names that Istio's stock rules for labels
//! read: `portcullis.decisions.gateway=.=external;.;outcome=.=allowed;.;…`.
//!
//! A metric is never freed, so their number is bounded: when [`MAX_NAMES`] are defined in this VM,
//! routes, limits and consumers that have none yet are counted together as `other`. A metric that the
//! host does not take is not counted; that is no reason to refuse a request.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use portcullis_core::{Decision, Denial, Route};

use crate::abi::{self, MetricKind};

/// Metrics that a VM defines before it counts newcomers as `other`.
const MAX_NAMES: usize = 2_000;

const OTHER: &str = "other";

/// What the table of buckets had to do for a limit.
#[derive(Clone, Copy)]
pub(crate) enum StoreEvent {
    /// A request lost every race for its bucket and was refused.
    Contended,
    /// A newcomer found no place of its own and was charged to the shared bucket.
    Overflow,
    /// A set held bytes that no limit wrote and was emptied.
    Reset,
}

impl StoreEvent {
    const fn label(self) -> &'static str {
        match self {
            Self::Contended => "contended",
            Self::Overflow => "overflow",
            Self::Reset => "reset",
        }
    }
}

/// All metrics that this VM has defined.
#[derive(Default)]
pub(crate) struct Metrics {
    ids: HashMap<Box<str>, u32, BuildHasherDefault<Mixer>>,
    /// Scratch space for a name.
    name: String,
}

impl Metrics {
    /// Counts a decision. `known` remembers ids, so that most requests need no name.
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
        let id = known.0.get(&key).copied().or_else(|| {
            let labels = [
                ("gateway", gateway),
                ("outcome", outcome.name()),
                ("reason", denial.map_or("none", Denial::code)),
                ("route", route.map_or("none", Route::name)),
            ];
            let id = self.id(MetricKind::Counter, "decisions", &labels)?;
            known.0.insert(key, id);
            Some(id)
        });
        count(id);
    }

    /// Counts a request that a limit refused.
    pub(crate) fn limit_refusal(&mut self, gateway: &str, limit: &str) {
        let labels = [("gateway", gateway), ("limit", limit)];
        count(self.id(MetricKind::Counter, "limit_refusals", &labels));
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
    if let Some(id) = id {
        // Nobody is served worse because a counter stands still.
        let _ = abi::increment(id);
    }
}

/// The counters of one policy's decisions, by position of the route, outcome and position of the
/// reason.
#[derive(Default)]
pub(crate) struct Known(HashMap<Cell, u32, BuildHasherDefault<Mixer>>);

type Cell = (Option<usize>, u8, Option<usize>);

/// A hash for keys that no caller chooses.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
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
