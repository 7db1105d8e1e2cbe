//! The decision: a value that holds all that was learned on the way to it.

use std::borrow::Cow;

use crate::authn::api_key::ApiKey;
use crate::authz::{ScopeId, ScopeSet};
use crate::headers::Headers;
use crate::limit::LimitReport;
use crate::network::Caller;
use crate::path::Path;
use crate::policy::{Consumer, Policy};
use crate::reason::Denial;
use crate::request::Request;
use crate::route::Route;
use crate::time::Timestamp;

/// Why a request may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The route is public.
    Public,
    /// The principal may use the route.
    Principal,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is forwarded.
    Allowed,
    /// It is answered by the gateway.
    Refused,
    /// It would be refused, and is forwarded because route or policy only observe.
    Observed,
}

impl Outcome {
    /// The outcome's name in audit records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Observed => "observed",
        }
    }
}

/// Who a request turned out to be.
#[derive(Clone, Copy, Debug)]
pub struct Principal<'p> {
    pub(crate) consumer: &'p Consumer,
    pub(crate) key: &'p ApiKey,
    pub(crate) scopes: &'p ScopeSet,
}

impl<'p> Principal<'p> {
    /// The consumer.
    pub fn consumer(&self) -> &'p Consumer {
        self.consumer
    }

    /// The key that was shown.
    pub fn key(&self) -> &'p ApiKey {
        self.key
    }
}

/// The outcome for one request, and what each stage found.
#[derive(Debug)]
pub struct Decision<'p, 'r> {
    pub(crate) policy: &'p Policy,
    pub(crate) now: Timestamp,
    pub(crate) headers: Headers<'r>,
    pub(crate) method: Option<&'r str>,
    pub(crate) host: Option<Cow<'r, str>>,
    pub(crate) path: Option<Path<'r>>,
    pub(crate) caller: Caller,
    pub(crate) route: Option<&'p Route>,
    /// Proven, and good in every respect but what it asks for.
    pub(crate) principal: Option<Principal<'p>>,
    /// Named by a credential that was refused.
    pub(crate) claimed: Option<Principal<'p>>,
    pub(crate) limits: Vec<LimitReport<'p>>,
    /// The network or limit that refused.
    pub(crate) rule: Option<&'p str>,
    pub(crate) missing: Vec<ScopeId>,
    pub(crate) verdict: Result<Grant, Denial>,
}

impl<'p, 'r> Decision<'p, 'r> {
    /// A decision about which nothing is known yet but the header lines.
    pub(crate) fn open(policy: &'p Policy, request: &Request<'r>, now: Timestamp) -> Self {
        Self {
            policy,
            now,
            headers: Headers::read(request.headers, &policy.names),
            method: None,
            host: None,
            path: None,
            caller: Caller::default(),
            route: None,
            principal: None,
            claimed: None,
            limits: Vec::new(),
            rule: None,
            missing: Vec::new(),
            verdict: Err(Denial::RouteUnknown),
        }
    }

    /// Whether the request may pass by the policy, and if not, why.
    pub fn verdict(&self) -> Result<Grant, Denial> {
        self.verdict
    }

    /// What becomes of the request: observe mode changes the effect, never the verdict. Requests that
    /// cannot be read and failures of the host are refused in every mode.
    pub fn outcome(&self) -> Outcome {
        match self.verdict {
            Ok(_) => Outcome::Allowed,
            Err(Denial::RequestMalformed | Denial::HostFailure | Denial::PolicyUnavailable) => {
                Outcome::Refused
            }
            Err(_) if self.only_observes() => Outcome::Observed,
            Err(_) => Outcome::Refused,
        }
    }

    /// Whether the policy or the route looks on without refusing.
    pub(crate) fn only_observes(&self) -> bool {
        self.policy.observe || self.route.is_some_and(|route| route.observe)
    }

    /// The route that the request belongs to.
    pub fn route(&self) -> Option<&'p Route> {
        self.route
    }

    /// Who the request turned out to be.
    pub fn principal(&self) -> Option<&Principal<'p>> {
        self.principal.as_ref()
    }

    /// The network or limit that refused, by its name in the policy.
    pub fn rule(&self) -> Option<&'p str> {
        self.rule
    }

    /// Turns the decision into a refusal because Envoy would not carry it out.
    pub fn fail(&mut self) {
        self.verdict = Err(Denial::HostFailure);
    }
}
