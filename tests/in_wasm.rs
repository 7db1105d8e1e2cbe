//! Every case through the module in a Wasm runtime, its policy sent as JSON text and as a Struct.

use libtest_mimic::{Arguments, Trial};
use portcullis_tests::case::{self, Case};
use portcullis_tests::expect;
use portcullis_tests::in_wasm::InWasm;
use portcullis_tests::template::{FIXED_NOW, fill_value};

fn main() {
    let mut trials = Vec::new();
    for case in case::all() {
        for as_text in [true, false] {
            let form = if as_text { "as text" } else { "as a Struct" };
            let (name, case) = (format!("{form}, {}: {}", case.file, case.name), case.clone());
            trials.push(Trial::test(name, move || Ok(run(&case, as_text)?)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(case: &Case, as_text: bool) -> Result<(), String> {
    let policy = fill_value(case.with_own_buckets(), FIXED_NOW);
    let mut gateway = InWasm::new(&policy, as_text, case.listener.clone(), FIXED_NOW)
        .map_err(|log| format!("the policy is refused: {log:?}"))?;
    expect::run(case, FIXED_NOW, true, &mut gateway)
}
