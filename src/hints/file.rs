//! The file of hints: one line a function, one character a branch.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Fingerprint, Function, Shares, USUALLY};

const LIKELY: char = '1';
const UNLIKELY: char = '0';
/// The branch goes both ways, or nobody has seen it.
const UNKNOWN: char = '-';

/// Which way branches go, by the functions that they are in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints(BTreeMap<Fingerprint, Vec<Option<bool>>>);

impl Hints {
    /// Reads the text that `Display` writes. Empty lines and those that start with `#` say nothing.
    ///
    /// # Errors
    /// The number of the first line that is no such line, from 1.
    pub fn read(text: &str) -> Result<Self, usize> {
        let mut hints = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (fingerprint, branches) = read(line).ok_or(number)?;
            if hints.insert(fingerprint, branches).is_some() {
                return Err(number);
            }
        }
        Ok(Self(hints))
    }

    /// The hints for branches that went one way in most cases.
    ///
    /// Functions that consist of the same instructions get what holds for all of them.
    pub fn learn(functions: &[Function], shares: &Shares) -> Self {
        let mut hints = BTreeMap::<Fingerprint, Vec<Vec<f64>>>::new();
        let mut places = 0_usize..;
        for function in functions {
            let seen = function.branches.iter().zip(&mut places);
            let seen: Vec<_> = seen.map(|(_, place)| shares.get(&place).copied()).collect();
            if seen.iter().all(Option::is_none) {
                continue;
            }
            let known = hints.entry(function.fingerprint).or_default();
            known.resize(known.len().max(seen.len()), Vec::new());
            known.iter_mut().zip(seen).for_each(|(known, seen)| known.extend(seen));
        }
        let hints = hints.into_iter();
        Self(hints.map(|(name, all)| (name, all.iter().map(|one| usual(one)).collect())).collect())
    }

    /// Where each branch of a function stands, and which way it goes: nothing if the file does not know it.
    pub fn of(&self, function: &Function) -> impl Iterator<Item = (u32, Option<bool>)> {
        let known = self.0.get(&function.fingerprint).map_or(&[][..], Vec::as_slice);
        // Two functions with one hash and not as many branches are not the same.
        let known = if known.len() == function.branches.len() { known } else { &[] };
        function.branches.iter().copied().zip(known.iter().copied())
    }

    /// How many functions are named here that are not among these.
    pub fn unknown(&self, functions: &[Function]) -> usize {
        let names = self.0.keys();
        names.filter(|name| functions.iter().all(|one| one.fingerprint != **name)).count()
    }
}

/// Which way a branch usually goes that was taken in these shares of the cases.
fn usual(shares: &[f64]) -> Option<bool> {
    let cases: f64 = shares.iter().map(|_| 1.0).sum();
    let taken: f64 = shares.iter().sum();
    if shares.is_empty() {
        None
    } else if taken >= USUALLY * cases {
        Some(true)
    } else {
        (taken <= (1.0 - USUALLY) * cases).then_some(false)
    }
}

fn read(line: &str) -> Option<(Fingerprint, Vec<Option<bool>>)> {
    let (fingerprint, branches) = line.split_once(' ')?;
    let number = u64::from_str_radix(fingerprint, 16).ok()?;
    // As it is written, and not otherwise.
    let fingerprint = Fingerprint(number).to_string() == fingerprint && !branches.is_empty();
    let fingerprint = fingerprint.then_some(number)?;
    let branch = |letter| match letter {
        LIKELY => Some(Some(true)),
        UNLIKELY => Some(Some(false)),
        UNKNOWN => Some(None),
        _ => None,
    };
    Some((Fingerprint(fingerprint), branches.chars().map(branch).collect::<Option<_>>()?))
}

impl fmt::Display for Hints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, branches) in &self.0 {
            let letters = branches.iter().map(|hint| match hint {
                Some(true) => LIKELY,
                Some(false) => UNLIKELY,
                None => UNKNOWN,
            });
            writeln!(f, "{name} {}", letters.collect::<String>())?;
        }
        Ok(())
    }
}
