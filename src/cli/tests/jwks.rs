use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};
use serde_json::{Value, json};

use crate::support::{File, Ran, run};

fn key(algorithm: Algorithm, id: &str) -> TestKey {
    TestKey::generate(algorithm, Some(id), id.as_bytes())
}

fn check(set: &str, more: &[&str]) -> Ran {
    run(&[&["jwks", "check", "-"], more].concat(), set)
}

/// Checks one key after a change, beside a good one.
fn changed(algorithm: Algorithm, members: &Value) -> Ran {
    let mut jwk = key(algorithm, "k1").public_jwk().expect("a public key");
    for (name, value) in members.as_object().expect("an object") {
        jwk[name] = value.clone();
    }
    let good = key(Algorithm::EdDsa, "good").public_jwk();
    check(&json!({"keys": [good, jwk]}).to_string(), &[])
}

#[test]
fn a_sound_set_is_listed_key_by_key() {
    let keys = [key(Algorithm::Rs256, "a"), key(Algorithm::Es384, "b"), key(Algorithm::EdDsa, "c")];
    let ran = check(&key_set(&keys), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines[0], "-:1:10: key 0 (`a`): RSA 2048 bits, verifies RS256");
    assert!(lines[1].ends_with(": key 1 (`b`): EC P-384, verifies ES384"), "{}", ran.out);
    assert!(lines[2].ends_with(": key 2 (`c`): OKP Ed25519, verifies EdDSA"), "{}", ran.out);
    assert_eq!(lines[3], "3 keys usable, 0 errors, 0 warnings");
}

#[test]
fn every_unusable_key_is_told_with_its_reason() {
    let rsa = Algorithm::Rs256;
    let even = "gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (algorithm, members, code) in [
        (rsa, json!({"n": "wQ"}), "key_weak"),
        (rsa, json!({"n": format!("{}A", even.repeat(8))}), "key_member"),
        (rsa, json!({"e": "AQ"}), "key_exponent"),
        (rsa, json!({"e": "AQAB="}), "key_member"),
        (rsa, json!({"n": 1}), "key_member"),
        (rsa, json!({"use": "enc"}), "key_use"),
        (rsa, json!({"key_ops": ["verify", "sign"]}), "key_ops"),
        (rsa, json!({"alg": "ES256"}), "key_algorithm_mismatch"),
        (rsa, json!({"alg": "RSA-OAEP"}), "key_algorithm_unknown"),
        (rsa, json!({"kty": "AKP"}), "key_type"),
        (rsa, json!({"kid": ""}), "key_id"),
        (rsa, json!({"kid": "good"}), "key_id_duplicate"),
        (Algorithm::Es256, json!({"y": "AAAA"}), "key_point"),
        (Algorithm::Es256, json!({"crv": "P-521"}), "key_type"),
        (Algorithm::Es256, json!({"kty": "oct", "k": "c2VjcmV0"}), "key_symmetric"),
    ] {
        let ran = changed(algorithm, &members);
        assert_eq!(ran.code, 1, "{members}: {}", ran.out);
        assert!(ran.out.contains(&format!("error[{code}] at /keys/1: key 1")), "{}", ran.out);
        let good = code != "key_id_duplicate";
        assert_eq!(ran.out.contains("key 0 (`good`): OKP Ed25519"), good, "{}", ran.out);
    }
}

#[test]
fn private_members_are_never_shown() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
        let private = key(algorithm, "k1").private_jwk();
        let good = key(Algorithm::EdDsa, "good").public_jwk();
        for format in ["human", "json"] {
            let both = json!({"keys": [private, good]}).to_string();
            for text in [both, private.to_string()] {
                let ran = check(&text, &["--format", format]);
                assert_eq!(ran.code, 1, "{}", ran.out);
                for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                    let Some(secret) = private[name].as_str() else { continue };
                    assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{name}");
                }
            }
        }
    }
    let text = key(Algorithm::Es256, "k1").private_jwk().to_string();
    let pasted = run(&["jwks", "check", &text], "");
    assert_eq!(pasted.code, 3);
    assert!(!pasted.err.contains("\"d\""), "{}", pasted.err);
    let ran = check(&text, &[]);
    assert!(ran.out.contains("error[set_malformed]"), "{}", ran.out);
    assert!(ran.out.contains("(help: this is one key; a set is an object"), "{}", ran.out);
}

