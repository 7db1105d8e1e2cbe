//! Key sets that are fetched: rows S01 to S17 as far as they are the filter's, W12 to W14.

#[path = "keys/discovery.rs"]
mod discovery;
#[path = "keys/fetch.rs"]
mod fetch;
#[path = "keys/guesses.rs"]
mod guesses;
#[path = "keys/refused.rs"]
mod refused;
#[path = "keys/shared.rs"]
mod shared;
#[path = "keys/unknown.rs"]
mod unknown;
#[path = "keys/waiting.rs"]
mod waiting;
#[path = "keys/world.rs"]
mod world;

use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};
use portcullis_tests::fake_host::{Outcome, Request};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{KEY, NOW, SECOND, details, get, hex};
use world::{Served, World};

/// The `keys` of issuer `corp`, with times that are far apart.
fn remote() -> Value {
    json!({
        "cluster": "idp", "path": "/jwks.json", "authority": "id.example.com",
        "refresh": "60s", "timeout": "3s", "max_stale": "10m", "cooldown": "5s",
    })
}

/// A policy whose issuers `corp` and `partner` serve their keys from the clusters `idp` and `other`.
fn policy(corp: &Value) -> Value {
    json!({
        "version": 1,
        "gateway": "tokens",
        "consumers": [{
            "name": "mobile",
            "api_keys": [{"id": "mobile-1", "sha256": hex(&Sha256::digest(KEY)), "format": "opaque"}],
        }],
        "issuers": [
            {"name": "corp", "issuer": "https://id.example.com/corp", "audiences": ["orders"],
             "algorithms": ["EdDSA"], "keys": corp},
            {"name": "partner", "issuer": "https://partner.example", "audiences": ["orders"],
             "algorithms": ["EdDSA"], "keys": {"cluster": "other", "path": "/keys"}},
        ],
        "limits": {"per-address": {"key": ["address"], "rate": "1/s", "burst": 100}},
        "routes": [
            {"name": "public", "paths": ["/public/**"], "methods": ["GET"], "access": "public"},
            {"name": "orders", "paths": ["/orders/**"], "methods": ["GET"],
             "credentials": ["api_key", "jwt"]},
            {"name": "limited", "paths": ["/limited/**"], "methods": ["GET"],
             "credentials": ["jwt"], "limits": ["per-address"]},
        ],
    })
}

fn key(id: &str) -> TestKey {
    TestKey::generate(Algorithm::EdDsa, Some(id), id.as_bytes())
}

/// A set of the keys of these ids.
fn set(ids: &[&str]) -> String {
    let keys: Vec<_> = ids.iter().map(|id| key(id)).collect();
    key_set(&keys)
}

/// A good token of `corp`, signed by the key of that id.
fn token(id: &str) -> String {
    token_of("https://id.example.com/corp", id)
}

fn token_of(issuer: &str, id: &str) -> String {
    let now = NOW / SECOND;
    let claims =
        json!({"iss": issuer, "aud": "orders", "sub": "alice", "iat": now, "exp": now + 86_400});
    key(id).token(&claims)
}

/// A request with a token of `corp`, signed by the key of that id.
fn with_token(id: &str) -> Request {
    bearer(&token(id))
}

fn bearer(token: &str) -> Request {
    get("/orders/1").with("authorization", format!("Bearer {token}"))
}

/// Status and reason.
fn verdict(outcome: &Outcome) -> (u32, &str) {
    (outcome.status(), details(outcome))
}

/// What a request with a token that nobody can judge gets.
const UNAVAILABLE: (u32, &str) = (503, "keys_unavailable");
const UNKNOWN: (u32, &str) = (401, "token_key_unknown");
const GOOD: (u32, &str) = (200, "");
