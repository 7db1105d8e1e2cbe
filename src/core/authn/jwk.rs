//! One key of an issuer, as a JSON Web Key (RFC 7517): read strictly, for verification only.

use std::rc::Rc;

use super::algorithm::{Algorithm, KeyKind};
use super::base64url;
use super::jws::MAX_KEY_ID;
use super::signature::{PublicKey, Unusable};
use crate::bytes::same;
use crate::node::Node;

/// Members that only a private or symmetric key has (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key with its name and the one algorithm that it verifies.
#[derive(Debug)]
pub struct VerificationKey {
    id: Option<Rc<str>>,
    algorithm: Algorithm,
    public: PublicKey,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// It is not a JSON object.
    NotAnObject,
    /// A member is missing, of another type, or not base64url.
    Member(&'static str),
    /// The id is not a text of 1 to 256 bytes.
    KeyId,
    /// Another key of the set has this id: neither is used.
    DuplicateKeyId,
    /// It is symmetric, so the whole world can sign with it.
    Symmetric,
    /// It has private members, so the whole world can sign with it.
    Private,
    /// `use` is not `sig`.
    Use,
    /// `key_ops` has something other than `verify`.
    KeyOps,
    /// Its type or curve is none that is known here.
    Kind,
    /// `alg` names no signature algorithm that is known here.
    AlgorithmUnknown,
    /// `alg` is for another type of key.
    AlgorithmMismatch,
    /// The policy allows no algorithm that it can verify.
    AlgorithmNotAllowed,
    /// Its numbers are too weak or make no key.
    Unusable(Unusable),
}

impl VerificationKey {
    /// Reads one key. A key without `alg` is bound to the first of `allowed` that its type can
    /// verify, so that a token's header never chooses (RFC 8725 section 3.1).
    pub(crate) fn read(jwk: &Node<'_>, allowed: &[Algorithm]) -> Result<Self, KeyFault> {
        if !matches!(jwk, Node::Map(_)) {
            return Err(KeyFault::NotAnObject);
        }
        let id = key_id(jwk)?.map(Rc::from);
        let kty = text(jwk, "kty")?.ok_or(KeyFault::Member("kty"))?;
        if kty == "oct" {
            return Err(KeyFault::Symmetric);
        }
        if PRIVATE.iter().any(|name| jwk.member(name).is_some()) {
            return Err(KeyFault::Private);
        }
        check_purpose(jwk)?;
        let kind = match (kty, text(jwk, "crv")?) {
            ("RSA", _) => KeyKind::Rsa,
            ("EC", Some("P-256")) => KeyKind::P256,
            ("EC", Some("P-384")) => KeyKind::P384,
            ("OKP", Some("Ed25519")) => KeyKind::Ed25519,
            ("EC" | "OKP", None) => return Err(KeyFault::Member("crv")),
            _ => return Err(KeyFault::Kind),
        };
        let algorithm = algorithm(jwk, kind, allowed)?;
        let public = match kind {
            KeyKind::Rsa => PublicKey::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?),
            KeyKind::P256 | KeyKind::P384 => {
                PublicKey::curve(kind, &bytes(jwk, "x")?, &bytes(jwk, "y")?)
            }
            KeyKind::Ed25519 | KeyKind::Secret => PublicKey::ed25519(&bytes(jwk, "x")?),
        };
        Ok(Self { id, algorithm, public: public.map_err(KeyFault::Unusable)? })
    }

    /// The key's `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether this is the key's `kid`.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.id().is_some_and(|own| same(own.as_bytes(), id.as_bytes()))
    }

    /// Its `kid`, shared with the tokens that it has signed.
    pub(crate) fn shared_id(&self) -> Option<Rc<str>> {
        self.id.clone()
    }

    /// The only algorithm that the key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// The `kid` of a key, also of one that is not used.
