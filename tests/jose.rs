//! Public test data of others: signed tokens and keys. Every answer that is not theirs is explained.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

use portcullis_core::{Algorithm, Jws, KeySet, PureVerifier, SecretSet, SetFault};
use portcullis_tests::vectors::{document, folder};
use serde_json::{Value, json};

/// Longest token that a policy can allow, in bytes.
const MAX_TOKEN: usize = 65_536;

/// Whether a token is signed by a key, or by one of a set. Symmetric keys, which are refused in a set,
/// are taken as secrets of the environment: by the token's `kid`, for the key's own algorithm.
fn is_signed(keys: &Value, token: &str) -> bool {
    let Ok(jws) = Jws::parse(token.as_bytes(), MAX_TOKEN) else { return false };
    let keys = keys["keys"].as_array().cloned().unwrap_or_else(|| vec![keys.clone()]);
    if keys.iter().all(|key| key["kty"] == "oct") {
        let id = jws.key_id.as_deref();
        let mut named = keys.iter().filter(|key| id.is_none() || key["kid"].as_str() == id);
        return named.any(|key| {
            let algorithm = match key["alg"].as_str() {
                Some(name) => Algorithm::parse(name),
                None => Some(jws.algorithm),
            };
            let secret = key["k"].as_str().unwrap().as_bytes();
            algorithm
                .and_then(|algorithm| SecretSet::read(algorithm, [Some(secret)]).ok())
                .is_some_and(|secrets| secrets.verify(&jws).is_ok())
        });
    }
    let set = json!({ "keys": keys }).to_string();
    KeySet::read(set.as_bytes(), &Algorithm::ALL)
        .is_ok_and(|keys| keys.verify(&jws, &mut PureVerifier).is_ok())
}

/// Our answers where they are not Wycheproof's: file, cases, answer, reason.
const OTHERWISE: [(&str, &[u64], bool, &str); 6] = [
    ("signature", &[346, 350], false, "the token's alg is PS384, the key's PS256"),
    ("signature", &[347, 351], false, "the key's alg is `ES521`, and P-521 is not offered"),
    ("signature", &[372, 373], false, "a `?` stands in a part: one spelling for every token"),
    ("signature", &[367, 370], true, "the padding was lost in the file: these tokens are good"),
    ("key", &[7], true, "a ROCA key has no mark but its history; it is 2048 bits of RSA"),
    ("crypto", &[46], true, "the same ROCA key"),
];

#[test]
fn wycheproof_tokens() {
    let mut seen = 0;
    for kind in ["signature", "key", "crypto"] {
        let Some(set) = document("wycheproof", &format!("json_web_{kind}_test.json")) else {
            return;
        };
        for group in set["testGroups"].as_array().unwrap() {
            let keys = group.get("public").unwrap_or(&group["private"]);
            for test in group["tests"].as_array().unwrap() {
                let Some(token) = test["jws"].as_str() else { continue };
                let id = test["tcId"].as_u64().unwrap();
                let otherwise =
                    OTHERWISE.iter().find(|(file, ids, ..)| *file == kind && ids.contains(&id));
                // A token without claims is none.
                let valid = test["result"] == "valid" && !token.contains("..");
                let expected = otherwise.map_or(valid, |(_, _, answer, _)| *answer);
                assert_eq!(is_signed(keys, token), expected, "{kind} {id}: {test}");
                seen += 1;
            }
        }
    }
    assert!(seen > 250, "{seen}");
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
fn tokens_of_the_rfcs() {
    let Some(tokens) = document("rfc-jose", "rfc_tokens.json") else { return };
    for case in tokens["cases"].as_array().unwrap() {
        let expected = match case["id"].as_str().unwrap() {
            // P-521 is not offered.
            "RFC7515-A.4" => false,
            // JSON serialization and detached payloads are not compact tokens.
            "RFC7515-A.6-flattened-as-bearer" | "RFC7797-4.2-detached" => false,
            _ => case["signature_valid"] == true,
        };
        let token = case["token"].as_str().map_or_else(|| case["token"].to_string(), str::to_owned);
        assert_eq!(is_signed(&case["jwk"], &token), expected, "{case}");
    }
}

#[test]
fn cookbook_of_rfc_7520() {
    let Some(folder) = folder("rfc7520-cookbook") else { return };
    let files = ["jws", "curve25519", "rfc7797", "jwe"].map(|name| folder.join(name));
    let mut good = 0;
    for file in files.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = file.unwrap().path();
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Some(token) = case["output"]["compact"].as_str() else { continue };
        let key = case["input"]["key"].clone();
        let signed = case["signing"].is_object();
        // The examples print private keys: those are refused as a set has them.
        assert!(!(key.get("d").is_some() && is_signed(&key, token)), "{}", path.display());
        let mut public = key;
        if let Some(members) = public.as_object_mut() {
            members.retain(|name, _| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str()));
            if let Some(algorithm) = case["input"]["alg"].as_str() {
                members.insert("alg".to_owned(), algorithm.into());
            }
        }
        let offered = case["input"]["alg"].as_str().and_then(Algorithm::parse).is_some();
        assert_eq!(is_signed(&public, token), signed && offered, "{}", path.display());
        good += usize::from(signed && offered);
    }
    assert!(good >= 4, "{good}");
}

