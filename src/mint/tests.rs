use portcullis_core::{Algorithm, Jws, KeySet, PureVerifier, SecretSet};
use serde_json::{Value, json};

use crate::{Fault, TestKey, jwk, key_set};

/// The core's own answer.
fn is_signed(key: &TestKey, token: &str) -> bool {
    let jws = Jws::parse(token.as_bytes(), 65_536).expect("a token");
    if let Some(secret) = key.secret() {
        let secrets = SecretSet::read(key.algorithm(), [Some(secret.as_bytes())]);
        return secrets.expect("a secret").verify(&jws).is_ok();
    }
    let keys = KeySet::read(key_set([key]).as_bytes(), &Algorithm::ALL).expect("a key set");
    keys.verify(&jws, &mut PureVerifier).is_ok()
}

#[test]
fn every_algorithm_signs_what_the_core_verifies() {
    for algorithm in Algorithm::ALL {
        let key = TestKey::generate(algorithm, Some("k"), b"seed");
        let token = key.token(&json!({"sub": "alice"}));
        assert!(is_signed(&key, &token), "{algorithm:?}");
        assert_eq!(key.token(&json!({"sub": "alice"})), token, "{algorithm:?}");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let forged = format!("{signed}.{other}{}", signature.get(1..).unwrap());
        assert!(!is_signed(&key, &forged), "{algorithm:?}");
        let read = TestKey::from_jwk(&key.private_jwk().to_string()).expect("its own JWK");
        assert_eq!(read.token(&json!({"sub": "alice"})), token, "{algorithm:?}");
        assert_eq!((read.algorithm(), read.id()), (algorithm, Some("k")));
    }
}

#[test]
fn a_seed_makes_one_key() {
    let made = |algorithm, seed: &[u8]| TestKey::generate(algorithm, None, seed).private_jwk();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::Hs512] {
        assert_eq!(made(algorithm, b"a"), made(algorithm, b"a"));
        assert_ne!(made(algorithm, b"a"), made(algorithm, b"b"));
    }
    // Fixed for ever: what was signed with a key of a seed stays good.
    let jwk = TestKey::generate(Algorithm::EdDsa, Some("k1"), b"a").public_jwk().unwrap();
    assert_eq!(
        jwk,
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k1", "x": "_eRjakbv4_C8qbqHHnJ1eib58ar_2fq54DXKf4B4THo"})
    );
}

#[test]
fn nothing_private_is_public() {
    for algorithm in Algorithm::ALL {
        let key = TestKey::generate(algorithm, Some("k"), b"seed");
        let Some(public) = key.public_jwk() else {
            assert!(key.secret().is_some());
            assert_eq!(key_set([&key]), r#"{"keys":[]}"#);
            continue;
        };
        for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(public.get(name).is_none(), "{algorithm:?}: {name}");
        }
        assert_eq!(
            format!("{key:?}"),
            format!("TestKey {{ algorithm: {algorithm:?}, id: Some(\"k\"), .. }}")
        );
    }
}

/// Keys and signatures of RFC 7515 appendix A.1 and others.
#[test]
fn keys_of_others_are_read() {
    let secret = r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
    let key = TestKey::from_jwk(secret).expect("a secret");
    let header = "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}";
    let payload =
        "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    let token = key.sign_raw(header, payload);
    assert!(token.ends_with(".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "{token}");
    // RFC 8037 appendix A.1, A.3 and A.4
    let ed25519 = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = TestKey::from_jwk(ed25519).expect("a key");
    let thumbprint = key.thumbprint();
    assert_eq!(thumbprint.as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    let token = key.sign_raw(r#"{"alg":"EdDSA"}"#, "Example of Ed25519 signing");
    assert!(token.ends_with(".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"), "{token}");
    // RFC 6979 appendix A.2.5
    let p256 = r#"{"kty":"EC","crv":"P-256","d":"ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE","x":"YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y","y":"eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk"}"#;
    let signature = TestKey::from_jwk(p256).expect("a key").signature(b"sample");
    assert_eq!(
        jwk::encode(&signature),
        "79SLKqy2qP0RQN2c1F6B1p0sh3tWqvmRw00OqE6vNxb3yxyULWV8QdQ2x6G24p9l8-kA27mv9AZNxKsvhDrNqA"
    );
    // The primes may be left out.
    let whole = TestKey::generate(Algorithm::Ps256, None, b"seed").private_jwk();
    let mut bare = whole.clone();
    for name in ["p", "q", "dp", "dq", "qi"] {
        bare.as_object_mut().unwrap().remove(name);
    }
    let bare = TestKey::from_jwk(&bare.to_string()).expect("n, e and d");
    assert_eq!(bare.public_jwk(), TestKey::from_jwk(&whole.to_string()).unwrap().public_jwk());
    assert!(is_signed(&bare, &bare.token(&json!({}))));
}

#[test]
fn what_makes_no_key() {
    let good = TestKey::generate(Algorithm::Es256, Some("k"), b"seed").private_jwk();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        TestKey::from_jwk(&jwk.to_string()).err()
    };
    let other = TestKey::generate(Algorithm::Es256, None, b"other").private_jwk();
    for (name, value, fault) in [
        ("d", json!(1), Fault::Member("d")),
        ("d", json!("+"), Fault::Member("d")),
        ("d", json!("AA"), Fault::Numbers),
        ("d", other["d"].clone(), Fault::Mismatch),
        ("x", other["x"].clone(), Fault::Mismatch),
        ("kty", json!("AKP"), Fault::Kind),
        ("kty", Value::Null, Fault::Member("kty")),
        ("crv", json!("P-521"), Fault::Kind),
        ("alg", json!("ES384"), Fault::Algorithm),
        ("alg", json!("none"), Fault::Algorithm),
        ("alg", json!(1), Fault::Algorithm),
        ("kid", json!(1), Fault::Member("kid")),
    ] {
        assert_eq!(with(name, value.clone()), Some(fault), "{name}: {value}");
    }
    for text in ["", "[]", "{", "1"] {
        assert_eq!(TestKey::from_jwk(text).err(), Some(Fault::NotAnObject), "{text}");
    }
}

#[test]
fn a_key_signs_with_every_algorithm_of_its_kind_and_no_other() {
    let key = TestKey::generate(Algorithm::Rs256, None, b"seed");
    let others: Vec<_> =
        Algorithm::ALL.into_iter().filter_map(|other| key.with_algorithm(other)).collect();
    assert_eq!(others.len(), 6);
    for other in &others {
        assert!(is_signed(other, &other.token(&json!({}))), "{other:?}");
        assert_eq!(is_signed(&key, &other.token(&json!({}))), other.algorithm() == key.algorithm());
    }
    assert!(TestKey::from_secret(Algorithm::Es256, None, b"x").is_none());
}
