use portcullis_core::{Algorithm, Jws, KeySet, PureVerifier, SecretSet};
use serde_json::Value;

use crate::support::{File, Ran, run};

fn new_key(arguments: &[&str]) -> Ran {
    run(&[&["token", "key", "new", "--algorithm"], arguments].concat(), "")
}

fn mint(key: &str, arguments: &[&str]) -> Ran {
    run(&[&["token", "mint", "--key", "-"], arguments].concat(), key)
}

/// Header and claims of a printed token.
fn read(token: &str) -> (Value, Value) {
    let header = token.split('.').next().expect("a header");
    let jws = Jws::parse(token.trim_end().as_bytes(), 65_536).expect("a token");
    let header = portcullis_mint::decode(header).expect("base64url");
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).expect("json");
    (json(&header), json(&jws.payload))
}

#[test]
fn a_key_of_every_algorithm_signs_tokens_that_verify() {
    for algorithm in Algorithm::ALL {
        let key = new_key(&[algorithm.name()]);
        assert_eq!(key.code, 0, "{}", key.err);
        assert!(key.err.starts_with("note: a private key for tests"), "{}", key.err);
        let token = mint(&key.out, &["--issuer", "https://issuer.example"]);
        assert_eq!(token.code, 0, "{}", token.err);
        assert!(token.err.starts_with("note: a token for tests"), "{}", token.err);
        assert!(!token.err.contains('.'), "{}", token.err);
        let jws = Jws::parse(token.out.trim_end().as_bytes(), 65_536).expect("a token");
        let public = run(&["token", "key", "public"], &key.out);
        if algorithm.name().starts_with("HS") {
            assert_eq!((public.code, public.out.as_str()), (2, ""));
            assert!(public.err.contains("is a secret, which has no public half"), "{}", public.err);
            let jwk: Value = serde_json::from_str(&key.out).expect("json");
            let secret = jwk["k"].as_str().expect("a secret").as_bytes();
            let secrets = SecretSet::read(algorithm, [Some(secret)]).expect("a secret");
            assert_eq!(secrets.verify(&jws), Ok(()));
        } else {
            let keys = KeySet::read(public.out.as_bytes(), &[algorithm]).expect("a key set");
            assert!(keys.verify(&jws, &mut PureVerifier).is_ok(), "{algorithm:?}");
            let checked = run(&["jwks", "check", "-"], &public.out);
            assert_eq!(checked.code, 0, "{}", checked.out);
        }
    }
}