#[test]
fn tokens_of_envoys_library() {
    let Some(cases) = document("jwt_verify_lib", "verify_cases.json") else { return };
    for case in cases["cases"].as_array().unwrap() {
        // Keys in PEM are not offered.
        if case["key_format"] != "JWKS" {
            continue;
        }
        // That library takes JSON with a comma too many.
        let text = case["key"].as_str().unwrap();
        let Ok(keys) = serde_json::from_str::<Value>(text) else {
            assert_eq!(
                KeySet::read(text.as_bytes(), &Algorithm::ALL).err(),
                Some(SetFault::NotASet)
            );
            continue;
        };
        let name = case["test"].as_str().unwrap();
        let token = case["token"].as_str().unwrap();
        let algorithm = Jws::parse(token.as_bytes(), MAX_TOKEN).ok().map(|jws| jws.algorithm);
        let expected = match name {
            // P-521 is not offered.
            "KidES512OK" => false,
            // That library tries every key in turn; a token without `kid` names none of several.
            "NoKidOK" | "NoKidLongExpOK" if of_algorithm(&keys, algorithm) != 1 => false,
            // A key without `alg` is bound to the first that the policy lists, here RS256.
            "JwtTextWithNoKidOk" => false,
            _ => case["expected"] == "Ok",
        };
        assert_eq!(is_signed(&keys, token), expected, "{case}");
    }
}

/// How many keys of a set an algorithm could have signed with.
fn of_algorithm(keys: &Value, algorithm: Option<Algorithm>) -> usize {
    let set = KeySet::read(keys.to_string().as_bytes(), &Algorithm::ALL);
    set.map_or(0, |set| set.keys().iter().filter(|key| Some(key.algorithm()) == algorithm).count())
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

#[test]
fn tokens_of_other_gateways() {
    let Some(tokens) = document("gateway-jwts", "envoy_gateway_jwts.json") else { return };
    let keys = document("gateway-jwts", "envoy_gateway_jwks.json").unwrap();
    for case in tokens["cases"].as_array().unwrap() {
        // Two keys have the token's algorithm and it names neither.
        assert!(!is_signed(&keys, case["token"].as_str().unwrap()));
        let one = json!({ "keys": [keys["keys"][0]] });
        assert!(is_signed(&one, case["token"].as_str().unwrap()), "{case}");
    }
    let tokens = document("gateway-jwts", "higress_jwts.json").unwrap();
    let keys = document("gateway-jwts", "higress_keys.json").unwrap();
    for case in tokens["jwts"].as_array().unwrap() {
        let algorithm = case["alg"].as_str().and_then(Algorithm::parse);
        assert_eq!(
            is_signed(&keys, case["token"].as_str().unwrap()),
            algorithm.is_some(),
            "{case}"
        );
    }
}

/// The strict reader under all of it: what JSONTestSuite says must fail is no key set.
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
