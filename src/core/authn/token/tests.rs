//! Whole tokens, one row of attacks after the other, under one policy and at one instant.

use ed25519_dalek::Signer as _;
use p256::ecdsa::SigningKey;

use super::*;
use crate::authn::algorithm::Algorithm;
use crate::authn::base64url::encode;
use crate::authn::claim_value::Scalar;
use crate::authn::issuer::{ByClaim, Cutoff, KeyOrigin, Revoked, RoleClaim};
use crate::authn::jwks::KeySet;
use crate::authn::signature::PureVerifier;
use crate::authz::ScopeId;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The instant of every test, in seconds.
const NOW: i64 = 1_800_000_000;
const CLAIMS: &str = r#""iss":"https://issuer.example","aud":"orders-api","sub":"alpha""#;

fn ec_1() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap_or_else(|error| panic!("{error}"))
}

/// The set of one ES256 key.
fn set(key: &SigningKey, id: &str) -> String {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) = (encode(&point.as_bytes()[1..33]), encode(&point.as_bytes()[33..]));
    format!(
        "{{\"kid\":\"{id}\",\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"x\":\"{x}\",\"y\":\"{y}\"}}"
    )
}

/// `ec-1` and `ed-1`.
fn keyring() -> Keyring {
    let ed = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    let ed = format!(
        "{{\"kid\":\"ed-1\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"}}",
        encode(ed.as_bytes())
    );
    let sets = [
        format!("{{\"keys\":[{},{ed}]}}", set(&ec_1(), "ec-1")),
        format!("{{\"keys\":[{}]}}", set(&other_key(), "other-1")),
    ];
    let mut keyring = Keyring::default();
    for (position, set) in (0..).zip(sets) {
        let keys = KeySet::read(set.as_bytes(), &[Algorithm::Es256, Algorithm::EdDsa]);
        match keys {
            Ok(keys) => keyring.put(IssuerId(position), Keys::Public(keys.into()), Timestamp::LAST),
            Err(fault) => panic!("{fault:?}"),
        }
    }
    keyring
}

fn other_key() -> SigningKey {
    SigningKey::from_slice(&[8; 32]).unwrap_or_else(|error| panic!("{error}"))
}

fn path(text: &str) -> ClaimPath {
    ClaimPath::dotted(text).unwrap_or_else(|| panic!("{text}"))
}

fn issuer() -> Issuer {
    Issuer {
        id: IssuerId(0),
        keys: KeyOrigin::Secrets(Box::default()),
        owners: ByClaim::default(),
        name: "main".into(),
        url: "https://issuer.example".into(),
        audiences: ["orders-api".into(), "https://orders.example/".into()].into(),
        algorithms: [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].into(),
        types: Box::default(),
        leeway: 30,
        max_lifetime: None,
        subject: path("sub"),
        scopes: path("scope"),
        roles: None,
        revoked: Revoked::default(),
    }
}

fn rules(change: impl FnOnce(&mut Issuer)) -> TokenRules {
    let mut main = issuer();
    change(&mut main);
    let mut other = issuer();
    other.id = IssuerId(1);
    (other.name, other.url) = ("other".into(), "https://other.example".into());
    TokenRules {
        issuers: [main, other].into(),
        max_size: 8_192,
        cache: 0,
        claims: ["plan", "org.tenant"].map(path).into(),
        headers: [(path("plan"), "x-plan".into())].into(),
    }
}

fn scopes() -> ScopeTable {
    let names = ["orders:read", "orders:write", "admin"].map(Box::from).to_vec();
    ScopeTable::new(names, Vec::new())
}

fn sign(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature: p256::ecdsa::Signature = ec_1().sign(signed.as_bytes());
    format!("{signed}.{}", encode(&signature.to_bytes()))
}

