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
use portcullis_core::{Policy, PureVerifier, Timestamp, Tokens};

use crate::abi::{self, HostFault, Inbox, Level};
use crate::host;
use crate::metrics::{Known, Metrics, Mixer};

/// First tick after a configuration, in milliseconds. Envoy configures a copy of the VM that it throws
/// away, so gauges wait until it is clear that this one stays.
const FIRST_TICK: u32 = 1_000;
/// All later ticks, in milliseconds.
const TICK: u32 = 60_000;

/// How far ahead the gauge of expiring keys looks: 14 days, in nanoseconds.
const SOON: u64 = 14 * 86_400 * 1_000_000_000;

/// A policy in force, with what is remembered of it.
pub(crate) struct Generation {
    pub(crate) policy: Policy,
    pub(crate) known: RefCell<Known>,
    pub(crate) tokens: RefCell<Tokens<PureVerifier>>,
}

/// The generations of this VM by root context.
#[derive(Default)]
pub(crate) struct Roots(HashMap<u32, Rc<Generation>, BuildHasherDefault<Mixer>>);

impl Roots {
    pub(crate) fn generation(&self, root: u32) -> Option<&Rc<Generation>> {
        self.0.get(&root)
    }

    pub(crate) fn is_root(&self, context: u32) -> bool {
        self.0.contains_key(&context)
    }

    pub(crate) fn remove(&mut self, root: u32) {
        self.0.remove(&root);
    }

    /// Compiles a configuration of `size` bytes and puts it in force. False: refused, and what was in
    /// force stays. Every diagnostic is a line of the log, in the words of `portcullis check`.
    pub(crate) fn configure(
        &mut self,
        inbox: &Inbox,
        root: u32,
        size: usize,
        secret: [u8; 16],
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
        let mut tokens = Tokens::new(&policy, PureVerifier, secret);
        let variable = |name: &str| Some(std::env::var_os(name)?.into_encoded_bytes());
        if let Err(findings) = tokens.read_secrets(&policy, variable) {
            for finding in &findings {
                abi::log(Level::Error, &finding.to_string());
            }
            return false;
        }
        if let Err(fault) = abi::tick_every(FIRST_TICK) {
            abi::log(Level::Warn, &format!("gauges stay unset: {fault}"));
        }
        abi::log(Level::Info, &in_force(&policy, begun));
        let known = RefCell::new(Known::default());
        let tokens = RefCell::new(tokens);
        self.0.insert(root, Rc::new(Generation { policy, known, tokens }));
        true
    }

    /// Sets the gauges of a gateway, unless a newer configuration of it does.
    pub(crate) fn tick(&self, root: u32, metrics: &mut Metrics) {
        let Some(generation) = self.0.get(&root) else { return };
        let policy = &generation.policy;
        let newer = |(other, held): (&u32, &Rc<Generation>)| {
            *other > root && held.policy.gateway() == policy.gateway()
        };
        if self.0.iter().any(newer) {
            return;
        }
        if let Ok(now) = host::now() {
            metrics.gauge("keys_expiring", policy.gateway(), expiring(policy, now));
        }
        metrics.gauge("policy_revision", policy.gateway(), revision_number(policy.revision()));
        // A tick that cannot be slowed down costs little, and the next one tries again.
        let _ = abi::tick_every(TICK);
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
