//! Signature algorithms by their JOSE names, and the one rule that ties them to keys.

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1). `none` is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes.
    Ps384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512 and a salt of 64 bytes.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

/// What a key is, which decides what it can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// An RSA modulus and exponent.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// A point on edwards25519.
    Ed25519,
    /// Bytes that issuer and gateway share.
    Secret,
}

impl Algorithm {
    /// Every algorithm, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// The name in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The algorithm of a name, compared exactly. `Ed25519` is RFC 9864's name for the only `EdDSA`
    /// there is here.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            _ => Self::ALL.into_iter().find(|algorithm| algorithm.name() == name),
        }
    }

    /// The kind of key that the algorithm needs: no kind serves two families by mistake.
    pub const fn key_kind(self) -> KeyKind {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                KeyKind::Rsa
            }
            Self::Es256 => KeyKind::P256,
            Self::Es384 => KeyKind::P384,
            Self::EdDsa => KeyKind::Ed25519,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => KeyKind::Secret,
        }
    }

    /// The hash over the signed text. Ed25519's own SHA-512 is part of its definition.
    pub const fn hash(self) -> Hash {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 | Self::Hs256 => Hash::Sha256,
            Self::Rs384 | Self::Ps384 | Self::Es384 | Self::Hs384 => Hash::Sha384,
            Self::Rs512 | Self::Ps512 | Self::EdDsa | Self::Hs512 => Hash::Sha512,
        }
    }

    /// Whether the signature is RSASSA-PSS.
    pub const fn is_pss(self) -> bool {
        matches!(self, Self::Ps256 | Self::Ps384 | Self::Ps512)
    }
}

impl Hash {
    /// Bytes of a digest.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn names_are_compared_exactly() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
        // J01, J02, J04, J09
        for name in [
            "", "none", "None", "NONE", "nOnE", "none ", "rs256", "RS256 ", "RS2566", " RS256",
            "RS256\0", "ES256K", "ES512", "ES521", "Ed448", "EDDSA", "HS1", "RSA-OAEP",
        ] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }
}
