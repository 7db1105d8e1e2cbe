use super::*;
use crate::authn::signature::{PureVerifier, Unusable};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

const ALL: &[Algorithm] = &Algorithm::ALL;

/// The members of the key that signed the token of an algorithm, and the token.
fn signed(algorithm: Algorithm) -> (String, String) {
    let alg = format!("\"alg\":\"{}\"}}", algorithm.name());
    let line = include_str!("../signature/signed.json").lines().find(|line| line.contains(&alg));
    let parts = line.and_then(|line| line.strip_prefix("{\"jwk\":{")?.split_once("},\"token\":\""));
    let (members, token) = parts.unwrap_or_else(|| panic!("{algorithm:?}"));
    (members.to_owned(), token.trim_end_matches(&['"', '}', ','][..]).to_owned())
}

fn set(keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|members| format!("{{{members}}}")).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// Why the only key of a set is not used.
fn fault(members: &str) -> Option<KeyFault> {
    match KeySet::read(set(&[members]).as_bytes(), ALL) {
        Ok(_) => None,
        Err(SetFault::NoUsableKey(findings)) => findings.first().map(|finding| finding.fault),
        Err(other) => panic!("{other:?} {members}"),
    }
}

/// Whether a token is one by a set, as it is decided for a request.
fn verify(set: &str, allowed: &[Algorithm], token: &str) -> Result<(), Denial> {
    let keys = KeySet::read(set.as_bytes(), allowed).unwrap_or_else(|fault| panic!("{fault:?}"));
    let jws = Jws::parse(token.as_bytes(), 8_192).map_err(|fault| fault.denial)?;
    keys.verify(&jws, &mut PureVerifier).map(|_| ()).map_err(|fault| fault.denial)
}

#[test]
fn a_set_is_one_strict_object() {
    // S03, S05
    let read = |text: &str| KeySet::read(text.as_bytes(), ALL).err();
    for text in [
        "",
        "<html>",
        "{",
        "[]",
        "{}",
        "{\"keys\":123}",
        "{\"keys\":{}}",
        "{\"keys\":null}",
        "{\"keys\":[],\"keys\":[]}",
        "{\"keys\":[{\"kid\":\"a\",\"kid\":\"b\"}]}",
        "{\"keys\":[]} x",
        "{\"keys\":[],}",
    ] {
        assert_eq!(read(text), Some(SetFault::NotASet), "{text}");
    }
    let deep = format!("{{\"keys\":{}}}", "[".repeat(100_000));
    assert_eq!(read(&deep), Some(SetFault::NotASet));
    assert_eq!(read("{\"keys\":[]}"), Some(SetFault::NoUsableKey([].into())));
    assert_eq!(
        read(&format!("{{\"keys\":[{}1]}}", "1,".repeat(MAX_KEYS))),
        Some(SetFault::TooManyKeys)
    );
    assert_eq!(read(&" ".repeat(10 << 20)), Some(SetFault::TooLong));
    let (key, _) = signed(Algorithm::Es256);
    let long = key.replace("\"kid\":\"k\"", &format!("\"kid\":\"{}\"", "k".repeat(200_000)));
    assert_eq!(fault(&long), Some(KeyFault::KeyId));
}

