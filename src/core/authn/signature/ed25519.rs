//! Ed25519 (RFC 8032 section 5.1.7), by tables of multiples.
//!
//! Two points are multiplied, over and over the same ones: the curve's and the key's. A table of each
//! leaves additions alone, and no doublings, which is a third off a verification. The arithmetic is the
//! crate's; only the equation stands here.

use std::fmt;
use std::sync::OnceLock;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsBasepointTable};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::BasepointTable as _;
use sha2::{Digest as _, Sha512};

/// A public key.
pub(super) struct Key {
    bytes: [u8; 32],
    // INVARIANT: `bytes` is its only spelling, and it is not of small order.
    point: EdwardsPoint,
    table: Table,
}

/// Multiples of a point, 30 KiB of them, made when they are first asked for: as long as twenty
/// verifications take.
struct Table(OnceLock<Box<EdwardsBasepointTable>>);

/// Of the point that every key is a multiple of.
static BASE: Table = Table(OnceLock::new());

impl Table {
    fn times(&self, point: &EdwardsPoint, number: &Scalar) -> EdwardsPoint {
        self.0.get_or_init(|| Box::new(EdwardsBasepointTable::create(point))).mul_base(number)
    }
}

impl Key {
    /// `None` where the bytes are no point, one in another spelling, or one of small order.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        let point = CompressedEdwardsY(bytes).decompress()?;
        if point.compress().to_bytes() != bytes || point.is_small_order() {
            return None;
        }
        Some(Self { bytes, point, table: Table(OnceLock::new()) })
    }

    /// Without the cofactor, as most have it: `R` must be `[s]B - [k]A`, in its one spelling, and not of
    /// small order.
    pub(super) fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((r, rest)) = signature.split_first_chunk::<32>() else { return false };
        let Ok(s) = <[u8; 32]>::try_from(rest) else { return false };
        let Some(s) = Scalar::from_canonical_bytes(s).into_option() else { return false };
        let hash = Sha512::new().chain_update(r).chain_update(self.bytes).chain_update(text);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        #[expect(clippy::arithmetic_side_effects, reason = "points of a group: nothing overflows")]
        let expected = BASE.times(&ED25519_BASEPOINT_POINT, &s) - self.table.times(&self.point, &k);
        expected.compress().as_bytes() == r && !expected.is_small_order()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ed25519").field(&self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Verifier as _;

    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TEXT: &[u8] = b"what is signed";

    /// A key of this private number, and its signature with this `R`.
    fn signed(number: u64, r: &EdwardsPoint, nonce: Scalar) -> (Key, Vec<u8>) {
        let private = Scalar::from(number);
        let bytes = (ED25519_BASEPOINT_POINT * private).compress().to_bytes();
        let r = r.compress().to_bytes();
        let hash = Sha512::new().chain_update(r).chain_update(bytes).chain_update(TEXT);
        let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
        let signature = [r, (nonce + k * private).to_bytes()].concat();
        (Key::new(&bytes).unwrap_or_else(|| panic!("{number}")), signature)
    }

    #[test]
    fn a_signature_hides_its_nonce_in_no_point_of_small_order() {
        let nonce = Scalar::from(77_u64);
        let (key, signature) = signed(4_711, &(ED25519_BASEPOINT_POINT * nonce), nonce);
        assert!(key.verify(TEXT, &signature) && !key.verify(b"another text", &signature));
        let one = curve25519_dalek::constants::EIGHT_TORSION[0];
        let (key, signature) = signed(4_711, &one, Scalar::ZERO);
        // The equation holds: a verifier that does not look at the order takes it.
        let other = ed25519_dalek::Signature::from_slice(&signature);
        let lax = ed25519_dalek::VerifyingKey::from_bytes(&key.bytes);
        assert!(other.is_ok_and(|it| lax.is_ok_and(|lax| lax.verify(TEXT, &it).is_ok())));
        assert!(!key.verify(TEXT, &signature));
    }

    #[test]
    fn keys_of_small_order_or_in_another_spelling_are_none() {
        for point in curve25519_dalek::constants::EIGHT_TORSION {
            assert!(Key::new(&point.compress().to_bytes()).is_none());
        }
        // 1 + p, which is 1 again; and a sign for a zero.
        let mut wrapped = [0xff; 32];
        (wrapped[0], wrapped[31]) = (0xee, 0x7f);
        let mut signed_zero = [0; 32];
        (signed_zero[0], signed_zero[31]) = (1, 0x80);
        for bytes in [&wrapped[..], &signed_zero, &[2; 31], &[2; 33], &[]] {
            assert!(Key::new(bytes).is_none(), "{bytes:?}");
        }
    }
}
