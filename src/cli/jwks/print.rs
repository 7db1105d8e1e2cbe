//! The keys and the findings, for people and for programs; of a key's own members none is shown.

use portcullis_core::config::Severity;
use serde_json::{Value, json};

use crate::output::{plural, print_json, print_lines};
use crate::read::{Mark, Tree};

use super::{Report, called};

/// One line a key and one line a finding, in the order of the set.
pub(super) fn human(report: &Report) {
    let keys = report.keys.iter().map(|key| {
        let name = called(key.position, key.id.as_deref());
        let line = format!("{name}: {}, verifies {}", key.kind, key.algorithm.name());
        (Some(key.position), line)
    });
    let findings = report.findings.iter().map(|finding| {
        let position = finding.key.as_ref().map(|(position, _)| *position);
        (position, finding.diagnostic.to_string())
    });
    let mut lines: Vec<_> = keys.chain(findings).collect();
    lines.sort_by_key(|(position, _)| *position);
    let place = |position| format!("{}:{}", report.file, mark(report, position));
    let mut lines: Vec<_> =
        lines.iter().map(|(position, line)| format!("{}: {line}", place(*position))).collect();
    lines.push(format!(
        "{} usable, {}, {}",
        plural(report.keys.len(), "key", "keys"),
        plural(count(report, Severity::Error), "error", "errors"),
        plural(count(report, Severity::Warning), "warning", "warnings"),
    ));
    print_lines(&lines);
}

/// One object: the usable keys, the findings, and how many there are.
pub(super) fn json(report: &Report) {
    let keys = report.keys.iter().map(|key| {
        let mark = mark(report, Some(key.position));
        json!({
            "position": key.position,
            "kid": key.id,
            "type": key.kind,
            "algorithm": key.algorithm.name(),
            "line": mark.line,
            "column": mark.column,
        })
    });
    let findings = report.findings.iter().map(|finding| {
        let (position, id) = finding.key.clone().unzip();
        let mark = mark(report, position);
        json!({
            "severity": finding.diagnostic.severity.to_string(),
            "code": finding.diagnostic.code,
            "position": position,
            "kid": id.flatten(),
            "pointer": finding.diagnostic.place,
            "line": mark.line,
            "column": mark.column,
            "message": finding.diagnostic.message,
            "help": finding.diagnostic.help,
        })
    });
    print_json(&json!({
        "file": report.file,
        "keys": keys.collect::<Vec<Value>>(),
        "findings": findings.collect::<Vec<Value>>(),
        "errors": count(report, Severity::Error),
        "warnings": count(report, Severity::Warning),
    }));
}

/// Where a key stands; the whole set begins where the file begins.
fn mark(report: &Report, position: Option<usize>) -> Mark {
    let place = |tree: &Tree| position.map(|at| tree.locate(&format!("/keys/{at}")));
    report.tree.as_ref().and_then(place).unwrap_or(Mark::START)
}

fn count(report: &Report, severity: Severity) -> usize {
    report.findings.iter().filter(|finding| finding.diagnostic.severity == severity).count()
}
