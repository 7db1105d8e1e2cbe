//! Bit by bit and length by length: nothing near a signature is taken for it.

use portcullis_core::Algorithm;
use portcullis_tests::probe;
use serde_json::{Value, json};

/// One token for each algorithm with its key, made once with an implementation that is not ours.
const SIGNED: &str = include_str!("../../src/core/authn/signature/signed.json");

/// J43: every bit and every length of a signature matters, to both verifiers, for every algorithm.
#[test]
fn every_change_of_a_signature_is_refused_by_both() {
    let signed: Vec<Value> = serde_json::from_str(SIGNED).unwrap();
    assert_eq!(signed.len(), Algorithm::ALL.len());
    let groups: Vec<Value> = Algorithm::ALL.iter().zip(&signed).map(group).collect();
    let all = probe::letters(&groups);
    for algorithm in Algorithm::ALL {
        let letters = &all[algorithm.name()];
        let length = signature_length(algorithm);
        // As it is; each bit; cut at either end to each length; a byte too many at either end.
        assert_eq!(letters.len(), 1 + 8 * length + 2 * length + 2, "{algorithm:?}");
        let (first, changed) = letters.split_at(1);
        let is_native = probe::NATIVE.contains(algorithm.name());
        assert_eq!(first, if is_native { "A" } else { "+" }, "{algorithm:?}");
        assert_eq!(changed.trim_matches(['R', '-']), "", "{algorithm:?}: {letters}");
        // Envoy is asked about all but the few changes that make a number too great.
        let asked = changed.matches('R').count();
        let bits = 8 * length;
        assert!(if is_native { bits - 64 < asked && asked <= bits } else { asked == 0 }, "{asked}");
    }
}

fn group((algorithm, case): (&Algorithm, &Value)) -> Value {
    let (name, key, token) = (algorithm.name(), &case["jwk"], &case["token"]);
    if key["kty"] == "oct" {
        json!({"name": name, "algorithm": name, "secret": key["k"], "changed": token})
    } else {
        let keys = json!({ "keys": [key] }).to_string();
        json!({"name": name, "keys": keys, "changed": token})
    }
}

/// The keys of RSA in that file have 2048 bits.
const fn signature_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Es256 | Algorithm::EdDsa => 64,
        Algorithm::Es384 => 96,
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => algorithm.hash().length(),
        _ => 256,
    }
}
