//! Public test data of others: signed tokens and keys. Every answer that is not theirs is explained.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

use portcullis_core::{Algorithm, Jws, KeySet, PureVerifier, SecretSet, SetFault};
use portcullis_tests::tokens::{self, MAX_TOKEN, Token};
use portcullis_tests::vectors::{document, folder};
use serde_json::Value;

/// Whether a token is signed by a key, or by one of a set.
fn is_signed(token: &Token) -> bool {
    let Ok(jws) = Jws::parse(token.text.as_bytes(), MAX_TOKEN) else { return false };
    if let Some(secrets) = token.secrets() {
        return secrets.into_iter().any(|(algorithm, secret)| {
            algorithm
                .and_then(|algorithm| SecretSet::read(algorithm, [Some(secret.as_bytes())]).ok())
                .is_some_and(|secrets| secrets.verify(&jws).is_ok())
        });
    }
    KeySet::read(token.set().as_bytes(), &Algorithm::ALL)
        .is_ok_and(|keys| keys.verify(&jws, &mut PureVerifier).is_ok())
}

/// Judges tokens, at least so many and so many good ones, if they are there.
fn judge(tokens: Option<Vec<Token>>, least: usize, good: usize) {
    let Some(tokens) = tokens else { return };
    for token in &tokens {
        assert_eq!(is_signed(token), token.good, "{}: {}", token.source, token.text);
    }
    let accepted = tokens.iter().filter(|token| token.good).count();
    assert!(tokens.len() >= least && accepted >= good, "{} {accepted}", tokens.len());
}

#[test]
fn wycheproof_tokens() {
    judge(tokens::wycheproof(), 250, 25);
}

#[test]
fn tokens_of_the_rfcs() {
    judge(tokens::rfcs(), 7, 3);
}

#[test]
fn cookbook_of_rfc_7520() {
    judge(tokens::cookbook(), 15, 4);
}

#[test]
fn tokens_of_envoys_library() {
    judge(tokens::envoys_library(), 14, 5);
}

#[test]
fn tokens_of_other_gateways() {
    judge(tokens::other_gateways(), 4, 3);
}

/// J21: encrypted tokens are none that we read.
#[test]
fn wycheproof_encrypted_tokens() {
    for kind in ["encryption", "crypto"] {
        let Some(set) = document("wycheproof", &format!("json_web_{kind}_test.json")) else {
            return;
        };
        let groups = set["testGroups"].as_array().unwrap();
        for test in groups.iter().flat_map(|group| group["tests"].as_array().unwrap()) {
            if let Some(token) = test["jwe"].as_str() {
                assert!(Jws::parse(token.as_bytes(), MAX_TOKEN).is_err(), "{test}");
            }
        }
    }
}

#[test]
fn key_sets_of_envoys_library() {
    let Some(cases) = document("jwt_verify_lib", "jwks_cases.json") else { return };
    let mut otherwise = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        // PEM and X.509 are not offered.
        if case["format"] != "JWKS" {
            continue;
        }
        let read = KeySet::read(case["document"].as_str().unwrap().as_bytes(), &Algorithm::ALL);
        let text = case["document"].as_str().unwrap();
        let expected = match case["test"].as_str().unwrap() {
            // Its `x` is on no point of edwards25519, which that library learns with the first token.
            "GoodOKP" | "JwksIgnoreUnsupportedKey" => false,
            // That library takes JSON with a comma too many.
            _ if serde_json::from_str::<Value>(text).is_err() => false,
            _ => case["expected"] == "Ok",
        };
        if read.is_ok() != expected {
            otherwise.push(format!("{case} {read:?}"));
        }
    }
    assert!(otherwise.is_empty(), "{}", otherwise.join("\n"));
}

/// The strict reader under all of it: what `JSONTestSuite` says must fail is no key set.
#[test]
fn broken_json_is_no_key_set() {
    let Some(folder) = folder("json-parsing/test_parsing") else { return };
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut text = b"{\"keys\":[{}],\"x\":".to_vec();
        text.extend(std::fs::read(&path).unwrap());
        text.push(b'}');
        let read = KeySet::read(&text, &Algorithm::ALL).expect_err("no key of this set is one");
        if name.starts_with("n_") && name != "n_structure_object_with_trailing_garbage.json" {
            seen += usize::from(read == SetFault::NotASet);
        }
    }
    assert!(seen > 80, "{seen}");
}
