//! Tokens on their way through the walk: what pauses, what goes on, what is remembered.

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;

use super::{policy, tokens};
use crate::authn::base64url::encode;
use crate::authn::jwks::KeySet;
use crate::authn::signature::PureVerifier;
use crate::authn::tokens::Tokens;
use crate::decide::{Answer, Question, Step};
use crate::decision::{Decision, Outcome};
use crate::effects::Effects;
use crate::limit::MemoryStore;
use crate::policy::Policy;
use crate::reason::Denial;
use crate::request::Request;
use crate::time::{SECOND, Timestamp};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000 * SECOND);

fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap_or_else(|error| panic!("{error}"))
}

/// A set of one key for ES256 with this id.
fn set(byte: u8, id: &str) -> String {
    let point = key(byte).verifying_key().to_sec1_point(false);
    let (x, y) = (encode(&point.as_bytes()[1..33]), encode(&point.as_bytes()[33..]));
    format!(
        "{{\"keys\":[{{\"kid\":\"{id}\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"}}]}}"
    )
}

fn token(byte: u8, id: &str, claims: &str) -> String {
    let header = format!("{{\"alg\":\"ES256\",\"kid\":\"{id}\"}}");
    let claims =
        format!("{{\"iss\":\"https://id.example\",\"aud\":\"a\",\"exp\":1800000600,{claims}}}");
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature: p256::ecdsa::Signature = key(byte).sign(signed.as_bytes());
    format!("Bearer {signed}.{}", encode(&signature.to_bytes()))
}

/// A policy with one issuer and these keys of it.
fn with_keys(keys: &str) -> Policy {
    policy(&format!(
        "'issuers': [{{'name': 'corp', 'issuer': 'https://id.example', 'audiences': ['a'],
            'algorithms': ['ES256'], 'keys': {{{keys}}}}}],
         'roles': {{'reader': ['read']}},
         'limits': {{'address': {{'key': ['address'], 'rate': '2/h'}}}},
         'consumers': [{{'name': 'alpha', 'roles': ['reader'],
            'tokens': [{{'issuer': 'corp', 'value': 'a1'}}]}}],
         'routes': [{{'name': 'r', 'paths': ['/x'], 'methods': ['GET'], 'credentials': ['jwt'],
            'scopes': {{'all_of': ['read']}}, 'limits': ['address']}},
            {{'name': 'p', 'paths': ['/p'], 'methods': ['GET'], 'access': 'public'}}]"
    ))
}

fn remote() -> Policy {
    with_keys("'cluster': 'idp', 'path': '/keys'")
}

fn lines(path: &'static str, token: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lines =
        [(":method", "GET"), (":authority", "h"), (":path", path), ("authorization", token)];
    lines.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).to_vec()
}

fn ask<'p, 'r>(
    policy: &'p Policy,
    lines: &'r [(&'r [u8], &'r [u8])],
    buckets: &mut MemoryStore,
    tokens: &mut Tokens<PureVerifier>,
) -> Step<'p, 'r> {
    policy.decide(&request(lines), NOW, buckets, tokens, &mut ())
}

fn request<'r>(headers: &'r [(&'r [u8], &'r [u8])]) -> Request<'r> {
    Request { headers, source_address: Some(b"192.0.2.1:4711"), route_name: None }
}

fn borrowed(lines: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
    lines.iter().map(|(name, value)| (&**name, &**value)).collect()
}

fn remaining(decision: &Decision<'_, '_>) -> String {
    match decision.effects() {
        Effects::Forward(forward) => {
            let found = forward.response.iter().find(|(name, _)| *name == b"ratelimit");
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        }
        Effects::Reply(_) => String::new(),
    }
}

