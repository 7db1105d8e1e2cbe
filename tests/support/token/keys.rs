//! The keys of the test tokens: the same in every run, known to everybody, and good for nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis_core::Algorithm;
use portcullis_mint::TestKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

/// The variables of the environment that every gateway under test has, as names and values.
pub fn environment() -> Vec<(&'static str, String)> {
    vec![
        ("PORTCULLIS_TEST_HS_1", base64url(&secret("hs-1"))),
        ("PORTCULLIS_TEST_HS_2", base64url(&secret("hs-2"))),
        // One byte less than HS256 needs.
        ("PORTCULLIS_TEST_HS_SHORT", base64url(&secret("hs-1")[..31])),
        ("PORTCULLIS_TEST_HS_PADDED", format!("{}=", base64url(&secret("hs-1")[..32]))),
        ("PORTCULLIS_TEST_HS_EMPTY", String::new()),
    ]
}

pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of a name. What the name begins with says what it is: `rsa`, `ec`, `es384`, `ed`, `hs`.
///
/// `pem:NAME` and `jwk:NAME` are HMAC with the public text of a key as its secret: what a gateway
/// would verify that lets a token choose between a signature and a shared secret.
pub fn signer(name: &str) -> TestKey {
    let hmac = |secret: &[u8]| {
        TestKey::from_secret(Algorithm::Hs256, Some(name), secret).expect("a key of HMAC")
    };
    let (kind, rest) = name.split_once(['-', ':']).unwrap_or_else(|| panic!("no key `{name}`"));
    let algorithm = match kind {
        "pem" => return hmac(pem(rest).as_bytes()),
        "jwk" => return hmac(jwk(rest).as_bytes()),
        "hs" => return hmac(&secret(name)),
        "rsa" => {
            let key = Value::Object(rsa(name)).to_string();
            return TestKey::from_jwk(&key).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
        "ec" => Algorithm::Es256,
        "es384" => Algorithm::Es384,
        "ed" => Algorithm::EdDsa,
        _ => panic!("no key is called `{name}`"),
    };
    TestKey::generate(algorithm, Some(name), name.as_bytes())
}

/// The public set of keys by their names, with commas between them.
pub fn jwks(names: &str) -> String {
    let keys: Vec<String> = names.split(',').map(jwk).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// One public key: `ec-1`; `ec-1@other` with another id, `ec-1@` without one; `rsa-1=PS256` for
/// another algorithm, `rsa-1=` for none.
pub fn jwk(spec: &str) -> String {
    let (spec, algorithm) = spec.split_once('=').map_or((spec, None), |(it, alg)| (it, Some(alg)));
    let (name, id) = spec.split_once('@').map_or((spec, None), |(it, id)| (it, Some(id)));
    let mut key = public(name);
    for (member, value) in [("alg", algorithm), ("kid", id)] {
        match value {
            None => {}
            Some("") => drop(key.remove(member)),
            Some(value) => drop(key.insert(member.to_owned(), json!(value))),
        }
    }
    Value::Object(key).to_string()
}

/// The whole key of a name, as a policy must never have it.
pub fn private(name: &str) -> String {
    signer(name).private_jwk().to_string()
}

fn public(name: &str) -> Map<String, Value> {
    // A weak key has no signer.
    if name == "rsa-1024" {
        return rsa(name);
    }
    match signer(name).public_jwk() {
        Some(Value::Object(key)) => key,
        _ => panic!("`{name}` has no public half"),
    }
}

fn rsa(name: &str) -> Map<String, Value> {
    let keys: Vec<Value> = serde_json::from_str(include_str!("rsa.json")).expect("JSON");
    let key = keys.into_iter().find(|key| key["kid"] == name);
    match key {
        Some(Value::Object(key)) => key,
        _ => panic!("no key is called `{name}`"),
    }
}

/// 64 bytes: enough for every HMAC.
fn secret(name: &str) -> Vec<u8> {
    Sha512::digest(format!("a secret of the portcullis tests: {name}")).to_vec()
}

/// The `SubjectPublicKeyInfo` of an RSA key as PEM (RFC 7468 section 13).
fn pem(name: &str) -> String {
    let key = public(name);
    let number = |member: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(key[member].as_str().unwrap_or_default());
        let mut bytes = bytes.expect("base64url");
        if bytes.first().is_some_and(|first| *first >= 0x80) {
            bytes.insert(0, 0);
        }
        element(0x02, &bytes)
    };
    let numbers = element(0x30, &[number("n"), number("e")].concat());
    let bits = element(0x03, &[&[0], &numbers[..]].concat());
    let rsa = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let info = element(0x30, &[element(0x30, &rsa), bits].concat());
    let lines: Vec<String> = STANDARD
        .encode(info)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// One element of DER (X.690).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("less than 64 KiB").to_be_bytes();
    let head = match (length, content.len() < 0x80) {
        ([_, low], true) => vec![tag, low],
        ([0, low], false) => vec![tag, 0x81, low],
        ([high, low], false) => vec![tag, 0x82, high, low],
    };
    [head, content.to_vec()].concat()
}
