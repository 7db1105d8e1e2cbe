//! What must hold for every token.

use portcullis_core::{
    Decision, Denial, Effects, MemoryStore, Policy, PureVerifier, Request, Tokens,
};
use portcullis_tests::case::policy_named;
use portcullis_tests::policy::tokens;
use portcullis_tests::template::FIXED_NOW;
use portcullis_tests::token::{claims, keys, mint};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Notes, compile};

/// Compiled once a thread: reading its keys takes longer than any request.
fn policy() -> &'static Policy {
    thread_local! {
        static POLICY: &'static Policy =
            Box::leak(Box::new(compile(&policy_named(&json!("tokens")))));
    }
    POLICY.with(|policy| *policy)
}

fn token(recipe: &Value) -> String {
    mint(recipe, &Map::new(), FIXED_NOW)
}

/// Decides a GET with this value of `Authorization`, and gives every text that the decision leaves.
fn decide(policy: &Policy, tokens: &mut Tokens<PureVerifier>, value: &[u8]) -> Seen {
    let headers = [
        (&b":method"[..], &b"GET"[..]),
        (b":path", b"/orders/1"),
        (b":authority", b"api.example.com"),
        (b"x-forwarded-for", b"198.51.100.7, 10.0.0.1"),
        (b"authorization", value),
    ];
    let request =
        Request { headers: &headers, source_address: Some(b"10.0.0.1:1"), route_name: None };
    let mut notes = Notes::default();
    let buckets = &mut MemoryStore::default();
    let decision = policy.decide_now(&request, FIXED_NOW, buckets, tokens, &mut notes);
    seen(&decision, notes.0)
}

/// What can be seen of a decision.
struct Seen {
    denial: Option<Denial>,
    audit: Value,
    texts: Vec<String>,
}