#[test]
fn keys_that_must_not_be_used_are_not() {
    // S08, S09
    let rsa = signed(Algorithm::Rs256).0;
    let ec = signed(Algorithm::Es256).0;
    let ed = signed(Algorithm::EdDsa).0;
    for key in [&rsa, &ec, &ed] {
        assert_eq!(fault(key), None);
        for private in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let leaked = format!("{key},\"{private}\":\"AQAB\"");
            assert_eq!(fault(&leaked), Some(KeyFault::Private));
        }
        assert_eq!(fault(&format!("{key},\"use\":\"sig\",\"key_ops\":[\"verify\"]")), None);
        assert_eq!(fault(&format!("{key},\"use\":\"enc\"")), Some(KeyFault::Use));
        assert_eq!(fault(&format!("{key},\"use\":1")), Some(KeyFault::Member("use")));
        for operations in ["[\"encrypt\"]", "[]", "[\"sign\"]", "[\"verify\",\"encrypt\"]", "[1]"] {
            let other = format!("{key},\"key_ops\":{operations}");
            assert_eq!(fault(&other), Some(KeyFault::KeyOps), "{other}");
        }
        assert_eq!(
            fault(&format!("{key},\"key_ops\":\"verify\"")),
            Some(KeyFault::Member("key_ops"))
        );
        for id in ["1", "null", "\"\"", "[]"] {
            let other = key.replace("\"kid\":\"k\"", &format!("\"kid\":{id}"));
            assert_eq!(fault(&other), Some(KeyFault::KeyId), "{other}");
        }
    }
    assert_eq!(
        fault("\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\""),
        Some(KeyFault::Symmetric)
    );
    assert_eq!(fault("\"kid\":\"a\""), Some(KeyFault::Member("kty")));
    assert_eq!(fault("\"kty\":\"XYZ\""), Some(KeyFault::Kind));
    for (from, to, expected) in [
        ("\"alg\":\"ES256\"", "\"alg\":\"ES521\"", KeyFault::AlgorithmUnknown),
        ("\"alg\":\"ES256\"", "\"alg\":\"none\"", KeyFault::AlgorithmUnknown),
        ("\"alg\":\"ES256\"", "\"alg\":\"ES384\"", KeyFault::AlgorithmMismatch),
        ("\"alg\":\"ES256\"", "\"alg\":\"RS256\"", KeyFault::AlgorithmMismatch),
        ("\"alg\":\"ES256\"", "\"alg\":\"HS256\"", KeyFault::AlgorithmMismatch),
        ("\"alg\":\"ES256\"", "\"alg\":1", KeyFault::Member("alg")),
        ("P-256", "P-521", KeyFault::Kind),
        ("P-256", "secp256k1", KeyFault::Kind),
        ("\"crv\":\"P-256\",", "", KeyFault::Member("crv")),
    ] {
        assert_eq!(fault(&ec.replace(from, to)), Some(expected), "{to}");
    }
    assert_eq!(fault(&ed.replace("Ed25519", "Ed448")), Some(KeyFault::Kind));
}

