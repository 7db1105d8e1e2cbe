//! JSON text as a document, its first fault as a finding.

use std::fmt;

use super::diagnostic::{Diagnostic, Severity, code};
use super::place::Escaped;
use crate::node::{JsonFault, Node, Step};

impl<'t> Node<'t> {
    /// Reads JSON text (RFC 8259, UTF-8 without a byte order mark).
    ///
    /// # Errors
    ///
    /// The place and kind of the first fault: not JSON, two members of one name, nested too deeply.
    pub fn from_json(text: &'t [u8]) -> Result<Self, Diagnostic> {
        Self::parse(text).map_err(|fault| Diagnostic {
            severity: Severity::Error,
            code: if fault.is_duplicate { code::DUPLICATE_MEMBER } else { code::JSON_INVALID },
            place: Pointer(&fault).to_string(),
            message: fault.message,
            help: String::new(),
        })
    }
}

/// Where a fault is, as a JSON pointer (RFC 6901).
struct Pointer<'f>(&'f JsonFault);

impl fmt::Display for Pointer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.steps.iter().try_for_each(|step| match step {
            Step::Member(name) => write!(f, "/{}", Escaped(name)),
            Step::Item(index) => write!(f, "/{index}"),
        })
    }
}
