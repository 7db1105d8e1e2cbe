//! Configurations: each root context is one generation of one gateway's policy.
//!
//! Envoy keeps the root contexts of several gateways, and the old beside the new one of each while an
//! old listener drains, in the same VM. So nothing here is global but what all of them share, and a
//! stream keeps the generation that it was born with.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;

use portcullis_core::config::Severity;
use portcullis_core::{KeyOrigin, Policy, Timestamp};

use crate::abi::{self, HostFault, Inbox, Level};
use crate::buckets::Held;
use crate::flights;
use crate::generation::{Generation, Tokens};
use crate::host;
use crate::keys::{KeySets, Own, Records};
use crate::metrics::{Metrics, Mixer};
use crate::native::Native;

/// How far ahead the gauge of expiring keys looks: 14 days, in nanoseconds.
const SOON: u64 = 14 * 86_400 * 1_000_000_000;

/// The generations of this VM by root context.
#[derive(Default)]
pub(crate) struct Roots {
    generations: HashMap<u32, Rc<Generation>, BuildHasherDefault<Mixer>>,
    /// Records of key sets that no other VM sees.
    own: Rc<RefCell<Own>>,
    /// What Envoy's cryptography can do; asked once a VM.
    native: Option<Native>,
}

impl Roots {
    pub(crate) fn generation(&self, root: u32) -> Option<&Rc<Generation>> {
        self.generations.get(&root)
    }

    pub(crate) fn generations(&self) -> impl Iterator<Item = &Rc<Generation>> {
        self.generations.values()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.generations.is_empty()
    }

    pub(crate) fn is_root(&self, context: u32) -> bool {
        self.generations.contains_key(&context)
    }

    pub(crate) fn remove(&mut self, root: u32, metrics: &mut Metrics) {
        if let Some(generation) = self.generations.remove(&root) {
            generation.retire(metrics);
        }
    }

    /// Compiles a configuration of `size` bytes and puts it in force. False: refused, and what was in
    /// force stays. Every diagnostic is a line of the log, in the words of `portcullis check`.
    pub(crate) fn configure(
        &mut self,
        inbox: &Inbox,
        root: u32,
        size: usize,
        secret: [u8; 16],
        held: &mut Held,
        metrics: &mut Metrics,
    ) -> bool {
        let source = match abi::configuration(inbox, size) {
            Ok(source) => source,
            Err(fault) => {
                abi::log(Level::Error, &format!("the configuration cannot be read: {fault}"));
                return false;
            }
        };
        let begun = host::now();
        let compiled = Policy::compile(source);
        for diagnostic in &compiled.diagnostics {
            let level = match diagnostic.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warn,
            };
            abi::log(level, &diagnostic.to_string());
        }
        let Some(policy) = compiled.policy else { return false };
        if policy.counts_flights() && held.flights.is_none() {
            match flights::open(inbox) {
                Ok(flights) => held.flights = Some(flights),
                Err(fault) => {
                    let why = format!("requests in flight cannot be counted: {fault}");
                    abi::log(Level::Error, &why);
                    return false;
                }
            }
        }
        let mut tokens = Tokens::new(&policy, self.verifier(inbox, &policy), secret);
        let variable = |name: &str| Some(std::env::var_os(name)?.into_encoded_bytes());
        if let Err(findings) = tokens.read_secrets(&policy, variable) {
            for finding in &findings {
                abi::log(Level::Error, &finding.to_string());
            }
            return false;
        }
        let keys = self.records(inbox, &policy).and_then(|records| {
            let now = host::now()?;
            KeySets::open(inbox, now, &policy, &mut tokens, metrics, records, secret)
        });
        let keys = match keys {
            Ok(keys) => keys,
            Err(fault) => {
                abi::log(Level::Error, &format!("keys cannot be kept: {fault}"));
                return false;
            }
        };
        abi::log(Level::Info, &in_force(&policy, begun));
        let before = self.generations.get(&root);
        let generation = Generation::new(root, policy, tokens, keys, before);
        if let Some(before) = self.generations.insert(root, Rc::new(generation)) {
            before.retire(metrics);
        }
        true
    }

    /// Who verifies signatures. Envoy is asked what it can do when the first policy needs to know.
    fn verifier(&mut self, inbox: &Inbox, policy: &Policy) -> Native {
        if policy.issuers().is_empty() {
            return Native::default();
        }
        let native = self.native.get_or_insert_with(|| {
            let native = Native::probe(inbox);
            abi::log(Level::Info, &native.to_string());
            native
        });
        native.clone()
    }

    /// Where the records of a policy's key sets are kept.
    fn records(&self, inbox: &Inbox, policy: &Policy) -> Result<Records, HostFault> {
        let is_remote = |keys: &KeyOrigin| matches!(keys, KeyOrigin::Remote(_));
        if !policy.issuers().iter().any(|issuer| is_remote(issuer.keys())) {
            return Ok(Records::Own(Rc::clone(&self.own)));
        }
        if policy.shares_keys() || host::has_vm_id(inbox)? {
            return Ok(Records::Shared);
        }
        let why = "the VM has no `vm_id`, so every worker fetches key sets for itself; give it one, or \
                   set `share_keys` where no other plugin without one runs";
        abi::log(Level::Warn, why);
        Ok(Records::Own(Rc::clone(&self.own)))
    }

    /// Sets the gauges of a gateway when it is time, unless a newer configuration of it does.
    pub(crate) fn gauges(&self, root: u32, now: Timestamp, metrics: &mut Metrics) {
        let generation = self.generations.get(&root);
        let Some(generation) = generation.filter(|generation| generation.takes_gauges(now)) else {
            return;
        };
        generation.count_tokens(metrics);
        let policy = &generation.policy;
        let newer = |(other, held): (&u32, &Rc<Generation>)| {
            *other > root && held.policy.gateway() == policy.gateway()
        };
        if self.generations.iter().any(newer) {
            return;
        }
        metrics.gauge("keys_expiring", policy.gateway(), expiring(policy, now));
        metrics.gauge("policy_revision", policy.gateway(), revision_number(policy.revision()));
        if let Ok(keys) = generation.keys.try_borrow() {
            keys.gauges(now, policy, metrics);
        }
    }
}

/// One line for the log: what is in force, and how long this worker stood still for it.
fn in_force(policy: &Policy, begun: Result<Timestamp, HostFault>) -> String {
    let micros = match (begun, host::now()) {
        (Ok(begun), Ok(now)) => now.since(begun) / 1_000,
        _ => 0,
    };
    format!(
        "policy `{}` revision {} in force: {} routes, {} keys, {} limits, compiled in {}.{} ms",
        policy.gateway(),
        policy.revision(),
        policy.routes().len(),
        policy.keys().len(),
        policy.limits().len(),
        micros / 1_000,
        micros % 1_000 / 100,
    )
}

/// Keys that are good now and expire within [`SOON`].
fn expiring(policy: &Policy, now: Timestamp) -> u64 {
    let soon = now.saturating_add(SOON);
    let keys = policy.keys().iter().filter(|key| !key.is_revoked());
    let expires = keys.filter_map(|key| key.expires());
    expires.filter(|expires| now < *expires && *expires <= soon).count() as u64
}

/// The first 13 hex digits of a revision: as much as a metric shows without rounding (52 bits).
fn revision_number(revision: &str) -> u64 {
    revision.get(..13).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}
