//! What the runners share: the case files, their templates, what a case expects, and the hosts that
//! carry a case out (the core itself, the module in a Wasm runtime, a real Envoy).
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "a test that meets what it did not expect should stop there and say where"
)]

pub mod bootstrap;
pub mod branches;
pub mod case;
pub mod configs;
pub mod envoy;
pub mod expect;
pub mod fake_host;
pub mod http1;
pub mod in_wasm;
pub mod native;
pub mod policy;
pub mod presented;
pub mod probe;
pub mod template;
pub mod token;
pub mod tokens;
pub mod trap;
pub mod upstream;
pub mod vectors;
