//! `portcullis check`: everything that is wrong with a policy, and with how it is deployed.

use clap::{Args, ValueEnum};
use portcullis_core::Policy;
use portcullis_core::config::{Diagnostic, Severity};

use crate::exit::Exit;
use crate::find::{Found, find};
use crate::read::{Fault, Mark, Source, Tree, escape, hidden};

mod address;
mod envoy;
mod finding;
mod fleet;
mod hardening;
mod plugins;
mod print;
mod routes;
mod tokens;

use envoy::Guard;
use finding::{Finding, Findings, Site, code};

pub(crate) use finding::code::ALL as CODES;

#[derive(Args)]
pub(crate) struct Check {
    /// Policies, or files of Envoy, Istio or Envoy Gateway that hold some; `-` is the standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Treat warnings as errors.
    #[arg(long)]
    deny_warnings: bool,
    /// How findings are printed.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line a finding: `file:line:column: severity[code] at /pointer: message (help: …)`.
    Human,
    /// One object with all policies and findings.
    Json,
}

/// What is known about one file when it has been checked.
struct Report {
    file: String,
    policies: Vec<Summary>,
    findings: Vec<Finding>,
    /// Whether the file could be read and parsed at all.
    readable: bool,
}

/// A policy of the file; gateway and revision are known when it compiled.
struct Summary {
    document: usize,
    mark: Mark,
    pointer: String,
    compiled: Option<(String, String)>,
}

pub(crate) fn run(arguments: &Check) -> Exit {
    let reports: Vec<_> = arguments.files.iter().map(|file| check(file)).collect();
    match arguments.format {
        Format::Human => print::human(&reports),
        Format::Json => print::json(&reports),
    }
    let has = |severity| {
        let mut findings = reports.iter().flat_map(|report| &report.findings);
        findings.any(|finding| finding.diagnostic.severity == severity)
    };
    if reports.iter().any(|report| !report.readable) {
        Exit::Unreadable
    } else if has(Severity::Error) || (arguments.deny_warnings && has(Severity::Warning)) {
        Exit::PolicyErrors
    } else {
        Exit::Success
    }
}

fn check(file: &str) -> Report {
    let mut report = Report {
        file: file.to_owned(),
        policies: Vec::new(),
        findings: Vec::new(),
        readable: true,
    };
    let source = match Source::open(file) {
        Ok(source) => source,
        Err(fault) => {
            report.readable = false;
            report.findings.push(match fault {
                Fault::Unreadable(why) => whole_file(Mark::START, code::FILE_UNREADABLE, why),
                Fault::NotParsable(mark, why) => whole_file(mark, code::NOT_PARSABLE, why),
            });
            return report;
        }
    };
    let found = find(&source);
    let mut findings = Findings::default();
    duplicate_keys(&source, &found, &mut findings);
    let compile = |found: &Found<'_>| {
        let compiled = found.compile();
        findings.of_policy(found, compiled.diagnostics);
        compiled.policy
    };
    let compiled: Vec<_> = found.iter().map(compile).collect();
    let both = found.iter().zip(&compiled);
    let guards: Vec<_> = both
        .filter_map(|(found, policy)| Some(Guard { found, policy: policy.as_ref()? }))
        .collect();
    envoy::check(&source, &guards, &mut findings);
    plugins::check(&source, &found, &guards, &mut findings);
    tokens::check(&source, &guards, &mut findings);
    fleet::check(&source, &guards, &mut findings);
    report.findings = findings.0;
    if found.is_empty() {
        let message = "no policy is in this file".to_owned();
        report.findings.push(whole_file(Mark::START, code::POLICY_NOT_FOUND, message));
    }
    report.findings.sort_by_key(|finding| (finding.document, finding.mark));
    report.policies = found.iter().zip(&compiled).map(summary).collect();
    report
}

fn summary((found, policy): (&Found<'_>, &Option<Policy>)) -> Summary {
    Summary {
        document: found.document,
        mark: found.mark(),
        pointer: found.pointer.clone(),
        compiled: policy
            .as_ref()
            .map(|policy| (policy.gateway().to_owned(), policy.revision().to_owned())),
    }
}

/// Members of one name, anywhere in the file: what the author reads is not what is in force.
fn duplicate_keys(source: &Source, found: &[Found<'_>], findings: &mut Findings) {
    if found.iter().any(Found::is_json_file) {
        // The core refuses the policy with the same finding in its own words.
        return;
    }
    for (document, root) in source.documents.iter().enumerate() {
        root.visit(&mut String::new(), &mut |pointer, tree: &Tree| {
            for member in hidden(tree) {
                let site = Site { document, root, pointer };
                let last = tree.locate(&format!("/{}", escape(&member.name)));
                findings.hidden(site, member, last);
            }
        });
    }
}

fn whole_file(mark: Mark, code: finding::Code, message: String) -> Finding {
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        code: code.name,
        place: String::new(),
        message,
        help: code.help.to_owned(),
    };
    Finding { document: 0, mark, pointer: String::new(), diagnostic }
}
