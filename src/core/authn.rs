//! Who is calling: the credential that a request shows, and what the policy knows of it.

pub(crate) mod algorithm;
pub(crate) mod api_key;
mod base64url;
pub(crate) mod claim_value;
pub(crate) mod claims;
mod der;
mod extract;
pub(crate) mod fault;
mod grants;
pub(crate) mod issuer;
pub(crate) mod jwk;
pub(crate) mod jwks;
pub(crate) mod jws;
pub mod key_text;
pub(crate) mod secrets;
pub(crate) mod signature;
pub(crate) mod token;
pub(crate) mod token_cache;

pub(crate) use extract::{KeySource, Presented, SourceStrip, extract, unescaped};
