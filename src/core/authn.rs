//! Who is calling: the credential that a request shows, and what the policy knows of it.

pub(crate) mod algorithm;
pub(crate) mod api_key;
pub(crate) mod base64url;
pub(crate) mod bearer;
pub(crate) mod claim_value;
pub(crate) mod claims;
mod der;
pub(crate) mod extract;
pub(crate) mod fault;
mod grants;
pub(crate) mod issuer;
pub(crate) mod judge;
pub(crate) mod jwk;
pub(crate) mod jwks;
pub(crate) mod jws;
pub mod key_text;
pub(crate) mod secrets;
pub(crate) mod signature;
pub(crate) mod token;
pub(crate) mod token_cache;
pub(crate) mod tokens;

pub(crate) use extract::{Presented, Shown, Source, SourceStrip, Spot, extract, unescaped};
pub(crate) use jwks::MAX_SET;
