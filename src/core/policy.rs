//! The compiled policy: immutable, and made by nothing but `config`.

use crate::address::Cidr;
use crate::authn::Source;
use crate::authn::api_key::{ApiKey, KeyTable};
use crate::authn::extract::CredentialKind;
use crate::authn::issuer::Issuer;
use crate::authn::token::TokenRules;
use crate::authz::{ScopeSetId, ScopeTable};
use crate::hand_over::Fact;
use crate::headers::NameTable;
use crate::limit::{Fleet, Limit, LimitId};
use crate::lookup::Lookup;
use crate::network::{NetworkSet, NetworkTable};
use crate::route::{Methods, Route, RouteId, RouteTable};
use crate::time::Timestamp;

/// Position of a consumer in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerId(pub(crate) u32);

/// A configured caller.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub(crate) name: Box<str>,
    pub(crate) disabled: bool,
    /// Where the consumer must be; empty: anywhere.
    pub(crate) networks: NetworkSet,
    pub(crate) deny: NetworkSet,
    /// Position of its plan.
    pub(crate) plan: Option<u16>,
    /// Those of its plan among them.
    pub(crate) limits: Box<[LimitId]>,
    /// The most that its tokens may do; its keys have sets of their own.
    pub(crate) scopes: ScopeSetId,
    /// When its API keys end.
    pub(crate) schedule: Option<Box<Schedule>>,
}

/// When API keys end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) deprecated: Option<Timestamp>,
    /// The first instant at which keys are refused.
    pub(crate) sunset: Option<Timestamp>,
    /// Where callers read what to do.
    pub(crate) link: Option<Box<str>>,
}

impl Schedule {
    /// Two schedules as one: the earlier times, and the link of the one that ends or begins first.
    pub(crate) fn both(&self, other: &Self) -> Self {
        let earlier = |one: Option<Timestamp>, other: Option<Timestamp>| {
            [one, other].into_iter().flatten().min()
        };
        let sunset = earlier(self.sunset, other.sunset);
        let deprecated = earlier(self.deprecated, other.deprecated);
        let first = |one: &Self| one.sunset.or(one.deprecated).unwrap_or(Timestamp::LAST);
        let (near, far) = if first(other) < first(self) { (other, self) } else { (self, other) };
        Self {
            // Nothing ends before it is deprecated (RFC 9745 section 4).
            deprecated: deprecated.map(|time| sunset.map_or(time, |sunset| time.min(sunset))),
            sunset,
            link: near.link.clone().or_else(|| far.link.clone()),
        }
    }
}

impl Consumer {
    /// The consumer's name in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Which address counts as the caller's.
#[derive(Clone, Debug, Default)]
pub(crate) enum AddressSource {
    /// What Envoy's socket saw.
    #[default]
    Peer,
    /// Envoy's own answer, however the connection manager derived it.
    Envoy,
    /// The right-most entry of `x-forwarded-for` that is not one of these proxies.
    ForwardedFor(Box<[Cidr]>),
}

/// Headers that tell an upstream who is calling.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdentityHeaders {
    pub(crate) consumer: Option<Box<str>>,
    pub(crate) credential: Option<Box<str>>,
    pub(crate) scopes: Option<Box<str>>,
}

