//! What `token inspect` shows: every claim, every check, and first of all whether to believe any of it.
//! The signature is not shown, so what is shown is no token.

use serde_json::{Map, Value, json};

use crate::output::{plain, print_json, print_lines};

use super::checks::{Check, Outcome, SIGNATURE, date, relative};
use super::{Part, Report};

/// Claims that are dates (RFC 7519 section 4.1, `OpenID` Connect Core sections 2 and 5.1).
const DATES: [&str; 5] = ["exp", "nbf", "iat", "auth_time", "updated_at"];

pub(super) fn human(report: &Report) {
    let mut lines = vec![summary(report), String::new(), "header".to_owned()];
    lines.extend(part(&report.header, report));
    lines.push("claims".to_owned());
    lines.extend(part(&report.claims, report));
    lines.push(format!("checks, at {}", report.at));
    lines.extend(report.checks.iter().map(|check| {
        let code = check.code.map_or(String::new(), |code| format!("{code}: "));
        format!("  {:<10} {:<11} {code}{}", check.name, check.outcome.name(), check.said)
    }));
    print_lines(&lines);
}

pub(super) fn json(report: &Report) {
    let checks = report.checks.iter().map(|check| {
        let outcome = check.outcome.name().replace(' ', "_");
        json!({"check": check.name, "outcome": outcome, "reason": check.code, "said": check.said})
    });
    let times = DATES.iter().filter_map(|name| {
        let time = report.claims.member(name).and_then(date)?;
        Some(((*name).to_owned(), Value::from(time.to_string())))
    });
    print_json(&json!({
        "signature_verified": signature(&report.checks) == Outcome::Passed,
        "summary": summary(report),
        "gateway": report.gateway,
        "at": report.at.to_string(),
        "header": value(&report.header),
        "claims": value(&report.claims),
        "times": times.collect::<Map<_, _>>(),
        "checks": checks.collect::<Vec<_>>(),
    }));
}

/// Whether to believe what the token says.
fn summary(report: &Report) -> String {
    let failed = report.checks.iter().any(|check| check.outcome == Outcome::Failed);
    match (signature(&report.checks), &report.gateway) {
        (Outcome::NotChecked, _) => {
            "NOT VERIFIED: nobody vouches for what follows; anybody can write such a token"
                .to_owned()
        }
        (Outcome::Failed, _) => "NOT VERIFIED: the keys do not vouch for what follows".to_owned(),
        (Outcome::Passed, None) if failed => "signature verified, but a check failed".to_owned(),
        (Outcome::Passed, None) => "signature verified; see below what was not checked".to_owned(),
        (Outcome::Passed, Some(gateway)) if failed => {
            format!("signature verified, but the policy `{gateway}` refuses the token")
        }
        (Outcome::Passed, Some(gateway)) => {
            format!("ACCEPTED by the policy `{gateway}`; a route may ask for more")
        }
    }
}

fn signature(checks: &[Check]) -> Outcome {
    let check = checks.iter().find(|check| check.name == SIGNATURE);
    check.map_or(Outcome::NotChecked, |check| check.outcome)
}

fn value(part: &Part) -> &Value {
    match part {
        Part::Json(value) => value,
        Part::Unreadable(_) => &Value::Null,
    }
}

/// One line a member, in JSON; dates also as times.
fn part(part: &Part, report: &Report) -> Vec<String> {
    let members = match part {
        Part::Json(Value::Object(members)) => members,
        Part::Json(other) => return vec![format!("  {}", visible(other))],
        Part::Unreadable(why) => return vec![format!("  ({why})")],
    };
    let width = members.keys().map(|name| plain(name).chars().count()).max().unwrap_or(0);
    let line = |(name, value): (&String, &Value)| {
        let time = DATES.contains(&name.as_str()).then(|| date(value)).flatten();
        let time =
            time.map_or(String::new(), |time| format!("  {time}, {}", relative(time, report.at)));
        format!("  {:<width$}  {}{time}", plain(name), visible(value))
    };
    members.iter().map(line).collect()
}

/// JSON text in which no character hides or moves others.
fn visible(value: &Value) -> String {
    let escape = |c: char| match c {
        ' '..='~' => c.to_string(),
        _ => c.escape_debug().to_string(),
    };
    value.to_string().chars().map(escape).collect()
}