fn seen(decision: &Decision<'_, '_>, mut texts: Vec<String>) -> Seen {
    let mut audit = Vec::new();
    decision.write_audit(&mut audit);
    assert!(audit.iter().all(|byte| (b' '..=b'~').contains(byte)));
    let effects = decision.effects();
    if let Effects::Reply(reply) = &effects {
        assert!((400..=503).contains(&reply.status));
    }
    texts.push(String::from_utf8(audit.clone()).unwrap());
    texts.push(format!("{effects:?}"));
    let audit = serde_json::from_slice(&audit).unwrap();
    Seen { denial: decision.verdict().err(), audit, texts }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (1_799_999_000_i64..1_800_001_000).prop_map(Value::from),
        // Two opening braces would begin a template of the case language.
        "[^{]{0,24}".prop_map(Value::from),
        prop::sample::select(vec!["orders-api", "orders:read", "https://issuer.example", "batch"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// J29, J43: one byte of a token that is another one makes it none, also where the good token is known.
    #[test]
    fn no_byte_of_a_token_can_change(
        key in prop::sample::select(vec!["ec-1", "ed-1", "rsa-1"]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let policy = policy();
        let good = format!("Bearer {}", token(&json!({"key": key})));
        let mut known = tokens(policy);
        prop_assert_eq!(decide(policy, &mut known, good.as_bytes()).denial, None);
        let mut other = good.clone().into_bytes();
        let at = "Bearer ".len() + at.index(other.len() - "Bearer ".len());
        prop_assume!(other[at] != byte);
        other[at] = byte;
        let seen = decide(policy, &mut known, &other);
        prop_assert!(seen.denial.is_some_and(|denial| denial.code().starts_with("token_")), "{:?}", seen.denial);
        prop_assert!(seen.audit.get("subject").is_none() && seen.audit.get("consumer").is_none());
    }

    /// J24, J38: nor can one be missing or come twice.
    #[test]
    fn no_byte_of_a_token_can_go_or_come(at in any::<prop::sample::Index>(), byte in prop::option::of(any::<u8>())) {
        let policy = policy();
        let mut other = token(&json!({})).into_bytes();
        let at = at.index(other.len());
        match byte {
            Some(byte) => other.insert(at, byte),
            None => drop(other.remove(at)),
        }
        // A space in front changes nothing: the scheme may have several behind it.
        prop_assume!(!(at == 0 && byte == Some(b' ')));
        let value = [b"Bearer ", &other[..]].concat();
        let denial = decide(policy, &mut tokens(policy), &value).denial;
        prop_assert!(denial.is_some_and(|denial| denial.code().starts_with("token_")), "{denial:?}");
    }

    /// J03, J32, J48, J56, J61: whatever a claim or a member of the header is, a signed token is taken or
    /// refused for a reason, and one that is taken names its caller.
    #[test]
    fn no_value_of_a_claim_is_a_surprise(
        claim in prop::sample::select(vec!["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "scope", "azp"]),
        member in prop::sample::select(vec!["alg", "kid", "typ", "cty", "crit", "x5t", "x"]),
        in_header in any::<bool>(),
        value in json_value(),
    ) {
        let policy = policy();
        let recipe = if in_header {
            json!({"header": {member: format!("json:{value}")}})
        } else {
            json!({"claims": {claim: format!("json:{value}")}})
        };
        let text = token(&recipe);
        let seen = decide(policy, &mut tokens(policy), format!("Bearer {text}").as_bytes());
        match seen.denial {
            None => {
                prop_assert!(seen.audit["subject"].as_str().is_some_and(|subject| !subject.is_empty()));
                if !in_header {
                    let typed = match claim {
                        "iss" | "sub" | "jti" => value.is_string(),
                        "exp" | "nbf" | "iat" => value.is_number(),
                        "aud" | "scope" => value.is_string() || value.is_array(),
                        _ => true,
                    };
                    prop_assert!(typed, "{claim} is {value}");
                }
            }
            Some(denial) => {
                let code = denial.code();
                let known = code.starts_with("token_") || code == "scope_missing";
                prop_assert!(known, "{code}: {claim}, {member} and {value}");
            }
        }
    }

    /// J32: bytes that are signed and are no claims.
    #[test]
    fn no_signed_bytes_are_a_surprise(
        bytes in prop::collection::vec(any::<u8>(), 1..64),
        cut in any::<prop::sample::Index>(),
        splice in any::<bool>(),
    ) {
        let policy = policy();
        let mut payload = bytes;
        if splice {
            let good = claims(FIXED_NOW).to_string().into_bytes();
            let at = cut.index(good.len());
            payload = [&good[..at], &payload, &good[at..]].concat();
        }
        let key = keys::signer("ec-1");
        let text = key.sign_raw(&key.header().to_string(), &payload);
        let seen = decide(policy, &mut tokens(policy), format!("Bearer {text}").as_bytes());
        let code = seen.denial.map_or("", Denial::code);
        prop_assert!(["", "scope_missing", "consumer_ambiguous"].contains(&code) || code.starts_with("token_"), "{code}");
        if !splice {
            prop_assert!(seen.denial.is_some());
        }
    }

    /// J73: nothing that a decision leaves behind holds a part of the token.
    #[test]
    fn no_text_holds_a_token(
        recipe in prop::sample::select(vec![
            json!({}), json!({"signature": {"flip": 3}}), json!({"claims": {"exp": 1}}),
            json!({"claims": {"aud": "x"}}), json!({"header": {"alg": "none"}}), json!({"claims": {"sub": "closed"}}),
            json!({"header": {"kid": "x"}}), json!({"header": {"crit": []}}), json!({"claims": {"scope": ""}}),
        ]),
        scheme in prop::sample::select(vec!["Bearer ", "bearer  ", "Bearer\t", "Basic x, Bearer ", " Bearer "]),
    ) {
        let policy = policy();
        let text = token(&recipe);
        let seen = decide(policy, &mut tokens(policy), format!("{scheme}{text}").as_bytes());
        for part in text.split('.').filter(|part| part.len() > 24) {
            prop_assert!(seen.texts.iter().all(|line| !line.contains(part)));
        }
    }
}

/// A property of refusals also holds for a policy that refuses everything; this one does not.
#[test]
fn a_good_token_is_taken() {
    let (policy, value) = (policy(), format!("Bearer {}", token(&json!({}))));
    let seen = decide(policy, &mut tokens(policy), value.as_bytes());
    assert_eq!((seen.denial, seen.audit["subject"].as_str()), (None, Some("alice")));
}
