//! From the bytes of a configuration to a policy: read, check against the grammar, compile.
//!
//! `bytes -> Node -> Policy`, and at each arrow every finding, not only the first. [`grammar`] is the
//! policy language as tables; the checks, the JSON Schema and the reference page all walk them.

pub mod diagnostic;
pub mod node;
mod place;
mod protobuf;

pub use diagnostic::{Diagnostic, Severity};
pub use node::Node;
