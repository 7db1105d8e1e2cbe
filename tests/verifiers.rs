//! The two verifiers of signatures: the same answer to everything, and the right one.
//!
//! The filter's own code asks both inside a real Envoy (`probe/`); what Envoy might answer wrong is
//! asked of the same code with a stand-in for Envoy.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

#[path = "../src/filter"]
mod filter {
    pub(crate) mod native;
}

mod verifiers {
    pub(crate) mod abi;
    mod changes;
    mod fallback;
    mod stand_in;
    mod tokens;
    mod wycheproof;
}

use verifiers::abi;