/// A token of `ec-1` with these claims.
fn token(claims: &str) -> String {
    sign(r#"{"alg":"ES256","kid":"ec-1"}"#, &format!("{{{claims}}}"))
}

/// A good token with these claims more.
fn with(claims: &str) -> String {
    token(&format!("{CLAIMS},\"exp\":1900000000,{claims}"))
}

fn judge(rules: &TokenRules, token: &str) -> Verdict {
    let now = Timestamp::from_unix_nanos(u64::try_from(NOW).unwrap_or(0) * 1_000_000_000);
    judge_at(rules, token, &keyring(), now, &mut PureVerifier)
}

fn judge_at(
    rules: &TokenRules,
    token: &str,
    keyring: &Keyring,
    now: Timestamp,
    verifier: &mut impl SignatureVerifier,
) -> Verdict {
    let against = Against { scopes: &scopes(), consumers: &[], keyring, now };
    rules.verify(token.as_bytes(), against, verifier, &mut LastHeader::default())
}

fn verdict(rules: &TokenRules, token: &str) -> Result<Rc<Token>, Denial> {
    match judge(rules, token) {
        Verdict::Verified(token) => Ok(token),
        Verdict::NeedsKeys(.., fault) | Verdict::Barred(_, fault) | Verdict::Refused(_, fault) => {
            Err(fault.denial)
        }
    }
}

fn check(token: &str) -> Result<(), Denial> {
    verdict(&rules(|_| {}), token).map(|_| ())
}

/// What each value of a claim, put in place of the good one, comes to.
fn each(name: &str, values: &[&str], expected: Result<(), Denial>) {
    for value in values {
        let claims: Vec<String> = [
            ("iss", "\"https://issuer.example\""),
            ("aud", "\"orders-api\""),
            ("sub", "\"alpha\""),
            ("exp", "1900000000"),
        ]
        .into_iter()
        .filter(|(claim, _)| *claim != name)
        .chain(Some((name, *value)).filter(|(_, value)| !value.is_empty()))
        .map(|(claim, value)| format!("\"{claim}\":{value}"))
        .collect();
        assert_eq!(check(&token(&claims.join(","))), expected, "{name} {value}");
    }
}

#[test]
fn a_good_token_is_a_caller() {
    let text = with(r#""scope":"orders:read other","jti":"1","plan":"gold","org":{"tenant":7}"#);
    let token = verdict(&rules(|_| {}), &text).unwrap_or_else(|denial| panic!("{denial:?}"));
    assert_eq!((token.subject(), token.issuer), ("alpha", IssuerId(0)));
    assert_eq!((token.key_id.as_deref(), token.id.as_deref()), (Some("ec-1"), Some("1")));
    assert_eq!(token.end.unix_nanos(), 1_900_000_030_000_000_000);
    assert_eq!(token.scopes.text(), "orders:read other");
    assert!(token.scopes.contains(ScopeId(0)) && !token.scopes.contains(ScopeId(1)));
    let kept =
        [Scalar::Text("gold".into()), Scalar::Number(7.0)].map(|one| Some(ClaimValue::One(one)));
    assert_eq!(*token.claims, kept);
    let signed = format!(
        "{}.{}",
        encode(br#"{"alg":"EdDSA","kid":"ed-1"}"#),
        encode(format!("{{{CLAIMS},\"exp\":1900000000}}").as_bytes())
    );
    let signature = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).sign(signed.as_bytes());
    assert_eq!(check(&format!("{signed}.{}", encode(&signature.to_bytes()))), Ok(()));
}

#[test]
fn expiry_is_required_and_exact() {
    // J44, J45, J46, J47, J48, J49
    let (expired, malformed) = (Err(Denial::TokenExpired), Err(Denial::TokenMalformed));
    each("exp", &["1799999971", "1799999971.9", "1800000000", "1900000000.5"], Ok(()));
    each("exp", &["1799999970", "1799999970.9", "0", "0.5", "1", "-0.0"], expired);
    each("exp", &["", "-1", "-9223372036854775808", "2.001e+206", "253402300800"], malformed);
    each("exp", &["18446744073709551615", "1e19", "9e300"], malformed);
    let types = ["\"1900000000\"", "true", "null", "[]", "{}", "[1900000000]"];
    each("exp", &types, malformed);
    each("nbf", &types, malformed);
    each("iat", &types, malformed);
}

#[test]
fn other_dates_are_kept_too() {
    // J52
    each("nbf", &["0", "1800000000", "1800000030", "1800000030.9"], Ok(()));
    each("nbf", &["1800000031", "253402300799"], Err(Denial::TokenNotYetValid));
    each("nbf", &["-12345", "1e300"], Err(Denial::TokenMalformed));
    each("iat", &["0", "1800000030"], Ok(()));
    each("iat", &["1800000031"], Err(Denial::TokenNotYetValid));
    let bounded = rules(|issuer| issuer.max_lifetime = Some(3_600));
    let lives = |claims: &str| verdict(&bounded, &token(&format!("{CLAIMS},{claims}"))).err();
    assert_eq!(lives("\"exp\":1800003600,\"iat\":1800000000"), None);
    assert_eq!(lives("\"exp\":1800003601,\"iat\":1800000000"), Some(Denial::TokenLifetime));
    assert_eq!(lives("\"exp\":1800000001"), Some(Denial::TokenLifetime));
}

#[test]
fn the_issuer_is_one_text() {
    // J53, J54
    let unknown = [
        "",
        "\"other\"",
        "\"HTTPS://issuer.example\"",
        "\"https://issuer.example/\"",
        "\"https://issuer.example.evil\"",
        "\"https://issuer.exampl\"",
        "\"\"",
        "\"https://issuer.example \"",
        "\"https://issuer.example\\u0000\"",
    ];
    each("iss", &unknown, Err(Denial::TokenIssuer));
    let types = ["[\"https://issuer.example\"]", "1", "null", "{}", "true"];
    each("iss", &types, Err(Denial::TokenMalformed));
}

#[test]
fn keys_are_never_looked_up_across_issuers() {
    // J17: signed by the main issuer's key and naming it, in a token that says it is the other's.
    let text =
        token(r#""iss":"https://other.example","aud":"orders-api","sub":"alpha","exp":1900000000"#);
    assert!(matches!(judge(&rules(|_| {}), &text), Verdict::NeedsKeys(IssuerId(1), ..)));
    // And with the other issuer's key id in a token of the main one.
    let text =
        sign(r#"{"alg":"ES256","kid":"other-1"}"#, &format!("{{{CLAIMS},\"exp\":1900000000}}"));
    assert!(matches!(judge(&rules(|_| {}), &text), Verdict::NeedsKeys(IssuerId(0), ..)));
}

#[test]
fn a_token_is_for_us_or_refused() {
    // J55, J56, J57, J58
    let ours = [
        "\"orders-api\"",
        "[\"x\",\"orders-api\"]",
        "[\"orders-api\"]",
        "\"https://orders.example/\"",
    ];
    each("aud", &ours, Ok(()));
    let others = [
        "",
        "[]",
        "\"\"",
        "\"orders\"",
        "\"orders-api-admin\"",
        "\"https://orders-api/\"",
        "\"ORDERS-API\"",
        "\"orders-api \"",
        "\"https://orders.example\"",
        "[\"orders\",\"api\"]",
        "\"orders-api,x\"",
        "\"orders-api x\"",
    ];
    each("aud", &others, Err(Denial::TokenAudience));
    let types = [
        "null",
        "1",
        "[1,\"orders-api\"]",
        "[\"orders-api\",null]",
        "[[\"orders-api\"]]",
        "{}",
        "{\"orders-api\":1}",
        "true",
    ];
    each("aud", &types, Err(Denial::TokenMalformed));
    let many = format!("[{}\"orders-api\"]", "\"\",".repeat(1_500));
    each("aud", &[&many], Ok(()));
    let none = format!("[{}\"\"]", "\"\",".repeat(1_500));
    each("aud", &[&none], Err(Denial::TokenAudience));
}

#[test]
fn claims_are_one_strict_object() {
    // J32
    for claims in [
        "[]",
        "\"x\"",
        "1",
        "null",
        "true",
        "{",
        "{}x",
        "\u{feff}{}",
        "{,}",
        "{\"a\":1,}",
        "{\"exp\":1900000000,\"exp\":1900000000}",
        "{\"a\":NaN}",
        "{\"a\":{\"b\":1,\"b\":1}}",
        "{}/*x*/",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":01}",
    ] {
        let text = sign(r#"{"alg":"ES256","kid":"ec-1"}"#, claims);
        assert_eq!(check(&text), Err(Denial::TokenMalformed), "{claims}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let text = sign(r#"{"alg":"ES256","kid":"ec-1"}"#, &deep);
    assert_eq!(check(&text), Err(Denial::TokenMalformed));
    assert_eq!(check(&with("\"a\":[[[1,null,{}]]],\"sub2\":null")), Ok(()));
}

#[test]
fn the_caller_has_a_name() {
    // J61, J63
    each("sub", &["", "1", "null", "[]", "\"\"", "{}", "true"], Err(Denial::TokenMalformed));
    each("sub", &[&format!("\"{}\"", "a".repeat(257))], Err(Denial::TokenMalformed));
    each("sub", &[&format!("\"{}\"", "a".repeat(256)), "\"\u{e9}\"", "\"a,b\""], Ok(()));
    each("jti", &["1", "null", "[]"], Err(Denial::TokenMalformed));
    let by_client = rules(|issuer| issuer.subject = path("resource_access.orders.client"));
    let name = |claims: &str| {
        verdict(&by_client, &with(claims)).map(|token| Box::<str>::from(token.subject()))
    };
    let nested = r#""resource_access":{"orders":{"client":"mobile"}}"#;
    assert_eq!(name(nested).as_deref(), Ok("mobile"));
    assert_eq!(name("\"client\":\"mobile\""), Err(Denial::TokenMalformed));
    // A claim of the wrong type refuses even where another one names the caller.
    let client = r#""resource_access":{"orders":{"client":"mobile"}}"#;
    let text = token(&format!(
        "\"iss\":\"https://issuer.example\",\"aud\":\"orders-api\",\"sub\":1,\"exp\":1900000000,{client}"
    ));
    assert_eq!(verdict(&by_client, &text).err(), Some(Denial::TokenMalformed));
}

#[test]
fn the_type_is_as_configured() {
    // J25
    let typed = |types: &[&str], member: &str| {
        let rules =
            rules(|issuer| issuer.types = types.iter().map(|text| Box::from(*text)).collect());
        let header = format!("{{\"alg\":\"ES256\",\"kid\":\"ec-1\"{member}}}");
        verdict(&rules, &sign(&header, &format!("{{{CLAIMS},\"exp\":1900000000}}"))).err()
    };
    let (refused, malformed) = (Some(Denial::TokenType), Some(Denial::TokenMalformed));
    for member in [
        "",
        ",\"typ\":\"JWT\"",
        ",\"typ\":\"jwt\"",
        ",\"typ\":\"at+jwt\"",
        ",\"typ\":\"application/at+jwt\"",
    ] {
        assert_eq!(typed(&[], member), None, "{member}");
    }
    for member in [
        ",\"typ\":\"dpop+jwt\"",
        ",\"typ\":\"logout+jwt\"",
        ",\"typ\":\"\"",
        ",\"typ\":\"application/\"",
    ] {
        assert_eq!(typed(&[], member), refused, "{member}");
    }
    assert_eq!(typed(&[], ",\"typ\":1"), malformed);
    assert_eq!(typed(&["at+jwt"], ",\"typ\":\"application/at+jwt\""), None);
    assert_eq!(typed(&["at+jwt"], ""), refused);
    assert_eq!(typed(&["at+jwt"], ",\"typ\":\"JWT\""), refused);
}

#[test]
fn only_whole_words_are_scopes() {
    // J60
    let held = |value: &str| {
        let token = verdict(&rules(|_| {}), &with(&format!("\"scope\":{value}")));
        let token = token.unwrap_or_else(|denial| panic!("{denial:?} {value}"));
        (0..3).filter(|id| token.scopes.contains(ScopeId(*id))).collect::<Vec<_>>()
    };
    assert_eq!(held("\"orders:read admin\""), [0, 2]);
    assert_eq!(held("[\"orders:read\",\"admin\"]"), [0, 2]);
    for value in [
        "\"xorders:read\"",
        "\"orders:readx\"",
        "\"orders:read,admin\"",
        "\"Orders:Read\"",
        "\"orders:*\"",
        "\"*\"",
        "\"orders:read\\tadmin\"",
        "\"\"",
        "\" \"",
        "1",
        "null",
        "{\"orders:read\":true}",
        "[[\"orders:read\"]]",
        "[\"orders:read admin\"]",
        "true",
        "\"orders:read\\u0000\"",
        "\"orders:read\\n\"",
    ] {
        assert_eq!(held(value), [0; 0], "{value}");
    }
}

#[test]
fn roles_are_those_of_the_policy() {
    let roles = RoleClaim {
        path: path("realm_access.roles"),
        scopes: [("editor", [ScopeId(0), ScopeId(1)].into())].into_iter().collect(),
    };
    let rules = rules(|issuer| issuer.roles = Some(roles));
    let text =
        |claims: &str| verdict(&rules, &with(claims)).map(|token| token.scopes.text().to_owned());
    let nested = r#""realm_access":{"roles":["editor","boss"]},"scope":"admin""#;
    assert_eq!(text(nested).as_deref(), Ok("admin orders:read orders:write"));
    assert_eq!(text(r#""realm_access":{"roles":"editor"}"#).as_deref(), Ok(""));
    assert_eq!(text(r#""realm_access":{"roles":["Editor"]}"#).as_deref(), Ok(""));
}

#[test]
fn what_the_policy_revokes_is_refused() {
    // J63, J64, J39
    let mut revoked =
        Revoked { token_ids: [("bad", ())].into_iter().collect(), ..Revoked::default() };
    revoked.cut([path("sub")], "alpha", Cutoff::IssuedBefore(1_700_000_000));
    revoked.cut([path("sub")], "gone", Cutoff::Always);
    let rules_of = |revoked: &Revoked| rules(|issuer| issuer.revoked = revoked.clone());
    let some = rules_of(&revoked);
    let (ok, refused) = (None, Some(Denial::TokenRevoked));
    let of = |text: &str| verdict(&some, text).err();
    assert_eq!(of(&with("\"iat\":1700000000")), ok);
    assert_eq!(of(&with("\"iat\":1699999999")), refused);
    assert_eq!(of(&with("\"jti\":\"good\"")), refused, "no `iat`");
    assert_eq!(of(&with("\"iat\":1700000000,\"jti\":\"good\"")), ok);
    let bad = with("\"iat\":1700000000,\"jti\":\"bad\"");
    assert_eq!(of(&bad), refused);
    // The same token with n - s in place of s: a good signature, and as revoked as the first.
    let (signed, signature) = bad.rsplit_once('.').unwrap_or_default();
    let bytes = crate::authn::base64url::decode(signature.as_bytes()).unwrap_or_default();
    let first = p256::ecdsa::Signature::from_slice(&bytes);
    let first = first.unwrap_or_else(|error| panic!("{error}"));
    let (r, s) = first.split_scalars();
    let second = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes());
    let second = second.unwrap_or_else(|error| panic!("{error}"));
    let second = format!("{signed}.{}", encode(&second.to_bytes()));
    assert_ne!(second, bad);
    assert_eq!((check(&second), of(&second)), (Ok(()), refused));

    let by_key = Revoked { key_ids: [("ec-1", ())].into_iter().collect(), ..Revoked::default() };
    assert_eq!(verdict(&rules_of(&by_key), &with("\"iat\":1700000000")).err(), refused);
    let all = Revoked { all: Some(Cutoff::IssuedBefore(1_700_000_000)), ..Revoked::default() };
    assert_eq!(verdict(&rules_of(&all), &with("\"iat\":1700000000")).err(), ok);
    assert_eq!(verdict(&rules_of(&all), &with("\"iat\":1")).err(), refused);
    let all = Revoked { all: Some(Cutoff::Always), ..Revoked::default() };
    assert_eq!(verdict(&rules_of(&all), &with("\"iat\":1700000000")).err(), refused);
}

#[test]
fn cheap_checks_come_before_the_signature() {
    /// Fails the test when it is asked.
    struct Untouched;
    impl SignatureVerifier for Untouched {
        fn verify(&mut self, _: &crate::authn::signature::Check<'_>) -> bool {
            panic!("a signature was computed")
        }
    }
    let now = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
    for text in [
        token(&format!("{CLAIMS},\"exp\":1")),
        with("\"nbf\":1800001000"),
        with("\"aud2\":1").replacen('.', ".A", 1),
        sign(r#"{"alg":"RS256","kid":"ec-1"}"#, &format!("{{{CLAIMS},\"exp\":1900000000}}")),
        sign(r#"{"alg":"ES384","kid":"ec-1"}"#, &format!("{{{CLAIMS},\"exp\":1900000000}}")),
        sign(r#"{"alg":"ES256","kid":"no"}"#, &format!("{{{CLAIMS},\"exp\":1900000000}}")),
    ] {
        let rules = rules(|_| {});
        let verdict = judge_at(&rules, &text, &keyring(), now, &mut Untouched);
        assert!(!matches!(verdict, Verdict::Verified(_)), "{text}");
    }
}

#[test]
fn keys_that_are_not_there_are_asked_for() {
    // S01, S10: no keys yet, and a key id that the set does not have.
    let (rules, text) = (rules(|_| {}), with("\"a\":1"));
    let now = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);
    let verdict = judge_at(&rules, &text, &Keyring::default(), now, &mut PureVerifier);
    let Verdict::NeedsKeys(IssuerId(0), _, fault) = verdict else { panic!("{verdict:?}") };
    assert_eq!(fault.denial, Denial::KeysUnavailable);
    let rotated =
        sign(r#"{"alg":"ES256","kid":"ec-2"}"#, &format!("{{{CLAIMS},\"exp\":1900000000}}"));
    let Verdict::NeedsKeys(IssuerId(0), _, fault) = judge(&rules, &rotated) else { panic!() };
    assert_eq!(fault.denial, Denial::TokenKeyUnknown);
    // A token without a key id, or for another audience, asks for nothing.
    let unnamed = sign(r#"{"alg":"RS256"}"#, &format!("{{{CLAIMS},\"exp\":1900000000}}"));
    assert!(matches!(judge(&rules, &unnamed), Verdict::Refused(..)));
    let stranger = sign(
        r#"{"alg":"ES256","kid":"ec-2"}"#,
        r#"{"iss":"https://issuer.example","exp":1900000000}"#,
    );
    assert!(matches!(judge(&rules, &stranger), Verdict::Refused(..)));
}

#[test]
fn every_refusal_reads_the_same_to_the_caller() {
    // J73
    use crate::reason::Public;
    let tokens = Denial::all().filter(|denial| denial.code().starts_with("token_"));
    let public: Vec<Public> = tokens.map(Denial::public).collect();
    assert!(public.len() == 11 && public.iter().all(|public| *public == Public::Unauthenticated));
}
