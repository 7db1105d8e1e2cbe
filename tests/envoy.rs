//! Every case through a real Envoy with two workers: exactly on a listener where the filter must do
//! everything, and every refusal again on one with Envoy's own protections.

use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};
use portcullis_core::Timestamp;
use portcullis_tests::bootstrap::{Listener, Policy};
use portcullis_tests::case::{self, Case, OnEnvoy, Step};
use portcullis_tests::envoy::{Envoy, Through};
use portcullis_tests::expect;
use portcullis_tests::template::{fill_value, real_now};

/// Started by the first case that runs.
type Started = Arc<OnceLock<Result<Envoy, String>>>;

fn main() {
    let arguments = Arguments::from_args();
    let now = real_now();
    let mut listeners: Vec<Listener> = Vec::new();
    let mut plans = Vec::new();
    for case in case::all() {
        if let OnEnvoy::Skip(reason) = &case.envoy {
            let name = format!("{}: {} ({reason})", case.file, case.name);
            plans.push((name, case, false, None));
            continue;
        }
        let hardened = !case.has_limits() && !case.repaired && case.steps.iter().any(is_refused);
        for hardened in if hardened { &[false, true][..] } else { &[false] } {
            let listener = listener_of(&case, *hardened, now, &mut listeners);
            let place = if *hardened { "hardened, " } else { "" };
            let name = format!("{place}{}: {}", case.file, case.name);
            plans.push((name, case.clone(), *hardened, Some(listener)));
        }
    }
    let started = Started::default();
    let listeners = Arc::new(listeners);
    let trials = plans.into_iter().map(|(name, case, hardened, listener)| {
        let (started, listeners) = (started.clone(), listeners.clone());
        let ignored = listener.is_none();
        let trial = Trial::test(name, move || {
            let envoy = started.get_or_init(|| Envoy::start(&listeners, 2)).as_ref();
            let exact = !hardened && case.envoy == OnEnvoy::Exact;
            let envoy = envoy.map_err(String::clone)?;
            let mut gateway = Through::new(envoy, &listener.unwrap_or_default(), exact);
            Ok(expect::run(&case, now, exact, &mut gateway)?)
        });
        trial.with_ignored_flag(ignored)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    drop(Arc::into_inner(started));
    conclusion.exit();
}

fn is_refused(step: &Step) -> bool {
    step.expect.status != 200 || step.expect.grpc.is_some()
}

/// The name of the listener with the policy of a case; cases share one where nothing can tell.
fn listener_of(case: &Case, hardened: bool, now: Timestamp, all: &mut Vec<Listener>) -> String {
    let policy = fill_value(case.with_own_buckets(), now);
    let policy = Policy::Struct(policy);
    let names = case.steps.iter().filter_map(|step| step.request(now).route_name);
    let position = all
        .iter()
        .position(|it| {
            it.policy == policy && it.options == case.listener && it.hardened == hardened
        })
        .unwrap_or(all.len());
    if position == all.len() {
        let name = format!("listener-{position}");
        let (options, route_names) = (case.listener.clone(), Vec::new());
        all.push(Listener { name, policy, options, hardened, route_names });
    }
    let Some(listener) = all.get_mut(position) else { return String::new() };
    for name in names {
        if !listener.route_names.contains(&name) {
            listener.route_names.push(name);
        }
    }
    listener.name.clone()
}
