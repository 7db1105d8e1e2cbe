//! Keys and tokens for tests, made with the crates that the core verifies with.
//!
//! Nothing here is fit for an issuer: keys come from a seed that the caller chooses, they can be
//! printed, and a token says whatever it is told to say, however wrong.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    expect(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        reason = "a test may stop at the first surprise"
    )
)]

use std::fmt;

mod jwk;
mod key;
mod private;
#[cfg(test)]
mod tests;

pub use jwk::{decode, encode};
pub use key::{TestKey, key_set};

/// Why there is no key. Says nothing of what a private member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text is not a JSON object.
    NotAnObject,
    /// The member is missing, of another type, or not base64url.
    Member(&'static str),
    /// `kty` and `crv` name no type of key that is known here.
    Kind,
    /// `alg` names no algorithm that is known here, or one for another type of key.
    Algorithm,
    /// The numbers make no private key, or an RSA key of fewer than 2048 or more than 8192 bits.
    Numbers,
    /// The public members belong to another private key.
    Mismatch,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("the key is not a JSON object"),
            Self::Member(name) => {
                write!(f, "`{name}` is missing, of another type, or not base64url")
            }
            Self::Kind => f.write_str("`kty` and `crv` name no type of key that is known here"),
            Self::Algorithm => {
                f.write_str("`alg` names no algorithm that is known here, or one for other keys")
            }
            Self::Numbers => {
                f.write_str("the numbers make no private key; one of RSA has 2048 to 8192 bits")
            }
            Self::Mismatch => f.write_str("the public members belong to another private key"),
        }
    }
}

impl std::error::Error for Fault {}
