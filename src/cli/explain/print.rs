//! What `explain` shows: stages, outcome, effects, audit record; never a header's value that the
//! caller sent.

use portcullis_core::{
    Decision, Effects, LimitLook, Lines, Outcome, Policy, Refill, Stage, Timestamp,
};
use serde_json::{Map, Value, json};

use super::Heard;
use crate::output::{print_json, print_lines};

/// A request that was walked through.
pub(super) struct Seen<'s> {
    pub(super) policy: &'s Policy,
    pub(super) decision: &'s Decision<'s, 's>,
    pub(super) heard: &'s Heard,
    pub(super) now: Timestamp,
    /// How many requests were made before this one, and how many of those were allowed.
    pub(super) before: Option<(u32, u32)>,
}

pub(super) fn human(seen: &Seen<'_>) {
    let Seen { policy, decision, .. } = seen;
    let mut lines = vec![format!(
        "policy `{}`, revision {}, at {}",
        policy.gateway(),
        policy.revision(),
        seen.now
    )];
    if let Some((made, allowed)) = seen.before {
        lines.push(format!("after {made} of the same requests, {allowed} of them allowed"));
    }
    lines.push(String::new());
    lines.extend(
        seen.heard.stages.iter().map(|(stage, text)| format!("  {:<15} {text}", stage.name())),
    );
    lines.extend([String::new(), verdict(decision)]);
    match decision.effects() {
        Effects::Reply(reply) => {
            let grpc =
                reply.grpc_status.map_or(String::new(), |code| format!(", grpc-status {code}"));
            lines
                .push(format!("reply: status {}{grpc}, details `{}`", reply.status, reply.details));
            lines.extend(written(&reply.headers).map(|(name, value)| format!("  {name}: {value}")));
            let body = String::from_utf8_lossy(&reply.body);
            lines.extend(body.lines().map(|line| format!("  {line}")));
        }
        Effects::Forward(forward) => {
            lines.push("forwarded:".to_owned());
            lines.extend(forward.remove.iter().map(|name| format!("  remove {}", shown(name))));
            for (name, value) in forward.set.iter() {
                lines.push(format!("  set {name}: {}", edit(name, value)));
            }
            for (name, value) in written(&forward.response) {
                lines.push(format!("  in the response {name}: {value}"));
            }
            for (fact, value) in decision.handed_over() {
                lines.push(format!("  hand over {}: {}", fact.name(), shown(&value)));
            }
        }
    }
    lines.push(format!("audit: {}", String::from_utf8_lossy(&audit(decision))));
    print_lines(&lines);
}

pub(super) fn json(seen: &Seen<'_>) {
    let Seen { policy, decision, .. } = seen;
    let stages = seen.heard.stages.iter();
    let stages: Vec<_> =
        stages.map(|(stage, text)| json!({"stage": stage.name(), "saw": text})).collect();
    let effects = match decision.effects() {
        Effects::Reply(reply) => json!({"reply": {
            "status": reply.status,
            "grpc_status": reply.grpc_status,
            "details": reply.details,
            "headers": pairs(written(&reply.headers)),
            "body": String::from_utf8_lossy(&reply.body),
        }}),
        Effects::Forward(forward) => json!({"forward": {
            "remove": forward.remove.iter().map(|name| shown(name)).collect::<Vec<_>>(),
            "set": pairs(forward.set.iter().map(|(name, value)| (*name, edit(name, value)))),
            "response": pairs(written(&forward.response)),
            "hand_over": pairs(decision.handed_over().map(|(fact, value)| (fact.name(), shown(&value)))),
        }}),
    };
    print_json(&json!({
        "gateway": policy.gateway(),
        "revision": policy.revision(),
        "at": seen.now.to_string(),
        "requests_before": seen.before.map_or(0, |(made, _)| made),
        "allowed_before": seen.before.map_or(0, |(_, allowed)| allowed),
        "stages": stages,
        "limits": seen.heard.limits.iter().map(limit).collect::<Vec<_>>(),
        "outcome": decision.outcome().name(),
        "reason": decision.verdict().err().map(|denial| denial.code()),
        "route": decision.route().map(|route| route.name()),
        "rule": decision.rule(),
        "effects": effects,
        "audit": serde_json::from_slice::<Value>(&audit(decision)).unwrap_or(Value::Null),
    }));
}

/// A limit: its key, what was in the bucket, and how it fills. Times that mean nothing are left out.
fn limit((stage, look): &(Stage, LimitLook)) -> Value {
    let key: Map<_, _> =
        look.key.iter().map(|(part, value)| (part.to_string(), json!(value))).collect();
    let mode = if look.observes { "observe" } else { "enforce" };
    let (interval, unit) = match look.refill {
        Refill::Each(nanos) => (Some(nanos), None),
        Refill::Window(unit) => (None, Some(unit)),
    };
    if let Some(in_flight) = look.in_flight {
        return json!({
            "stage": stage.name(),
            "name": look.name,
            "mode": mode,
            "key": key,
            "most": look.tokens,
            "in_flight": in_flight,
        });
    }
    json!({
        "stage": stage.name(),
        "name": look.name,
        "window": look.window,
        "mode": mode,
        "scope": if look.fleet { "fleet" } else { "process" },
        "counts": if look.failures { "failures" } else { "requests" },
        "charge": look.charge.as_ref().map(|(header, max)| json!({"header": header, "max": max})),
        "key": key,
        "tokens": look.tokens,
        "interval_ns": interval,
        "per": unit,
        "cost": look.cost,
        "before": look.before,
        "after": look.after,
        "enough_at": look.enough_at.map(|time| time.to_string()),
        "full_at": look.full_at.to_string(),
    })
}

fn verdict(decision: &Decision<'_, '_>) -> String {
    let reason = decision.verdict().err().map_or("", |denial| denial.code());
    let rule = decision.rule().map_or(String::new(), |rule| format!(" by `{rule}`"));
    match decision.outcome() {
        Outcome::Allowed => "allowed".to_owned(),
        Outcome::Refused => format!("refused: {reason}{rule}"),
        Outcome::Observed => format!("observed: would be refused, {reason}{rule}"),
    }
}

fn audit(decision: &Decision<'_, '_>) -> Vec<u8> {
    let mut record = Vec::new();
    decision.write_audit(&mut record);
    record
}

fn pairs(all: impl Iterator<Item = (impl AsRef<str>, String)>) -> Vec<Value> {
    all.map(|(name, value)| json!({"name": name.as_ref(), "value": value})).collect()
}

/// Lines that the gateway writes itself: there is nothing to hide or to escape.
fn written(lines: &Lines) -> impl Iterator<Item = (String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    lines.iter().map(move |(name, value)| (text(name), text(value)))
}

/// What a header is set to. What is left of the cookies may hold secrets of other services.
fn edit(name: &str, value: &[u8]) -> String {
    if name == "cookie" { "(the other cookies)".to_owned() } else { shown(value) }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().flat_map(char::escape_debug).collect()
}
