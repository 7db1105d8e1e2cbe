//! `portcullis token inspect`: what a token says, what of it was checked, and what was not.
//!
//! Nothing is verified silently, and nothing is left unverified silently.

use std::path::Path;

use clap::{Args, ValueEnum};
use portcullis_core::{Algorithm, Jws, KeySet, SecretSet, SetFault, Timestamp};
use serde_json::Value;

use crate::clock::{now, time};
use crate::exit::Exit;
use crate::output::{complain, plain};
use crate::read;

mod checks;
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
    /// Verify the signature with this JSON Web Key Set.
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    jwks: Option<String>,
    /// Verify the signature with the secret in this variable of the environment (base64url); twice
    /// while one secret takes over from another.
    #[arg(long, value_name = "NAME")]
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
    at: Timestamp,
    checks: Vec<Check>,
}

/// A part of a token as it can be shown, however wrong it is.
enum Part {
    Json(Value),
    /// Why it cannot be shown.
    Unreadable(&'static str),
}

/// What can say whether a signature is good.
enum Keys {
    None,
    Public(KeySet),
    Secrets(Vec<String>),
}

pub(crate) fn run(inspect: &Inspect) -> Exit {
    let (text, keys) = match token(&inspect.token).and_then(|text| Ok((text, keys(inspect)?))) {
        Ok(read) => read,
        Err((exit, why)) => {
            complain(&format!("error: {why}"));
            return exit;
        }
    };
    let at = inspect.at.unwrap_or_else(now);
    let mut parts = text.split('.').map(Part::read);
    let absent = || Part::Unreadable("it is not there");
    let header = parts.next().unwrap_or_else(absent);
    let claims = parts.next().unwrap_or_else(absent);
    let checks = checks::all(&Jws::parse(text.as_bytes(), MAX_TOKEN), &claims, &keys, at);
    let failed = checks.iter().any(|check| check.outcome == Outcome::Failed);
    let report = Report { header, claims, at, checks };
    match inspect.format {
        Format::Human => print::human(&report),
        Format::Json => print::json(&report),
    }
    if failed { Exit::Refused } else { Exit::Success }
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
        let why = |why| (Exit::Unreadable, format!("`{}` {why}", plain(place)));
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

fn keys(inspect: &Inspect) -> Result<Keys, (Exit, String)> {
    if let Some(file) = &inspect.jwks {
        let text = read::read(file)
            .map_err(|why| (Exit::Unreadable, format!("`{}` {why}", plain(file))))?;
        let set = KeySet::read(text.as_bytes(), &Algorithm::ALL);
        return set.map(Keys::Public).map_err(|fault| {
            let why = match fault {
                SetFault::NoUsableKey(_) => "has no key that can be used",
                _ => "is no key set",
            };
            let file = plain(file);
            (Exit::PolicyErrors, format!("`{file}` {why}: see `portcullis jwks check`"))
        });
    }
    if inspect.secret_env.is_empty() {
        return Ok(Keys::None);
    }
    let secret = |name: &String| {
        std::env::var(name)
            .map_err(|_| (Exit::Usage, format!("the variable `{}` is not set", plain(name))))
    };
    Ok(Keys::Secrets(inspect.secret_env.iter().map(secret).collect::<Result<_, _>>()?))
}

/// The secrets, for the algorithm that a token names.
fn secrets(texts: &[String], algorithm: Algorithm) -> Result<SecretSet, &'static str> {
    use portcullis_core::SecretFault;
    SecretSet::read(algorithm, texts.iter().map(|text| Some(text.as_bytes()))).map_err(|fault| {
        match fault {
            SecretFault::Missing => "no secret is set",
            SecretFault::NotBase64Url => "a secret is not base64url without padding",
            SecretFault::Length => "a secret is too short for the token's `alg`, or too long",
        }
    })
}
