use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};
use serde_json::{Value, json};

use crate::support::{File, Ran, run, run_with};

const NOW: &str = "2026-11-25T12:00:00Z";
const NOW_SECONDS: u64 = 1_795_608_000;

fn key(algorithm: Algorithm) -> TestKey {
    TestKey::generate(algorithm, Some("k1"), b"inspect")
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "orders-api", "sub": "alice",
        "iat": NOW_SECONDS - 60, "exp": NOW_SECONDS + 299,
    })
}

fn inspect(token: &str, more: &[&str]) -> Ran {
    run(&[&["token", "inspect", "--at", NOW], more].concat(), token)
}

/// The line of a check.
fn check<'r>(ran: &'r Ran, name: &str) -> &'r str {
    let mut lines = ran.out.lines().skip_while(|line| !line.starts_with("checks, at"));
    lines.find(|line| line.trim_start().starts_with(name)).expect("the check has its line")
}

#[test]
fn without_keys_it_says_that_nothing_is_verified() {
    let token = key(Algorithm::Es256).token(&claims());
    let ran = inspect(&token, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.starts_with("NOT VERIFIED: nobody vouches for what follows"), "{}", ran.out);
    assert!(check(&ran, "form").starts_with("  form       passed "), "{}", ran.out);
    assert!(check(&ran, "signature").contains("not checked no keys are given"), "{}", ran.out);
    for name in ["issuer", "algorithm", "type", "audience", "revocation"] {
        assert!(check(&ran, name).contains("not checked "), "{}", ran.out);
        assert!(check(&ran, name).ends_with(": no policy is given"), "{}", ran.out);
    }
    for line in [
        "  alg  \"ES256\"",
        "  kid  \"k1\"",
        "  exp  1795608299  2026-11-25T12:04:59.000Z, in 4m 59s",
        "  iat  1795607940  2026-11-25T11:59:00.000Z, 1m ago",
    ] {
        assert!(ran.out.lines().any(|shown| shown == line), "`{line}` in {}", ran.out);
    }
    let report = inspect(&token, &["--format", "json"]);
    let report: Value = serde_json::from_str(&report.out).expect("json");
    assert_eq!(report["signature_verified"], false);
    assert_eq!(report["checks"][3]["check"], "signature");
    assert_eq!(report["checks"][3]["outcome"], "not_checked");
    assert_eq!(report["claims"], claims());
    assert_eq!(report["times"]["exp"], "2026-11-25T12:04:59.000Z");
}

#[test]
fn with_keys_the_signature_is_verified_by_the_core() {
    for algorithm in Algorithm::ALL {
        let signer = key(algorithm);
        let (token, other) =
            (signer.token(&claims()), TestKey::generate(algorithm, Some("k1"), b"x"));
        let verify = |key: &TestKey| {
            if let Some(secret) = key.secret() {
                let arguments = ["token", "inspect", "--at", NOW, "--secret-env", "TEST_SECRET"];
                return run_with(&arguments, &token, &[("TEST_SECRET", &secret)]);
            }
            let file = File::new(&format!("{}.json", algorithm.name()), &key_set([key]));
            inspect(&token, &["--jwks", &file.0])
        };
        let good = verify(&signer);
        assert_eq!(good.code, 0, "{}", good.out);
        assert!(good.out.starts_with("signature verified; see below"), "{}", good.out);
        let line = check(&good, "signature");
        assert!(line.starts_with("  signature  passed      "), "{line}");
        assert!(line.contains(algorithm.name()), "{line}");
        let bad = verify(&other);
        assert_eq!(bad.code, 4, "{}", bad.out);
        assert!(bad.out.starts_with("NOT VERIFIED: the keys do not vouch"), "{}", bad.out);
        assert!(check(&bad, "signature").contains("failed      token_signature: "), "{}", bad.out);
    }
}

#[test]
fn keys_of_another_kind_or_name_do_not_vouch() {
    let token = key(Algorithm::Es256).token(&claims());
    let set = |keys: &[TestKey]| File::new("other-keys.json", &key_set(keys));
    let renamed = set(&[key(Algorithm::Es256).with_id(Some("k2"))]);
    let ran = inspect(&token, &["--jwks", &renamed.0]);
    assert!(check(&ran, "signature").contains("token_key_unknown: "), "{}", ran.out);
    let rsa = set(&[key(Algorithm::Rs256)]);
    let ran = inspect(&token, &["--jwks", &rsa.0]);
    assert!(check(&ran, "signature").contains("token_algorithm: "), "{}", ran.out);
    assert_eq!(ran.code, 4);
    // A key set cannot verify a MAC, whatever its bytes are.
    let public = key_set([&key(Algorithm::Rs256)]);
    let forged = TestKey::from_secret(Algorithm::Hs256, Some("k1"), public.as_bytes());
    let ran = inspect(&forged.expect("a secret").token(&claims()), &["--jwks", &rsa.0]);
    assert!(check(&ran, "signature").contains("failed "), "{}", ran.out);
    let ran = run_with(
        &["token", "inspect", "--secret-env", "TEST_SECRET"],
        &token,
        &[("TEST_SECRET", &key(Algorithm::Hs256).secret().expect("a secret"))],
    );
    assert!(check(&ran, "signature").contains("token_algorithm: `alg` is none"), "{}", ran.out);
}

