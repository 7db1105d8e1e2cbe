//! From the bytes of a configuration to a policy: read, check against the grammar, compile.
//!
//! `bytes -> Node -> Policy`, and at each arrow every finding, not only the first. [`grammar`] is the
//! policy language as tables; the checks, the JSON Schema and the reference page all walk them.

mod compile;
pub mod diagnostic;
mod forms;
pub mod grammar;
mod json;
mod place;
mod protobuf;
mod shape;
mod suggest;

pub use crate::node::Node;
pub use compile::compile;
pub use diagnostic::{Diagnostic, Severity};

use crate::policy::Policy;
use diagnostic::code;

/// What became of a configuration.
#[derive(Debug)]
pub struct Compiled {
    /// The policy; there is one exactly when no diagnostic is an error.
    pub policy: Option<Policy>,
    /// Every finding, errors first.
    pub diagnostics: Vec<Diagnostic>,
}

impl Policy {
    /// Compiles the bytes of a plugin configuration: JSON text, which begins with `{`, or else a
    /// serialized `google.protobuf.Struct`.
    pub fn compile(source: &[u8]) -> Compiled {
        match read(source) {
            Ok(document) => compile(&document),
            Err(diagnostic) => Compiled { policy: None, diagnostics: vec![diagnostic] },
        }
    }
}

fn read(source: &[u8]) -> Result<Node<'_>, Diagnostic> {
    match source.first() {
        Some(b'{') => Node::from_json(source),
        Some(_) => Node::from_struct(source),
        None => Err(Diagnostic {
            severity: Severity::Error,
            code: code::POLICY_EMPTY,
            place: String::new(),
            message: "there is no policy: the configuration is empty".to_owned(),
            help: "a gateway without a policy would refuse everything".to_owned(),
        }),
    }
}