#[test]
fn faults_of_the_whole_set() {
    let many = vec![key(Algorithm::EdDsa, "k").public_jwk(); 129];
    for (text, code) in [
        (String::new(), "set_malformed"),
        ("[]".to_owned(), "set_malformed"),
        ("{\"keys\": {}}".to_owned(), "set_malformed"),
        ("{\"keys\": [], \"keys\": []}".to_owned(), "set_malformed"),
        ("{\"keys\": []}".to_owned(), "set_no_usable_key"),
        ("{\"keys\": [1]}".to_owned(), "key_not_an_object"),
        (json!({ "keys": many }).to_string(), "set_too_many_keys"),
        (" ".repeat(300_000), "set_too_long"),
    ] {
        let ran = check(&text, &[]);
        assert_eq!(ran.code, 1, "{code}: {}", ran.out);
        assert!(ran.out.contains(&format!("error[{code}]")), "{code} in {}", ran.out);
        assert!(ran.out.contains("0 keys usable"), "{}", ran.out);
    }
    assert_eq!(run(&["jwks", "check", "/nowhere/jwks.json"], "").code, 3);
    assert_eq!(run(&["jwks", "check"], "").code, 2);
}

#[test]
fn keys_that_will_disappoint() {
    let first = TestKey::generate(Algorithm::Es256, None, b"1");
    let second = TestKey::generate(Algorithm::Es256, None, b"2");
    let alone = check(&key_set([&first]), &[]);
    assert_eq!(alone.code, 0, "{}", alone.out);
    let both = check(&key_set([&first, &second.with_id(Some("b"))]), &[]);
    assert_eq!(both.code, 1);
    assert!(both.out.contains("warning[key_id_missing] at /keys/0"), "{}", both.out);
    let twins = [first.with_id(Some("a")), second.with_id(Some("b")), first.with_id(Some("c"))];
    let ran = check(&key_set(&twins), &[]);
    assert_eq!(ran.code, 1);
    let expected = "warning[key_duplicate] at /keys/2: key 2 (`c`) is key 0 (`a`) again";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert!(ran.out.ends_with("3 keys usable, 0 errors, 1 warning\n"), "{}", ran.out);
}

#[test]
fn the_algorithms_of_the_issuer_bind_its_keys() {
    let mut rsa = key(Algorithm::Rs256, "a").public_jwk().expect("a public key");
    rsa.as_object_mut().expect("an object").remove("alg");
    let set = json!({"keys": [rsa, key(Algorithm::Es256, "b").public_jwk()]}).to_string();
    let file = File::new("jwks.json", &set);
    let arguments = ["jwks", "check", &file.0, "--algorithms", "PS384,RS256", "--format", "json"];
    let ran = run(&arguments, "");
    assert_eq!(ran.code, 1);
    let report: Value = serde_json::from_str(&ran.out).expect("json");
    assert_eq!(report["keys"][0]["algorithm"], "PS384");
    assert_eq!(report["keys"][0]["type"], "RSA 2048 bits");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "key_algorithm_not_allowed");
    assert_eq!((&finding["position"], &finding["kid"]), (&json!(1), &json!("b")));
    assert_eq!((&report["errors"], &report["warnings"]), (&json!(1), &json!(0)));
    for name in ["HS256", "none", "rs256", ""] {
        let ran = check(&set, &["--algorithms", name]);
        assert_eq!(ran.code, 2, "{name}");
    }
}

#[test]
fn an_id_cannot_move_the_cursor() {
    let ran = changed(Algorithm::Es256, &json!({"kid": "\u{1b}[2J\n\u{202e}x", "use": "enc"}));
    assert!(ran.out.contains("(`\\u{1b}[2J\\n\\u{202e}x`)"), "{}", ran.out);
    assert_eq!(ran.out.lines().count(), 3);
}