#[test]
fn dates_are_told_apart() {
    for (name, seconds, line) in [
        ("exp", NOW_SECONDS, "failed      token_expired: `exp` has passed, 0s ago"),
        ("exp", NOW_SECONDS - 7_200, "failed      token_expired: `exp` has passed, 2h ago"),
        (
            "nbf",
            NOW_SECONDS + 90,
            "failed      token_not_yet_valid: `nbf` is still to come, in 1m 30s",
        ),
        ("iat", NOW_SECONDS + 1, "failed      token_not_yet_valid: `iat` is still to come, in 1s"),
        ("nbf", NOW_SECONDS, "passed      `exp` is in 4m 59s; no leeway is counted"),
    ] {
        let mut claims = claims();
        claims[name] = seconds.into();
        let ran = inspect(&key(Algorithm::EdDsa).token(&claims), &[]);
        assert!(check(&ran, "dates").ends_with(line), "{}", ran.out);
        assert_eq!(ran.code, if line.starts_with("failed") { 4 } else { 0 });
    }
}

#[test]
fn what_is_wrong_is_shown_as_far_as_it_can_be() {
    let good = key(Algorithm::Es256);
    for (token, name, code, shown) in [
        (good.sign(&json!({"alg": "none"}), &claims()), "form", "token_algorithm", "\"none\""),
        (
            good.sign(&json!({"alg": "ES256", "crit": ["x"]}), &claims()),
            "form",
            "token_malformed: the header has `crit`",
            "[\"x\"]",
        ),
        (
            good.sign(&json!({"alg": "ES256", "jku": "https://evil.example"}), &claims()),
            "form",
            "token_malformed: the header names a key set's address",
            "https://evil.example",
        ),
        (good.sign_raw("{", claims().to_string()), "form", "token_malformed", "(it is not JSON)"),
        ("a".to_owned(), "form", "token_malformed", "(it is not there)"),
        ("é.b.c".to_owned(), "form", "token_malformed", "(it is not base64url)"),
        (good.token(&json!({"iss": "a"})), "claims", "token_malformed: no `exp`", "\"a\""),
        (good.token(&json!({"exp": 1})), "claims", "token_issuer: no `iss`", "1970-01-01"),
        (good.token(&json!({"iss": 1, "exp": 1})), "claims", "token_malformed: `iss` is not", "1"),
        (
            good.sign_raw(r#"{"alg":"ES256"}"#, r#"{"iss":"a","iss":"b","exp":1}"#),
            "claims",
            "token_malformed: the payload is not JSON",
            "\"b\"",
        ),
        (good.sign_raw(r#"{"alg":"ES256"}"#, "[1]"), "claims", "token_malformed", "  [1]"),
    ] {
        let ran = inspect(&token, &[]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        assert!(check(&ran, name).contains(&format!("failed      {code}")), "{}", ran.out);
        assert!(ran.out.contains(shown), "`{shown}` in {}", ran.out);
        assert!(ran.out.starts_with("NOT VERIFIED: "), "{}", ran.out);
    }
}

#[test]
fn a_token_is_never_shown_whole() {
    let token = key(Algorithm::Es256).token(&claims());
    let signature = token.rsplit('.').next().expect("a signature");
    for format in ["human", "json"] {
        let ran = inspect(&token, &["--format", format]);
        assert!(!ran.out.contains(signature) && !ran.err.contains(signature), "{}", ran.out);
    }
    let file = File::new("token.txt", &format!("Bearer {token}\n"));
    let ran = run(&["token", "inspect", "--at", NOW, &file.0], "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let ran = run(&["token", "inspect", "--at", NOW, &token], "");
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.err.starts_with("note: a token on the command line shows in"), "{}", ran.err);
    assert!(!ran.err.contains(signature), "{}", ran.err);
    // Pasted with a part too many it is the name of no file, and still not repeated.
    let ran = run(&["token", "inspect", &format!("{token}.x")], "");
    assert_eq!(ran.code, 3);
    assert!(!ran.err.contains(signature), "{}", ran.err);
    let ran = inspect(&token, &["--secret-env", "c2VjcmV0LWluLXBsYWNl"]);
    assert_eq!(ran.code, 2);
    assert!(!ran.err.contains("c2VjcmV0"), "{}", ran.err);
}

#[test]
fn a_claim_cannot_move_the_cursor() {
    let token = key(Algorithm::Es256).token(&json!({
        "iss": "\u{1b}[2J\u{202e}é", "\u{7}\n": "x", "exp": NOW_SECONDS + 1,
    }));
    let ran = inspect(&token, &[]);
    assert!(ran.out.contains(r#""\u001b[2J\u{202e}é""#), "{}", ran.out);
    assert!(!ran.out.chars().any(|c| c.is_control() && c != '\n'), "{}", ran.out);
}

#[test]
fn what_cannot_be_read_has_its_exit_code() {
    let token = key(Algorithm::Es256).token(&claims());
    assert_eq!(inspect("", &[]).code, 2);
    assert_eq!(run(&["token", "inspect", "/nowhere/token"], "").code, 3);
    assert_eq!(inspect(&token, &["--jwks", "/nowhere/jwks.json"]).code, 3);
    assert_eq!(inspect(&token, &["--secret-env", "PORTCULLIS_TEST_UNSET"]).code, 2);
    assert_eq!(inspect(&token, &["--secret-env", "A", "--jwks", "b"]).code, 2);
    let weak = File::new("weak.json", r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#);
    let ran = inspect(&token, &["--jwks", &weak.0]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(
        ran.err.contains("has no key that can be used: see `portcullis jwks check`"),
        "{}",
        ran.err
    );
}
