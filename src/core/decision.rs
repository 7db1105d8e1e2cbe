//! The decision: a value that holds all that was learned on the way to it.

use std::borrow::Cow;
use std::rc::Rc;

use crate::authn::api_key::ApiKey;
use crate::authn::extract::CredentialKind;
use crate::authn::issuer::Issuer;
use crate::authn::token::Token;
use crate::authz::{ScopeId, ScopeSet};
use crate::headers::Headers;
use crate::limit::{Limit, LimitReport, Origin};
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
#[derive(Clone, Debug)]
pub struct Principal<'p> {
    /// The configured caller. Only a token can be without one.
    pub(crate) consumer: Option<&'p Consumer>,
    pub(crate) credential: Credential<'p>,
}

/// What proved it.
#[derive(Clone, Debug)]
pub(crate) enum Credential<'p> {
    ApiKey { key: &'p ApiKey, scopes: &'p ScopeSet },
    Token { issuer: &'p Issuer, token: Rc<Token> },
}

impl<'p> Principal<'p> {
    /// The consumer's name; of a token without one, the issuer's name, a colon, and the claim that names
    /// the caller. No consumer has a name with a colon.
    pub fn name(&self) -> &str {
        match (self.consumer, &self.credential) {
            (Some(consumer), _) => consumer.name(),
            (None, Credential::Token { token, .. }) => &token.name,
            // INVARIANT: every key is a consumer's.
            (None, Credential::ApiKey { key, .. }) => key.id(),
        }
    }

    /// The name as a header can hold it: visible ASCII.
    pub(crate) fn header_name(&self) -> &str {
        match (self.consumer, &self.credential) {
            (None, Credential::Token { token, .. }) => token.header_name(),
            _ => self.name(),
        }
    }

    /// What limits tell credentials apart by: the id of a key; of tokens, whom they name, because a
    /// caller can have any number of tokens.
    pub(crate) fn credential_name(&self) -> &str {
        match &self.credential {
            Credential::ApiKey { key, .. } => key.id(),
            Credential::Token { token, .. } => &token.name,
        }
    }

    /// The same as a header can hold it.
    pub(crate) fn told_credential(&self) -> &str {
        match &self.credential {
            Credential::ApiKey { key, .. } => key.id(),
            Credential::Token { token, .. } => token.header_name(),
        }
    }

    pub(crate) fn scopes(&self) -> &ScopeSet {
        match &self.credential {
            Credential::ApiKey { scopes, .. } => scopes,
            Credential::Token { token, .. } => &token.scopes,
        }
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        match &self.credential {
            Credential::Token { token, .. } => Some(token),
            Credential::ApiKey { .. } => None,
        }
    }

    /// The consumer, where there is one.
    pub fn consumer(&self) -> Option<&'p Consumer> {
        self.consumer
    }

    /// The key that was shown, where it was one.
    pub fn key(&self) -> Option<&'p ApiKey> {
        match &self.credential {
            Credential::ApiKey { key, .. } => Some(key),
            Credential::Token { .. } => None,
        }
    }

    /// The issuer of the token that was shown, where it was one.
    pub fn issuer(&self) -> Option<&'p Issuer> {
        match &self.credential {
            Credential::Token { issuer, .. } => Some(issuer),
            Credential::ApiKey { .. } => None,
        }
    }

    /// What was shown.
    pub fn kind(&self) -> CredentialKind {
        match &self.credential {
            Credential::ApiKey { .. } => CredentialKind::ApiKey,
            Credential::Token { .. } => CredentialKind::Jwt,
        }
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
    /// Proven too, beside the principal, by a credential that does not count.
    pub(crate) beside: Option<Principal<'p>>,
    /// Named by a token that was refused.
    pub(crate) claimed_issuer: Option<&'p Issuer>,
    /// What was wrong with it, in our own words.
    pub(crate) token_fault: Option<&'static str>,
    pub(crate) limits: Vec<LimitReport<'p>>,
    /// The network, limit or claim that refused.
    pub(crate) rule: Option<&'p str>,
    pub(crate) missing: Vec<ScopeId>,
    pub(crate) verdict: Result<Grant, Denial>,
}

impl<'p, 'r> Decision<'p, 'r> {
    /// A decision about which nothing is known yet but the header lines.
    #[inline]
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
            beside: None,
            claimed_issuer: None,
            token_fault: None,
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

    /// Everybody that was proven: the principal, and whom a second credential beside its own names.
    pub fn proven(&self) -> impl Iterator<Item = &Principal<'p>> {
        self.principal.iter().chain(&self.beside)
    }

    /// Who the request turned out to be.
    pub fn principal(&self) -> Option<&Principal<'p>> {
        self.principal.as_ref()
    }

    /// The network, limit or claim that refused, by its name in the policy.
    pub fn rule(&self) -> Option<&'p str> {
        self.rule
    }

    /// Limits that would have refused the request, if they did more than look on.
    pub fn observed_limits(&self) -> impl Iterator<Item = &'p Limit> {
        let observed =
            self.limits.iter().filter(|report| report.limit.observe && report.state.is_empty());
        observed.map(|report| report.limit)
    }

    /// Limits of the fleet that were decided without the service, by name.
    pub fn limits_without_service(&self) -> impl Iterator<Item = &'p str> {
        let limits = self.limits.iter();
        let without =
            limits.filter(|report| matches!(report.origin, Origin::Local | Origin::Nobody));
        without.map(|report| report.limit.name())
    }

    /// Turns the decision into a refusal because Envoy would not carry it out.
    pub fn fail(&mut self) {
        self.verdict = Err(Denial::HostFailure);
    }
}
