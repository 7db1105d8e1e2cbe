//! What every stage saw, for whoever asks why.

use crate::limit::LimitLook;

/// A stage of the walk, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Method, path and host are read in one way or refused.
    Form,
    /// The caller's address and country.
    Caller,
    /// The policy's denied networks.
    Network,
    /// The route.
    Route,
    /// Limits by address alone.
    AddressLimits,
    /// The one credential that is shown.
    Credential,
    /// Who that is.
    Authenticate,
    /// Scopes and networks of route and consumer.
    Authorise,
    /// The other limits.
    Limits,
    /// What the response says that the request has cost.
    Charge,
}

impl Stage {
    /// The stage's name, lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Caller => "caller",
            Self::Network => "network",
            Self::Route => "route",
            Self::AddressLimits => "address limits",
            Self::Credential => "credential",
            Self::Authenticate => "authenticate",
            Self::Authorise => "authorise",
            Self::Limits => "limits",
            Self::Charge => "charge",
        }
    }
}

/// Hears what every stage saw.
pub trait Trace {
    /// One finding, never with a secret in it. The text is made only if somebody listens.
    fn note(&mut self, stage: Stage, text: impl FnOnce() -> String);

    /// A limit that the request was held against. Who does not care for its parts is told in words.
    fn limit(&mut self, stage: Stage, look: impl FnOnce() -> LimitLook) {
        self.note(stage, || look().to_string());
    }
}

/// Nobody listens.
impl Trace for () {
    fn note(&mut self, _stage: Stage, _text: impl FnOnce() -> String) {}
}

/// Everything is kept.
impl Trace for Vec<(Stage, String)> {
    fn note(&mut self, stage: Stage, text: impl FnOnce() -> String) {
        self.push((stage, text()));
    }
}
