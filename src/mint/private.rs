//! Private keys and what they sign. The only file here that names a signature crate.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use portcullis_core::{Algorithm, Hash, KeyKind};
use rsa::traits::PrivateKeyParts as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// Least and most bits of an RSA key.
const RSA_BITS: (usize, usize) = (2_048, 8_192);

/// A private key as its crate wants it.
#[derive(Clone)]
pub(crate) enum Private {
    Rsa(Box<RsaPrivateKey>),
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Secret(Box<[u8]>),
}

impl Private {
    pub(crate) fn generate(algorithm: Algorithm, bits: usize, random: &mut ChaCha20Rng) -> Self {
        match algorithm.key_kind() {
            KeyKind::Rsa => {
                let bits = bits.clamp(RSA_BITS.0, RSA_BITS.1).next_multiple_of(8);
                Self::Rsa(Box::new(retry(|| RsaPrivateKey::new(random, bits).ok())))
            }
            KeyKind::P256 => Self::P256(Box::new(retry(|| {
                p256::ecdsa::SigningKey::from_slice(&bytes::<32>(random)).ok()
            }))),
            KeyKind::P384 => Self::P384(Box::new(retry(|| {
                p384::ecdsa::SigningKey::from_slice(&bytes::<48>(random)).ok()
            }))),
            KeyKind::Ed25519 => {
                Self::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&bytes(random))))
            }
            KeyKind::Secret => {
                let mut secret = vec![0; algorithm.hash().length()];
                random.fill_bytes(&mut secret);
                Self::Secret(secret.into())
            }
        }
    }

    /// An RSA key of a size that signs with every algorithm; `None` for others.
    pub(crate) fn rsa(key: RsaPrivateKey) -> Option<Self> {
        let bits = usize::try_from(rsa::traits::PublicKeyParts::n(&key).bits()).ok()?;
        (RSA_BITS.0..=RSA_BITS.1).contains(&bits).then(|| Self::Rsa(Box::new(key)))
    }

    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Rsa(_) => KeyKind::Rsa,
            Self::P256(_) => KeyKind::P256,
            Self::P384(_) => KeyKind::P384,
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::Secret(_) => KeyKind::Secret,
        }
    }

    /// The signature in JOSE's form.
    pub(crate) fn sign(&self, algorithm: Algorithm, text: &[u8]) -> Vec<u8> {
        let digest = digest(algorithm.hash(), text);
        let signature = match self {
            Self::Rsa(key) => rsa_signature(key, algorithm, &digest),
            Self::P256(key) => key
                .sign_prehash(&digest)
                .ok()
                .map(|s: p256::ecdsa::Signature| s.to_bytes().to_vec()),
            Self::P384(key) => key
                .sign_prehash(&digest)
                .ok()
                .map(|s: p384::ecdsa::Signature| s.to_bytes().to_vec()),
            Self::Ed25519(key) => Some(key.sign(text).to_bytes().to_vec()),
            Self::Secret(secret) => tag(algorithm.hash(), secret, text),
        };
        #[expect(clippy::expect_used, reason = "keys that cannot sign are not made")]
        signature.expect("the key signs")
    }
}

fn rsa_signature(key: &RsaPrivateKey, algorithm: Algorithm, digest: &[u8]) -> Option<Vec<u8>> {
    if !algorithm.is_pss() {
        return match algorithm.hash() {
            Hash::Sha256 => key.sign(Pkcs1v15Sign::new::<Sha256>(), digest),
            Hash::Sha384 => key.sign(Pkcs1v15Sign::new::<Sha384>(), digest),
            Hash::Sha512 => key.sign(Pkcs1v15Sign::new::<Sha512>(), digest),
        }
        .ok();
    }
    // The salt is drawn from the key and the text, as the nonces of ECDSA are (RFC 6979).
    let seed = Sha256::new().chain_update(key.d().to_be_bytes()).chain_update(digest);
    let random = &mut ChaCha20Rng::from_seed(seed.finalize().into());
    match algorithm.hash() {
        Hash::Sha256 => key.sign_with_rng(random, Pss::<Sha256>::new(), digest),
        Hash::Sha384 => key.sign_with_rng(random, Pss::<Sha384>::new(), digest),
        Hash::Sha512 => key.sign_with_rng(random, Pss::<Sha512>::new(), digest),
    }
    .ok()
}

fn tag(hash: Hash, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    Some(match hash {
        Hash::Sha256 => {
            let state = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            state.chain_update(text).finalize().into_bytes().to_vec()
        }
        Hash::Sha384 => {
            let state = Hmac::<Sha384>::new_from_slice(secret).ok()?;
            state.chain_update(text).finalize().into_bytes().to_vec()
        }
        Hash::Sha512 => {
            let state = Hmac::<Sha512>::new_from_slice(secret).ok()?;
            state.chain_update(text).finalize().into_bytes().to_vec()
        }
    })
}

fn digest(hash: Hash, text: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(text).to_vec(),
        Hash::Sha384 => Sha384::digest(text).to_vec(),
        Hash::Sha512 => Sha512::digest(text).to_vec(),
    }
}

/// Draws again until a draw makes a key; nearly every one does.
fn retry<K>(mut draw: impl FnMut() -> Option<K>) -> K {
    loop {
        if let Some(key) = draw() {
            return key;
        }
    }
}

fn bytes<const N: usize>(random: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill_bytes(&mut bytes);
    bytes
}
