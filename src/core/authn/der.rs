//! The little DER (X.690) that Envoy's verifier wants: public keys and ECDSA signatures, written only.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption` with its NULL parameter (RFC 8017 appendix A.1).
const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
/// `id-ecPublicKey` on `secp256r1` (RFC 5480 section 2.1.1).
const P256: &[u8] =
    &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// `id-ecPublicKey` on `secp384r1`.
const P384: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
/// `id-Ed25519` (RFC 8410 section 3).
const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];

/// The `SubjectPublicKeyInfo` of an RSA key from big-endian numbers.
pub(crate) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::new();
    integer(&mut numbers, modulus);
    integer(&mut numbers, exponent);
    let mut key = Vec::new();
    element(&mut key, SEQUENCE, &numbers);
    spki(RSA, &key)
}

/// The `SubjectPublicKeyInfo` of an uncompressed point on P-256.
pub(crate) fn p256_spki(point: &[u8]) -> Vec<u8> {
    spki(P256, point)
}

/// The `SubjectPublicKeyInfo` of an uncompressed point on P-384.
pub(crate) fn p384_spki(point: &[u8]) -> Vec<u8> {
    spki(P384, point)
}

/// The `SubjectPublicKeyInfo` of an Ed25519 key.
pub(crate) fn ed25519_spki(key: &[u8]) -> Vec<u8> {
    spki(ED25519, key)
}

/// `Ecdsa-Sig-Value` (RFC 3279 section 2.2.3) from the two halves of a JOSE signature.
pub(crate) fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    // Three heads, and the zeros that may stand before the numbers.
    const MORE: usize = 8;
    let mut signature = Vec::with_capacity(r.len().saturating_add(s.len()).saturating_add(MORE));
    // The longest halves, those of P-384, make 102 bytes: a length of one byte, known afterwards.
    signature.extend_from_slice(&[SEQUENCE, 0]);
    integer(&mut signature, r);
    integer(&mut signature, s);
    let length = signature.len().saturating_sub(2);
    if let (Some(place), Ok(length @ 0..=0x7f)) = (signature.get_mut(1), u8::try_from(length)) {
        *place = length;
    }
    signature
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    let mut parts = Vec::new();
    element(&mut parts, SEQUENCE, algorithm);
    element(&mut parts, BIT_STRING, &bits);
    let mut spki = Vec::new();
    element(&mut spki, SEQUENCE, &parts);
    spki
}

/// A number that is not negative: no leading zeros but the one that keeps the sign bit clear.
fn integer(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    let zero: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    head(out, INTEGER, zero.len().saturating_add(digits.len()));
    out.extend_from_slice(zero);
    out.extend_from_slice(digits);
}

fn element(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    head(out, tag, content.len());
    out.extend_from_slice(content);
}

/// Tag, length of the content in its shortest form.
fn head(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    if let Ok(length @ 0..=0x7f) = u8::try_from(length) {
        out.push(length);
    } else {
        let length = length.to_be_bytes();
        let zeros = length.iter().take_while(|byte| **byte == 0).count();
        let digits = length.get(zeros..).unwrap_or_default();
        out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
        out.extend_from_slice(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        assert_eq!(ecdsa_signature(&[0, 0, 1], &[0x80]), [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]);
        assert_eq!(ecdsa_signature(&[0, 0], &[]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        let mut long = Vec::new();
        element(&mut long, SEQUENCE, &[0; 300]);
        assert_eq!(long[..5], [0x30, 0x82, 1, 44, 0]);
        let mut medium = Vec::new();
        element(&mut medium, SEQUENCE, &[0; 128]);
        assert_eq!(medium[..3], [0x30, 0x81, 128]);
    }
}
