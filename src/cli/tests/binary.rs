//! The binary as its users run it: arguments and files in, text and exit codes out.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod around;
mod check;
mod explain;
mod fleet;
mod inspect;
mod inspect_policy;
mod jwks;
mod key;
mod mint;
mod schema;
mod support;
mod tokens_around;
mod traps;
mod validate;
