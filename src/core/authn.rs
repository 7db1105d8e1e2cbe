//! Who is calling: the credential that a request shows, and what the policy knows of it.

pub(crate) mod algorithm;
pub(crate) mod api_key;
mod base64url;
mod der;
mod extract;
mod fault;
mod jws;
pub mod key_text;

pub(crate) use extract::{KeySource, Presented, SourceStrip, extract};
