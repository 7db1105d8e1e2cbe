//! A flood of bad tokens beside good ones that were seen before.

use portcullis_core::Algorithm;
use portcullis_mint::{TestKey, key_set};
use portcullis_tests::fake_host::{Meddle, Process, Request, Vm};
use portcullis_tests::token::keys::base64url;
use serde_json::{Value, json};

use crate::{NOW, SECOND, details, get};

const GOOD: usize = 50;
const BAD: usize = 10_000;

/// The filter tells what it remembers once in so long.
const GAUGES: u64 = 10 * SECOND;

const VERIFY: &str = "proxy_call_foreign_function";
const YES: &[u8] = &[8, 1];
const NO: &[u8] = b"\x12\x28Failed to verify digest. Error code: 0";

fn signer() -> TestKey {
    TestKey::generate(Algorithm::Es256, Some("known"), b"a flood of bad tokens")
}

/// A VM with the policy, whose Envoy verifies signatures: it is asked about known ones first.
fn worker(process: &Process) -> Vm {
    let policy = json!({
        "version": 1, "gateway": "bad",
        "issuers": [{"name": "corp", "issuer": "https://id.example.com", "audiences": ["orders"], "algorithms": ["ES256"],
                     "keys": {"jwks": key_set([&signer()])}}],
        "routes": [{"name": "orders", "paths": ["/orders/**"], "methods": ["GET"], "credentials": ["jwt"]}],
    });
    let known = include_str!("../../src/filter/native/known.json");
    let known: Value = serde_json::from_str(known).expect("JSON");
    let mut vm = Vm::new(process);
    for _ in known["tokens"].as_array().expect("tokens") {
        vm.meddle(VERIFY, 0, 1, Meddle::HandOver(YES.to_vec()));
        vm.meddle(VERIFY, 0, 1, Meddle::HandOver(NO.to_vec()));
    }
    let configured = vm.configure(policy.to_string());
    assert!(configured.accepted, "{configured:?}");
    vm.behave();
    vm
}

/// All that are made are of the same length.
fn claims(name: &str, number: usize) -> Value {
    let now = NOW / SECOND;
    json!({
        "iss": "https://id.example.com", "aud": "orders", "sub": "alice", "iat": now, "exp": now + 300,
        "jti": format!("{name}-{number:06}"),
    })
}

/// A token with the signature of a good one, whose place among those that are remembered is therefore its
/// place, too.
fn forged(key_id: &str, number: usize, good: &str) -> String {
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": key_id}).to_string();
    let claims = claims("evil", number).to_string();
    let (_, signature) = good.rsplit_once('.').expect("a signature");
    format!("{}.{}.{signature}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
}

fn bearer(token: &str) -> Request {
    get("/orders/1").with("authorization", format!("Bearer {token}"))
}

/// J72: bad tokens are not remembered, and push no good one out.
#[test]
fn bad_tokens_push_no_good_one_out() {
    let process = Process::at(NOW);
    let mut vm = worker(&process);
    let good: Vec<_> = (0..GOOD).map(|number| signer().token(&claims("good", number))).collect();
    // The status, the reason, and how often a signature was verified.
    let ask = |vm: &mut Vm, token: &str| {
        let outcome = vm.request(&bearer(token));
        let verified = outcome.calls.iter().filter(|call| **call == VERIFY).count();
        (outcome.status(), details(&outcome).to_owned(), verified)
    };
    let count = |vm: &mut Vm| {
        process.advance(GAUGES);
        vm.tick(vm.root());
        let lookups = |result: &str| {
            process
                .metric(&format!("portcullis.token_lookups.gateway=.=bad;.;result=.={result};.;"))
        };
        let remembered = process.metric("portcullis.tokens_remembered.gateway=.=bad;.;");
        [remembered, lookups("hit"), lookups("miss")]
            .map(|number| usize::try_from(number).expect("a count"))
    };

    vm.meddle(VERIFY, 0, usize::MAX, Meddle::HandOver(YES.to_vec()));
    for token in &good {
        assert_eq!(ask(&mut vm, token), (200, String::new(), 1));
    }
    assert_eq!(count(&mut vm), [GOOD, 0, GOOD]);

    // From here on Envoy refuses every signature: who is let in was seen before.
    vm.behave();
    vm.meddle(VERIFY, 0, usize::MAX, Meddle::HandOver(NO.to_vec()));
    for number in 0..BAD {
        let of = &good[number % GOOD];
        let token = forged("known", number, of);
        assert_eq!(token.len(), of.len());
        assert_eq!(ask(&mut vm, &token), (401, "token_signature".to_owned(), 1));
        let token = forged(&format!("{number:05}"), number, of);
        assert_eq!(token.len(), of.len());
        assert_eq!(ask(&mut vm, &token), (401, "token_key_unknown".to_owned(), 0));
    }
    assert_eq!(count(&mut vm), [GOOD, 0, GOOD + 2 * BAD]);
    for token in &good {
        assert_eq!(ask(&mut vm, token), (200, String::new(), 0));
    }
    assert_eq!(count(&mut vm), [GOOD, GOOD, GOOD + 2 * BAD]);
}
