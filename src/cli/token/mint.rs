//! `portcullis token mint`: a token for tests. It says what it is told to say, however wrong.

use clap::Args;
use portcullis_core::{Algorithm, Timestamp};
use portcullis_mint::{TestKey, encode};
use serde_json::{Map, Value};

use crate::clock::{now, seconds, time};
use crate::exit::Exit;
use crate::output::{complain, print_lines};

use super::keys;

#[derive(Args)]
pub(crate) struct Mint {
    /// The private JWK that signs (`portcullis token key new` makes one); `-` is the standard input.
    #[arg(long, value_name = "FILE")]
    key: String,
    /// Sign with another algorithm than the key's own.
    #[arg(long, value_name = "NAME", value_parser = keys::algorithm)]
    algorithm: Option<Algorithm>,
    /// `iss`.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// `aud`; may be repeated.
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// `sub`.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// `scope`; may be repeated.
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
    /// Any claim, its value in JSON: `tenant="acme"`, `level=3`; may be repeated.
    #[arg(long, value_name = "NAME=JSON", value_parser = member)]
    claim: Vec<(String, Value)>,
    /// When it was issued (RFC 3339); left out, now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// How long it lives from then on.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = seconds)]
    expires_in: u64,
    /// `nbf` (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = time)]
    not_before: Option<Timestamp>,
    /// `jti`; left out, one of its own.
    #[arg(long, value_name = "ID")]
    token_id: Option<String>,
    /// Leave out `iat`, `exp` or `jti`, which it has otherwise; may be repeated.
    #[arg(long, value_name = "CLAIM", value_parser = ["iat", "exp", "jti"])]
    without: Vec<String>,
    /// `kid` in the header; left out, the key's.
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// `typ` in the header.
    #[arg(long, value_name = "TYPE", default_value = "JWT")]
    typ: String,
    /// Any member of the header, in place of what it has otherwise; may be repeated.
    #[arg(long, value_name = "NAME=JSON", value_parser = member)]
    header: Vec<(String, Value)>,
}

pub(crate) fn run(mint: &Mint) -> Exit {
    let mut key = match keys::open(&mint.key) {
        Ok(key) => key,
        Err(exit) => return exit,
    };
    if let Some(algorithm) = mint.algorithm {
        let Some(other) = key.with_algorithm(algorithm) else {
            complain(&format!("error: the key cannot sign with {}", algorithm.name()));
            return Exit::Usage;
        };
        key = other;
    }
    match claims(mint) {
        Ok(claims) => {
            print_lines(&[key.sign(&header(mint, &key), &claims)]);
            complain("note: a token for tests: whoever holds the key's file can make any other");
            Exit::Success
        }
        Err((exit, why)) => {
            complain(&format!("error: {why}"));
            exit
        }
    }
}

fn header(mint: &Mint, key: &TestKey) -> Value {
    let key = mint.kid.as_deref().map_or_else(|| key.clone(), |id| key.with_id(Some(id)));
    let mut header = key.header();
    if let Some(header) = header.as_object_mut() {
        header.insert("typ".to_owned(), mint.typ.as_str().into());
        header.extend(mint.header.iter().cloned());
    }
    header
}

fn claims(mint: &Mint) -> Result<Value, (Exit, String)> {
    let text = |text: &String| Value::from(text.as_str());
    let audience = match mint.audience.as_slice() {
        [] => None,
        [one] => Some(text(one)),
        many => Some(many.iter().map(text).collect()),
    };
    let scope = (!mint.scope.is_empty()).then(|| mint.scope.join(" ").into());
    let flags = [
        ("iss", mint.issuer.as_ref().map(text)),
        ("aud", audience),
        ("sub", mint.subject.as_ref().map(text)),
        ("scope", scope),
        ("nbf", mint.not_before.map(date)),
        ("jti", mint.token_id.as_ref().map(text)),
    ];
    let flags = flags.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut claims = Map::new();
    for (name, value) in flags.chain(mint.claim.iter().cloned()) {
        if claims.contains_key(&name) || mint.without.contains(&name) {
            return Err((Exit::Usage, format!("`{}` has two readings", name.escape_debug())));
        }
        claims.insert(name, value);
    }
    let issued = mint.at.unwrap_or_else(now);
    let expires = issued.saturating_add(mint.expires_in.saturating_mul(1_000_000_000));
    let id = random_id().map_err(|why| (Exit::Unreadable, why))?;
    for (name, value) in [("iat", date(issued)), ("exp", date(expires)), ("jti", id.into())] {
        if !mint.without.iter().any(|without| without == name) {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(claims.into())
}

/// A `NumericDate` (RFC 7519 section 2) in whole seconds.
fn date(time: Timestamp) -> Value {
    (time.unix_nanos() / 1_000_000_000).into()
}

fn random_id() -> Result<String, String> {
    let mut random = [0; 16];
    let filled = getrandom::fill(&mut random);
    filled.map_err(|error| format!("the system has no randomness: {error}"))?;
    Ok(encode(&random))
}

/// `NAME=JSON`.
fn member(text: &str) -> Result<(String, Value), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| "a member is written as NAME=JSON".to_owned())?;
    let value = serde_json::from_str(value)
        .map_err(|_| format!("the value is not JSON; a text is written as '{name}=\"...\"'"))?;
    Ok((name.to_owned(), value))
}
