//! Which route a request belongs to.
//!
//! Precedence is one order, not a ladder of exceptions: the host first (exact, then the longest
//! suffix, then any), then the path segment by segment (literal before `{name}` before `/**`). The
//! best pattern of host and path owns the request; its methods then decide. A method that none of
//! its routes allows is refused and never falls to a laxer pattern.

mod cover;

use std::collections::HashMap;

use crate::authz::Requirement;
use crate::limit::LimitId;
use crate::network::NetworkSet;

/// Position of a route in its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RouteId(pub(crate) u32);

/// Who may use a route at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody; a credential that is sent must still be valid.
    Public,
    /// Nobody, whatever another route allows.
    Deny,
    /// Callers with an accepted credential.
    Credentials,
}

/// A rule for some requests.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) name: Box<str>,
    pub(crate) position: RouteId,
    pub(crate) access: Access,
    pub(crate) requirement: Requirement,
    /// Where callers must be; empty: anywhere.
    pub(crate) networks: NetworkSet,
    /// Where callers must not be.
    pub(crate) deny: NetworkSet,
    /// Limits by address alone, the policy's own included: spent before the credential is read.
    pub(crate) address_limits: Box<[LimitId]>,
    /// The other limits, the policy's own included.
    pub(crate) limits: Box<[LimitId]>,
    /// Decide and record, but forward.
    pub(crate) observe: bool,
}

impl Route {
    /// The route's name in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Position of the route in its policy, from 0.
    pub fn position(&self) -> usize {
        usize::try_from(self.position.0).unwrap_or(usize::MAX)
    }
}

/// What a host and a path lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A route that allows the method.
    Route(RouteId),
    /// Patterns match, no method does.
    OtherMethods,
    /// No pattern matches.
    Nothing,
}

/// Methods that stand behind `"*"`: all but those that would make a gateway a tunnel or an echo.
pub(crate) fn is_ordinary(method: &str) -> bool {
    !matches!(method, "CONNECT" | "TRACE" | "TRACK")
}

/// The routes of one pattern, by method.
#[derive(Clone, Debug, Default)]
pub(crate) struct Methods {
    listed: Vec<(Box<str>, RouteId)>,
    any: Option<RouteId>,
}

impl Methods {
    /// Adds a method, or `*`.
    ///
    /// # Errors
    /// The route that already has this method here.
    pub(crate) fn insert(&mut self, method: &str, route: RouteId) -> Result<(), RouteId> {
        let taken = if method == "*" { self.any } else { self.listed(method) };
        match taken {
            Some(other) => return Err(other),
            None if method == "*" => self.any = Some(route),
            None => self.listed.push((method.into(), route)),
        }
        Ok(())
    }

    fn listed(&self, method: &str) -> Option<RouteId> {
        self.listed.iter().find(|(listed, _)| **listed == *method).map(|(_, route)| *route)
    }

    pub(crate) fn find(&self, method: &str) -> Found {
        let any = self.any.filter(|_| is_ordinary(method));
        match self.listed(method).or(any) {
            Some(route) => Found::Route(route),
            None if self.is_empty() => Found::Nothing,
            None => Found::OtherMethods,
        }
    }

    /// The route that has a method where `*` is every method.
    pub(crate) fn covering(&self, method: &str) -> Option<RouteId> {
        self.listed(method).or(self.any)
    }

    fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.any.is_none()
    }
}

/// Which hosts a pattern means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    Any,
    /// This host, in canonical form.
    Exact(Box<str>),
    /// Every host that ends so and has at least one label before: `.example.org`.
    Suffix(Box<str>),
}

/// One segment of a path pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// This text, in canonical form.
    Literal(Box<str>),
    /// Any text but the empty one: `{name}`.
    Parameter(Box<str>),
}

/// A path pattern: segments, and whether `/**` follows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PathPattern {
    pub(crate) segments: Vec<Segment>,
    pub(crate) rest: bool,
}

/// A place in the tree of segments.
#[derive(Clone, Debug, Default)]
struct Branch {
    /// Sorted by segment.
    literals: Vec<(Box<str>, usize)>,
    parameter: Option<usize>,
    /// Patterns that end here.
    here: Methods,
    /// Patterns that end with `/**` here.
    rest: Methods,
}

/// Patterns of host and path, and the routes behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteTable {
    exact: HashMap<Box<str>, usize>,
    suffix: HashMap<Box<str>, usize>,
    any: Option<usize>,
    branches: Vec<Branch>,
    /// Whether literal segments match without regard to ASCII case.
    folds_case: bool,
}

impl RouteTable {
    /// A table of what is refused. Its paths match in any case: a server that folds case must not
    /// serve under `/ADMIN` what is refused under `/admin`.
    pub(crate) fn refusing() -> Self {
        Self { folds_case: true, ..Self::default() }
    }

