//! Verification in Rust alone. No other files than this and `ed25519.rs` name a signature crate.

use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{Check, RSA_BITS, SignatureVerifier, ed25519};
use crate::authn::algorithm::{Hash, KeyKind};

/// Verifies without the host's help. It keeps nothing between two questions.
#[derive(Clone, Copy, Debug, Default)]
pub struct PureVerifier;

impl SignatureVerifier for PureVerifier {
    fn verify(&mut self, check: &Check<'_>) -> bool {
        let (text, signature) = (check.text, check.signature);
        match &check.key.parsed {
            Key::Rsa(key) if check.algorithm.is_pss() => match check.algorithm.hash() {
                Hash::Sha256 => key.verify(Pss::<Sha256>::new(), &Sha256::digest(text), signature),
                Hash::Sha384 => key.verify(Pss::<Sha384>::new(), &Sha384::digest(text), signature),
                Hash::Sha512 => key.verify(Pss::<Sha512>::new(), &Sha512::digest(text), signature),
            }
            .is_ok(),
            Key::Rsa(key) => match check.algorithm.hash() {
                Hash::Sha256 => {
                    key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text), signature)
                }
                Hash::Sha384 => {
                    key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text), signature)
                }
                Hash::Sha512 => {
                    key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text), signature)
                }
            }
            .is_ok(),
            Key::P256(key) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.verify_prehash(&Sha256::digest(text), &signature).is_ok()
                })
            }
            Key::P384(key) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| {
                    key.verify_prehash(&Sha384::digest(text), &signature).is_ok()
                })
            }
            Key::Ed25519(key) => key.verify(text, signature),
        }
    }
}

/// A key as its crate wants it.
#[derive(Debug)]
pub(super) enum Key {
    Rsa(Box<RsaPublicKey>),
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519::Key>),
}

impl Key {
    /// `None` where the crate refuses numbers that the policy of this module lets pass.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let modulus = BoxedUint::from_be_slice_vartime(modulus);
        let exponent = BoxedUint::from_be_slice_vartime(exponent);
        let key = RsaPublicKey::new_with_size_limits(modulus, exponent, RSA_BITS).ok()?;
        Some(Self::Rsa(Box::new(key)))
    }

    /// `None` where the point is not on the curve. Made of coordinates, which leaves the code that finds
    /// the second one of a compressed point out of the module.
    pub(super) fn curve(kind: KeyKind, x: &[u8], y: &[u8]) -> Option<Self> {
        if kind == KeyKind::P256 {
            let point = p256::AffinePoint::from_coordinates(x.try_into().ok()?, y.try_into().ok()?);
            let key = p256::ecdsa::VerifyingKey::from_affine(point.into_option()?).ok()?;
            Some(Self::P256(Box::new(key)))
        } else {
            let point = p384::AffinePoint::from_coordinates(x.try_into().ok()?, y.try_into().ok()?);
            let key = p384::ecdsa::VerifyingKey::from_affine(point.into_option()?).ok()?;
            Some(Self::P384(Box::new(key)))
        }
    }

    /// `None` where the bytes are no point, one in another spelling, or one of small order.
    pub(super) fn ed25519(bytes: &[u8]) -> Option<Self> {
        ed25519::Key::new(bytes).map(|key| Self::Ed25519(Box::new(key)))
    }
}

/// An HMAC with its secret taken in, ready to be copied for every token.
#[derive(Clone)]
pub(super) enum Mac {
    Sha256(Box<Hmac<Sha256>>),
    Sha384(Box<Hmac<Sha384>>),
    Sha512(Box<Hmac<Sha512>>),
}

impl Mac {
    pub(super) fn new(hash: Hash, secret: &[u8]) -> Option<Self> {
        Some(match hash {
            Hash::Sha256 => Self::Sha256(Box::new(Hmac::new_from_slice(secret).ok()?)),
            Hash::Sha384 => Self::Sha384(Box::new(Hmac::new_from_slice(secret).ok()?)),
            Hash::Sha512 => Self::Sha512(Box::new(Hmac::new_from_slice(secret).ok()?)),
        })
    }

    /// Only a tag of full length can be right.
    pub(super) fn verify(&self, text: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(state) => Hmac::clone(state).chain_update(text).verify_slice(tag).is_ok(),
            Self::Sha384(state) => Hmac::clone(state).chain_update(text).verify_slice(tag).is_ok(),
            Self::Sha512(state) => Hmac::clone(state).chain_update(text).verify_slice(tag).is_ok(),
        }
    }
}