#[test]
fn a_walk_pauses_for_keys_and_spends_its_address_once() {
    // S01
    let policy = remote();
    let mut tokens = tokens(&policy);
    let mut buckets = MemoryStore::default();
    let lines = lines("/x", &token(7, "k1", "\"sub\":\"a1\",\"scope\":\"read write\""));
    let lines = borrowed(&lines);
    let Step::Ask(pause) = ask(&policy, &lines, &mut buckets, &mut tokens) else { panic!() };
    let Question::Keys { issuer, key_id } = pause.question() else { panic!() };
    assert_eq!((issuer.position(), key_id.as_deref()), (0, Some("k1")));
    let keys = KeySet::read(set(7, "k1").as_bytes(), policy.issuers()[0].algorithms());
    let keys = keys.unwrap_or_else(|fault| panic!("{fault:?}"));
    tokens.put_keys(&policy.issuers()[0], keys.into(), NOW.saturating_add(SECOND));
    let request = request(&lines);
    let step =
        policy.resume(&pause, Answer::Current, &request, NOW, &mut buckets, &mut tokens, &mut ());
    let Step::Done(decision) = step else { panic!() };
    assert_eq!(decision.outcome(), Outcome::Allowed);
    let principal = decision.principal().map(|principal| principal.name().to_owned());
    assert_eq!(principal.as_deref(), Some("alpha"));
    assert_eq!(decision.principal().map(|principal| principal.scopes().text()), Some("read"));
    assert!(remaining(&decision).starts_with("\"address\";r=1;"), "{}", remaining(&decision));
    // The keys are too old: what was remembered is not used any more.
    let later = NOW.saturating_add(SECOND);
    let step = policy.decide(&request, later, &mut buckets, &mut tokens, &mut ());
    let Step::Ask(pause) = step else { panic!("{step:?}") };
    let step =
        policy.resume(&pause, Answer::Current, &request, later, &mut buckets, &mut tokens, &mut ());
    let Step::Done(decision) = step else { panic!() };
    assert_eq!(decision.verdict(), Err(Denial::KeysUnavailable));
    // Both tokens of the address are spent by now: it is refused before its credential is read.
    let decision = policy.decide_now(&request, later, &mut buckets, &mut tokens, &mut ());
    assert_eq!(decision.verdict(), Err(Denial::RateLimited));
}

#[test]
fn an_unknown_key_is_asked_for_and_then_refused() {
    // J14, S10
    let policy = remote();
    let mut tokens = tokens(&policy);
    let keys = KeySet::read(set(7, "k1").as_bytes(), policy.issuers()[0].algorithms());
    let keys = keys.unwrap_or_else(|fault| panic!("{fault:?}"));
    tokens.put_keys(&policy.issuers()[0], keys.into(), Timestamp::LAST);
    let lines = lines("/p", &token(7, "k2", "\"sub\":\"a1\""));
    let lines = borrowed(&lines);
    let Step::Ask(pause) = ask(&policy, &lines, &mut MemoryStore::default(), &mut tokens) else {
        panic!()
    };
    for (answer, denial) in
        [(Answer::Current, Denial::TokenKeyUnknown), (Answer::Unavailable, Denial::KeysUnavailable)]
    {
        let mut buckets = MemoryStore::default();
        let request = request(&lines);
        let step = policy.resume(&pause, answer, &request, NOW, &mut buckets, &mut tokens, &mut ());
        let Step::Done(decision) = step else { panic!() };
        assert_eq!(decision.verdict(), Err(denial));
    }
}

#[test]
fn keys_in_the_policy_are_never_asked_for() {
    let text = set(7, "k1").replace('"', "\\'");
    let policy = with_keys(&format!("'jwks': '{text}'"));
    let mut tokens = tokens(&policy);
    for (id, expected) in [("k1", Ok(())), ("k2", Err(Denial::TokenKeyUnknown)), ("k1", Ok(()))] {
        let lines = lines("/p", &token(7, id, "\"sub\":\"b\\r\\nx\""));
        let lines = borrowed(&lines);
        let step = ask(&policy, &lines, &mut MemoryStore::default(), &mut tokens);
        let Step::Done(decision) = step else { panic!() };
        assert_eq!(decision.verdict().map(|_| ()), expected, "{id}");
        if let Effects::Forward(forward) = decision.effects() {
            let name = forward.set.iter().find(|(name, _)| *name == "x-portcullis-consumer");
            assert_eq!(name.map(|(_, value)| &**value), Some(&b"corp:b%0D%0Ax"[..]));
            assert!(forward.remove.iter().any(|name| *name == b"authorization"));
        }
    }
    // J72: the same text was found the second time, the unknown key was not remembered.
    assert_eq!((tokens.cache().counts(), tokens.cache().len()), ((1, 2), 1));
}
