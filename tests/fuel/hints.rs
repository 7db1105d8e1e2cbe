//! The hints on branches: learned from the rows, and held against the module that was built.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libtest_mimic::Failed;
use portcullis_hints::{Function, Hints, Shares, count, functions, write};
use portcullis_tests::envoy::root;
use portcullis_tests::fake_host::{Vm, bytes};

use crate::{RENEW, ROWS, after_others};

/// Percent of the hints to be given that the module must have.
const ENOUGH: usize = 95;

const HEAD: &str = "\
# Which way the branches of the filter's functions usually go: 1 if the condition holds, 0 if it does not,
# - if there is no saying. A line is a hash of a function's instructions and its branches in order. Counted
# in the requests of tests/fuel.rs, written by `PORTCULLIS_RENEW_FUEL=1 scripts/test build fuel build`.
";

fn file() -> PathBuf {
    root().join("src/filter/hints.txt")
}

/// Writes the file anew.
pub(crate) fn renew() {
    let hints = learned(&functions(&bytes()).expect("a module"));
    std::fs::write(file(), format!("{HEAD}{hints}")).expect("the hints can be written");
    println!("{} is renewed; the next build writes it into the module", file().display());
}

/// A module whose functions have changed since has fewer hints than there could be.
pub(crate) fn judge() -> Result<(), Failed> {
    let module = bytes();
    let functions = functions(&module)?;
    let text = std::fs::read_to_string(file())?;
    let known = Hints::read(&text).map_err(|line| format!("{}: line {line}", file().display()))?;
    let (there, written) = (count(&module)?, write(&module, &known)?.1.hints);
    // What was renewed just now is for the next build.
    if there != written && std::env::var_os(RENEW).is_none() {
        return Err(format!("the module has {there} hints of {written}: run scripts/build").into());
    }
    let wanted = learned(&functions);
    let (mut given, mut all) = (0, 0);
    for function in &functions {
        let known: BTreeMap<_, _> = known.of(function).collect();
        for (at, hint) in wanted.of(function).filter(|(_, hint)| hint.is_some()) {
            all += 1;
            given += usize::from(known.get(&at) == Some(&hint));
        }
    }
    assert!(all > 0, "no branch was seen");
    if given * 100 < all * ENOUGH {
        let renew = format!("{RENEW}=1 scripts/test build fuel build");
        return Err(format!(
            "{given} of {all} hints are given, the module has changed: `{renew}` renews them"
        )
        .into());
    }
    Ok(())
}

fn learned(functions: &[Function]) -> Hints {
    Hints::learn(functions, &shares())
}

/// Every row counts the same, however often it goes through a branch.
fn shares() -> Shares {
    let mut seen = BTreeMap::<u32, Vec<f64>>::new();
    for row in &ROWS {
        for (place, [no, yes]) in after_others(row, Vm::telling, Vm::branches_of) {
            seen.entry(place).or_default().push(share(no, yes));
        }
    }
    let mean = |shares: Vec<f64>| shares.iter().sum::<f64>() / share_count(&shares);
    seen.into_iter().map(|(place, shares)| (place as usize, mean(shares))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a share of a few thousand")]
fn share(no: u64, yes: u64) -> f64 {
    yes as f64 / (no + yes) as f64
}

#[expect(clippy::cast_precision_loss, reason = "there are ten rows")]
fn share_count(shares: &[f64]) -> f64 {
    shares.len() as f64
}
