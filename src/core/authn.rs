//! Who is calling: the credential that a request shows, and what the policy knows of it.

pub(crate) mod api_key;
mod extract;
pub mod key_text;

pub(crate) use extract::{KeySource, Presented, SourceStrip, extract, unescaped};
