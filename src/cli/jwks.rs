//! `portcullis jwks`: what the gateway would make of an issuer's key set, key by key.

use clap::{Args, Subcommand, ValueEnum};
use portcullis_core::config::{Diagnostic, Node, Severity};
use portcullis_core::{
    Algorithm, KeyFinding, KeyKind, KeySet, MAX_KEYS, MAX_SET, PublicKey, SetFault,
};

use crate::exit::Exit;
use crate::output::{complain, file_name, plain};
use crate::read::{self, Notation, Tree};

mod doubts;
mod print;

#[derive(Args)]
pub(crate) struct Jwks {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell which keys of a set can be used, and why the others cannot: exit code 1 on any finding.
    Check(Check),
}

#[derive(Args)]
struct Check {
    /// A JSON Web Key Set; `-` is the standard input.
    #[arg(value_name = "FILE")]
    file: String,
    /// The algorithms that the issuer may use, in the policy's order; left out, all of public keys.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = algorithm)]
    algorithms: Vec<Algorithm>,
    /// How keys and findings are printed.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line a key or finding.
    Human,
    /// One object with `keys` and `findings`.
    Json,
}

/// What is known about a set when it has been read.
struct Report {
    file: String,
    keys: Vec<UsableKey>,
    findings: Vec<Finding>,
    /// For the places of keys in the text; `None` where it is not JSON.
    tree: Option<Tree>,
}

struct UsableKey {
    position: usize,
    id: Option<String>,
    algorithm: Algorithm,
    /// Type and size in words.
    kind: String,
}

/// Something that is wrong, with a key or with the set.
struct Finding {
    /// Which key; `None` for the set as a whole.
    key: Option<(usize, Option<String>)>,
    diagnostic: Diagnostic,
}

pub(crate) fn run(arguments: &Jwks) -> Exit {
    let Command::Check(check) = &arguments.command;
    let text = match read::read(&check.file) {
        Ok(text) => text,
        Err(why) => {
            complain(&format!("error: {} {why}", file_name(&check.file)));
            return Exit::Unreadable;
        }
    };
    let report = report(&check.file, &text, &check.algorithms);
    match check.format {
        Format::Human => print::human(&report),
        Format::Json => print::json(&report),
    }
    if report.findings.is_empty() { Exit::Success } else { Exit::PolicyErrors }
}

fn report(file: &str, text: &str, algorithms: &[Algorithm]) -> Report {
    let allowed = if algorithms.is_empty() { &Algorithm::ALL } else { algorithms };
    let tree = read::parse(text, Notation::Json).ok().and_then(|trees| trees.into_iter().next());
    let (mut keys, mut findings) = (Vec::new(), Vec::new());
    match KeySet::read(text.as_bytes(), allowed) {
        Ok(set) => {
            findings.extend(set.findings().iter().map(unusable));
            let used = |position: &usize| set.findings().iter().all(|f| f.position != *position);
            keys.extend((0..).filter(used).zip(set.keys()).map(|(position, key)| UsableKey {
                position,
                id: key.id().map(str::to_owned),
                algorithm: key.algorithm(),
                kind: kind(key.public()),
            }));
        }
        Err(fault) => findings.extend(whole_set(fault, text, tree.as_ref())),
    }
    let jwks = tree.as_ref().and_then(|tree| tree.member("keys")).map_or(&[][..], Tree::items);
    findings.extend(doubts::find(&keys, jwks));
    findings.sort_by_key(|finding| finding.key.as_ref().map(|(position, _)| *position));
    Report { file: file.to_owned(), keys, findings, tree }
}

/// Why a set is refused, and which keys are to blame.
fn whole_set(fault: SetFault, text: &str, tree: Option<&Tree>) -> Vec<Finding> {
    match fault {
        SetFault::TooLong => {
            vec![of_set("set_too_long", format!("longer than {MAX_SET} bytes"), "")]
        }
        SetFault::TooManyKeys => {
            vec![of_set("set_too_many_keys", format!("more than {MAX_KEYS} keys"), "")]
        }
        SetFault::NotASet => {
            let help = match tree {
                Some(tree) if tree.member("kty").is_some() => {
                    "this is one key; a set is an object `{\"keys\": [...]}` of public keys"
                }
                _ => "a set is one JSON object with a list `keys`",
            };
            let why = Node::from_json(text.as_bytes())
                .err()
                .map_or("not an object with a list `keys`".to_owned(), |fault| fault.message);
            vec![of_set("set_malformed", why, help)]
        }
        SetFault::NoUsableKey(keys) => {
            let none = of_set("set_no_usable_key", "no key can be used".to_owned(), "");
            [none].into_iter().chain(keys.iter().map(unusable)).collect()
        }
    }
}

fn of_set(code: &'static str, message: String, help: &str) -> Finding {
    let severity = Severity::Error;
    let (place, help) = (String::new(), help.to_owned());
    Finding { key: None, diagnostic: Diagnostic { severity, code, place, message, help } }
}

fn unusable(finding: &KeyFinding) -> Finding {
    let meaning = match finding.fault {
        portcullis_core::KeyFault::Member(name) => {
            format!("`{name}` is missing, of another type, or not base64url")
        }
        fault => fault.meaning().to_owned(),
    };
    let id = finding.id.as_deref();
    let message = format!("{} is not used: {meaning}", called(finding.position, id));
    of_key(Severity::Error, finding.fault.code(), (finding.position, id), message, "")
}

fn of_key(
    severity: Severity,
    code: &'static str,
    (position, id): (usize, Option<&str>),
    message: String,
    help: &str,
) -> Finding {
    let (place, help) = (format!("/keys/{position}"), help.to_owned());
    Finding {
        key: Some((position, id.map(str::to_owned))),
        diagnostic: Diagnostic { severity, code, place, message, help },
    }
}

/// A key as messages call it.
fn called(position: usize, id: Option<&str>) -> String {
    id.map_or(format!("key {position}"), |id| format!("key {position} (`{}`)", plain(id)))
}

/// Type and size of a key in words.
pub(crate) fn kind(key: &PublicKey) -> String {
    match key.kind() {
        KeyKind::Rsa => format!("RSA {} bits", key.modulus_bits()),
        KeyKind::P256 => "EC P-256".to_owned(),
        KeyKind::P384 => "EC P-384".to_owned(),
        KeyKind::Ed25519 => "OKP Ed25519".to_owned(),
        KeyKind::Secret => "a secret".to_owned(),
    }
}

/// An algorithm that public keys verify.
fn algorithm(name: &str) -> Result<Algorithm, String> {
    let algorithm = Algorithm::parse(name).filter(|found| found.key_kind() != KeyKind::Secret);
    algorithm.ok_or_else(|| {
        let all = Algorithm::ALL.into_iter().filter(|found| found.key_kind() != KeyKind::Secret);
        let names: Vec<_> = all.map(Algorithm::name).collect();
        format!("a key set has keys of {}", names.join(", "))
    })
}
