//! The findings of `check`, for people and for programs.

use portcullis_core::config::Severity;
use serde_json::{Value, json};

use crate::output::{plural, print_json, print_lines};

use super::{Finding, Report};

/// One line a finding, in the form that editors know, and one line a sound policy.
pub(super) fn human(reports: &[Report]) {
    let mut lines = Vec::new();
    for report in reports {
        let findings = report.findings.iter();
        lines.extend(findings.map(|f| format!("{}:{}: {}", report.file, f.mark, f.diagnostic)));
        for policy in &report.policies {
            if let Some((gateway, revision)) = &policy.compiled {
                lines.push(format!(
                    "{}:{}: policy `{gateway}` compiles, revision {revision}",
                    report.file, policy.mark
                ));
            }
        }
    }
    let policies = reports.iter().map(|report| report.policies.len()).sum();
    lines.push(format!(
        "{}, {}, {}",
        plural(policies, "policy", "policies"),
        plural(count(reports, Severity::Error), "error", "errors"),
        plural(count(reports, Severity::Warning), "warning", "warnings"),
    ));
    print_lines(&lines);
}

/// One object: the policies, the findings, and how many there are.
pub(super) fn json(reports: &[Report]) {
    let policies: Vec<_> = reports.iter().flat_map(policies).collect();
    let each = |report| findings(report).collect::<Vec<_>>();
    let findings: Vec<_> = reports.iter().flat_map(each).collect();
    print_json(&json!({
        "policies": policies,
        "diagnostics": findings,
        "errors": count(reports, Severity::Error),
        "warnings": count(reports, Severity::Warning),
    }));
}

fn policies(report: &Report) -> Vec<Value> {
    let each = report.policies.iter().map(|policy| {
        let (gateway, revision) = policy.compiled.clone().unzip();
        json!({
            "file": report.file,
            "document": policy.document,
            "line": policy.mark.line,
            "column": policy.mark.column,
            "pointer": policy.pointer,
            "gateway": gateway,
            "revision": revision,
        })
    });
    each.collect()
}

fn findings(report: &Report) -> impl Iterator<Item = Value> {
    report.findings.iter().map(|Finding { document, mark, pointer, diagnostic }| {
        json!({
            "severity": diagnostic.severity.to_string(),
            "code": diagnostic.code,
            "file": report.file,
            "document": document,
            "line": mark.line,
            "column": mark.column,
            "pointer": pointer,
            "place": diagnostic.place,
            "message": diagnostic.message,
            "help": diagnostic.help,
        })
    })
}

fn count(reports: &[Report], severity: Severity) -> usize {
    let findings = reports.iter().flat_map(|report| &report.findings);
    findings.filter(|finding| finding.diagnostic.severity == severity).count()
}