#[test]
fn two_new_keys_are_two() {
    let made = |arguments: &[&str]| {
        let made = new_key(arguments);
        serde_json::from_str::<Value>(&made.out).expect("json")
    };
    let (first, second) = (made(&["ES256"]), made(&["ES256"]));
    assert_ne!(first["d"], second["d"]);
    assert_ne!(first["kid"], second["kid"]);
    assert_eq!(first["kid"].as_str().map(str::len), Some(43));
    assert_eq!(made(&["ES256", "--kid", "k1"])["kid"], "k1");
    assert_eq!(made(&["HS256"])["kid"], Value::Null);
    assert!(made(&["RS256", "--bits", "3072"])["n"].as_str().expect("a modulus").len() == 512);
    for arguments in [
        &["ES512"][..],
        &["none"],
        &["RS256", "--bits", "1024"],
        &["RS256", "--bits", "2049"],
        &["ES256", "--kid", ""],
    ] {
        assert_eq!(new_key(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_token_says_what_it_is_told_to_say() {
    let key = new_key(&["ES256", "--kid", "k1"]).out;
    let arguments = [
        ["--issuer", "https://issuer.example"],
        ["--audience", "orders-api"],
        ["--audience", "other-api"],
        ["--subject", "alice"],
        ["--scope", "orders:read orders:write"],
        ["--scope", "admin"],
        ["--claim", "tenant=\"acme\""],
        ["--claim", "realm_access={\"roles\":[\"a\"]}"],
        ["--at", "2026-11-25T12:00:00Z"],
        ["--expires-in", "1h"],
        ["--not-before", "2026-11-25T12:00:30Z"],
        ["--token-id", "t1"],
        ["--typ", "at+jwt"],
    ];
    let token = mint(&key, arguments.as_flattened());
    let (header, claims) = read(&token.out);
    assert_eq!(header, serde_json::json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}));
    let expected = serde_json::json!({
        "iss": "https://issuer.example", "aud": ["orders-api", "other-api"], "sub": "alice",
        "scope": "orders:read orders:write admin", "tenant": "acme",
        "realm_access": {"roles": ["a"]}, "iat": 1_795_608_000, "exp": 1_795_611_600,
        "nbf": 1_795_608_030, "jti": "t1",
    });
    assert_eq!(claims, expected);
}

#[test]
fn odd_tokens_can_be_made() {
    let key = new_key(&["RS256"]).out;
    let (header, claims) = read(
        &mint(
            &key,
            &[
                "--algorithm",
                "PS384",
                "--kid",
                "other",
                "--without",
                "exp",
                "--without",
                "jti",
                "--claim",
                "iat=\"soon\"",
                "--header",
                "custom=[1]",
            ],
        )
        .out,
    );
    let expected = serde_json::json!({"alg": "PS384", "kid": "other", "typ": "JWT", "custom": [1]});
    assert_eq!(header, expected);
    assert_eq!(claims, serde_json::json!({"iat": "soon"}));
    let (_, first) = read(&mint(&key, &[]).out);
    let (_, second) = read(&mint(&key, &[]).out);
    assert_ne!(first["jti"], second["jti"]);
    let life = first["exp"].as_u64().zip(first["iat"].as_u64()).expect("dates");
    assert_eq!(life.0 - life.1, 300);
}

#[test]
fn what_has_two_readings_is_not_minted() {
    let key = new_key(&["ES256"]).out;
    for (arguments, why) in [
        (&["--issuer", "a", "--claim", "iss=\"b\""][..], "`iss` has two readings"),
        (&["--claim", "a=1", "--claim", "a=2"], "`a` has two readings"),
        (&["--without", "jti", "--token-id", "x"], "`jti` has two readings"),
        (&["--claim", "tenant=acme"], "the value is not JSON"),
        (&["--claim", "tenant"], "a member is written as NAME=JSON"),
        (&["--expires-in", "5"], "a length of time is written as"),
        (&["--at", "noon"], "a time is written as"),
        (&["--algorithm", "RS256"], "the key cannot sign with RS256"),
    ] {
        let ran = mint(&key, arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}

#[test]
fn a_key_that_cannot_be_used_is_not_shown() {
    let key = new_key(&["ES256"]).out;
    let jwk: Value = serde_json::from_str(&key).expect("json");
    let secret = jwk["d"].as_str().expect("a secret");
    let public = run(&["token", "key", "public"], &key).out;
    for text in [key.replace("P-256", "P-384"), key.replace("\"d\"", "\"e\""), public] {
        let ran = mint(&text, &[]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
        assert!(ran.err.starts_with("error: `-` holds no private JWK: "), "{}", ran.err);
        assert!(!ran.err.contains(secret), "{}", ran.err);
    }
    let pasted = run(&["token", "mint", "--key", &key], "");
    assert_eq!(pasted.code, 3);
    assert!(pasted.err.starts_with("error: the text in place of a file"), "{}", pasted.err);
    assert!(!pasted.err.contains(secret), "{}", pasted.err);
    let ran = run(&["token", "mint", "--key", "/nowhere/key.json"], "");
    assert_eq!(ran.code, 3);
    assert!(ran.err.starts_with("error: `/nowhere/key.json` cannot be read"), "{}", ran.err);
    assert_eq!(run(&["token", "mint"], "").code, 2);
}

#[test]
fn a_rotation_is_one_set_of_several_files() {
    let old = File::new("old.json", &new_key(&["ES256", "--kid", "old"]).out);
    let new = File::new("new.json", &new_key(&["RS256", "--kid", "new"]).out);
    let set = run(&["token", "key", "public", &old.0, &new.0], "").out;
    let set: Value = serde_json::from_str(&set).expect("json");
    assert_eq!((&set["keys"][0]["kid"], &set["keys"][1]["kid"]), (&"old".into(), &"new".into()));
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        assert!(set["keys"][0].get(name).is_none() && set["keys"][1].get(name).is_none(), "{name}");
    }
}
