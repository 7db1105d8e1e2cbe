//! Every case against the core itself.

use libtest_mimic::{Arguments, Trial};
use portcullis_core::Policy;
use portcullis_tests::case::{self, Case};
use portcullis_tests::expect;
use portcullis_tests::native::Native;
use portcullis_tests::template::{FIXED_NOW, fill_value};

fn main() {
    let trials = case::all()
        .into_iter()
        .map(|case| Trial::test(format!("{}: {}", case.file, case.name), move || Ok(run(&case)?)));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn run(case: &Case) -> Result<(), String> {
    let text = fill_value(case.policy.clone(), FIXED_NOW).to_string();
    let compiled = Policy::compile(text.as_bytes());
    let policy = compiled
        .policy
        .ok_or_else(|| format!("the policy is refused: {:?}", compiled.diagnostics))?;
    expect::run(case, FIXED_NOW, true, &mut Native::new(policy, case.listener.clone(), FIXED_NOW))
}