    /// The routes of one pattern, to add a method to.
    pub(crate) fn methods_mut(&mut self, host: &HostPattern, path: &PathPattern) -> &mut Methods {
        let mut place = self.root(host);
        for segment in &path.segments {
            place = self.child(place, segment);
        }
        let branch = self.branch_mut(place);
        if path.rest { &mut branch.rest } else { &mut branch.here }
    }

    fn root(&mut self, host: &HostPattern) -> usize {
        let fresh = self.branches.len();
        let place = match host {
            HostPattern::Any => *self.any.get_or_insert(fresh),
            HostPattern::Exact(name) => *self.exact.entry(name.clone()).or_insert(fresh),
            HostPattern::Suffix(suffix) => *self.suffix.entry(suffix.clone()).or_insert(fresh),
        };
        self.grow(place)
    }

    fn child(&mut self, parent: usize, segment: &Segment) -> usize {
        let fresh = self.branches.len();
        let folds_case = self.folds_case;
        let branch = self.branch_mut(parent);
        let place = match segment {
            Segment::Parameter(_) => *branch.parameter.get_or_insert(fresh),
            Segment::Literal(text) => {
                let text = if folds_case { &text.to_ascii_lowercase().into() } else { text };
                match branch.literals.binary_search_by(|(other, _)| other.cmp(text)) {
                    Ok(found) => branch.literals.get(found).map_or(fresh, |(_, place)| *place),
                    Err(gap) => {
                        branch.literals.insert(gap, (text.clone(), fresh));
                        fresh
                    }
                }
            }
        };
        self.grow(place)
    }

    fn grow(&mut self, place: usize) -> usize {
        if place == self.branches.len() {
            self.branches.push(Branch::default());
        }
        place
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "places come from `grow`; runs only while compiling"
    )]
    fn branch_mut(&mut self, place: usize) -> &mut Branch {
        &mut self.branches[place]
    }

    /// Whether there is no pattern at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.branches.is_empty()
    }

    /// What a canonical host, a canonical path and a method lead to: the best pattern decides.
    pub(crate) fn find(&self, host: &str, path: &str, method: &str) -> Found {
        self.search(host, path, &|methods| !methods.is_empty())
            .map_or(Found::Nothing, |methods| methods.find(method))
    }

    /// A route of any pattern that covers the request, be it the best or not. Here `*` is every method.
    pub(crate) fn find_any(&self, host: &str, path: &str, method: &str) -> Option<RouteId> {
        if self.is_empty() {
            return None;
        }
        let folded = if self.folds_case { &path.to_ascii_lowercase() } else { path };
        let accept = |methods: &Methods| methods.covering(method).is_some();
        self.search(host, folded, &accept)?.covering(method)
    }

    fn search(
        &self,
        host: &str,
        path: &str,
        accept: &dyn Fn(&Methods) -> bool,
    ) -> Option<&Methods> {
        let segments = path.strip_prefix('/').unwrap_or(path).split('/');
        self.roots(host).find_map(|root| self.descend(root, segments.clone(), accept))
    }

    /// The trees for a host, the most specific first.
    fn roots<'t>(&'t self, host: &'t str) -> impl Iterator<Item = usize> + 't {
        let suffixes = host
            .match_indices('.')
            .take(if self.suffix.is_empty() { 0 } else { usize::MAX })
            .filter(|(dot, _)| *dot > 0)
            .filter_map(|(dot, _)| self.suffix.get(host.get(dot..)?).copied());
        self.exact.get(host).copied().into_iter().chain(suffixes).chain(self.any)
    }

    /// The best acceptable pattern below a place. The tree is as deep as the longest pattern of the
    /// policy and each of its places is tried at most once: a caller's path bounds neither.
    fn descend<'t>(
        &'t self,
        place: usize,
        mut segments: std::str::Split<'_, char>,
        accept: &dyn Fn(&Methods) -> bool,
    ) -> Option<&'t Methods> {
        let branch = self.branches.get(place)?;
        let Some(segment) = segments.next() else {
            return Some(&branch.here).filter(|methods| accept(methods));
        };
        let literal = || {
            let found = branch.literals.binary_search_by(|(text, _)| (**text).cmp(segment)).ok()?;
            self.descend(branch.literals.get(found)?.1, segments.clone(), accept)
        };
        let parameter = || {
            let place = branch.parameter.filter(|_| !segment.is_empty())?;
            self.descend(place, segments.clone(), accept)
        };
        let rest = || Some(&branch.rest).filter(|methods| accept(methods));
        literal().or_else(parameter).or_else(rest)
    }
}

#[cfg(test)]
mod tests;
