//! An issuer's keys: a JSON Web Key Set (RFC 7517 section 5) of any origin, read with every finding.

use sha2::{Digest as _, Sha256};

use super::algorithm::Algorithm;
use super::fault::Fault;
use super::jwk::{KeyFault, VerificationKey, key_id};
use super::jws::Jws;
use super::signature::{Check, SignatureVerifier};
use crate::node::Node;
use crate::reason::Denial;

/// Longest set, in bytes.
pub const MAX_SET: usize = 256 * 1_024;
/// Most keys of a set, used or not.
pub const MAX_KEYS: usize = 128;

/// The keys of one issuer that can be used, and what was found wrong with the others.
#[derive(Debug)]
pub struct KeySet {
    version: Version,
    keys: Box<[VerificationKey]>,
    findings: Box<[KeyFinding]>,
}

/// Which bytes a set was read from. What was learned under another version is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version([u8; 16]);

/// A key that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFinding {
    /// Position in the set, from 0.
    pub position: usize,
    /// The key's `kid`, where it has one that can be read.
    pub id: Option<Box<str>>,
    /// Why.
    pub fault: KeyFault,
}

/// Why a whole set is refused. Whoever holds an older one keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetFault {
    /// Longer than [`MAX_SET`].
    TooLong,
    /// Not one strict JSON object with a list `keys`.
    NotASet,
    /// More than [`MAX_KEYS`] keys.
    TooManyKeys,
    /// No key that can be used, and why not.
    NoUsableKey(Box<[KeyFinding]>),
}

impl SetFault {
    /// What is wrong, for the operator.
    pub const fn meaning(&self) -> &'static str {
        match self {
            Self::TooLong => "the key set is longer than 256 KiB",
            Self::NotASet => "the key set is not one strict JSON object with a list `keys`",
            Self::TooManyKeys => "the key set has more than 128 keys",
            Self::NoUsableKey(_) => "the key set has no key that can be used",
        }
    }

    /// What is wrong with its keys.
    pub fn findings(&self) -> &[KeyFinding] {
        match self {
            Self::NoUsableKey(findings) => findings,
            _ => &[],
        }
    }
}

impl KeySet {
    /// Reads a set. Keys that cannot be used are left out, each with its reason; keys that share an
    /// id are all left out.
    ///
    /// # Errors
    /// [`SetFault`], where nothing in it can be used.
    pub fn read(text: &[u8], allowed: &[Algorithm]) -> Result<Self, SetFault> {
        if text.len() > MAX_SET {
            return Err(SetFault::TooLong);
        }
        let set = Node::parse(text).map_err(|_| SetFault::NotASet)?;
        let Some(Node::List(jwks)) = set.member("keys") else { return Err(SetFault::NotASet) };
        if jwks.len() > MAX_KEYS {
            return Err(SetFault::TooManyKeys);
        }
        let ids: Vec<_> = jwks.iter().map(|jwk| key_id(jwk).ok().flatten()).collect();
        let is_shared =
            |id: Option<&str>| id.is_some() && ids.iter().filter(|other| **other == id).count() > 1;
        let (mut keys, mut findings) = (Vec::new(), Vec::new());
        for (position, (jwk, id)) in jwks.iter().zip(&ids).enumerate() {
            let read = if is_shared(*id) {
                Err(KeyFault::DuplicateKeyId)
            } else {
                VerificationKey::read(jwk, allowed)
            };
            match read {
                Ok(key) => keys.push(key),
                Err(fault) => findings.push(KeyFinding { position, id: id.map(Box::from), fault }),
            }
        }
        let findings = findings.into_boxed_slice();
        if keys.is_empty() {
            return Err(SetFault::NoUsableKey(findings));
        }
        Ok(Self { version: Version::of(text), keys: keys.into(), findings })
    }

    /// Which bytes the set was read from.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The keys that can be used.
    pub fn keys(&self) -> &[VerificationKey] {
        &self.keys
    }

    /// The keys that cannot.
    pub fn findings(&self) -> &[KeyFinding] {
        &self.findings
    }

    /// Whether a key of the set has this id, used or not: fetching the set again would not help.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.has_id(id))
            || self.findings.iter().any(|finding| finding.id.as_deref() == Some(id))
    }

    /// The key that signed a token, by its id; without one, the only key of the token's algorithm.
    ///
    /// # Errors
    /// `token_key_unknown`, `token_algorithm` where the key is for another one, `token_signature`.
    pub fn verify(
        &self,
        jws: &Jws<'_>,
        verifier: &mut (impl SignatureVerifier + ?Sized),
    ) -> Result<&VerificationKey, Fault> {
        let key = self.find(jws)?;
        let check = Check::new(jws.algorithm, key.public(), jws.signed, &jws.signature);
        if check.is_some_and(|check| verifier.verify(&check)) {
            Ok(key)
        } else {
            Err(Fault::new(Denial::TokenSignature, "the signature is not the key's"))
        }
    }

    fn find(&self, jws: &Jws<'_>) -> Result<&VerificationKey, Fault> {
        let unknown = |why| Fault::new(Denial::TokenKeyUnknown, why);
        if let Some(id) = jws.key_id.as_deref() {
            let key = self.keys.iter().find(|key| key.has_id(id));
            let key = key.ok_or(unknown("the issuer has no usable key of this `kid`"))?;
            return if key.algorithm() == jws.algorithm {
                Ok(key)
            } else {
                Err(Fault::new(Denial::TokenAlgorithm, "`alg` is not that of the key"))
            };
        }
        let mut fitting = self.keys.iter().filter(|key| key.algorithm() == jws.algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (None, _) => Err(unknown("no `kid`, and the issuer has no key of this algorithm")),
            (Some(_), Some(_)) => Err(unknown("no `kid`, and several keys have this algorithm")),
        }
    }
}

impl Version {
    pub(crate) fn of(text: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(text).into();
        Self(*digest.first_chunk().unwrap_or(&[0; 16]))
    }
}

#[cfg(test)]
mod tests;
