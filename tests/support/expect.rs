//! What a gateway did with one request, and how it is held against what the case expects.

use crate::case::{Case, Expect, Request};
use crate::template;
use portcullis_core::Timestamp;
use serde_json::{Map, Value};

/// Everything that can be seen from outside of one request.
#[derive(Default, Debug)]
pub struct Seen {
    pub status: u16,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// What the upstream received; `None` when the request never got there.
    pub upstream: Option<Arrived>,
    /// The audit record; `None` when there was no decision.
    pub audit: Option<Value>,
    /// Envoy's response code details of a reply of the filter.
    pub details: Option<String>,
}

/// A request as the upstream received it.
#[derive(Default, Debug, Clone)]
pub struct Arrived {
    pub method: Vec<u8>,
    pub path: Vec<u8>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A gateway under test: it carries out one request at one offset from the start of its case.
pub trait Gateway {
    /// When its case began, if its clock is the real one: what the requests' times are relative to.
    fn began(&self) -> Option<Timestamp> {
        None
    }

    /// Puts another policy in force, as an operator does.
    fn reload(&mut self, _policy: &Value) -> Result<(), String> {
        Err("this gateway cannot reload".to_owned())
    }

    fn send(&mut self, request: &Request, at: u64) -> Result<Seen, String>;
}

/// Runs every step of a case; the first that differs is the answer, with all that was seen.
pub fn run(
    case: &Case,
    now: Timestamp,
    exact: bool,
    gateway: &mut dyn Gateway,
) -> Result<(), String> {
    let began = gateway.began().unwrap_or(now);
    let mut first = None;
    for (number, step) in case.steps.iter().enumerate() {
        if let Some(policy) = &step.reload {
            gateway.reload(&template::fill_value(policy.clone(), now))?;
        }
        let request = step.request(began);
        for time in 0..step.times {
            let seen = gateway.send(&request, step.at)?;
            let mut faults = if exact {
                faults(&step.expect, &seen, now)
            } else {
                not_denied(&step.expect, &seen)
            };
            faults.extend(token_faults(&request, &step.expect, &seen));
            if case.alike && exact {
                let answer = as_the_caller_sees(&seen);
                let first = first.get_or_insert_with(|| answer.clone());
                if *first != answer {
                    faults.push(format!("the answer is another one: `{first}` at first"));
                }
            }
            if !faults.is_empty() {
                let at = format!("step {number}, time {time}");
                return Err(format!("{at}:\n  {}\nseen: {}", faults.join("\n  "), show(&seen)));
            }
        }
    }
    Ok(())
}

/// J73, K12: no token is repeated to the caller, in the record or to the upstream, whole or in parts.
fn token_faults(request: &Request, expect: &Expect, seen: &Seen) -> Vec<String> {
    /// The shortest part that cannot be there by accident.
    const LEAST: usize = 24;
    let lines = |lines: &[(Vec<u8>, Vec<u8>)]| {
        lines.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let mut places = vec![
        ("the body", seen.body.clone()),
        ("the audit record", seen.audit.as_ref().map(Value::to_string).unwrap_or_default().into()),
        ("the response code details", seen.details.clone().unwrap_or_default().into()),
    ];
    places.extend(lines(&seen.headers).into_iter().map(|(_, value)| ("a response header", value)));
    let mut upstream = Vec::new();
    if let Some(arrived) = &seen.upstream {
        upstream.push(arrived.path.clone());
        upstream.extend(lines(&arrived.headers).into_iter().map(|(_, value)| value));
        upstream.extend(lines(&arrived.trailers).into_iter().map(|(_, value)| value));
    }
    let mut faults = Vec::new();
    for token in &request.shown_tokens {
        let parts = token.split('.').skip(1).filter(|part| part.len() >= LEAST);
        let parts: Vec<&str> = parts.collect();
        let has_part = |text: &Vec<u8>| {
            let text = String::from_utf8_lossy(text);
            parts.iter().any(|part| text.contains(part))
        };
        faults.extend(
            places
                .iter()
                .filter(|(_, text)| has_part(text))
                .map(|(place, _)| format!("the token is in {place}")),
        );
        let kept = upstream.iter().any(has_part);
        if seen.upstream.is_some() && kept != (expect.upstream.keeps_token && !parts.is_empty()) {
            faults.push(format!("the token reached the upstream: {kept}"));
        }
    }
    faults
}

/// Status, the headers that the filter writes, and the body without the request's id.
fn as_the_caller_sees(seen: &Seen) -> String {
    let mut body: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    let names = ["content-type", "www-authenticate", "retry-after", "grpc-status", "grpc-message"];
    let headers = names.map(|name| joined(&seen.headers, name));
    format!("{} {headers:?} {body} {}", seen.status, seen.body.len())
}

fn not_denied(expect: &Expect, seen: &Seen) -> Vec<String> {
    let allowed = expect.status == 200 && expect.grpc.is_none();
    match (&seen.upstream, allowed) {
        (Some(_), false) => vec!["reached the upstream".to_owned()],
        _ => Vec::new(),
    }
}

fn faults(expect: &Expect, seen: &Seen, now: Timestamp) -> Vec<String> {
    let mut faults = not_denied(expect, seen);
    let mut check = |what: &str, want: &str, got: &str| {
        if want != got {
            faults.push(format!("{what}: expected `{want}`, got `{got}`"));
        }
    };
    check("status", &expect.status.to_string(), &seen.status.to_string());
    let allowed = expect.status == 200 && expect.grpc.is_none();
    if allowed && seen.upstream.is_none() {
        check("upstream", "reached", "not reached");
    }
    if let Some(reason) = &expect.reason {
        let recorded = seen
            .audit
            .as_ref()
            .and_then(|audit| audit.get("reason"))
            .map_or("", |r| r.as_str().unwrap_or(""));
        check("reason", reason, recorded);
        if let (Some(details), false) = (&seen.details, allowed) {
            check("response code details", reason, details);
        }
    }
    if let Some(grpc) = &expect.grpc {
        let text = |name: &str| joined(&seen.headers, name).unwrap_or_default();
        check("grpc-status", &grpc.status.to_string(), &text("grpc-status"));
        if let Some(message) = &grpc.message {
            check("grpc-message", message, &text("grpc-message"));
        }
        check("body", "", &String::from_utf8_lossy(&seen.body));
    }
    header_faults("response", &expect.headers, &seen.headers, now, &mut check);
    if !expect.body.is_empty() {
        let problem: Value = serde_json::from_slice(&seen.body).unwrap_or(Value::Null);
        member_faults("body", &expect.body, &problem, now, &mut check);
    }
    if !expect.audit.is_empty() {
        member_faults(
            "audit",
            &expect.audit,
            seen.audit.as_ref().unwrap_or(&Value::Null),
            now,
            &mut check,
        );
    }
    if let Some(arrived) = &seen.upstream {
        upstream_faults(expect, arrived, now, &mut check);
    }
    faults
}

fn upstream_faults(
    expect: &Expect,
    arrived: &Arrived,
    now: Timestamp,
    check: &mut dyn FnMut(&str, &str, &str),
) {
    let want = &expect.upstream;
    if let Some(path) = &want.path {
        check("upstream path", &show_bytes(&template::bytes(path)), &show_bytes(&arrived.path));
    }
    if let Some(method) = &want.method {
        check("upstream method", method, &show_bytes(&arrived.method));
    }
    header_faults("upstream", &want.headers, &arrived.headers, now, check);
    for (names, lines, part) in [
        (&want.absent, &arrived.headers, "header"),
        (&want.trailers_absent, &arrived.trailers, "trailer"),
    ] {
        for name in names {
            if let Some(value) = joined(lines, name) {
                check(&format!("upstream {part} {name}"), "absent", &value);
            }
        }
    }
}

fn header_faults(
    whose: &str,
    want: &Map<String, Value>,
    lines: &[(Vec<u8>, Vec<u8>)],
    now: Timestamp,
    check: &mut dyn FnMut(&str, &str, &str),
) {
    for (name, value) in want {
        let got = joined(lines, name);
        value_faults(
            &format!("{whose} header {name}"),
            value,
            got.map(Value::String).as_ref(),
            now,
            check,
        );
    }
}

fn member_faults(
    whose: &str,
    want: &Map<String, Value>,
    document: &Value,
    now: Timestamp,
    check: &mut dyn FnMut(&str, &str, &str),
) {
    for (name, value) in want {
        value_faults(&format!("{whose} member {name}"), value, document.get(name), now, check);
    }
}

fn value_faults(
    what: &str,
    want: &Value,
    got: Option<&Value>,
    now: Timestamp,
    check: &mut dyn FnMut(&str, &str, &str),
) {
    match (template::fill_value(want.clone(), now), got) {
        (Value::Null, None | Some(Value::Null)) => {}
        (Value::Null, Some(got)) => check(what, "absent", &plain(got)),
        (want, None) => check(what, &plain(&want), "absent"),
        (Value::Object(want), Some(got)) => member_faults(what, &want, got, now, check),
        (Value::String(want), Some(got)) if want.starts_with('~') => {
            let got = plain(got);
            if !got.contains(&want[1..]) {
                check(what, &want, &got);
            }
        }
        (want, Some(got)) => check(what, &plain(&want), &plain(got)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The values of every line of that name, joined by `, `; `None` without one.
pub fn joined(lines: &[(Vec<u8>, Vec<u8>)], name: &str) -> Option<String> {
    let values: Vec<String> = lines
        .iter()
        .filter(|(line, _)| line.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| show_bytes(value))
        .collect();
    if values.is_empty() { None } else { Some(values.join(", ")) }
}

/// The bytes as text, each that is not printable ASCII as `\xNN`.
pub fn show_bytes(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect()
}

fn show(seen: &Seen) -> String {
    let lines = |lines: &[(Vec<u8>, Vec<u8>)]| {
        lines.iter().fold(String::new(), |text, (name, value)| {
            format!("{text}\n    {}: {:.200}", show_bytes(name), show_bytes(value))
        })
    };
    let upstream = seen.upstream.as_ref().map_or_else(
        || "not reached".to_owned(),
        |it| {
            format!(
                "{} {:.200}{}",
                show_bytes(&it.method),
                show_bytes(&it.path),
                lines(&it.headers)
            )
        },
    );
    let audit = seen.audit.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    format!(
        "status {}{}\n  body {:.600}\n  details {:?}\n  upstream {upstream}\n  audit {audit:.2000}",
        seen.status,
        lines(&seen.headers),
        String::from_utf8_lossy(&seen.body),
        seen.details,
    )
}
