//! THE ORDER OF CHECKS. The walk of one request through the stages, stopping at the first refusal.

mod credential;
mod form;
mod limits;
mod place;
mod scopes;
#[cfg(test)]
mod tests;

use crate::decision::{Decision, Grant};
use crate::explain::{Stage, Trace};
use crate::limit::BucketStore;
use crate::policy::Policy;
use crate::reason::Denial;
use crate::request::Request;
use crate::route::{Access, Found, Route};
use crate::time::Timestamp;

impl Policy {
    /// Decides one request. Never panics, whatever the bytes; spends tokens, changes nothing else.
    pub fn decide<'p, 'r>(
        &'p self,
        request: &Request<'r>,
        now: Timestamp,
        buckets: &mut impl BucketStore,
        trace: &mut impl Trace,
    ) -> Decision<'p, 'r> {
        let decision = Decision::open(self, request, now);
        let mut walk = Walk { policy: self, request, now, buckets, trace, decision };
        walk.decision.verdict = walk.run();
        walk.decision
    }
}

/// One request on its way.
struct Walk<'w, 'p, 'r, S, T> {
    policy: &'p Policy,
    request: &'w Request<'r>,
    now: Timestamp,
    buckets: &'w mut S,
    trace: &'w mut T,
    decision: Decision<'p, 'r>,
}

impl<'p, S: BucketStore, T: Trace> Walk<'_, 'p, '_, S, T> {
    /// The order of checks.
    fn run(&mut self) -> Result<Grant, Denial> {
        self.read_form()?;
        self.locate_caller()?;
        self.refuse_denied_networks()?;
        // An unknown route is refused only after the address has paid: guessing paths is not free.
        let route = self.find_route();
        self.spend_address_limits()?;
        let route = route?;
        let shown = self.extract_credential()?;
        self.authenticate(shown, route)?;
        self.authorise(route)?;
        self.spend_limits(route)?;
        Ok(if route.access == Access::Public { Grant::Public } else { Grant::Principal })
    }

    /// The route that owns the request. Routes with `access: deny` come first: deny wins.
    fn find_route(&mut self) -> Result<&'p Route, Denial> {
        let policy = self.policy;
        let method = self.decision.method.unwrap_or_default();
        let host = self.decision.host.as_deref().unwrap_or_default();
        let path = self.decision.path.as_ref().map(|path| path.as_str());
        let name = self.request.route_name.and_then(|name| str::from_utf8(name).ok());
        let refused = path
            .and_then(|path| policy.refuse.find_any(host, path, method))
            .or_else(|| policy.refuse_by_name.get(name?)?.covering(method));
        let found = match (refused, name.and_then(|name| policy.by_name.get(name))) {
            (Some(route), _) => Found::Route(route),
            (None, Some(methods)) => methods.find(method),
            (None, None) => {
                path.map_or(Found::Nothing, |path| policy.allow.find(host, path, method))
            }
        };
        let route = match found {
            Found::Route(id) => policy.route(id),
            Found::OtherMethods | Found::Nothing => None,
        };
        self.decision.route = route;
        self.trace.note(Stage::Route, || {
            let envoy_route =
                name.map(|name| format!(", envoy route `{name}`")).unwrap_or_default();
            let target = format!("{method} {host}{}{envoy_route}", path.unwrap_or_default());
            match (route, found) {
                (Some(route), _) => format!("{target}: `{}`", route.name()),
                (None, Found::Nothing) => format!("{target}: no route matches"),
                (None, _) => format!("{target}: the route does not allow this method"),
            }
        });
        match (route, found) {
            (Some(route), _) if route.access == Access::Deny => Err(Denial::RouteDenied),
            (Some(route), _) => Ok(route),
            (None, Found::OtherMethods) => Err(Denial::MethodNotAllowed),
            (None, _) => Err(Denial::RouteUnknown),
        }
    }
}
