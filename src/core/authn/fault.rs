//! Why a token is refused, for the operator.

use crate::reason::Denial;

/// The reason, and what exactly was wrong. The words are ours alone: nothing of the token is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The reason.
    pub denial: Denial,
    /// What was wrong.
    pub why: &'static str,
}

impl Fault {
    pub(crate) const fn new(denial: Denial, why: &'static str) -> Self {
        Self { denial, why }
    }

    pub(crate) const fn malformed(why: &'static str) -> Self {
        Self::new(Denial::TokenMalformed, why)
    }
}
