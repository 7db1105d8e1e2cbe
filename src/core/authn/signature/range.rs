//! The numbers that a signature may hold.

/// The order of P-256 (SEC 2 section 2.4.2).
pub(super) const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The order of P-384 (SEC 2 section 2.5.1).
pub(super) const P384_ORDER: [u8; 48] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// The order of edwards25519's prime subgroup (RFC 8032 section 5.1), most significant byte first.
const ED25519_ORDER: [u8; 32] = [
    0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6, 0x58, 0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
];

/// Two halves as long as the order (RFC 7518 section 3.4), each from 1 to below it.
pub(super) fn is_ecdsa(signature: &[u8], order: &[u8]) -> bool {
    let in_range = |number: &[u8]| {
        number.len() == order.len() && number.iter().any(|byte| *byte != 0) && number < order
    };
    let halves = signature.split_at_checked(order.len());
    halves.is_some_and(|(r, s)| in_range(r) && in_range(s))
}

/// 64 bytes whose second half, least significant byte first, is below the order (RFC 8032 section
/// 5.1.7): a number that wraps round would be a second spelling of a signature.
pub(super) fn is_ed25519(signature: &[u8]) -> bool {
    let halves = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32);
    halves.is_some_and(|(_, s)| s.iter().rev().lt(ED25519_ORDER.iter()))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn changed(order: &[u8], by: i16) -> Vec<u8> {
        let mut number = order.to_vec();
        if let Some(last) = number.last_mut() {
            *last = u8::try_from(i16::from(*last) + by).unwrap_or_default();
        }
        number
    }

    #[test]
    fn every_pair_of_edge_values() {
        // J36, J37
        for order in [&P256_ORDER[..], &P384_ORDER[..]] {
            let zero = vec![0; order.len()];
            let one = changed(&zero, 1);
            let values = [
                (zero, false),
                (one, true),
                (changed(order, -1), true),
                (changed(order, 0), false),
                (changed(order, 1), false),
                (vec![0xff; order.len()], false),
            ];
            for (r, r_good) in &values {
                for (s, s_good) in &values {
                    let signature = [&r[..], &s[..]].concat();
                    assert_eq!(is_ecdsa(&signature, order), *r_good && *s_good);
                    assert!(!is_ecdsa(&signature[1..], order));
                    assert!(!is_ecdsa(&[&signature[..], &[0]].concat(), order));
                }
            }
            assert!(!is_ecdsa(&[], order));
        }
    }

    #[test]
    fn a_scalar_of_ed25519_is_reduced() {
        let with = |number: &[u8]| {
            let s: Vec<u8> = number.iter().rev().copied().collect();
            is_ed25519(&[&[1; 32][..], &s[..]].concat())
        };
        assert!(with(&changed(&ED25519_ORDER, -1)) && with(&[0; 32]));
        assert!(!with(&ED25519_ORDER) && !with(&changed(&ED25519_ORDER, 1)) && !with(&[0xff; 32]));
        assert!(!with(&[0; 31]) && !with(&[0; 33]) && !is_ed25519(&[]));
    }
}
