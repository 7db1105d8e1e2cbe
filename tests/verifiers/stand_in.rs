//! A stand-in for Envoy's `verify_signature` that tells right from wrong for the keys it knows, and
//! meddles with its answers as a test says.

use std::cell::Cell;
use std::rc::Rc;

use portcullis_core::{Algorithm, Check, KeyKind, KeySet, PureVerifier, SignatureVerifier as _};
use serde_json::{Value, json};

use crate::abi::{self, HostFault, Inbox};
use crate::filter::native::Native;

/// `VerifySignatureResult { result: true }`.
pub(crate) const YES: &[u8] = &[8, 1];
/// Envoy 1.40's answer to a wrong signature.
pub(crate) const NO: &[u8] = b"\x12\x28Failed to verify digest. Error code: 0";

/// What the filter asks about first.
const KNOWN: &str = include_str!("../../src/filter/native/known.json");
/// One token for each algorithm with its key, made once with an implementation that is not ours.
const SIGNED: &str = include_str!("../../src/core/authn/signature/signed.json");

/// Tokens by every kind of public key, with their keys.
pub(crate) fn signed() -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(SIGNED).unwrap();
    cases.into_iter().filter(|case| case["jwk"]["kty"] != "oct").collect()
}

/// Counts questions.
pub(crate) type Calls = Rc<Cell<usize>>;

/// A verifier that was proven against an Envoy which answers the truth, as the closure has it: it is
/// told the number of the question, from 1, and the true answer. And how many questions there were.
pub(crate) fn proven(
    meddle: impl Fn(usize, &'static [u8]) -> Result<Vec<u8>, HostFault> + 'static,
) -> (Native, Calls) {
    let calls = Calls::default();
    let (count, keys) = (Rc::clone(&calls), keys());
    abi::host(move |arguments| {
        count.set(count.get() + 1);
        meddle(count.get(), if is_right(&keys, arguments) { YES } else { NO })
    });
    (Native::probe(&Inbox::open()), calls)
}

/// Every key that the stand-in knows.
fn keys() -> Vec<KeySet> {
    let known: Value = serde_json::from_str(KNOWN).unwrap();
    let mut keys: Vec<Value> = known["keys"].as_array().unwrap().clone();
    keys.extend(signed().into_iter().map(|case| case["jwk"].clone()));
    let set = |key| json!({ "keys": [key] }).to_string();
    keys.iter().map(|key| KeySet::read(set(key).as_bytes(), &Algorithm::ALL).unwrap()).collect()
}

/// The truth about a question.
fn is_right(keys: &[KeySet], arguments: &[u8]) -> bool {
    let [hash, spki, signature, text] = &fields(arguments)[..] else { panic!("{arguments:?}") };
    keys.iter().map(|set| set.keys()[0].public()).any(|key| {
        let (algorithm, signature) = match (key.kind(), &hash[..]) {
            (KeyKind::Rsa, b"sha256") => (Algorithm::Rs256, Some(signature.clone())),
            (KeyKind::Rsa, b"sha384") => (Algorithm::Rs384, Some(signature.clone())),
            (KeyKind::Rsa, b"sha512") => (Algorithm::Rs512, Some(signature.clone())),
            (KeyKind::P256, b"sha256") => (Algorithm::Es256, halves(signature, 32)),
            (KeyKind::P384, b"sha384") => (Algorithm::Es384, halves(signature, 48)),
            _ => return false,
        };
        signature.is_some_and(|signature| {
            Check::new(algorithm, key, text, &signature)
                .is_some_and(|check| check.spki() == *spki && PureVerifier.verify(&check))
        })
    })
}

/// The four fields of a question in their order, read as protobuf has them.
fn fields(mut arguments: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    for tag in [0x0a, 0x12, 0x1a, 0x22] {
        assert_eq!(arguments[0], tag);
        let digits = arguments[1..].iter().take_while(|digit| **digit >= 0x80).count() + 1;
        let (head, rest) = arguments.split_at(1 + digits);
        let digits = head[1..].iter().rev();
        let length = digits.fold(0, |length, digit| length << 7 | usize::from(digit & 0x7f));
        let (field, rest) = rest.split_at(length);
        fields.push(field.to_vec());
        arguments = rest;
    }
    assert_eq!(arguments, b"");
    fields
}

/// The numbers of a DER signature, each made that long; `None` for any that is not in its one form.
fn halves(der: &[u8], length: usize) -> Option<Vec<u8>> {
    let [0x30, size, rest @ ..] = der else { return None };
    let [2, r_size, rest @ ..] = rest else { return None };
    let (r, rest) = rest.split_at_checked(usize::from(*r_size))?;
    let [2, s_size, s @ ..] = rest else { return None };
    let sizes = usize::from(*size) + 2 == der.len() && usize::from(*s_size) == s.len();
    let halves: Option<Vec<_>> = [r, s].map(|digits| padded(digits, length)).into_iter().collect();
    sizes.then_some(halves?.concat())
}

fn padded(digits: &[u8], length: usize) -> Option<Vec<u8>> {
    let digits = match digits {
        [0, rest @ ..] if rest.first().is_some_and(|digit| *digit >= 0x80) => rest,
        [1..0x80, ..] => digits,
        _ => return None,
    };
    Some([vec![0; length.checked_sub(digits.len())?], digits.to_vec()].concat())
}
