//! Tokens held against a policy, by `token inspect` and in requests by `explain`.

use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};
use serde_json::{Value, json};

use crate::support::{File, Ran, policy, run, run_with};

const NOW: &str = "2026-11-25T12:00:00Z";
const NOW_SECONDS: u64 = 1_795_608_000;

fn key(algorithm: Algorithm) -> TestKey {
    TestKey::generate(algorithm, Some("k1"), b"policy")
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "orders-api", "sub": "alice", "azp": "mobile-app",
        "scope": "orders:read admin", "jti": "t1", "iat": NOW_SECONDS - 60, "exp": NOW_SECONDS + 299,
    })
}

/// A policy with one issuer, whose keys come from there.
fn with_keys(algorithm: &str, keys: &str) -> String {
    let issuer = format!(
        "issuers:
  - name: corp
    issuer: https://id.example.com
    audiences: [orders-api]
    algorithms: [{algorithm}]
    max_lifetime: 1h
    keys: {keys}
    claims: {{consumer: sub}}
    revoked: [{{token: stolen}}]
"
    );
    policy()
        .replace("credentials: [api_key]", "credentials: [api_key, jwt]")
        .replace(
            "    api_keys:",
            "    tokens: [{issuer: corp, claim: azp, value: mobile-app}]\n    api_keys:",
        )
        .replace("limits:\n  per", &format!("{issuer}limits:\n  per"))
}

fn inline() -> String {
    with_keys("ES256, RS256", &format!("{{jwks: '{}'}}", key_set([&key(Algorithm::Es256)])))
}

fn inspect(policy: &str, token: &str, more: &[&str]) -> Ran {
    let file = File::new("inspected-policy.yaml", policy);
    let arguments = ["token", "inspect", "--at", NOW, "--policy", &file.0];
    run(&[&arguments[..], more].concat(), token)
}

