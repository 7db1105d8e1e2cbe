//! Which route a request belongs to.
//!
//! Precedence is one order, not a ladder of exceptions: the host first (exact, then the longest
//! suffix, then any), then the path segment by segment (literal before `{name}` before `/**`). The
//! best pattern of host and path owns the request; its methods then decide. A method that none of
//! its routes allows is refused and never falls to a laxer pattern, nor does a path that differs from
//! a literal in case alone.

mod cover;
mod pattern;

use std::collections::HashMap;

use crate::authn::claim_value::Condition;
use crate::authn::issuer::IssuerId;
use crate::authn::token::ClaimId;
use crate::authz::Requirement;
use crate::bytes::same;
use crate::limit::LimitId;
use crate::network::NetworkSet;
use crate::policy::Schedule;

pub(crate) use pattern::{HostPattern, PathPattern, Segment};

use crate::path::Segments;

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

/// The credentials that a route takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub(crate) api_key: bool,
    pub(crate) jwt: bool,
    /// Issuers whose tokens it takes; empty: all.
    pub(crate) issuers: Box<[IssuerId]>,
}

impl Accepts {
    pub(crate) fn issuer(&self, id: IssuerId) -> bool {
        self.jwt && (self.issuers.is_empty() || self.issuers.contains(&id))
    }
}

/// What a route asks of one claim.
#[derive(Clone, Debug)]
pub(crate) struct ClaimRule {
    pub(crate) claim: ClaimId,
    /// As the policy writes it, for whoever asks why.
    pub(crate) name: Box<str>,
    pub(crate) must: Must,
}

/// What a claim must be.
#[derive(Clone, Debug)]
pub(crate) enum Must {
    Hold(Condition),
    /// The text that the path has for a parameter: the route's patterns, the most specific first, and
    /// where it stands in each.
    EqualParameter(Box<[(PathPattern, usize)]>),
}

/// A rule for some requests.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) name: Box<str>,
    pub(crate) position: RouteId,
    pub(crate) access: Access,
    pub(crate) accepts: Accepts,
    pub(crate) requirement: Requirement,
    /// What is asked of a token's claims, all of it.
    pub(crate) claims: Box<[ClaimRule]>,
    /// When it stops to take API keys.
    pub(crate) schedule: Option<Box<Schedule>>,
    /// Where callers must be; empty: anywhere.
    pub(crate) networks: NetworkSet,
    /// Where callers must not be.
    pub(crate) deny: NetworkSet,
    /// Limits by address alone, the policy's own included: spent before the credential is read.
    pub(crate) address_limits: Box<[LimitId]>,
    /// The other limits, the policy's own included.
    pub(crate) limits: Box<[LimitId]>,
    /// Tokens that a request takes from each limit.
    pub(crate) cost: u32,
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

    #[inline]
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

/// A place in the tree of segments.
#[derive(Clone, Debug, Default)]
struct Branch {
    /// In the order of their hashes.
    literals: Vec<Literal>,
    parameter: Option<usize>,
    /// Patterns that end here.
    here: Methods,
    /// Patterns that end with `/**` here.
    rest: Methods,
}

/// A segment that stands for itself, and where it leads.
#[derive(Clone, Debug)]
struct Literal {
    /// Of its text in lower case: what differs in case alone is found together.
    hash: u32,
    text: Box<str>,
    place: usize,
}

/// Patterns of host and path, and the routes behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RouteTable {
    exact: HashMap<Box<str>, usize>,
    suffix: HashMap<Box<str>, usize>,
    any: Option<usize>,
    branches: Vec<Branch>,
    /// Whether this is what is refused: matched in any case, and at the bare prefix of `/**` too.
    refuses: bool,
}