/// Which headers tell callers of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitHeaders {
    /// `RateLimit-Policy` and `RateLimit`.
    pub(crate) standard: bool,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`.
    pub(crate) legacy: bool,
}

/// What the host must hand in with every request of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// [`Request::source_address`](crate::Request::source_address).
    pub source_address: bool,
    /// [`Request::route_name`](crate::Request::route_name).
    pub route_name: bool,
}

/// Everything that one gateway decides by.
#[derive(Debug)]
pub struct Policy {
    pub(crate) gateway: Box<str>,
    pub(crate) realm: Box<str>,
    pub(crate) revision: Box<str>,
    pub(crate) observe: bool,
    pub(crate) needs: Needs,
    pub(crate) address_source: AddressSource,
    pub(crate) reads_country: bool,
    pub(crate) names: NameTable,
    pub(crate) sources: Box<[Source]>,
    /// Which kind counts where both are shown.
    pub(crate) precedence: Option<CredentialKind>,
    pub(crate) token_rules: TokenRules,
    /// Address of the protected resource's metadata.
    pub(crate) resource_metadata: Option<Box<str>>,
    pub(crate) shares_keys: bool,
    pub(crate) retiring_header: Option<Box<str>>,
    pub(crate) identity: IdentityHeaders,
    /// Which of [`Fact::ALL`] the filters behind this one are told.
    pub(crate) hand_over: [bool; Fact::ALL.len()],
    pub(crate) networks: NetworkTable,
    pub(crate) deny: NetworkSet,
    pub(crate) scopes: ScopeTable,
    pub(crate) consumers: Box<[Consumer]>,
    pub(crate) keys: KeyTable,
    pub(crate) limits: Box<[Limit]>,
    /// Names of plans.
    pub(crate) plans: Box<[Box<str>]>,
    pub(crate) limit_headers: LimitHeaders,
    /// Who counts the limits of a fleet.
    pub(crate) fleet: Option<Fleet>,
    /// Limits by address alone that hold for every request, also where no route matches.
    pub(crate) address_limits: Box<[LimitId]>,
    pub(crate) routes: Box<[Route]>,
    /// Patterns of the routes that may allow.
    pub(crate) allow: RouteTable,
    /// Patterns of the routes with `access: deny`.
    pub(crate) refuse: RouteTable,
    /// Routes that may allow, by Envoy's own route name.
    pub(crate) by_name: Lookup<Methods>,
    /// Routes with `access: deny`, by Envoy's own route name.
    pub(crate) refuse_by_name: Lookup<Methods>,
}

impl Policy {
    /// The name of the gateway that the policy is for.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// 16 hex digits that are the same for policies of the same meaning.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// What the host must hand in with every request.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether a header of this name, in any spelling, must never reach an upstream.
    pub fn is_stripped(&self, name: &[u8]) -> bool {
        self.names.is_stripped(name)
    }

    /// Whether the filter may strip or change a header of this name, in any spelling: routes of Envoy's
    /// must not match on it.
    pub fn is_edited(&self, name: &[u8]) -> bool {
        self.names.is_edited(name)
    }

    /// Whether a request trailer of this name, in any spelling, must never reach an upstream.
    pub fn is_stripped_trailer(&self, name: &[u8]) -> bool {
        self.names.is_stripped_trailer(name)
    }

    /// The routes, in the policy's order.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The issuers of tokens, in the policy's order.
    pub fn issuers(&self) -> &[Issuer] {
        &self.token_rules.issuers
    }

    /// Whether fetched key sets may be kept in shared data that has no owner.
    pub fn shares_keys(&self) -> bool {
        self.shares_keys
    }

    /// The keys, in no particular order.
    pub fn keys(&self) -> &[ApiKey] {
        self.keys.keys()
    }

    /// Whether any limit counts requests in flight.
    pub fn counts_flights(&self) -> bool {
        self.limits.iter().any(|limit| limit.concurrent.is_some())
    }

    /// The limits, of those with several windows each window, in no particular order.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The name of a consumer's plan.
    pub(crate) fn plan(&self, consumer: &Consumer) -> Option<&str> {
        self.plans.get(usize::from(consumer.plan?)).map(|name| &**name)
    }

    /// The rate limit service, where some limit is a fleet's.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.fleet.as_ref()
    }

    pub(crate) fn route(&self, id: RouteId) -> Option<&Route> {
        usize::try_from(id.0).ok().and_then(|at| self.routes.get(at))
    }

    pub(crate) fn consumer(&self, id: ConsumerId) -> Option<&Consumer> {
        usize::try_from(id.0).ok().and_then(|at| self.consumers.get(at))
    }

    pub(crate) fn limit(&self, id: LimitId) -> Option<&Limit> {
        self.limits.get(usize::from(id.0))
    }

    /// The limits at these positions, with their positions.
    pub(crate) fn limits_at(
        &self,
        ids: impl Iterator<Item = LimitId>,
    ) -> impl Iterator<Item = (LimitId, &Limit)> {
        ids.filter_map(|id| Some((id, self.limit(id)?)))
    }
}
