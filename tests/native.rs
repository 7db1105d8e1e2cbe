//! Every case against the core itself.

use libtest_mimic::{Arguments, Trial};
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
    let policy = fill_value(case.policy.clone(), FIXED_NOW);
    let mut gateway = Native::new(&policy, case.listener.clone(), FIXED_NOW)?;
    expect::run(case, FIXED_NOW, true, &mut gateway)
}
