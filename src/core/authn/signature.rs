//! Whether a signature is a key's: what is acceptable at all, and the port to whoever computes.
//!
//! Two verifiers stand behind the port: Envoy's own and the one in [`pure`]. The sizes and ranges that
//! they might judge differently are judged here, before either is asked.

mod ed25519;
mod pure;
mod range;

use std::borrow::Cow;

use super::algorithm::{Algorithm, KeyKind};
use super::der;

pub use pure::PureVerifier;

/// RSA moduli that are accepted, in bits.
pub(crate) const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Longest public exponent of RSA, in bytes.
const MAX_EXPONENT: usize = 4;

/// Computes signatures' truth.
pub trait SignatureVerifier {
    /// Whether the signature is the key's over the text. A failure of any kind is `false`.
    fn verify(&mut self, check: &Check<'_>) -> bool;
}

/// A public key that can verify. Made once, checked once.
#[derive(Debug)]
pub struct PublicKey {
    kind: KeyKind,
    /// Bytes of the modulus, for RSA.
    modulus: Box<[u8]>,
    spki: Box<[u8]>,
    // INVARIANT: of the kind that `kind` says; a curve's point is on it.
    parsed: pure::Key,
}

/// Why a public key is none that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// An RSA modulus shorter than 2048 bits.
    WeakModulus,
    /// An RSA modulus longer than 8192 bits, or even.
    BadModulus,
    /// An RSA exponent of 1, even, or longer than 32 bits.
    BadExponent,
    /// Coordinates of the wrong length, or of no point on the curve, or of one of small order.
    BadPoint,
}

impl PublicKey {
    /// An RSA key from big-endian numbers.
    pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, Unusable> {
        let (modulus, exponent) = (trim(modulus), trim(exponent));
        let bits = bits(modulus);
        if bits < *RSA_BITS.start() {
            return Err(Unusable::WeakModulus);
        }
        if bits > *RSA_BITS.end() || !is_odd(modulus) {
            return Err(Unusable::BadModulus);
        }
        if !is_odd(exponent) || exponent == [1] || exponent.len() > MAX_EXPONENT {
            return Err(Unusable::BadExponent);
        }
        let parsed = pure::Key::rsa(modulus, exponent).ok_or(Unusable::BadModulus)?;
        let spki = der::rsa_spki(modulus, exponent);
        Ok(Self { kind: KeyKind::Rsa, modulus: modulus.into(), spki: spki.into(), parsed })
    }

    /// A point on P-256 or P-384 from its coordinates, each of the field's full length.
    pub(crate) fn curve(kind: KeyKind, x: &[u8], y: &[u8]) -> Result<Self, Unusable> {
        let length = match kind {
            KeyKind::P256 => 32,
            KeyKind::P384 => 48,
            KeyKind::Rsa | KeyKind::Ed25519 | KeyKind::Secret => return Err(Unusable::BadPoint),
        };
        if x.len() != length || y.len() != length {
            return Err(Unusable::BadPoint);
        }
        let parsed = pure::Key::curve(kind, x, y).ok_or(Unusable::BadPoint)?;
        // SEC 1 section 2.3.3: 4, then both coordinates.
        let point = [&[4], x, y].concat();
        let spki = if kind == KeyKind::P256 { der::p256_spki } else { der::p384_spki }(&point);
        Ok(Self { kind, modulus: Box::default(), spki: spki.into(), parsed })
    }

    /// An Ed25519 key (RFC 8032 section 5.1.5) in its one spelling.
    pub(crate) fn ed25519(key: &[u8]) -> Result<Self, Unusable> {
        let parsed = pure::Key::ed25519(key).ok_or(Unusable::BadPoint)?;
        let spki = der::ed25519_spki(key).into();
        Ok(Self { kind: KeyKind::Ed25519, modulus: Box::default(), spki, parsed })
    }

    /// What the key is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The size of an RSA key, in bits; 0 for others.
    pub fn modulus_bits(&self) -> usize {
        bits(&self.modulus)
    }
}

/// A question to a verifier. It can only be made of parts that are acceptable.
#[derive(Debug)]
pub struct Check<'c> {
    algorithm: Algorithm,
    key: &'c PublicKey,
    text: &'c [u8],
    signature: &'c [u8],
}

impl<'c> Check<'c> {
    /// `None` where the answer is known to be no: the algorithm is not of the key's kind, or the
    /// signature is none that the key could have made.
    pub fn new(
        algorithm: Algorithm,
        key: &'c PublicKey,
        text: &'c [u8],
        signature: &'c [u8],
    ) -> Option<Self> {
        let acceptable = algorithm.key_kind() == key.kind
            && match key.kind {
                // RFC 8017 section 8: as long as the modulus, and below it.
                KeyKind::Rsa => signature.len() == key.modulus.len() && *signature < *key.modulus,
                KeyKind::P256 => range::is_ecdsa(signature, &range::P256_ORDER),
                KeyKind::P384 => range::is_ecdsa(signature, &range::P384_ORDER),
                KeyKind::Ed25519 => range::is_ed25519(signature),
                KeyKind::Secret => false,
            };
        acceptable.then_some(Self { algorithm, key, text, signature })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key as a DER `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
    pub fn spki(&self) -> &'c [u8] {
        &self.key.spki
    }

    /// What is signed.
    pub fn text(&self) -> &'c [u8] {
        self.text
    }

    /// The signature, in DER for ECDSA (RFC 3279 section 2.2.3).
    pub fn der_signature(&self) -> Cow<'c, [u8]> {
        match self.key.kind {
            KeyKind::P256 | KeyKind::P384 => {
                let (r, s) = self.signature.split_at(self.signature.len() / 2);
                Cow::Owned(der::ecdsa_signature(r, s))
            }
            KeyKind::Rsa | KeyKind::Ed25519 | KeyKind::Secret => Cow::Borrowed(self.signature),
        }
    }
}

/// A secret that issuer and gateway share, tied to one algorithm. Not printable.
pub(crate) struct Secret {
    algorithm: Algorithm,
    state: pure::Mac,
}

impl Secret {
    /// Longest secret, in bytes.
    pub(crate) const MAX: usize = 512;

    /// A secret as long as the algorithm's digest or longer (RFC 7518 section 3.2), at most
    /// [`Self::MAX`] bytes; `None` for others.
    pub(crate) fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let lengths = algorithm.hash().length()..=Self::MAX;
        if algorithm.key_kind() != KeyKind::Secret || !lengths.contains(&bytes.len()) {
            return None;
        }
        Some(Self { algorithm, state: pure::Mac::new(algorithm.hash(), bytes)? })
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the tag is the secret's over the text, in full length; compared in constant time.
    pub(crate) fn verify(&self, text: &[u8], tag: &[u8]) -> bool {
        self.state.verify(text, tag)
    }
}

fn trim(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |first| first.leading_zeros());
    number.len().saturating_mul(8).saturating_sub(usize::try_from(zeros).unwrap_or(0))
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

#[cfg(test)]
mod tests;
