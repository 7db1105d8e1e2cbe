//! An Envoy that does not have `verify_signature`, does it wrong, or stops doing it right.

use portcullis_core::{Algorithm, Jws, KeySet};
use serde_json::{Value, json};

use super::stand_in::{NO, YES, proven, signed};
use crate::abi::{self, HostFault};
use crate::filter::native::Native;

/// Questions that prove an Envoy right: good and changed, for three hashes of RSA and two curves.
const PROOF: usize = 10;
/// What the verifier says it is then.
const ALL: &str = "signatures are verified by Envoy for RS256, RS384, RS512, ES256, ES384";

/// What a verifier says to a good and to a changed token of each algorithm.
fn verdicts(native: &mut Native) -> Vec<(Algorithm, bool, bool)> {
    let verdict = |case: &Value| {
        let keys = json!({ "keys": [case["jwk"]] }).to_string();
        let keys = KeySet::read(keys.as_bytes(), &Algorithm::ALL).unwrap();
        let mut jws = Jws::parse(case["token"].as_str().unwrap().as_bytes(), 8_192).unwrap();
        let good = keys.verify(&jws, native).is_ok();
        jws.signature[40] ^= 4;
        (jws.algorithm, good, keys.verify(&jws, native).is_ok())
    };
    signed().iter().map(verdict).collect()
}

/// Every verdict is right, as the pure verifier's are.
fn assert_right(native: &mut Native) {
    let verdicts = verdicts(native);
    assert_eq!(verdicts.len(), 9);
    assert!(verdicts.iter().all(|(_, good, changed)| *good && !changed), "{verdicts:?}");
}

#[test]
fn an_envoy_that_is_right_is_asked() {
    let (mut native, calls) = proven(|_, truth| Ok(truth.to_vec()));
    assert_eq!((native.to_string().as_str(), calls.get()), (ALL, PROOF));
    assert_right(&mut native);
    assert_eq!(calls.get(), PROOF + 2 * 5);
}

#[test]
fn an_envoy_without_the_function_is_asked_once_a_family() {
    let (mut native, calls) = proven(|_, _| Err(HostFault));
    assert_eq!(native.to_string(), "all signatures are verified in the filter");
    assert_right(&mut native);
    assert_eq!(calls.get(), 3);
}

#[test]
fn an_envoy_that_always_says_the_same_is_not_believed() {
    for same in [YES, NO, b"", b"\x08", b"\x08\x00", b"\x08\x01\x00", b"\x08\x81\x00"] {
        let (mut native, calls) = proven(|_, _| Ok(same.to_vec()));
        let asked = calls.get();
        assert_right(&mut native);
        assert_eq!(calls.get(), asked, "{same:?}");
    }
}

#[test]
fn one_wrong_answer_ends_trust_in_a_family_only() {
    for wrong in 1..=PROOF {
        let lie = |truth| if truth == YES { NO } else { YES };
        let (mut native, _) =
            proven(move |call, truth| Ok(if call == wrong { lie(truth) } else { truth }.to_vec()));
        let lost = match wrong {
            1..=6 => "RS256, RS384, RS512, ",
            7 | 8 => "ES256, ",
            _ => ", ES384",
        };
        let names = native.to_string();
        assert_eq!(names, ALL.replace(lost, ""), "{wrong}");
        assert_right(&mut native);
        // The pure verifier has taken the family over: a yes to everything changes nothing there.
        abi::host(|_| Ok(YES.to_vec()));
        for (algorithm, good, changed) in verdicts(&mut native) {
            let is_native = names.contains(algorithm.name());
            assert_eq!((good, changed), (true, is_native), "{wrong} {algorithm:?}");
        }
    }
}

#[test]
fn a_no_in_changing_words_is_none() {
    let (mut native, _) = proven(|call, truth| {
        Ok(if truth == YES { truth.to_vec() } else { format!("no, {call}").into_bytes() })
    });
    // A curve has one token, so its no cannot change while it is proven; the next one is not known.
    assert_eq!(native.to_string(), ALL.replace("RS256, RS384, RS512, ", ""));
    assert_right(&mut native);
}

#[test]
fn a_call_that_fails_later_is_answered_in_rust() {
    let (mut native, calls) =
        proven(|call, truth| if call > PROOF { Err(HostFault) } else { Ok(truth.to_vec()) });
    assert_right(&mut native);
    assert_eq!(calls.get(), PROOF + 2 * 5);
}

#[test]
fn only_the_bytes_that_said_yes_say_yes() {
    let odd: [&[u8]; 9] = [
        b"",
        b"\x08",
        b"\x08\x00",
        b"\x08\x02",
        b"\x08\x01\x00",
        b"\x08\x81\x00",
        b"\x10\x01",
        b"\x08\x01\x12\x01x",
        b"\x12\x02no",
    ];
    for answer in odd {
        let (mut native, calls) =
            proven(move |call, truth| Ok(if call > PROOF { answer } else { truth }.to_vec()));
        assert_right(&mut native);
        assert_eq!(calls.get(), PROOF + 2 * 5);
    }
}
