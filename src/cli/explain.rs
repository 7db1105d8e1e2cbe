//! `portcullis explain`: one request through the stages of the filter's own core, and why it ends
//! as it does.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use portcullis_core::config::Diagnostic;
use portcullis_core::{
    MemoryStore, Outcome, Policy, PureVerifier, Request, Stage, Timestamp, Tokens,
};

use crate::exit::Exit;
use crate::find::find;
use crate::key::time;
use crate::output::complain;
use crate::read::{Fault, Source};

mod print;
mod request;

use request::Asked;

#[derive(Args)]
pub(crate) struct Explain {
    /// A policy, or a file of Envoy, Istio or Envoy Gateway that holds some.
    #[arg(long, value_name = "FILE")]
    policy: String,
    /// Which policy, when the file holds several.
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// Read the request from a YAML or JSON file: an object with `method`, `path`, `host`, `headers` (a
    /// list of lines), `peer`, `envoy_route`, `at` and `repeat`, all optional.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["method", "path", "host", "header", "peer"])]
    request: Option<String>,
    #[arg(long, default_value = "GET")]
    method: String,
    /// Path and query, as sent.
    #[arg(long, default_value = "/")]
    path: String,
    #[arg(long, default_value = "localhost")]
    host: String,
    /// A header line; may be repeated, order is kept.
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The peer of the connection. As Envoy does, it is appended to `x-forwarded-for`.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    peer: Option<String>,
    /// The name of the route that Envoy chose.
    #[arg(long, value_name = "NAME")]
    envoy_route: Option<String>,
    /// The time of the request (RFC 3339); left out, now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// How often the request is made at that time, to see limits run out.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// How the walk is printed.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Every stage, the outcome, its effects and the audit record of the last request.
    Human,
    /// The same as one object.
    Json,
}

pub(crate) fn run(arguments: &Explain) -> Exit {
    let policy = match choose(arguments) {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let asked = match asked(arguments) {
        Ok(asked) => asked,
        Err((exit, why)) => {
            complain(&format!("error: {why}"));
            return exit;
        }
    };
    walk(&policy, &asked, arguments)
}

/// Makes the request as often as asked, and prints the last one.
fn walk(policy: &Policy, asked: &Asked, arguments: &Explain) -> Exit {
    let lines = asked.lines();
    let headers: Vec<_> = lines.iter().map(|(name, value)| (&**name, &**value)).collect();
    let request = Request {
        headers: &headers,
        source_address: asked.peer.as_deref().map(str::as_bytes),
        route_name: asked.envoy_route.as_deref().map(str::as_bytes),
    };
    let now = asked.at.unwrap_or_else(now);
    let mut buckets = MemoryStore::default();
    let mut tokens = Tokens::new(policy, PureVerifier, [0; 16]);
    let mut allowed = 0_u32;
    for _ in 1..asked.repeat {
        let decision = policy.decide_now(&request, now, &mut buckets, &mut tokens, &mut ());
        allowed = allowed.saturating_add(u32::from(decision.outcome() == Outcome::Allowed));
    }
    let mut stages: Vec<(Stage, String)> = Vec::new();
    let decision = policy.decide_now(&request, now, &mut buckets, &mut tokens, &mut stages);
    let before = (asked.repeat > 1).then_some((asked.repeat.saturating_sub(1), allowed));
    let seen = print::Seen { policy, decision: &decision, stages: &stages, now, before };
    match arguments.format {
        Format::Human => print::human(&seen),
        Format::Json => print::json(&seen),
    }
    match decision.outcome() {
        Outcome::Refused => Exit::Refused,
        Outcome::Allowed | Outcome::Observed => Exit::Success,
    }
}

/// The one policy that is meant; where it has errors, they are all that is said.
fn choose(arguments: &Explain) -> Result<Policy, Exit> {
    let file = &arguments.policy;
    let source = Source::open(file).map_err(|fault| {
        complain(&match fault {
            Fault::Unreadable(why) => format!("error: `{file}` {why}"),
            Fault::NotParsable(mark, why) => format!("error: {file}:{mark}: {why}"),
        });
        Exit::Unreadable
    })?;
    let mut policies = Vec::new();
    let mut refused = Vec::new();
    for found in find(&source) {
        let compiled = found.compile();
        match compiled.policy {
            Some(policy) => policies.push(policy),
            None => refused.extend(compiled.diagnostics.iter().map(|diagnostic: &Diagnostic| {
                format!("{file}:{}: {diagnostic}", found.content.locate(&diagnostic.place))
            })),
        }
    }
    let names: Vec<_> = policies.iter().map(|policy| format!("`{}`", policy.gateway())).collect();
    let mut meant: Vec<_> = policies
        .into_iter()
        .filter(|policy| arguments.gateway.as_deref().is_none_or(|name| name == policy.gateway()))
        .collect();
    match (meant.pop(), meant.is_empty(), refused.is_empty()) {
        (Some(policy), true, true) => Ok(policy),
        (Some(policy), true, false) if arguments.gateway.is_some() => Ok(policy),
        (_, _, false) => {
            for line in &refused {
                complain(line);
            }
            Err(Exit::PolicyErrors)
        }
        (None, _, _) if names.is_empty() => {
            complain(&format!("error: no policy is in `{file}`"));
            Err(Exit::PolicyErrors)
        }
        _ => {
            complain(&format!(
                "error: choose one policy of `{file}` with `--gateway`: {}",
                names.join(", ")
            ));
            Err(Exit::Usage)
        }
    }
}

/// The request, from the flags or from a file.
fn asked(arguments: &Explain) -> Result<Asked, (Exit, String)> {
    let mut asked = match &arguments.request {
        Some(file) => Asked::read(file)?,
        None => Asked {
            method: arguments.method.clone(),
            path: arguments.path.clone(),
            host: arguments.host.clone(),
            headers: Vec::new(),
            peer: arguments.peer.clone(),
            envoy_route: None,
            at: None,
            repeat: 1,
        },
    };
    for line in &arguments.header {
        asked.headers.push(request::header(line).map_err(|why| (Exit::Usage, why))?);
    }
    asked.peer = asked.peer.map(with_port);
    asked.envoy_route = arguments.envoy_route.clone().or(asked.envoy_route);
    asked.at = arguments.at.or(asked.at);
    asked.repeat = asked.repeat.max(arguments.repeat);
    Ok(asked)
}

/// Envoy's text for a peer has a port; which one makes no difference.
fn with_port(peer: String) -> String {
    match peer.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => format!("{address}:50000"),
        Ok(IpAddr::V6(address)) => format!("[{address}]:50000"),
        Err(_) => peer,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
