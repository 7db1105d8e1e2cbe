//! Tokens of the case files: what a case changes of the token `T` of the catalogue of attacks, signed
//! by a test key. `tests/cases/README.md` explains every field.

pub mod keys;
mod spelling;

use std::collections::HashMap;
use std::sync::Mutex;

use crate::case::merge;
use crate::template;
use portcullis_core::{Algorithm, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Recipes by name, as a request has them.
pub type Named = Map<String, Value>;

/// How a token differs from `T`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Recipe {
    /// The test key that signs; its name and algorithm stand in the header unless told otherwise.
    key: String,
    /// The algorithm to sign by, where it is not the key's own.
    alg: Option<String>,
    /// Members to set in the header, or all of it as text.
    header: Value,
    without_header: Vec<String>,
    /// Text before the header's closing brace.
    more_header: String,
    /// The same of the claims.
    claims: Value,
    without_claims: Vec<String>,
    more_claims: String,
    /// What becomes of the signature.
    signature: Option<Value>,
    /// A member of padding makes the token this long.
    size: Option<usize>,
    /// How the three parts are put together.
    spelled: String,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            key: "ec-1".to_owned(),
            alg: None,
            header: json!({}),
            without_header: Vec::new(),
            more_header: String::new(),
            claims: json!({}),
            without_claims: Vec::new(),
            more_claims: String::new(),
            signature: None,
            size: None,
            spelled: "{h}.{p}.{s}".to_owned(),
        }
    }
}

/// The token of a recipe: `T`, a name, or what is changed.
pub fn mint(recipe: &Value, named: &Named, now: Timestamp) -> String {
    /// Signing is slow and a recipe is asked for by every runner's trials.
    static MINTED: Mutex<Option<HashMap<(Timestamp, String), String>>> = Mutex::new(None);
    let mut recipe = resolve(recipe, named);
    expand(&mut recipe, named, now);
    let recipe = template::fill_value(recipe, now);
    let id = (now, recipe.to_string());
    let minted = || MINTED.lock().expect("no thread panics with the lock");
    if let Some(text) = minted().get_or_insert_default().get(&id) {
        return text.clone();
    }
    let text = make(recipe, named, now);
    minted().get_or_insert_default().insert(id, text.clone());
    text
}

/// Puts tokens in place of `{{token:NAME}}` in every text. Gives the tokens that it made.
pub fn expand(value: &mut Value, named: &Named, now: Timestamp) -> Vec<String> {
    match value {
        Value::String(text) => {
            let mut made = Vec::new();
            while let Some((before, after)) = text.split_once("{{token:") {
                let (name, after) = after.split_once("}}").expect("{{token:NAME}}");
                let token = mint(&Value::String(name.to_owned()), named, now);
                *text = format!("{before}{token}{after}");
                made.push(token);
            }
            made
        }
        Value::Array(items) => items.iter_mut().flat_map(|item| expand(item, named, now)).collect(),
        Value::Object(members) => {
            members.values_mut().flat_map(|value| expand(value, named, now)).collect()
        }
        _ => Vec::new(),
    }
}

/// A recipe without names in it.
fn resolve(recipe: &Value, named: &Named) -> Value {
    match recipe {
        Value::String(name) if name == "T" => json!({}),
        Value::String(name) => {
            let found = named.get(name).unwrap_or_else(|| panic!("no token is called `{name}`"));
            resolve(found, named)
        }
        Value::Object(members) => {
            let mut members = members.clone();
            let mut whole = members.remove("from").map_or(json!({}), |from| resolve(&from, named));
            merge(&mut whole, Value::Object(members));
            if let Some(of) = whole.pointer_mut("/signature/of") {
                *of = resolve(of, named);
            }
            whole
        }
        other => panic!("a token is a name or a map, not {other}"),
    }
}

/// The claims of `T`.
pub fn claims(now: Timestamp) -> Value {
    let seconds = now.unix_nanos() / 1_000_000_000;
    json!({
        "iss": "https://issuer.example", "aud": "orders-api", "sub": "alice",
        "exp": seconds + 300, "iat": seconds, "scope": "orders:read",
    })
}

fn make(recipe: Value, named: &Named, now: Timestamp) -> String {
    let shown = recipe.to_string();
    let recipe: Recipe =
        serde_json::from_value(recipe).unwrap_or_else(|fault| panic!("{fault} in {shown}"));
    let key = keys::signer(&recipe.key);
    let algorithm = recipe.alg.as_deref().unwrap_or(key.algorithm().name());
    let key = Algorithm::parse(algorithm).and_then(|it| key.with_algorithm(it));
    let key = key.unwrap_or_else(|| panic!("`{}` cannot sign {algorithm}", recipe.key));
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": recipe.key});
    let header = document(header, &recipe.header, &recipe.without_header, &recipe.more_header);
    let claims = document(claims(now), &recipe.claims, &recipe.without_claims, &recipe.more_claims);
    let (header, claims) = match recipe.size {
        Some(size) => {
            padded(&header, &claims, size - keys::base64url(&key.signature(b"")).len() - 2)
        }
        None => (header, claims),
    };
    let signed = format!("{}.{}", keys::base64url(&header), keys::base64url(&claims));
    let signature = match &recipe.signature {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(change)) if change.contains_key("of") => {
            let other = mint(&change["of"], named, now);
            other.rsplit('.').next().unwrap_or_default().to_owned()
        }
        change => {
            let signature = key.signature(signed.as_bytes());
            keys::base64url(&spelling::changed(signature, change.as_ref()))
        }
    };
    spelling::spell(&recipe.spelled, &format!("{signed}.{signature}"))
}

/// The JSON text of a header or of claims. A text `json:...` is JSON as it stands there.
fn document(mut base: Value, changes: &Value, without: &[String], more: &str) -> Vec<u8> {
    if let Value::String(whole) = changes {
        return template::bytes(whole);
    }
    merge(&mut base, changes.clone());
    let Value::Object(members) = base else { panic!("members or a text, not {changes}") };
    let members = members.iter().filter(|(name, _)| !without.contains(name));
    let members: Vec<String> = members
        .map(|(name, value)| {
            let raw = value.as_str().and_then(|text| text.strip_prefix("json:"));
            let value = raw.map_or_else(|| value.to_string(), str::to_owned);
            format!("{}:{value}", Value::String(name.clone()))
        })
        .collect();
    format!("{{{}{more}}}", members.join(",")).into_bytes()
}

/// Header and claims with a member more, so that both in base64url are of this size together.
fn padded(header: &[u8], claims: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
    let pad = |document: &[u8], length: usize| {
        let (_, open) = document.split_last().expect("a closing brace");
        [open, b",\"pad\":\"", "a".repeat(length).as_bytes(), b"\"}"].concat()
    };
    let encoded = |length: usize| (length * 4).div_ceil(3);
    let fixed = |document: &[u8]| document.len() + r#","pad":"""#.len();
    let all = (0..4).flat_map(|short| (0..size).map(move |long| (short, long)));
    let fits = |(short, long): &(usize, usize)| {
        encoded(fixed(header) + short) + encoded(fixed(claims) + long) == size
    };
    let (short, long) = all.into_iter().find(fits).expect("a padding of this size");
    (pad(header, short), pad(claims, long))
}
