//! Secrets that an issuer shares with the gateway, for HMAC. They come from the environment of the
//! host and are never part of a policy.

use super::algorithm::Algorithm;
use super::base64url;
use super::fault::Fault;
use super::jwks::Version;
use super::jws::Jws;
use super::signature::Secret;
use crate::reason::Denial;

/// The secrets of one issuer: one, or two while one takes over from the other. Not printable.
pub struct SecretSet {
    version: Version,
    secrets: Box<[Secret]>,
}

/// Why a secret is none. Says nothing of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFault {
    /// No secret is set.
    Missing,
    /// It is not base64url without padding.
    NotBase64Url,
    /// It is shorter than the algorithm's digest, or longer than 512 bytes.
    Length,
}

impl SecretFault {
    /// What is wrong, for the operator.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Missing => "no variable holds a secret",
            Self::NotBase64Url => "a secret is not base64url without padding",
            Self::Length => {
                "a secret is shorter than the algorithm's digest, or longer than 512 bytes"
            }
        }
    }
}

impl SecretSet {
    /// Reads the texts of secrets, as the environment has them. Those that are not set are left out.
    ///
    /// # Errors
    /// [`SecretFault`] of the first that is none.
    pub fn read<'t>(
        algorithm: Algorithm,
        texts: impl IntoIterator<Item = Option<&'t [u8]>>,
    ) -> Result<Self, SecretFault> {
        let mut all = Vec::new();
        let read = |text: &[u8]| {
            let bytes = base64url::decode(text).ok_or(SecretFault::NotBase64Url)?;
            all.extend_from_slice(text);
            all.push(b' ');
            Secret::new(algorithm, &bytes).ok_or(SecretFault::Length)
        };
        let secrets: Box<[Secret]> =
            texts.into_iter().flatten().map(read).collect::<Result<_, _>>()?;
        if secrets.is_empty() {
            return Err(SecretFault::Missing);
        }
        Ok(Self { version: Version::of(&all), secrets })
    }

    /// Which secrets these are.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Whether one of the secrets signed a token. Secrets have no ids: each is tried.
    ///
    /// # Errors
    /// `token_algorithm` or `token_signature`.
    pub fn verify(&self, jws: &Jws<'_>) -> Result<(), Fault> {
        let mut fitting = self.secrets.iter().filter(|secret| secret.algorithm() == jws.algorithm);
        if fitting.clone().next().is_none() {
            Err(Fault::new(Denial::TokenAlgorithm, "`alg` is not that of the secret"))
        } else if fitting.any(|secret| secret.verify(jws.signed, &jws.signature)) {
            Ok(())
        } else {
            Err(Fault::new(Denial::TokenSignature, "the signature is not the secret's"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::base64url::encode;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read(algorithm: Algorithm, texts: &[Option<&str>]) -> Option<SecretFault> {
        let texts = texts.iter().map(|text| text.map(str::as_bytes));
        SecretSet::read(algorithm, texts).err()
    }

    #[test]
    fn a_secret_is_as_long_as_its_digest() {
        // C03
        for (algorithm, least) in
            [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
        {
            let of = |length: usize| read(algorithm, &[Some(&encode(&vec![7; length]))]);
            assert_eq!((of(least), of(Secret::MAX)), (None, None));
            for length in [0, 1, least - 1, Secret::MAX + 1] {
                assert_eq!(of(length), Some(SecretFault::Length), "{length}");
            }
        }
        assert_eq!(read(Algorithm::Rs256, &[Some(&encode(&[7; 64]))]), Some(SecretFault::Length));
        assert_eq!(
            read(Algorithm::Hs256, &[Some("not a secret")]),
            Some(SecretFault::NotBase64Url)
        );
        assert_eq!(read(Algorithm::Hs256, &[None, None]), Some(SecretFault::Missing));
        assert_eq!(read(Algorithm::Hs256, &[Some(&encode(&[7; 32])), None]), None);
    }
}
