//! `portcullis explain`: one request through the stages of the filter's own core, and why it ends
//! as it does.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use portcullis_core::{
    Denial, Effects, LimitLook, MemoryStore, Outcome, Policy, PureVerifier, Request, Stage,
    Timestamp, Tokens, Trace,
};

use crate::choose::choose;
use crate::clock::{now, time};
use crate::exit::Exit;
use crate::keys::{self, KeysOf};
use crate::output::complain;

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
    /// list of lines), `peer`, `envoy_route`, `at`, `repeat` and `response_headers`, all optional.
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
    /// A header line of the upstream's response, for limits that are charged by it; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    response_header: Vec<String>,
    /// The peer of the connection. As Envoy does, it is appended to `x-forwarded-for`.
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    peer: Option<String>,
    /// The name of the route that Envoy chose.
    #[arg(long, value_name = "NAME")]
    envoy_route: Option<String>,
    /// The key set of an issuer whose keys Envoy would fetch; may be repeated. Secrets are read from the
    /// environment, under the names that the policy has for them.
    #[arg(long, value_name = "ISSUER=FILE", value_parser = keys::of)]
    jwks: Vec<KeysOf>,
    /// The time of the request (RFC 3339); left out, now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// How often the request is made at that time, to see limits run out.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: u32,
    /// Each of them is over before the next one is made: no two are in flight at once.
    #[arg(long)]
    sequential: bool,
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
    let policy = match choose(&arguments.policy, arguments.gateway.as_deref()) {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let read =
        asked(arguments).and_then(|asked| Ok((asked, keys::gather(&policy, &arguments.jwks)?)));
    match read {
        Ok((asked, tokens)) => walk(&policy, &asked, tokens, arguments),
        Err((exit, why)) => {
            complain(&format!("error: {why}"));
            exit
        }
    }
}

/// Makes the request as often as asked, and prints the last one.
fn walk(
    policy: &Policy,
    asked: &Asked,
    mut tokens: Tokens<PureVerifier>,
    arguments: &Explain,
) -> Exit {
    let lines = asked.lines();
    let headers: Vec<_> = lines.iter().map(|(name, value)| (&**name, &**value)).collect();
    let request = Request {
        headers: &headers,
        source_address: asked.peer.as_deref().map(str::as_bytes),
        route_name: asked.envoy_route.as_deref().map(str::as_bytes),
    };
    let now = asked.at.unwrap_or_else(now);
    let mut buckets = MemoryStore::default();
    let mut allowed = 0_u32;
    let response: Vec<_> = request::lines_of(&asked.response_headers).collect();
    let response: Vec<_> = response.iter().map(|(name, value)| (&**name, &**value)).collect();
    for _ in 1..asked.repeat {
        let decision = policy.decide_now(&request, now, &mut buckets, &mut tokens, &mut ());
        allowed = allowed.saturating_add(u32::from(decision.outcome() == Outcome::Allowed));
        if let Effects::Forward(forward) = decision.effects() {
            policy.charge(&forward.charges, &response, now, &mut buckets, &mut ());
        }
        if arguments.sequential {
            buckets.end_all();
        }
    }
    let mut heard = Heard::default();
    let decision = policy.decide_now(&request, now, &mut buckets, &mut tokens, &mut heard);
    if let Effects::Forward(forward) = decision.effects() {
        policy.charge(&forward.charges, &response, now, &mut buckets, &mut heard);
    }
    let before = (asked.repeat > 1).then_some((asked.repeat.saturating_sub(1), allowed));
    let seen = print::Seen { policy, decision: &decision, heard: &heard, now, before };
    match arguments.format {
        Format::Human => print::human(&seen),
        Format::Json => print::json(&seen),
    }
    if decision.verdict() == Err(Denial::KeysUnavailable) {
        for line in keys::missing(policy, &tokens, now) {
            complain(&format!("note: {line}"));
        }
    }
    match decision.outcome() {
        Outcome::Refused => Exit::Refused,
        Outcome::Allowed | Outcome::Observed => Exit::Success,
    }
}

/// What the stages say.
#[derive(Default)]
struct Heard {
    stages: Vec<(Stage, String)>,
    limits: Vec<(Stage, LimitLook)>,
}

impl Trace for Heard {
    fn note(&mut self, stage: Stage, text: impl FnOnce() -> String) {
        self.stages.push((stage, text()));
    }

    fn limit(&mut self, stage: Stage, look: impl FnOnce() -> LimitLook) {
        let look = look();
        self.note(stage, || look.to_string());
        self.limits.push((stage, look));
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
            response_headers: Vec::new(),
            peer: arguments.peer.clone(),
            envoy_route: None,
            at: None,
            repeat: 1,
        },
    };
    for line in &arguments.header {
        asked.headers.push(request::header(line).map_err(|why| (Exit::Usage, why))?);
    }
    for line in &arguments.response_header {
        asked.response_headers.push(request::header(line).map_err(|why| (Exit::Usage, why))?);
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