/// Name, outcome and reason of every check.
fn checks(policy: &str, token: &str, more: &[&str]) -> Vec<(String, String, String)> {
    let ran = inspect(policy, token, &[&["--format", "json"], more].concat());
    let report: Value = serde_json::from_str(&ran.out).expect("json");
    let checks = report["checks"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    checks.map(|c| (text(&c["check"]), text(&c["outcome"]), text(&c["reason"]))).collect()
}

#[test]
fn a_good_token_is_accepted_and_every_check_told() {
    let ran = inspect(&inline(), &key(Algorithm::Es256).token(&claims()), &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.starts_with("ACCEPTED by the policy `external`; a route may"), "{}", ran.out);
    for line in [
        "  issuer     passed      `iss` is that of `corp`",
        "  algorithm  passed      `corp` may use ES256",
        "  dates      passed      `exp` in 4m 59s, with the policy's leeway",
        "  caller     passed      `corp:alice`",
        "  signature  passed      by ES256 of `corp`'s key `k1`",
        "  revocation passed      the policy does not revoke it",
        "  consumer   passed      of `mobile`, with what both may do: [orders:read]",
    ] {
        assert!(ran.out.lines().any(|shown| shown == line), "`{line}` in {}", ran.out);
    }
    assert!(!ran.out.contains("not checked"), "{}", ran.out);
    let mut nobody = claims();
    nobody["azp"] = "other-app".into();
    let ran = inspect(&inline(), &key(Algorithm::Es256).token(&nobody), &[]);
    assert!(ran.out.contains("of no consumer, with the token's own scopes"), "{}", ran.out);
}

#[test]
fn the_gateway_stops_at_the_first_check_that_fails() {
    let signer = key(Algorithm::Es256);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signer.token(&claims)
    };
    let other = TestKey::generate(Algorithm::Es256, Some("k1"), b"other");
    let typed = json!({"alg": "ES256", "kid": "k1", "typ": "secevent+jwt"});
    let named = json!({"alg": "RS256", "kid": "k1"});
    for (token, check, reason) in [
        (with("iss", json!("https://evil.example")), "issuer", "token_issuer"),
        (key(Algorithm::EdDsa).token(&claims()), "algorithm", "token_algorithm"),
        (signer.sign(&typed, &claims()), "type", "token_type"),
        (with("aud", json!(["other"])), "audience", "token_audience"),
        (with("exp", json!(NOW_SECONDS - 60)), "dates", "token_expired"),
        (with("nbf", json!(NOW_SECONDS + 60)), "dates", "token_not_yet_valid"),
        (with("iat", json!(NOW_SECONDS - 7_200)), "dates", "token_lifetime"),
        (with("sub", json!("")), "caller", "token_malformed"),
        (signer.with_id(Some("k2")).token(&claims()), "signature", "token_key_unknown"),
        (signer.sign(&named, &claims()), "signature", "token_algorithm"),
        (other.token(&claims()), "signature", "token_signature"),
        (with("jti", json!("stolen")), "revocation", "token_revoked"),
    ] {
        let checks = checks(&inline(), &token, &[]);
        let at = checks.iter().position(|(name, ..)| name == check).expect("it is told");
        assert_eq!((&*checks[at].1, &*checks[at].2), ("failed", reason), "{check}: {checks:?}");
        assert!(checks[..at].iter().all(|(_, outcome, _)| outcome == "passed"), "{checks:?}");
        let after = &checks[at + 1..];
        assert!(after.iter().all(|(_, outcome, _)| outcome == "not_checked"), "{checks:?}");
        let ran = inspect(&inline(), &token, &[]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        assert!(!ran.out.starts_with("ACCEPTED"), "{}", ran.out);
    }
}

#[test]
fn leeway_is_the_policys() {
    let mut claims = claims();
    claims["exp"] = (NOW_SECONDS - 20).into();
    let token = key(Algorithm::Es256).token(&claims);
    let ran = inspect(&inline(), &token, &[]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.contains("`exp` 20s ago, with the policy's leeway"), "{}", ran.out);
    let strict = inline().replace("    max_lifetime", "    leeway: 0s\n    max_lifetime");
    assert_eq!(inspect(&strict, &token, &[]).code, 4);
}

#[test]
fn forms_are_refused_before_anything_else() {
    let small = inline().replace("gateway: external", "gateway: external\njwt: {max_size: 256}");
    let good = key(Algorithm::Es256);
    for (text, policy, check) in [
        (good.token(&claims()), small, "form"),
        (good.sign(&json!({"alg": "none"}), &claims()), inline(), "form"),
        (good.token(&json!({"iss": "https://id.example.com"})), inline(), "claims"),
    ] {
        let checks = checks(&policy, &text, &[]);
        let failed: Vec<_> = checks.iter().filter(|(_, outcome, _)| outcome == "failed").collect();
        assert_eq!(failed.len(), 1, "{checks:?}");
        assert_eq!(failed[0].0, check);
        assert!(checks[2..].iter().all(|(_, outcome, _)| outcome == "not_checked"), "{checks:?}");
    }
}

#[test]
fn keys_that_envoy_would_fetch_are_given() {
    let remote = with_keys("ES256", "{cluster: idp, path: /jwks.json}");
    let token = key(Algorithm::Es256).token(&claims());
    let ran = inspect(&remote, &token, &[]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(ran.out.starts_with("NOT VERIFIED: nobody vouches for what follows"), "{}", ran.out);
    let expected = "  signature  not checked the issuer `corp` has no keys here: Envoy would fetch \
                    them from the cluster `idp`; give them with `--jwks`";
    assert!(ran.out.contains(expected), "{}", ran.out);
    let good = File::new("idp.json", &key_set([&key(Algorithm::Es256)]));
    let ran = inspect(&remote, &token, &["--jwks", &good.0]);
    assert!(ran.out.starts_with("ACCEPTED"), "{}", ran.out);
    let rotated = File::new("rotated.json", &key_set([&key(Algorithm::Es256).with_id(Some("k2"))]));
    let ran = inspect(&remote, &token, &["--jwks", &rotated.0]);
    assert_eq!(ran.code, 4);
    assert!(ran.out.contains("token_key_unknown"), "{}", ran.out);
    // The policy's algorithms bind the set.
    let rsa = File::new("rsa.json", &key_set([&key(Algorithm::Rs256)]));
    let ran = inspect(&remote, &token, &["--jwks", &rsa.0]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
}

#[test]
fn secrets_come_from_the_environment() {
    let secrets = with_keys("HS256", "{secrets: [ORDERS_NEW, ORDERS_OLD]}");
    let file = File::new("secrets.yaml", &secrets);
    let signer = key(Algorithm::Hs256);
    let (secret, token) = (signer.secret().expect("a secret"), signer.token(&claims()));
    let arguments = ["token", "inspect", "--at", NOW, "--policy", &file.0];
    let ran = run_with(&arguments, &token, &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("set `ORDERS_NEW` or `ORDERS_OLD` (base64url)"), "{}", ran.out);
    let ran = run_with(&arguments, &token, &[("ORDERS_OLD", &secret)]);
    assert!(ran.out.starts_with("ACCEPTED"), "{}", ran.out);
    assert!(!ran.out.contains(&secret) && !ran.err.contains(&secret), "{}", ran.out);
    let weak = run_with(&arguments, &token, &[("ORDERS_OLD", "c2hvcnQ")]);
    assert!(weak.out.starts_with("NOT VERIFIED"), "{}", weak.out);
    let jwks = File::new("no-secret.json", &key_set([&key(Algorithm::Es256)]));
    let ran = run_with(&[&arguments[..], &["--jwks", &jwks.0]].concat(), &token, &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("has secrets, which are read from the environment"), "{}", ran.err);
}

/// Asks about a request with a token, when the policy's keys are these.
fn explain(name: &str, policy: &str, token: &str, more: &[&str]) -> Ran {
    let file = File::new(name, policy);
    let header = format!("authorization: Bearer {token}");
    let request = ["--path", "/orders/1", "--peer", "192.0.2.1", "--header", &header];
    run(&[&["explain", "--policy", &file.0, "--at", NOW], &request[..], more].concat(), "")
}

#[test]
fn requests_with_tokens_are_explained() {
    let token = key(Algorithm::Es256).token(&claims());
    let ran = explain("token-inline.yaml", &inline(), &token, &[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.contains("x-portcullis-consumer: mobile"), "{}", ran.out);
    let signature = token.rsplit('.').next().expect("a signature");
    assert!(!ran.out.contains(signature), "{}", ran.out);
    let remote = with_keys("ES256", "{cluster: idp, path: /jwks.json}");
    let ran = explain("token-remote.yaml", &remote, &token, &[]);
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.out.contains("refused: keys_unavailable"), "{}", ran.out);
    assert!(ran.err.starts_with("note: the issuer `corp` has no keys here: Envoy"), "{}", ran.err);
    let set = File::new("explained.json", &key_set([&key(Algorithm::Es256)]));
    let given = format!("corp={}", set.0);
    let ran = explain("token-given.yaml", &remote, &token, &["--jwks", &given]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for (jwks, code) in [("other=x", 2), ("corp", 2), ("corp=/nowhere/jwks.json", 3)] {
        assert_eq!(explain("token-wrong.yaml", &remote, &token, &["--jwks", jwks]).code, code);
    }
}

#[test]
fn requests_with_tokens_of_secrets_are_explained() {
    let signer = key(Algorithm::Hs256);
    let file = File::new("token-secret.yaml", &with_keys("HS256", "{secrets: [ORDERS_NEW]}"));
    let header = format!("authorization: Bearer {}", signer.token(&claims()));
    let arguments = [
        "explain",
        "--policy",
        &file.0,
        "--at",
        NOW,
        "--path",
        "/orders/1",
        "--peer",
        "192.0.2.1",
        "--header",
        &header,
    ];
    let ran = run(&arguments, "");
    assert_eq!(ran.code, 4, "{}", ran.out);
    assert!(ran.err.contains("set `ORDERS_NEW` (base64url)"), "{}", ran.err);
    let secret = signer.secret().expect("a secret");
    let ran = run_with(&arguments, "", &[("ORDERS_NEW", &secret)]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(!ran.out.contains(&secret), "{}", ran.out);
}

#[test]
fn whose_a_token_is_can_refuse_it() {
    let token = key(Algorithm::Es256).token(&claims());
    let disabled = inline().replace("name: mobile\n", "name: mobile\n    disabled: true\n");
    let second = "  - name: second\n    scopes: [orders:read]\n    tokens: [{issuer: corp, claim: sub, value: alice}]\nissuers:\n";
    let ambiguous = inline().replace("issuers:\n", second);
    for (policy, reason) in [(disabled, "consumer_disabled"), (ambiguous, "consumer_ambiguous")] {
        let checks = checks(&policy, &token, &[]);
        let last = checks.last().expect("checks");
        assert_eq!(*last, ("consumer".to_owned(), "failed".to_owned(), reason.to_owned()));
        let ran = inspect(&policy, &token, &[]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        let expected = "signature verified, but the policy `external` refuses the token";
        assert!(ran.out.starts_with(expected), "{}", ran.out);
    }
}