#[test]
fn numbers_that_make_no_key() {
    // S08
    use crate::authn::base64url::encode;
    let point = KeyFault::Unusable(Unusable::BadPoint);
    let curve = |curve: &str, x: &[u8], y: &[u8]| {
        let (x, y) = (encode(x), encode(y));
        fault(&format!("\"kty\":\"EC\",\"crv\":\"{curve}\",\"x\":\"{x}\",\"y\":\"{y}\""))
    };
    for length in [0, 1, 31, 32, 33, 48, 49, 96] {
        assert_eq!(curve("P-256", &vec![1; length], &vec![2; length]), Some(point));
        assert_eq!(curve("P-384", &vec![1; length], &vec![2; length]), Some(point));
    }
    assert_eq!(curve("P-256", &[0; 32], &[0; 32]), Some(point));
    assert_eq!(curve("P-256", &[0xff; 32], &[0xff; 32]), Some(point));
    let edwards =
        |x: &[u8]| fault(&format!("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"", encode(x)));
    // Points of small order (the identity, one of order four, one in a second spelling), y = 2, which
    // is on no point, and other lengths.
    let with = |first: u8, rest: u8, last: u8| {
        let mut bytes = [rest; 32];
        (bytes[0], bytes[31]) = (first, last);
        bytes
    };
    for x in [with(1, 0, 0), [0; 32], with(0xee, 0xff, 0x7f), with(2, 0, 0), [0xff; 32]] {
        assert_eq!(edwards(&x), Some(point), "{x:?}");
    }
    assert_eq!(edwards(&[3; 31]), Some(point));
    let rsa = |modulus: &[u8], exponent: &[u8]| {
        let (n, e) = (encode(modulus), encode(exponent));
        fault(&format!("\"kty\":\"RSA\",\"n\":\"{n}\",\"e\":\"{e}\""))
    };
    let unusable = |fault| Some(KeyFault::Unusable(fault));
    let odd = |length: usize| vec![0xff; length];
    assert_eq!(rsa(&odd(256), &[1, 0, 1]), None);
    assert_eq!(rsa(&[&[0], &odd(256)[..]].concat(), &[0, 3]), None);
    assert_eq!(rsa(&odd(1_024), &[0xff, 0xff, 0xff, 0xff]), None);
    assert_eq!(rsa(&odd(128), &[1, 0, 1]), unusable(Unusable::WeakModulus));
    assert_eq!(rsa(&[&[0x7f], &odd(255)[..]].concat(), &[3]), unusable(Unusable::WeakModulus));
    assert_eq!(rsa(&[], &[3]), unusable(Unusable::WeakModulus));
    assert_eq!(rsa(&[0; 256], &[3]), unusable(Unusable::WeakModulus));
    assert_eq!(rsa(&odd(1_025), &[3]), unusable(Unusable::BadModulus));
    assert_eq!(rsa(&[&odd(255)[..], &[0xfe]].concat(), &[3]), unusable(Unusable::BadModulus));
    for exponent in [&[][..], &[0], &[1], &[0, 1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(rsa(&odd(256), exponent), unusable(Unusable::BadExponent), "{exponent:?}");
    }
}

#[test]
fn a_shared_id_names_no_key() {
    // S08
    let (rsa, ec) = (signed(Algorithm::Rs256), signed(Algorithm::Es256));
    let other = ec.0.replace("\"kid\":\"k\"", "\"kid\":\"other\"");
    let keys = KeySet::read(set(&[&rsa.0, &other, &ec.0]).as_bytes(), ALL);
    let keys = keys.unwrap_or_else(|fault| panic!("{fault:?}"));
    let id = Some("k".into());
    let expected = [0, 2].map(|position| KeyFinding {
        position,
        id: id.clone(),
        fault: KeyFault::DuplicateKeyId,
    });
    assert_eq!(keys.findings(), expected);
    assert_eq!(keys.keys().len(), 1);
    // A set need not be fetched again for an id that it has, even if its key is not used.
    assert!(keys.knows("k") && keys.knows("other") && !keys.knows("new"));
}

#[test]
fn the_key_decides_the_algorithm() {
    // J07, J08, J09
    let rsa_1 = signed(Algorithm::Rs256).0.replace("\"kid\":\"k\"", "\"kid\":\"rsa-1\"");
    let ec_1 = signed(Algorithm::Es256).0.replace("\"kid\":\"k\"", "\"kid\":\"ec-1\"");
    let all = set(&[&rsa_1, &ec_1]);
    for algorithm in Algorithm::ALL {
        let token = signed(algorithm).1;
        let alone = set(&[&signed(Algorithm::Rs256).0]);
        let expected = match algorithm {
            Algorithm::Rs256 => Ok(()),
            _ => Err(Denial::TokenAlgorithm),
        };
        assert_eq!(verify(&alone, ALL, &token), expected, "{algorithm:?}");
        // J14: none of the keys is called `k`.
        assert_eq!(verify(&all, ALL, &token), Err(Denial::TokenKeyUnknown), "{algorithm:?}");
    }
    // A key without `alg` is bound to the first allowed one of its type.
    let unbound = set(&[&signed(Algorithm::Rs256).0.replace(",\"alg\":\"RS256\"", "")]);
    let first = [Algorithm::Ps256, Algorithm::Rs256];
    assert_eq!(verify(&unbound, &first, &signed(Algorithm::Ps256).1), Ok(()));
    assert_eq!(verify(&unbound, &first, &signed(Algorithm::Rs256).1), Err(Denial::TokenAlgorithm));
    let keys = KeySet::read(unbound.as_bytes(), &[Algorithm::Es256]);
    let finding =
        KeyFinding { position: 0, id: Some("k".into()), fault: KeyFault::AlgorithmNotAllowed };
    assert_eq!(keys.err(), Some(SetFault::NoUsableKey([finding].into())));
}

#[test]
fn without_an_id_the_algorithm_must_say_enough() {
    // J13: the tokens name no key, so none is left that this signature fits; what matters is how far
    // the search comes.
    use crate::authn::base64url::encode;
    let (members, token) = signed(Algorithm::Es256);
    let (_, rest) = token.split_once('.').unwrap_or_default();
    let anonymous = format!("{}.{rest}", encode(br#"{"alg":"ES256"}"#));
    let one = set(&[&members, &signed(Algorithm::Rs256).0.replace("\"k\"", "\"r\"")]);
    assert_eq!(verify(&one, ALL, &anonymous), Err(Denial::TokenSignature));
    let two = set(&[&members, &members.replace("\"k\"", "\"l\"")]);
    assert_eq!(verify(&two, ALL, &anonymous), Err(Denial::TokenKeyUnknown));
    let none = set(&[&signed(Algorithm::Rs256).0]);
    assert_eq!(verify(&none, ALL, &anonymous), Err(Denial::TokenKeyUnknown));
}
