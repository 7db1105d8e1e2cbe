//! `portcullis token inspect`: what a token says, what of it was checked, and what was not.
//!
//! Nothing is verified silently, and nothing is left unverified silently.

use std::path::Path;

use clap::{Args, ValueEnum};
use portcullis_core::{Algorithm, Jws, KeySet, Policy, PureVerifier, Timestamp, Tokens};
use serde_json::Value;

use crate::choose::choose;
use crate::clock::{now, time};
use crate::exit::Exit;
use crate::keys::{self, KeysOf};
use crate::output::{complain, file_name};
use crate::read;

mod checks;
mod policy;
mod print;

use checks::{Check, Outcome};

/// Longest token that a policy can allow, in bytes.
const MAX_TOKEN: usize = 65_536;

#[derive(Args)]
#[command(
    after_help = "Exit code 0 says that no check failed. It does not say that the signature was \
                        verified: without `--jwks` or `--secret-env` it is not."
)]
pub(crate) struct Inspect {
    /// A file that holds the token, or `-` for the standard input. The token itself is taken too, and
    /// then shows in process lists and shell histories.
    #[arg(value_name = "FILE", default_value = "-")]
    token: String,
    /// Hold the token against a policy: a policy's file, or one of Envoy, Istio or Envoy Gateway that
    /// holds some. Secrets are read from the environment, under the names that the policy has for them.
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// Which policy, when the file holds several.
    #[arg(long, value_name = "NAME", requires = "policy")]
    gateway: Option<String>,
    /// Verify the signature with this JSON Web Key Set; with `--policy`, it is that of the issuer which
    /// the token names.
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    jwks: Option<String>,
    /// Verify the signature with the secret in this variable of the environment (base64url); twice
    /// while one secret takes over from another.
    #[arg(long, value_name = "NAME", conflicts_with = "policy")]
    secret_env: Vec<String>,
    /// The time of the checks (RFC 3339); left out, now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// How all is printed.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Header, claims and checks, one line each.
    Human,
    /// The same as one object.
    Json,
}

/// All that is known about a token.
struct Report {
    header: Part,
    claims: Part,
    /// The gateway of the policy that it is held against.
    gateway: Option<String>,
    at: Timestamp,
    checks: Vec<Check>,
}

/// A part of a token as it can be shown, however wrong it is.
enum Part {
    Json(Value),
    /// Why it cannot be shown.
    Unreadable(&'static str),
}

/// What a token is held against.
enum Against {
    Nothing,
    Keys(KeySet),
    Secrets(Vec<String>),
    Policy(Box<Policy>, Tokens<PureVerifier>),
}

pub(crate) fn run(inspect: &Inspect) -> Exit {
    let policy = inspect.policy.as_deref();
    let policy = policy.map(|file| choose(file, inspect.gateway.as_deref())).transpose();
    let policy = match policy {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let report = token(&inspect.token).and_then(|text| report(inspect, &text, policy));
    let report = match report {
        Ok(report) => report,
        Err((exit, why)) => {
            complain(&format!("error: {why}"));
            return exit;
        }
    };
    match inspect.format {
        Format::Human => print::human(&report),
        Format::Json => print::json(&report),
    }
    let failed = report.checks.iter().any(|check| check.outcome == Outcome::Failed);
    if failed { Exit::Refused } else { Exit::Success }
}

fn report(inspect: &Inspect, text: &str, policy: Option<Policy>) -> Result<Report, (Exit, String)> {
    let at = inspect.at.unwrap_or_else(now);
    let gateway = policy.as_ref().map(|policy| policy.gateway().to_owned());
    let mut parts = text.split('.').map(Part::read);
    let absent = || Part::Unreadable("it is not there");
    let header = parts.next().unwrap_or_else(absent);
    let claims = parts.next().unwrap_or_else(absent);
    let jws = Jws::parse(text.as_bytes(), MAX_TOKEN);
    let checks = match against(inspect, &claims, policy)? {
        Against::Policy(policy, mut tokens) => {
            policy::all(text, &jws, &claims, (&policy, &mut tokens), at)
        }
        keys => checks::all(&jws, &claims, &keys, at),
    };
    Ok(Report { header, claims, gateway, at, checks })
}

impl Part {
    fn read(text: &str) -> Self {
        let Some(bytes) = portcullis_mint::decode(text) else {
            return Self::Unreadable("it is not base64url");
        };
        serde_json::from_slice(&bytes).map_or(Self::Unreadable("it is not JSON"), Self::Json)
    }

    fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Json(value) => value.get(name),
            Self::Unreadable(_) => None,
        }
    }
}

/// The token's text, without white space and the scheme that may stand around it.
fn token(place: &str) -> Result<String, (Exit, String)> {
    let is_file = place == "-" || Path::new(place).exists();
    let text = if !is_file && place.matches('.').count() == 2 && !place.contains('/') {
        complain("note: a token on the command line shows in process lists and shell histories");
        place.to_owned()
    } else {
        let why = |why| (Exit::Unreadable, format!("{} {why}", file_name(place)));
        read::read(place).map_err(why)?
    };
    let text = text.trim();
    let bare = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let text = bare.map_or(text, |(_, token)| token.trim_start());
    if text.is_empty() {
        return Err((Exit::Usage, "no token is there".to_owned()));
    }
    Ok(text.to_owned())
}

fn against(
    inspect: &Inspect,
    claims: &Part,
    policy: Option<Policy>,
) -> Result<Against, (Exit, String)> {
    if let Some(policy) = policy {
        let named = claims.member("iss").and_then(Value::as_str);
        let issuer = policy.issuers().iter().find(|issuer| Some(issuer.url()) == named);
        let files = inspect
            .jwks
            .iter()
            .zip(issuer)
            .map(|(file, issuer)| KeysOf { issuer: issuer.name().to_owned(), file: file.clone() });
        let tokens = keys::gather(&policy, &files.collect::<Vec<_>>())?;
        return Ok(Against::Policy(Box::new(policy), tokens));
    }
    if let Some(file) = &inspect.jwks {
        return keys::open(file, &Algorithm::ALL).map(Against::Keys);
    }
    if inspect.secret_env.is_empty() {
        return Ok(Against::Nothing);
    }
    // The name is not repeated: it may be the secret itself, given in its place.
    let unset = |_| (Exit::Usage, "a variable that `--secret-env` names is not set".to_owned());
    let secret = |name: &String| std::env::var(name).map_err(unset);
    Ok(Against::Secrets(inspect.secret_env.iter().map(secret).collect::<Result<_, _>>()?))
}