impl RouteTable {
    /// A table of what is refused. A server that folds case or ignores a slash at the end must not
    /// serve under `/ADMIN` or `/admin` what is refused under `/admin/**`: patterns match in any case,
    /// `/**` has its bare prefix too, and a pattern has its path with a slash at the end.
    pub(crate) fn refusing() -> Self {
        Self { refuses: true, ..Self::default() }
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
        let refuses = self.refuses;
        let branch = self.branch_mut(parent);
        let place = match segment {
            Segment::Parameter(_) => *branch.parameter.get_or_insert(fresh),
            Segment::Literal(text) => {
                let text = if refuses { &text.to_ascii_lowercase().into() } else { text };
                let hash = folded_hash(text);
                let order = |other: &Literal| (other.hash, &other.text).cmp(&(hash, text));
                match branch.literals.binary_search_by(order) {
                    Ok(found) => branch.literals.get(found).map_or(fresh, |found| found.place),
                    Err(gap) => {
                        branch
                            .literals
                            .insert(gap, Literal { hash, text: text.clone(), place: fresh });
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
    #[inline]
    pub(crate) fn find(&self, host: &str, path: &str, method: &str) -> Found {
        match self.search(host, path, &|methods| !methods.is_empty()) {
            Ok(Some(methods)) => methods.find(method),
            Ok(None) | Err(OtherCase) => Found::Nothing,
        }
    }

    /// A route of any pattern that covers the request, be it the best or not. Here `*` is every method.
    pub(crate) fn find_any(&self, host: &str, path: &str, method: &str) -> Option<RouteId> {
        if self.is_empty() {
            return None;
        }
        let folded = if self.refuses { &path.to_ascii_lowercase() } else { path };
        let accept = |methods: &Methods| methods.covering(method).is_some();
        self.search(host, folded, &accept).ok()??.covering(method)
    }

    #[inline]
    fn search(
        &self,
        host: &str,
        path: &str,
        accept: &dyn Fn(&Methods) -> bool,
    ) -> Result<Option<&Methods>, OtherCase> {
        let segments = Segments::of(path);
        for root in self.roots(host) {
            if let Some(found) = self.descend(root, segments.clone(), accept)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The trees for a host, the most specific first.
    #[inline]
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
    #[inline]
    fn descend<'t>(
        &'t self,
        place: usize,
        mut segments: Segments<'_>,
        accept: &dyn Fn(&Methods) -> bool,
    ) -> Result<Option<&'t Methods>, OtherCase> {
        let Some(branch) = self.branches.get(place) else { return Ok(None) };
        let accepted = |methods: &'t Methods| Some(methods).filter(|methods| accept(methods));
        let Some(segment) = segments.next() else {
            let bare = || accepted(&branch.rest).filter(|_| self.refuses);
            return Ok(accepted(&branch.here).or_else(bare));
        };
        let parameter = branch.parameter.filter(|_| !segment.is_empty());
        for place in branch.literal(segment)?.into_iter().chain(parameter) {
            if let Some(found) = self.descend(place, segments.clone(), accept)? {
                return Ok(Some(found));
            }
        }
        let slash_at_end = || accepted(&branch.here).filter(|_| self.refuses && segment.is_empty());
        Ok(accepted(&branch.rest).or_else(slash_at_end))
    }
}

/// A segment is a literal of the policy but for its case. To a server that folds case the two are
/// one, so the request must not fall to a laxer pattern: it belongs to no route.
struct OtherCase;

impl Branch {
    /// Where a literal segment leads; the same text in another case is no way on.
    #[inline]
    fn literal(&self, segment: &str) -> Result<Option<usize>, OtherCase> {
        if self.literals.is_empty() {
            return Ok(None);
        }
        let hash = folded_hash(segment);
        let start = self.literals.partition_point(|literal| literal.hash < hash);
        let found = self.literals.iter().skip(start).take_while(|literal| literal.hash == hash);
        let mut other_case = false;
        for Literal { text, place, .. } in found {
            if same(text.as_bytes(), segment.as_bytes()) {
                return Ok(Some(*place));
            }
            other_case |= text.eq_ignore_ascii_case(segment);
        }
        if other_case { Err(OtherCase) } else { Ok(None) }
    }
}

/// A hash of a text whatever its case, in words. It orders the policy's own texts: a caller who finds
/// another one of the same hash has found a comparison that fails.
#[inline]
fn folded_hash(text: &str) -> u32 {
    // The golden ratio spreads a word over all bits; the high ones come down. The bit that tells cases apart
    // is set in every byte.
    let mix = |hash: u64, word: u64| {
        let mixed = (hash ^ (word | 0x2020_2020_2020_2020)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    };
    let (words, rest) = text.as_bytes().as_chunks();
    let hash = words.iter().fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    u32::try_from(mix(hash, last) >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests;
