//! One key that signs.

use std::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng as _;
use portcullis_core::{Algorithm, KeyKind};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::private::Private;
use crate::{Fault, jwk};

/// Bits of an RSA key unless its maker says otherwise: the least that is accepted.
const RSA_BITS: usize = 2_048;

/// A private key, the algorithm that it signs with, and its id.
#[derive(Clone)]
pub struct TestKey {
    algorithm: Algorithm,
    id: Option<String>,
    // INVARIANT: of the kind that the algorithm needs.
    private: Private,
}

impl TestKey {
    /// Makes a key. The same algorithm and seed make the same key, so a seed from the system's
    /// randomness is what makes a key nobody else has. One of RSA has 2048 bits.
    pub fn generate(algorithm: Algorithm, id: Option<&str>, seed: &[u8]) -> Self {
        Self::generate_sized(algorithm, RSA_BITS, id, seed)
    }

    /// The same, with the size of an RSA key in bits: 2048 to 8192, in steps of 8. Others are
    /// brought to the nearest of these. No other kind of key has a choice.
    pub fn generate_sized(
        algorithm: Algorithm,
        bits: usize,
        id: Option<&str>,
        seed: &[u8],
    ) -> Self {
        let kind = format!("{:?} {bits}", algorithm.key_kind());
        let seed = Sha256::new().chain_update(kind).chain_update([0]).chain_update(seed);
        let mut random = ChaCha20Rng::from_seed(seed.finalize().into());
        Self::new(algorithm, id, Private::generate(algorithm, bits, &mut random))
    }

    /// Reads a private JWK. Without `alg` it signs with the first algorithm of its type (RS256, ES256,
    /// ES384, `EdDSA`, HS256).
    ///
    /// # Errors
    /// [`Fault`].
    pub fn from_jwk(text: &str) -> Result<Self, Fault> {
        let value: Value = serde_json::from_str(text).map_err(|_| Fault::NotAnObject)?;
        let members = value.as_object().ok_or(Fault::NotAnObject)?;
        let private = jwk::read(members)?;
        let algorithm = match members.get("alg") {
            None => Algorithm::ALL.into_iter().find(|a| a.key_kind() == private.kind()),
            Some(name) => name.as_str().and_then(Algorithm::parse),
        };
        let algorithm = algorithm.filter(|algorithm| algorithm.key_kind() == private.kind());
        let id = match members.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().ok_or(Fault::Member("kid"))?),
        };
        Ok(Self::new(algorithm.ok_or(Fault::Algorithm)?, id, private))
    }

    /// A key of HMAC with these bytes, however many they are; `None` for other algorithms.
    pub fn from_secret(algorithm: Algorithm, id: Option<&str>, secret: &[u8]) -> Option<Self> {
        let is_secret = algorithm.key_kind() == KeyKind::Secret;
        is_secret.then(|| Self::new(algorithm, id, Private::Secret(secret.into())))
    }

    fn new(algorithm: Algorithm, id: Option<&str>, private: Private) -> Self {
        Self { algorithm, id: id.map(str::to_owned), private }
    }

    /// The same key with another algorithm that it can sign with; `None` where it cannot.
    #[must_use]
    pub fn with_algorithm(&self, algorithm: Algorithm) -> Option<Self> {
        let fits = algorithm.key_kind() == self.private.kind();
        fits.then(|| Self { algorithm, ..self.clone() })
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_id(&self, id: Option<&str>) -> Self {
        Self { id: id.map(str::to_owned), ..self.clone() }
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The whole key as a JWK, private members included.
    pub fn private_jwk(&self) -> Value {
        let mut jwk = self.named(jwk::public(&self.private).unwrap_or_default());
        jwk.extend(jwk::private(&self.private));
        jwk.into()
    }

    /// The public half as a JWK; `None` for HMAC, which has none.
    pub fn public_jwk(&self) -> Option<Value> {
        jwk::public(&self.private).map(|jwk| self.named(jwk).into())
    }

    /// The thumbprint of the public half (RFC 7638), which makes a fine id; `None` for HMAC.
    pub fn thumbprint(&self) -> Option<String> {
        // The members that are left without names are the required ones, sorted.
        let jwk = Value::from(jwk::public(&self.private)?).to_string();
        Some(jwk::encode(&Sha256::digest(jwk)))
    }

    /// The secret of HMAC as the filter's environment has it; `None` for other keys.
    pub fn secret(&self) -> Option<String> {
        match &self.private {
            Private::Secret(bytes) => Some(jwk::encode(bytes)),
            _ => None,
        }
    }

    fn named(&self, mut jwk: Map<String, Value>) -> Map<String, Value> {
        jwk.insert("alg".to_owned(), self.algorithm.name().into());
        jwk.insert("use".to_owned(), "sig".into());
        if let Some(id) = &self.id {
            jwk.insert("kid".to_owned(), id.as_str().into());
        }
        jwk
    }

    /// The header of a plain token: `alg`, `kid` where the key has one, and `typ: JWT`.
    pub fn header(&self) -> Value {
        match &self.id {
            Some(id) => json!({"alg": self.algorithm.name(), "kid": id, "typ": "JWT"}),
            None => json!({"alg": self.algorithm.name(), "typ": "JWT"}),
        }
    }

    /// A plain token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A token with this header and these claims; neither is added to, nor looked at.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_raw(&header.to_string(), claims.to_string())
    }

    /// A token of two texts that need not be JSON.
    pub fn sign_raw(&self, header: &str, payload: impl AsRef<[u8]>) -> String {
        let signed =
            format!("{}.{}", jwk::encode(header.as_bytes()), jwk::encode(payload.as_ref()));
        let signature = jwk::encode(&self.signature(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The signature of a text, in JOSE's form. The same text has the same signature each time.
    pub fn signature(&self, text: &[u8]) -> Vec<u8> {
        self.private.sign(self.algorithm, text)
    }
}

/// The public halves as a key set; keys of HMAC have none and are left out.
pub fn key_set<'k>(keys: impl IntoIterator<Item = &'k TestKey>) -> String {
    let keys: Vec<_> = keys.into_iter().filter_map(TestKey::public_jwk).collect();
    json!({ "keys": keys }).to_string()
}

impl fmt::Debug for TestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TestKey");
        shown.field("algorithm", &self.algorithm).field("id", &self.id).finish_non_exhaustive()
    }
}