pub(crate) fn key_id<'n>(jwk: &'n Node<'_>) -> Result<Option<&'n str>, KeyFault> {
    match jwk.member("kid").map(Node::as_text) {
        None => Ok(None),
        Some(Some(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Ok(Some(id)),
        Some(_) => Err(KeyFault::KeyId),
    }
}

/// RFC 7517 sections 4.2 and 4.3.
fn check_purpose(jwk: &Node<'_>) -> Result<(), KeyFault> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyFault::Use);
    }
    match jwk.member("key_ops") {
        None => Ok(()),
        Some(Node::List(operations)) => match operations.as_slice() {
            [operation] if operation.as_text() == Some("verify") => Ok(()),
            _ => Err(KeyFault::KeyOps),
        },
        Some(_) => Err(KeyFault::Member("key_ops")),
    }
}

fn algorithm(jwk: &Node<'_>, kind: KeyKind, allowed: &[Algorithm]) -> Result<Algorithm, KeyFault> {
    let mut fitting = allowed.iter().copied().filter(|algorithm| algorithm.key_kind() == kind);
    match text(jwk, "alg")? {
        None => fitting.next().ok_or(KeyFault::AlgorithmNotAllowed),
        Some(name) => {
            let named = Algorithm::parse(name).ok_or(KeyFault::AlgorithmUnknown)?;
            if named.key_kind() != kind {
                return Err(KeyFault::AlgorithmMismatch);
            }
            fitting.find(|algorithm| *algorithm == named).ok_or(KeyFault::AlgorithmNotAllowed)
        }
    }
}

fn text<'n>(jwk: &'n Node<'_>, name: &'static str) -> Result<Option<&'n str>, KeyFault> {
    jwk.member(name).map(|value| value.as_text().ok_or(KeyFault::Member(name))).transpose()
}

fn bytes(jwk: &Node<'_>, name: &'static str) -> Result<Vec<u8>, KeyFault> {
    let text = text(jwk, name)?.ok_or(KeyFault::Member(name))?;
    base64url::decode(text.as_bytes()).ok_or(KeyFault::Member(name))
}

impl KeyFault {
    /// Stable code, snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAnObject => "key_not_an_object",
            Self::Member(_) => "key_member",
            Self::KeyId => "key_id",
            Self::DuplicateKeyId => "key_id_duplicate",
            Self::Symmetric => "key_symmetric",
            Self::Private => "key_private",
            Self::Use => "key_use",
            Self::KeyOps => "key_ops",
            Self::Kind => "key_type",
            Self::AlgorithmUnknown => "key_algorithm_unknown",
            Self::AlgorithmMismatch => "key_algorithm_mismatch",
            Self::AlgorithmNotAllowed => "key_algorithm_not_allowed",
            Self::Unusable(Unusable::WeakModulus) => "key_weak",
            Self::Unusable(Unusable::BadModulus) => "key_modulus",
            Self::Unusable(Unusable::BadExponent) => "key_exponent",
            Self::Unusable(Unusable::BadPoint) => "key_point",
        }
    }

    /// What is wrong, for the operator.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NotAnObject => "the key is not an object",
            Self::Member(_) => "the member is missing, of another type, or not base64url",
            Self::KeyId => "`kid` is not a text of 1 to 256 bytes",
            Self::DuplicateKeyId => "another key of the set has this `kid`; neither is used",
            Self::Symmetric => "a symmetric key in a public set: whoever reads it can sign",
            Self::Private => "the key has private members: whoever reads it can sign",
            Self::Use => "`use` is not `sig`",
            Self::KeyOps => "`key_ops` is not `verify` alone",
            Self::Kind => "`kty` and `crv` name no type of key that can be used here",
            Self::AlgorithmUnknown => "`alg` names no signature algorithm that can be used here",
            Self::AlgorithmMismatch => "`alg` is for another type of key",
            Self::AlgorithmNotAllowed => "the policy allows no algorithm that the key verifies",
            Self::Unusable(Unusable::WeakModulus) => "the modulus is shorter than 2048 bits",
            Self::Unusable(Unusable::BadModulus) => "the modulus is even or longer than 8192 bits",
            Self::Unusable(Unusable::BadExponent) => {
                "the exponent is 1, even, or longer than 32 bits"
            }
            Self::Unusable(Unusable::BadPoint) => {
                "the coordinates are of the wrong length or make no point that can be used"
            }
        }
    }
}
