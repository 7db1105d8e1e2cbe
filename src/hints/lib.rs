//! Which way the branches of the filter's module usually go, for the compiler inside Envoy.
//!
//! V8 lays out what is likely as straight code and moves the rest out of the way, if a section of the
//! module says what is likely ([branch hinting]). Between two requests a processor forgets the branches of
//! this module, and one that is not taken costs least. The Rust compiler writes no such section; this
//! crate writes it into the finished module, from a file that `tests/fuel.rs` makes by counting.
//!
//! The file names a function by the instructions that it consists of, without their operands: data and
//! other functions may move, and a function that has changed gets no hints in place of wrong ones. A
//! hint is never more than a hint: no module computes anything else because of it.
//!
//! [branch hinting]: https://webassembly.github.io/branch-hinting/core/appendix/custom.html

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(clippy::panic, clippy::unwrap_used, reason = "a test may stop at the first surprise")
)]

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::ops::Range;

use siphasher::sip::SipHasher13;
use wasmparser::{BinaryReaderError, Operator, Parser, Payload, TypeRef};

mod file;
#[cfg(test)]
mod tests;

pub use file::Hints;

/// The custom section that engines read hints from. It must stand before the code.
pub const SECTION: &str = "metadata.code.branch_hint";

/// A branch is hinted if it goes the same way in this share of the cases, or more.
const USUALLY: f64 = 0.7;

/// The instructions of a function, without operands, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(u64);

/// A function of a module.
#[derive(Clone, Debug)]
pub struct Function {
    /// Imported functions are counted, too, and come first.
    pub index: u32,
    /// Its instructions.
    pub fingerprint: Fingerprint,
    /// Where each `if` and `br_if` stands: bytes from the start of the body, which begins with its locals.
    pub branches: Vec<u32>,
}

/// How many branches got a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Branches with a hint.
    pub hints: usize,
    /// Functions with at least one.
    pub functions: usize,
    /// Functions that the file has and the module has not: it has changed since.
    pub unknown: usize,
}

/// The functions that a module defines, in its order.
///
/// # Errors
/// When the module cannot be read.
pub fn functions(module: &[u8]) -> Result<Vec<Function>, BinaryReaderError> {
    let mut index = 0_u32;
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports {
                    if matches!(import?.ty, TypeRef::Func(_)) {
                        index = index.saturating_add(1);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let mut hasher = SipHasher13::new();
                let mut branches = Vec::new();
                let start = body.range().start;
                for read in body.get_operators_reader()?.into_iter_with_offsets() {
                    let (operator, at) = read?;
                    hasher.write(opcode(module, at));
                    if is_branch(&operator) {
                        let offset = at.saturating_sub(start);
                        branches.push(u32::try_from(offset).unwrap_or(u32::MAX));
                    }
                }
                let fingerprint = Fingerprint(hasher.finish());
                functions.push(Function { index, fingerprint, branches });
                index = index.saturating_add(1);
            }
            _ => {}
        }
    }
    Ok(functions)
}

/// Whether an instruction can have a hint.
pub const fn is_branch(operator: &Operator<'_>) -> bool {
    matches!(operator, Operator::If { .. } | Operator::BrIf { .. })
}

/// The bytes that say which instruction stands there: one, or three where the first is a prefix.
fn opcode(module: &[u8], at: usize) -> &[u8] {
    const PREFIXES: Range<u8> = 0xfb..0xff;
    let first = module.get(at).copied().unwrap_or_default();
    let length = if PREFIXES.contains(&first) { 3 } else { 1 };
    module.get(at..at.saturating_add(length)).unwrap_or_default()
}

/// The module with hints for all functions that the file knows, in place of any that it had.
///
/// # Errors
/// When the module cannot be read.
pub fn write(module: &[u8], hints: &Hints) -> Result<(Vec<u8>, Written), BinaryReaderError> {
    let (section, written) = section(&functions(module)?, hints);
    let mut new = Vec::with_capacity(module.len().saturating_add(section.len()));
    let mut copied = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        let range = match &payload {
            Payload::Version { range, .. } => range.clone(),
            _ => match payload.as_section() {
                Some((_, range)) => range,
                None => continue,
            },
        };
        let whole = module.get(copied..range.end).unwrap_or_default();
        match &payload {
            Payload::CustomSection(custom) if custom.name() == SECTION => {}
            Payload::CodeSectionStart { .. } => {
                new.extend_from_slice(&section);
                new.extend_from_slice(whole);
            }
            _ => new.extend_from_slice(whole),
        }
        copied = range.end;
    }
    Ok((new, written))
}

/// How many hints a module has.
///
/// # Errors
/// When the module or its section of hints cannot be read.
pub fn count(module: &[u8]) -> Result<usize, BinaryReaderError> {
    let mut hints = 0_usize;
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CustomSection(custom) = payload? else { continue };
        let wasmparser::KnownCustom::BranchHints(functions) = custom.as_known() else { continue };
        for function in functions {
            hints = hints.saturating_add(function?.hints.count() as usize);
        }
    }
    Ok(hints)
}

/// The whole section, its id and its size included.
fn section(functions: &[Function], hints: &Hints) -> (Vec<u8>, Written) {
    let mut written = Written { hints: 0, functions: 0, unknown: hints.unknown(functions) };
    let mut content = Vec::new();
    for function in functions {
        let known = hints.of(function);
        let known: Vec<(u32, bool)> = known.filter_map(|(at, hint)| Some((at, hint?))).collect();
        if known.is_empty() {
            continue;
        }
        written.functions = written.functions.saturating_add(1);
        written.hints = written.hints.saturating_add(known.len());
        number(function.index, &mut content);
        number(size(known.len()), &mut content);
        for (at, is_likely) in known {
            number(at, &mut content);
            // The size of the hint, and the hint.
            content.extend([1, u8::from(is_likely)]);
        }
    }
    let mut body = Vec::new();
    number(size(SECTION.len()), &mut body);
    body.extend_from_slice(SECTION.as_bytes());
    number(size(written.functions), &mut body);
    body.extend_from_slice(&content);
    let mut section = vec![CUSTOM];
    number(size(body.len()), &mut section);
    section.extend_from_slice(&body);
    (section, written)
}

/// The id of custom sections.
const CUSTOM: u8 = 0;

/// A module of 4 GiB does not exist: the format counts by 32 bits.
fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// An unsigned number in LEB128.
fn number(mut value: u32, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push((value & 0x7f) as u8);
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// In which share of the cases a branch was taken, by its place among all branches of the module.
pub type Shares = BTreeMap<usize, f64>;
