//! Keys as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BoxedUint, RsaPrivateKey};
use serde_json::{Map, Value};

use crate::Fault;
use crate::private::Private;

/// Writes bytes as base64url without padding, as JOSE does.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding; `None` where it is not.
pub fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Reads the key's own members. Public members that are there must be those of the private key.
pub(crate) fn read(jwk: &Map<String, Value>) -> Result<Private, Fault> {
    let text = |name| jwk.get(name).and_then(Value::as_str);
    let private = match (text("kty"), text("crv")) {
        (Some("RSA"), _) => rsa(jwk)?,
        (Some("EC"), Some("P-256")) => {
            let key = p256::ecdsa::SigningKey::from_slice(&bytes(jwk, "d")?);
            Private::P256(Box::new(key.map_err(|_| Fault::Numbers)?))
        }
        (Some("EC"), Some("P-384")) => {
            let key = p384::ecdsa::SigningKey::from_slice(&bytes(jwk, "d")?);
            Private::P384(Box::new(key.map_err(|_| Fault::Numbers)?))
        }
        (Some("OKP"), Some("Ed25519")) => {
            let seed = bytes(jwk, "d")?.try_into().map_err(|_| Fault::Numbers)?;
            Private::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed)))
        }
        (Some("oct"), _) => Private::Secret(bytes(jwk, "k")?.into()),
        (None, _) => return Err(Fault::Member("kty")),
        _ => return Err(Fault::Kind),
    };
    let differs = |(name, value): &(String, Value)| jwk.get(name).is_some_and(|is| is != value);
    if public(&private).unwrap_or_default().into_iter().any(|member| differs(&member)) {
        return Err(Fault::Mismatch);
    }
    Ok(private)
}

/// Without its primes, which may be left out, the key is made whole from `n`, `e` and `d`.
fn rsa(jwk: &Map<String, Value>) -> Result<Private, Fault> {
    let number = |name| bytes(jwk, name).map(|bytes| BoxedUint::from_be_slice_vartime(&bytes));
    let primes = match (jwk.get("p"), jwk.get("q")) {
        (None, None) => Vec::new(),
        _ => vec![number("p")?, number("q")?],
    };
    let key = RsaPrivateKey::from_components(number("n")?, number("e")?, number("d")?, primes);
    key.ok().and_then(Private::rsa).ok_or(Fault::Numbers)
}

/// The members that say what the public key is; `None` for a secret.
pub(crate) fn public(key: &Private) -> Option<Map<String, Value>> {
    match key {
        Private::Rsa(key) => Some(members(&[
            ("kty", "RSA".to_owned()),
            ("n", encode(&key.n().to_be_bytes_trimmed_vartime())),
            ("e", encode(&key.e().to_be_bytes_trimmed_vartime())),
        ])),
        Private::P256(key) => curve("P-256", key.verifying_key().to_sec1_point(false).as_bytes()),
        Private::P384(key) => curve("P-384", key.verifying_key().to_sec1_point(false).as_bytes()),
        Private::Ed25519(key) => Some(members(&[
            ("kty", "OKP".to_owned()),
            ("crv", "Ed25519".to_owned()),
            ("x", encode(key.verifying_key().as_bytes())),
        ])),
        Private::Secret(_) => None,
    }
}

/// The members that nobody else may see.
pub(crate) fn private(key: &Private) -> Map<String, Value> {
    match key {
        Private::Rsa(key) => {
            let [p, q] = key.primes() else { return Map::new() };
            let number = |number: &BoxedUint| encode(&number.to_be_bytes_trimmed_vartime());
            let optional = |value: Option<&BoxedUint>| value.map(number).unwrap_or_default();
            members(&[
                ("d", number(key.d())),
                ("p", number(p)),
                ("q", number(q)),
                ("dp", optional(key.dp())),
                ("dq", optional(key.dq())),
                ("qi", optional(key.crt_coefficient().as_ref())),
            ])
        }
        Private::P256(key) => members(&[("d", encode(&key.to_bytes()))]),
        Private::P384(key) => members(&[("d", encode(&key.to_bytes()))]),
        Private::Ed25519(key) => members(&[("d", encode(key.as_bytes()))]),
        Private::Secret(bytes) => members(&[("kty", "oct".to_owned()), ("k", encode(bytes))]),
    }
}

/// An uncompressed point (SEC 1 section 2.3.3): 4, then both coordinates.
fn curve(name: &str, point: &[u8]) -> Option<Map<String, Value>> {
    let (_, coordinates) = point.split_first()?;
    let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
    Some(members(&[
        ("kty", "EC".to_owned()),
        ("crv", name.to_owned()),
        ("x", encode(x)),
        ("y", encode(y)),
    ]))
}

fn members(all: &[(&str, String)]) -> Map<String, Value> {
    all.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str()))).collect()
}

fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, Fault> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or(Fault::Member(name))?;
    decode(text).ok_or(Fault::Member(name))
}
